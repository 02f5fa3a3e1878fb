// One torrent's swarm as a machine without hands: events in, commands out, no clock, no chance but the seed's, no
// content. It ties the parts together (picker, download, upload, choker, dialer, announce schedule) and holds what
// none of them owns: who is connected, whether we are done, and how a goodbye goes.

import type { AnnounceSchedule } from './announce.ts';
import { Bitfield } from './bitfield.ts';
import type { Budget } from './budget.ts';
import { Dialer } from './dialer.ts';
import { Download } from './download.ts';
import { assert } from './errors.ts';
import type { Stretch, SwarmCommand, SwarmEvent } from './events.ts';
import type { Limits } from './limits.ts';
import { Meter } from './meter.ts';
import { Peer } from './peer.ts';
import { Picker } from './picker.ts';
import type { Rng } from './rng.ts';
import { pieceSize, type Torrent } from './torrent.ts';
import type { Ms } from './units.ts';
import { Upload } from './upload.ts';
import type { SwarmView } from './view.ts';

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
  readonly #peerId: string;
  readonly #picker: Picker;
  readonly #download: Download;
  readonly #upload: Upload;
  readonly #dialer: Dialer;
  readonly #peers = new Map<number, Peer>();
  readonly #bannedIds = new Set<string>();
  /** Peers whose pipeline may have room. */
  readonly #hungry = new Set<Peer>();
  #commands: SwarmCommand[] = [];
  #now: Ms = 0;
  #down: Meter | null = null;
  #up: Meter | null = null;
  #wastedBytes = 0;
  #hashFailures = 0;
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
    this.#peerId = options.peerId;
    const activeMax = Math.max(4, Math.floor(limits.activeBytes / torrent.pieceLength));
    this.#picker = new Picker(torrent, have, rng, activeMax, limits.frontPieces);
    this.#download = new Download(torrent, this.#picker, limits);
    this.#upload = new Upload(torrent, have, options.budget, limits);
    this.#dialer = new Dialer(rng);
  }

  /** The only way in. `now` never runs backwards. */
  handle(event: SwarmEvent, now: Ms): void {
    this.#now = now;
    this.#down ??= new Meter(now);
    this.#up ??= new Meter(now);
    switch (event.type) {
      case 'peerConnected':
        this.#peerConnected(event);
        return;
      case 'peersFound':
        this.#dialer.found(event.addresses);
        return;
      case 'dialFailed':
        this.#dialer.failed(event.address, now);
        return;
      case 'pieceChecked':
        this.#pieceChecked(event.piece, event.good);
        return;
      case 'pieceWritten':
        this.#pieceWritten(event.piece);
        return;
      case 'announced':
        this.#announcing = false;
        this.#schedule.succeeded(event.url, event.reply, now);
        this.#dialer.found(event.reply.peers);
        return;
      case 'announceFailed':
        this.#announcing = false;
        this.#schedule.failed(event.url, event.reason, now);
        return;
      case 'leave':
        this.#leave();
        return;
      case 'tick':
        return;
    }
    const peer = this.#peers.get(event.slot);
    if (peer === undefined) return;
    peer.heardAt = now;
    if (event.type === 'peerGone') this.#peerGone(peer);
    else this.#peerSaid(peer, event);
  }

  /** The only way out: does what is due and empties the list of orders. Call it after events, and at `deadline`. */
  take(now: Ms): SwarmCommand[] {
    this.#now = now;
    if (this.#state === 'here') this.#housekeeping();
    this.#fillPipelines();
    this.#upload.serve(this.#peers.values(), now, this.#commands);
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
    const round = this.#peers.size > 0 ? this.#nextRoundAt : Number.POSITIVE_INFINITY;
    return Math.min(next, round, this.#dialRoom() > 0 ? this.#dialer.deadline() : Number.POSITIVE_INFINITY);
  }

  /** Whether the block that is just coming in is to be kept: the one question that cannot wait for `take`. */
  accepts(slot: number, stretch: Stretch): boolean {
    const peer = this.#peers.get(slot);
    return peer !== undefined && this.#download.accepts(peer, stretch);
  }

  view(now: Ms): SwarmView {
    let seeders = 0;
    for (const peer of this.#peers.values()) if (peer.isSeeder || peer.uploadOnly) seeders++;
    let bytesLeft = this.#torrent.length - this.#have.count * this.#torrent.pieceLength;
    const last = this.#torrent.pieceCount - 1;
    if (this.#have.has(last)) bytesLeft += this.#torrent.pieceLength - pieceSize(this.#torrent, last);
    return {
      pieceCount: this.#torrent.pieceCount,
      piecesHave: this.#have.count,
      bytesLeft,
      downloadedBytes: this.#down?.totalBytes ?? 0,
      uploadedBytes: this.#up?.totalBytes ?? 0,
      wastedBytes: this.#wastedBytes,
      hashFailures: this.#hashFailures,
      downBytesPerSec: this.#down?.rate(now) ?? 0,
      upBytesPerSec: this.#up?.rate(now) ?? 0,
      peers: this.#peers.size,
      seedersConnected: seeders,
      leechersConnected: this.#peers.size - seeders,
      trackerSeeders: this.#schedule.seeders,
      trackerLeechers: this.#schedule.leechers,
      trackerProblem: this.#schedule.problem,
    };
  }

  #peerConnected(event: Extract<SwarmEvent, { type: 'peerConnected' }>): void {
    const { slot } = event;
    if (event.outgoing) this.#dialer.connected(event.address);
    const reason = this.#refusal(event);
    if (reason !== null) {
      this.#commands.push({ type: 'drop', slot, reason, ban: false });
      return;
    }
    this.#peers.set(slot, new Peer(slot, event, this.#torrent.pieceCount, this.#now));
    this.#commands.push({ type: 'sendField', slot });
    if (this.#nextRoundAt < this.#now) this.#nextRoundAt = this.#now + this.#limits.chokeRoundMs;
  }

  /** Why a new connection is not wanted; null when it is. */
  #refusal({ address, peerId, outgoing }: Extract<SwarmEvent, { type: 'peerConnected' }>): string | null {
    if (peerId === this.#peerId) {
      this.#dialer.never(address);
      return 'connected to ourselves';
    }
    if (this.#state !== 'here') return 'leaving';
    if (this.#bannedIds.has(peerId) || this.#dialer.isBanned(address)) return 'banned before';
    for (const twin of this.#peers.values()) {
      if (twin.peerId !== peerId) continue;
      // Both sides keep the connection that the greater peer id opened, so that they agree without a word.
      if (outgoing === twin.outgoing || outgoing !== this.#peerId > peerId) return 'connected already';
      this.#drop(twin, 'connected already');
    }
    return this.#peers.size < this.#limits.peersMax ? null : 'connected to enough peers';
  }

  #peerSaid(
    peer: Peer,
    event: Exclude<Extract<SwarmEvent, { slot: number }>, { type: 'peerConnected' | 'peerGone' }>,
  ): void {
    switch (event.type) {
      case 'choked':
        peer.chokesUs = true;
        if (!peer.fast) this.#release(peer);
        return;
      case 'unchoked':
        peer.chokesUs = false;
        this.#hungry.add(peer);
        return;
      case 'interested':
        peer.interested = true;
        this.#rechoke(false);
        return;
      case 'uninterested':
        peer.interested = false;
        this.#rechoke(false);
        return;
      case 'had':
        this.#had(peer, event.piece);
        return;
      case 'fieldArrived':
        this.#fieldArrived(peer, Bitfield.parse(event.bytes, this.#torrent.pieceCount));
        return;
      case 'hadAll':
        this.#fieldArrived(peer, Bitfield.full(this.#torrent.pieceCount));
        return;
      case 'heard':
        return;
      case 'extended':
        this.#extended(peer, event);
        return;
      case 'requested': {
        const fault = this.#upload.requested(peer, event, this.#state === 'here', this.#commands);
        if (fault !== null) this.#drop(peer, fault);
        return;
      }
      case 'cancelled':
        this.#upload.cancelled(peer, event, this.#commands);
        return;
      case 'rejected':
        if (this.#download.rejected(peer, event)) this.#everyoneHungry();
        else this.#drop(peer, 'rejected what was never asked for');
        return;
      case 'blockArrived':
        this.#blockArrived(peer, event);
        return;
      case 'blockUnwanted':
        this.#wastedBytes += event.length;
        if (!this.#download.excuses(peer, event)) {
          this.#drop(peer, `sent a block that was never asked for (piece ${event.piece} at ${event.begin})`);
        }
        return;
      case 'sent':
        peer.sendingBytes -= event.bytes;
        peer.up.add(event.bytes, this.#now);
        this.#up?.add(event.bytes, this.#now);
        return;
    }
  }

  #peerGone(peer: Peer): void {
    this.#download.releaseAll(peer);
    this.#picker.counted(peer.field, -1);
    this.#peers.delete(peer.slot);
    this.#hungry.delete(peer);
    this.#dialer.failed(peer.address, this.#now);
    this.#everyoneHungry();
    this.#rechoke(false);
    if (this.#state === 'here' && !this.#have.isFull) this.#schedule.hurry(this.#now);
  }

  #had(peer: Peer, piece: number): void {
    if (piece >= this.#torrent.pieceCount) {
      this.#drop(peer, `has piece ${piece} of ${this.#torrent.pieceCount}`);
      return;
    }
    peer.fieldKnown = true;
    if (!peer.field.set(piece)) return;
    this.#picker.gained(piece);
    if (!this.#have.has(piece)) {
      peer.useful++;
      this.#updateInterest(peer);
      if (!peer.chokesUs) this.#hungry.add(peer);
    } else if (peer.isSeeder) this.#updateInterest(peer);
  }

  #fieldArrived(peer: Peer, field: Bitfield | null): void {
    if (field === null) {
      this.#drop(peer, 'sent a bitfield of the wrong size or with spare bits set');
      return;
    }
    if (peer.fieldKnown) {
      this.#drop(peer, 'sent a bitfield in the middle of the conversation');
      return;
    }
    peer.fieldKnown = true;
    peer.field = field;
    this.#picker.counted(field, 1);
    for (let piece = 0; piece < field.length; piece++) {
      if (field.has(piece) && !this.#have.has(piece)) peer.useful++;
    }
    this.#updateInterest(peer);
  }

  #extended(peer: Peer, event: Extract<SwarmEvent, { type: 'extended' }>): void {
    peer.uploadOnly = event.uploadOnly;
    peer.requestsMax = event.requestsMax;
    if (!peer.outgoing && event.port !== 0) {
      peer.address = { host: peer.address.host, port: event.port };
      if (this.#dialer.isBanned(peer.address)) {
        this.#drop(peer, 'banned before');
        return;
      }
      this.#dialer.connected(peer.address);
    }
    this.#updateInterest(peer);
  }

  #blockArrived(peer: Peer, event: Stretch): void {
    this.#down?.add(event.length, this.#now);
    this.#hungry.add(peer);
    const whole = this.#download.arrived(peer, event, this.#peers.values(), this.#now, this.#commands);
    if (whole) this.#commands.push({ type: 'check', piece: event.piece });
  }

  #pieceChecked(piece: number, good: boolean): void {
    if (good) {
      this.#commands.push({ type: 'write', piece });
      return;
    }
    this.#hashFailures++;
    this.#wastedBytes += pieceSize(this.#torrent, piece);
    this.#commands.push({ type: 'forget', piece });
    const sources = this.#picker.failed(piece);
    const guilty = sources.length === 1 ? this.#peers.get(sources[0]!) : undefined;
    if (guilty !== undefined) {
      this.#bannedIds.add(guilty.peerId);
      this.#dialer.never(guilty.address);
      this.#drop(guilty, `sent bytes of piece ${piece} that fail its hash`, true);
    }
    this.#everyoneHungry();
  }

  #pieceWritten(piece: number): void {
    const fresh = this.#have.set(piece);
    assert(fresh, 'a piece is written once');
    this.#picker.finished(piece);
    this.#commands.push({ type: 'forget', piece });
    for (const peer of this.#peers.values()) {
      if (peer.field.has(piece)) {
        peer.useful--;
        this.#updateInterest(peer);
      }
      if (!peer.isSeeder) this.#commands.push({ type: 'have', slot: peer.slot, piece });
    }
    if (this.#have.isFull) {
      this.#schedule.completed(this.#now);
      this.#commands.push({ type: 'complete' });
      for (const peer of this.#peers.values()) this.#updateInterest(peer);
    } else this.#everyoneHungry();
  }

  #updateInterest(peer: Peer): void {
    if (this.#have.isFull && (peer.isSeeder || peer.uploadOnly)) {
      this.#drop(peer, 'both are complete');
      return;
    }
    const wanted = peer.useful > 0;
    if (wanted === peer.wanted) return;
    peer.wanted = wanted;
    this.#commands.push({ type: wanted ? 'interested' : 'uninterested', slot: peer.slot });
    if (wanted && !peer.chokesUs) this.#hungry.add(peer);
  }

  #release(peer: Peer): void {
    this.#download.releaseAll(peer);
    this.#everyoneHungry();
  }

  #everyoneHungry(): void {
    for (const peer of this.#peers.values()) if (peer.wanted && !peer.chokesUs) this.#hungry.add(peer);
  }

  #fillPipelines(): void {
    if (this.#state !== 'here') {
      this.#hungry.clear();
      return;
    }
    if (this.#now >= this.#download.deadline()) this.#everyoneHungry();
    for (const peer of this.#hungry) {
      if (peer.wanted && !peer.chokesUs) this.#download.fill(peer, this.#now, this.#commands);
    }
    this.#hungry.clear();
    this.#download.waveDone(this.#now);
  }

  #housekeeping(): void {
    for (const address of this.#dialer.take(this.#dialRoom(), this.#now)) {
      this.#commands.push({ type: 'dial', address });
    }
    if (this.#now < this.#nextRoundAt || this.#peers.size === 0) return;
    this.#nextRoundAt = this.#now + this.#limits.chokeRoundMs;
    let stalled = false;
    for (const peer of [...this.#peers.values()]) {
      const silentMs = this.#now - peer.heardAt;
      const owes = peer.snubbed ? this.#now - peer.waitingSince : 0;
      if (silentMs > this.#limits.silentMs) this.#drop(peer, 'nothing heard for too long');
      else if (owes > this.#limits.stallDropMs) this.#drop(peer, 'sent none of the blocks asked for');
      else if (this.#download.checkStall(peer, this.#now)) stalled = true;
    }
    if (stalled) this.#everyoneHungry();
    this.#rechoke(true);
    if (this.#now >= this.#nextKeepAliveAt) {
      this.#nextKeepAliveAt = this.#now + this.#limits.keepAliveMs;
      for (const peer of this.#peers.values()) this.#commands.push({ type: 'keepAlive', slot: peer.slot });
    }
  }

  /** Calls that may begin now. A complete node waits to be called: who misses something finds it at the tracker. */
  #dialRoom(): number {
    if (this.#state !== 'here' || this.#have.isFull) return 0;
    const { dialingMax, peersWanted } = this.#limits;
    return Math.min(dialingMax, peersWanted - this.#peers.size) - this.#dialer.dialing;
  }

  #rechoke(round: boolean): void {
    if (this.#state !== 'here') return;
    this.#upload.rechoke([...this.#peers.values()], round, this.#now, this.#commands);
  }

  #announce(): void {
    const announce = this.#schedule.take(this.#now);
    if (announce === null) return;
    this.#announcing = true;
    this.#commands.push({ type: 'announce', ...announce });
  }

  /** Closes a connection; `peerGone` for it will find nobody. */
  #drop(peer: Peer, reason: string, ban = false): void {
    this.#commands.push({ type: 'drop', slot: peer.slot, reason, ban });
    this.#peerGone(peer);
  }

  #leave(): void {
    if (this.#state !== 'here') return;
    this.#state = 'leaving';
    this.#leaveBy = this.#now + this.#limits.leaveMs;
    this.#schedule.stop(this.#now);
    for (const peer of this.#peers.values()) this.#download.releaseAll(peer);
  }

  #finishLeaving(): void {
    const late = this.#now >= this.#leaveBy;
    for (const peer of [...this.#peers.values()]) {
      if (late || (peer.queue.length === 0 && peer.sendingBytes === 0)) this.#drop(peer, 'leaving');
    }
    const quiet = this.#peers.size === 0 && !this.#announcing && !Number.isFinite(this.#schedule.deadline());
    if (!late && !quiet) return;
    this.#state = 'left';
    this.#commands.push({ type: 'left' });
  }
}
