// One torrent's swarm as a machine without hands: events in, commands out, no clock, no chance but the seed's, no
// content. It ties the parts together (picker, download, upload, choker, dialer, announce schedule) and holds what
// none of them owns: who is connected, whether we are done, and how a goodbye goes.

import type { AnnounceSchedule } from './announce.ts';
import type { Bitfield } from './bitfield.ts';
import type { Budget } from './budget.ts';
import { Download } from './download.ts';
import { assert } from './errors.ts';
import type { Stretch, SwarmCommand, SwarmEvent } from './events.ts';
import { Holdings } from './holdings.ts';
import { Hunger } from './hunger.ts';
import { gainInterest, loseInterest } from './interest.ts';
import type { Limits } from './limits.ts';
import { Members } from './members.ts';
import { Peer } from './peer.ts';
import { Picker } from './picker.ts';
import type { Rng } from './rng.ts';
import { Showing } from './showing.ts';
import { pieceSize, type Torrent } from './torrent.ts';
import type { Ms } from './units.ts';
import { Upload } from './upload.ts';
import { type SwarmView, Tally, viewOf } from './view.ts';
import { WebSeeding } from './webseed.ts';

export interface SwarmOptions {
  readonly torrent: Torrent;
  /** What is verified already. The Swarm goes on setting bits in it. */
  readonly have: Bitfield;
  readonly limits: Limits;
  readonly rng: Rng;
  /** The node's upload cap, shared by its swarms. */
  readonly budget: Budget;
  readonly schedule: AnnounceSchedule;
  /** Ours, 20 bytes in hex. */
  readonly peerId: string;
}

export class Swarm {
  readonly #torrent: Torrent;
  readonly #have: Bitfield;
  readonly #limits: Limits;
  readonly #schedule: AnnounceSchedule;
  readonly #picker: Picker;
  readonly #download: Download;
  readonly #upload: Upload;
  readonly #members: Members;
  readonly #showing: Showing;
  readonly #hunger: Hunger;
  readonly #holdings: Holdings;
  readonly #web: WebSeeding;
  #commands: SwarmCommand[] = [];
  #now: Ms = 0;
  readonly #tally = new Tally();
  #nextRoundAt: Ms = Number.NEGATIVE_INFINITY;
  #nextKeepAliveAt: Ms = Number.NEGATIVE_INFINITY;
  #announcing = false;
  #leaveBy: Ms = Number.POSITIVE_INFINITY;
  #state: 'here' | 'leaving' | 'left' = 'here';

  constructor(options: SwarmOptions) {
    const { torrent, have, limits, rng } = options;
    this.#torrent = torrent;
    this.#have = have;
    this.#limits = limits;
    this.#schedule = options.schedule;
    const activeMax = Math.max(4, Math.floor(limits.activeBytes / torrent.pieceLength));
    this.#picker = new Picker(torrent, have, rng, activeMax, limits.frontPieces);
    this.#hunger = new Hunger(rng);
    this.#download = new Download(torrent, this.#picker, limits);
    this.#upload = new Upload(torrent, have, options.budget, limits);
    this.#members = new Members(options.peerId, limits, rng);
    this.#showing = new Showing(have, torrent.pieceLength, limits, rng);
    this.#holdings = new Holdings(have, this.#picker, this.#showing, this.#hunger);
    const parts = { picker: this.#picker, download: this.#download, members: this.#members };
    this.#web = new WebSeeding({ torrent, have, limits, rng, ...parts });
  }

  /** The only way in. `now` never runs backwards. */
  handle(event: SwarmEvent, now: Ms): void {
    this.#now = now;
    this.#tally.begin(now);
    switch (event.type) {
      case 'peerConnected':
        return this.#peerConnected(event);
      case 'peersFound':
        return this.#members.found(event.addresses);
      case 'dialFailed':
        return this.#members.dialFailed(event.address, now);
      case 'pieceChecked':
        return this.#pieceChecked(event.piece, event.good);
      case 'pieceWritten':
        return this.#pieceWritten(event.piece);
      case 'announced':
        this.#announcing = false;
        this.#schedule.succeeded(event.url, event.reply, now);
        return this.#members.found(event.reply.peers);
      case 'announceFailed':
        this.#announcing = false;
        return this.#schedule.failed(event.url, event.reason, now);
      case 'webSeedsFound':
        return this.#web.found(event.urls, now);
      case 'webSeedOpened':
        return this.#web.opened(event.slot, now);
      case 'webSeedFailed':
        return this.#web.failed(event.slot, event.busyMs, now, this.#commands);
      case 'leave':
        return this.#leave();
    }
    const web = this.#web.get(event.slot);
    if (web !== undefined && event.type !== 'peerGone') return this.#peerSaid(web, event);
    const peer = this.#members.get(event.slot);
    if (peer === undefined) return;
    peer.heardAt = now;
    if (event.type === 'peerGone') this.#peerGone(peer);
    else this.#peerSaid(peer, event);
  }

  /** The only way out: does what is due and empties the list of orders. Call it after events, and at `deadline`. */
  take(now: Ms): SwarmCommand[] {
    this.#now = now;
    const here = this.#state === 'here';
    if (here) this.#housekeeping();
    if (here) this.#members.exchange(now, this.#commands);
    this.#fillPipelines();
    if (here) this.#showing.tell(this.#members.all(), this.#tally.upBytesPerSec(now), now, this.#commands);
    this.#upload.serve(now, this.#commands);
    this.#showing.sent(this.#commands, now);
    this.#announce();
    if (this.#state === 'leaving') this.#finishLeaving();
    const commands = this.#commands;
    this.#commands = [];
    return commands;
  }

  /** When `take` next has something to do without an event. */
  deadline(): Ms {
    if (this.#state === 'left') return Number.POSITIVE_INFINITY;
    const next = Math.min(
      this.#upload.deadline(this.#now),
      this.#download.deadline(),
      this.#schedule.deadline(),
    );
    if (this.#state === 'leaving') return Math.min(next, this.#leaveBy);
    const web = this.#web.deadline(this.#now);
    const round = this.#members.size > 0 ? this.#nextRoundAt : Number.POSITIVE_INFINITY;
    const call = this.#calling ? this.#members.deadline() : Number.POSITIVE_INFINITY;
    const news = Math.min(web, this.#showing.deadline(), this.#members.exchangeAt);
    return Math.min(next, round, call, news);
  }

  /** Whether the block that is just coming in is to be kept: the one question that cannot wait for `take`. */
  accepts(slot: number, stretch: Stretch): boolean {
    const giver = this.#members.get(slot) ?? this.#web.get(slot);
    return giver !== undefined && this.#download.accepts(giver, stretch);
  }

  /** To a new peer we look like one that only uploads (BEP 21). */
  get uploadOnly(): boolean {
    return this.#have.isFull && !this.#showing.isSuperSeeding;
  }

  view(now: Ms): SwarmView {
    const parts = { schedule: this.#schedule, tally: this.#tally, web: this.#web.sight };
    return viewOf(this.#torrent, this.#have, this.#members.all(), parts, now);
  }

  #peerConnected(event: Extract<SwarmEvent, { type: 'peerConnected' }>): void {
    const { slot } = event;
    const { refusal, instead } = this.#members.weigh(event, this.#now);
    const reason = this.#state === 'here' ? refusal : 'leaving';
    if (reason !== null) {
      this.#commands.push({ type: 'drop', slot, reason, ban: false });
      return;
    }
    if (instead !== null) this.#drop(instead, 'connected already');
    const peer = new Peer(slot, event, this.#torrent.pieceCount, this.#now);
    this.#members.add(peer);
    this.#showing.greet(peer, this.#commands);
    if (this.#nextRoundAt < this.#now) this.#nextRoundAt = this.#now + this.#limits.chokeRoundMs;
    this.#rechoke(false);
  }

  #peerSaid(
    peer: Peer,
    event: Exclude<Extract<SwarmEvent, { slot: number }>, { type: 'peerConnected' | 'peerGone' }>,
  ): void {
    switch (event.type) {
      case 'choked':
        peer.chokesUs = true;
        this.#hunger.stopped(peer);
        if (peer.fast) return;
        this.#download.releaseAll(peer);
        return this.#hunger.feedAll(this.#members.all());
      case 'unchoked':
        peer.chokesUs = false;
        return this.#hunger.feed(peer);
      case 'interested':
      case 'uninterested':
        peer.interested = event.type === 'interested';
        return this.#rechoke(false);
      case 'had':
        return this.#learnt(peer, this.#holdings.had(peer, event.piece, this.#now));
      case 'fieldArrived':
        return this.#learnt(peer, this.#holdings.field(peer, event.bytes, this.#now));
      case 'hadAll':
        return this.#learnt(peer, this.#holdings.all(peer, this.#now));
      case 'heard':
        return;
      case 'extended':
        return this.#extended(peer, event);
      case 'exchanged':
        return this.#members.foundBy(peer, event.addresses, this.#now);
      case 'requested': {
        const fault = this.#upload.requested(peer, event, this.#state === 'here', this.#commands);
        if (fault !== null) this.#drop(peer, fault);
        return;
      }
      case 'cancelled':
        return this.#upload.cancelled(peer, event, this.#commands);
      case 'rejected':
        if (this.#download.rejected(peer, event)) this.#hunger.feedAll(this.#members.all());
        else this.#drop(peer, 'rejected what was never asked for');
        return;
      case 'blockArrived':
        return this.#blockArrived(peer, event);
      case 'blockUnwanted':
        this.#tally.wastedBytes += event.length;
        if (!this.#download.excuses(peer, event)) {
          this.#drop(peer, `sent a block that was never asked for (piece ${event.piece} at ${event.begin})`);
        }
        return;
      case 'sent':
        this.#upload.sent(peer, event.bytes, this.#now);
        return this.#tally.sent(event.bytes, this.#now);
    }
  }

  #peerGone(peer: Peer): void {
    this.#download.releaseAll(peer);
    this.#picker.counted(peer.field, -1);
    this.#members.remove(peer, this.#now);
    this.#showing.gone(peer);
    this.#upload.gone(peer);
    this.#hunger.stopped(peer);
    this.#hunger.feedAll(this.#members.all());
    this.#rechoke(false);
    if (this.#state === 'here' && !this.#have.isFull) this.#schedule.hurry(this.#now);
  }

  /** What a peer has is in our books, unless it was wrong. */
  #learnt(peer: Peer, fault: string | null): void {
    if (fault !== null) this.#drop(peer, fault);
    else this.#updateInterest(peer);
  }

  #extended(peer: Peer, event: Extract<SwarmEvent, { type: 'extended' }>): void {
    if (!this.#members.introduced(peer, event, this.#now)) return this.#drop(peer, 'banned before');
    this.#updateInterest(peer);
  }

  #blockArrived(peer: Peer, event: Stretch): void {
    this.#tally.received(event.length, this.#now);
    this.#hunger.served(peer);
    this.#web.gave(peer, this.#now);
    const whole = this.#download.arrived(peer, event, this.#members.all(), this.#now, this.#commands);
    if (whole) this.#commands.push({ type: 'check', piece: event.piece });
  }

  #pieceChecked(piece: number, good: boolean): void {
    if (good) return void this.#commands.push({ type: 'write', piece });
    this.#tally.hashFailures++;
    this.#tally.wastedBytes += pieceSize(this.#torrent, piece);
    this.#commands.push({ type: 'forget', piece });
    const sources = this.#picker.failed(piece);
    const sole = sources.length === 1 ? sources[0]! : -1;
    const guilty = this.#members.get(sole);
    if (guilty === undefined) this.#web.bans(sole, piece, this.#commands);
    else {
      this.#members.ban(guilty);
      this.#drop(guilty, `sent bytes of piece ${piece} that fail its hash`, true);
    }
    this.#hunger.feedAll(this.#members.all());
  }

  #pieceWritten(piece: number): void {
    const fresh = this.#have.set(piece);
    assert(fresh, 'a piece is written once');
    const sources = this.#picker.finished(piece).filter((slot) => this.#members.get(slot) !== undefined);
    if (sources.length > 0) this.#web.gained(this.#now);
    // Nobody else can tell a first seeder that the piece is out, or those that may ask the same web seed for it.
    const fromWeb = sources.length === 0 && this.#web.sight.reason !== null;
    const waiting = fromWeb ? this.#members.slots() : this.#picker.holders(piece) <= 1 ? sources : [];
    this.#showing.gained(piece, waiting, this.#download.bestBytesPerSec, this.#commands);
    this.#commands.push({ type: 'forget', piece });
    for (const peer of this.#members.all()) {
      if (peer.field.has(piece)) {
        peer.useful--;
        this.#updateInterest(peer);
      }
    }
    if (this.#have.isFull) {
      this.#schedule.completed(this.#now);
      this.#commands.push({ type: 'complete' });
      for (const peer of this.#members.all()) this.#updateInterest(peer);
    } else if (this.#picker.takeRefused()) this.#hunger.feedAll(this.#members.all());
  }

  #updateInterest(peer: Peer): void {
    const gives = peer.isSeeder || (peer.uploadOnly && !this.#showing.isSuperSeeding);
    if (gives && this.#have.isFull) return this.#drop(peer, 'both are complete');
    if (gainInterest(peer, this.#commands)) this.#hunger.feed(peer);
    if (this.#have.isFull) this.#loseInterest(peer);
  }

  #loseInterest(peer: Peer): void {
    if (loseInterest(peer, this.#commands)) this.#hunger.stopped(peer);
  }

  #fillPipelines(): void {
    if (this.#state !== 'here') return;
    if (this.#now >= this.#download.deadline()) this.#hunger.feedAll(this.#members.all());
    const { asked, givers } = this.#hunger.take();
    for (const peer of asked) this.#download.fill(peer, givers, this.#now, this.#commands);
    this.#download.waveDone(this.#now);
    this.#web.fill(this.#now, this.#commands);
  }

  #housekeeping(): void {
    if (this.#calling) {
      for (const address of this.#members.calls(this.#now)) this.#commands.push({ type: 'dial', address });
    }
    if (this.#now < this.#nextRoundAt || this.#members.size === 0) return;
    this.#nextRoundAt = this.#now + this.#limits.chokeRoundMs;
    let stalled = false;
    for (const peer of [...this.#members.all()]) {
      const neglect = this.#download.neglectOf(peer, this.#now);
      if (neglect !== null) this.#drop(peer, neglect);
      else {
        stalled = this.#download.checkStall(peer, this.#now) || stalled;
        this.#loseInterest(peer);
      }
    }
    if (stalled) this.#hunger.feedAll(this.#members.all());
    this.#rechoke(true);
    if (this.#now >= this.#nextKeepAliveAt) {
      this.#nextKeepAliveAt = this.#now + this.#limits.keepAliveMs;
      for (const peer of this.#members.all()) this.#commands.push({ type: 'keepAlive', slot: peer.slot });
    }
  }

  /** A complete node waits to be called: who misses something finds it at the tracker. */
  get #calling(): boolean {
    return this.#state === 'here' && !this.#have.isFull;
  }

  #rechoke(round: boolean): void {
    if (this.#state !== 'here') return;
    const { isSuperSeeding } = this.#showing;
    this.#upload.rechoke([...this.#members.all()], isSuperSeeding, round, this.#now, this.#commands);
  }

  #announce(): void {
    const announce = this.#schedule.take(this.#now);
    if (announce === null) return;
    this.#announcing = true;
    const { peersWanted: enough, peersAsked } = this.#limits;
    const peersWanted = announce.event === 'stopped' || this.#members.size >= enough ? 0 : peersAsked;
    this.#commands.push({ type: 'announce', ...announce, peersWanted });
  }

  /** Closes a connection; `peerGone` for it will find nobody. */
  #drop(peer: Peer, reason: string, ban = false): void {
    if (this.#web.get(peer.slot) !== undefined)
      return this.#web.failed(peer.slot, null, this.#now, this.#commands);
    this.#commands.push({ type: 'drop', slot: peer.slot, reason, ban });
    this.#peerGone(peer);
  }

  #leave(): void {
    if (this.#state !== 'here') return;
    this.#state = 'leaving';
    this.#leaveBy = this.#now + this.#limits.leaveMs;
    this.#schedule.stop(this.#now);
    for (const peer of this.#members.all()) this.#download.releaseAll(peer);
    this.#web.stop('leaving', this.#commands);
  }

  #finishLeaving(): void {
    const late = this.#now >= this.#leaveBy;
    for (const peer of [...this.#members.all()]) {
      if (late || (peer.queue.length === 0 && peer.sendingBytes === 0)) this.#drop(peer, 'leaving');
    }
    const silent = !this.#announcing && !Number.isFinite(this.#schedule.deadline());
    if (!late && !(silent && this.#members.size === 0)) return;
    this.#state = 'left';
    this.#commands.push({ type: 'left' });
  }
}
