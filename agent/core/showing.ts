// What peers are told of our pieces, and when: the field at the start, a `have` for each new piece, and as a first
// seeder one piece to one peer (superseed.ts). New pieces are told a few at a time: a packet for each would cost a slow
// link more than a moment's delay does.

import type { Bitfield } from './bitfield.ts';
import type { SwarmCommand } from './events.ts';
import type { Limits } from './limits.ts';
import type { Peer } from './peer.ts';
import type { Rng } from './rng.ts';
import { SuperSeed } from './superseed.ts';
import type { Ms } from './units.ts';

/** A piece is late when all that is on its way should have gone out so many times. */
const SHOWN_TURNS = 32;
/** Once all is out, what is out should have spread when it could have gone out so many times. */
const SPREAD_TURNS = 8;
/** Nobody is waited for longer than so many times the shortest patience. */
const PATIENCE_MAX = 30;
/** Times the pieces that are told together: who lacks so many of ours has surely heard of some. */
const UNWANTED = 4;
/** A rate is taken over at least so long. */
const AVERAGE_MS = 3000;

export class Showing {
  readonly #have: Bitfield;
  readonly #limits: Limits;
  readonly #rng: Rng;
  readonly #pieceLength: number;
  #superSeed: SuperSeed | null;
  /** What has gone out as a first seeder, from when until when. */
  #sentBytes = 0;
  #sentFrom: Ms = Number.POSITIVE_INFINITY;
  #sentUntil: Ms = 0;
  /** Since others have every piece: when we show everything, even if not all of it has spread by then. */
  #showAllAt: Ms | null = null;
  /** For those that may ask us, and for those that only give: they wait for nothing of ours. */
  readonly #toAskers = new News();
  readonly #toGivers = new News();
  /** Peers that do not hear of each piece have heard that we are complete. */
  #toldComplete = false;

  /** A node that is whole from the start begins as a first seeder. */
  constructor(have: Bitfield, pieceLength: number, limits: Limits, rng: Rng) {
    this.#have = have;
    this.#limits = limits;
    this.#rng = rng;
    this.#pieceLength = pieceLength;
    this.#superSeed = have.isFull ? new SuperSeed(have.length, pieceLength, limits.shownSpread) : null;
  }

  /** We show each piece to one peer only, and look like a peer without pieces. */
  get isSuperSeeding(): boolean {
    return this.#superSeed !== null;
  }

  /** First message to a new peer. */
  greet(peer: Peer, commands: SwarmCommand[]): void {
    commands.push({ type: 'sendField', slot: peer.slot, none: this.isSuperSeeding });
  }

  /**
   * A piece of ours is written. The peers of `sources` hear it at once: they may wait for that to go on.
   * `bestBytesPerSec`: our best download rate so far.
   */
  gained(piece: number, sources: readonly number[], bestBytesPerSec: number, commands: SwarmCommand[]): void {
    for (const slot of sources) commands.push({ type: 'have', slot, piece });
    this.#toAskers.add(piece, sources);
    this.#toGivers.add(piece, sources);
    const { haves, haveMs } = this.#limits;
    const sameMs = bestBytesPerSec === 0 ? 0 : (1000 * haves * this.#pieceLength) / bestBytesPerSec;
    this.#toGivers.paceMs = Math.max(haveMs, sameMs);
    this.#toAskers.paceMs = haveMs;
  }

  /** What goes out now is among these. */
  sent(commands: readonly SwarmCommand[], now: Ms): void {
    if (this.#superSeed === null) return;
    for (const command of commands)
      if (command.type === 'serve') {
        this.#superSeed.sent(command.piece, command.length, now);
        this.#sentBytes += command.length;
        this.#sentFrom = Math.min(this.#sentFrom, now);
        this.#sentUntil = now;
      }
  }

  /** A peer says that it has a piece. */
  seen(piece: number, now: Ms): void {
    this.#superSeed?.seen(piece, now);
  }

  /** A peer has gone. */
  gone({ slot, field }: Peer): void {
    this.#superSeed?.gone(slot, field);
  }

  /** Tells what is due. `upBytesPerSec`: what we upload now. */
  tell(peers: Iterable<Peer>, upBytesPerSec: number, now: Ms, commands: SwarmCommand[]): void {
    if (this.#superSeed !== null) this.#show(this.#superSeed, [...peers], upBytesPerSec, now, commands);
    else {
      const complete = this.#have.isFull && !this.#toldComplete;
      const due = [this.#toAskers, this.#toGivers].filter((news) => complete || news.isDue(now));
      for (const peer of due.length === 0 ? [] : peers) {
        this.#tellOne(peer, due, commands);
        // It has not heard of what it had itself: by our pieces alone it would not know.
        if (complete) commands.push({ type: 'uploadOnly', slot: peer.slot });
      }
      this.#toldComplete ||= complete;
      // Not all nodes in step: whoever always tells first would be asked for everything.
      for (const news of due) news.told(now, this.#limits.haves, 0.5 + this.#rng.next());
    }
  }

  #tellOne(peer: Peer, due: readonly News[], commands: SwarmCommand[]): void {
    const before = peer.onlyGives;
    peer.onlyGives = this.#onlyGives(peer);
    const [own, other] = peer.onlyGives ? [this.#toGivers, this.#toAskers] : [this.#toAskers, this.#toGivers];
    if (due.includes(own)) own.tell(peer, commands);
    // What was to be told to it as one of the others.
    if (before !== peer.onlyGives) other.tell(peer, commands);
  }

  /**
   * It says so (BEP 21), or wants none of the many pieces that we have and it has not: a first seeder. To be told of each
   * piece costs its link more than it gains by that.
   */
  #onlyGives({ uploadOnly, interested, field }: Peer): boolean {
    return uploadOnly || (!interested && this.#have.count > field.count + UNWANTED * this.#limits.haves);
  }

  /** When `tell` next has something to do without an event. */
  deadline(): Ms {
    const tellAt = Math.min(this.#toAskers.deadline(), this.#toGivers.deadline());
    return tellAt < Number.POSITIVE_INFINITY ? tellAt : (this.#showAllAt ?? Number.POSITIVE_INFINITY);
  }

  #show(
    superSeed: SuperSeed,
    peers: readonly Peer[],
    upBytesPerSec: number,
    now: Ms,
    commands: SwarmCommand[],
  ): void {
    const { shownMin, shownMs } = this.#limits;
    const most = Math.max(shownMin, Math.ceil(((upBytesPerSec / 1000) * shownMs) / this.#pieceLength));
    superSeed.expire(now, this.#patienceMs(SHOWN_TURNS * Math.min(most, superSeed.onTheirWay)));
    const audience = peers.filter((peer) => peer.unchoked);
    for (;;) {
      const next = superSeed.next(audience, most, now);
      if (next === null) break;
      commands.push({ type: 'have', ...next });
    }
    if (!superSeed.isOut) {
      this.#showAllAt = null;
      return;
    }
    // The others finish among themselves what is out: a second copy of it from us would be one too many.
    this.#showAllAt ??= now + this.#patienceMs(SPREAD_TURNS * most);
    if (!superSeed.isSpread && now < this.#showAllAt) return;
    this.#superSeed = null;
    this.#showAllAt = null;
    for (const peer of peers) {
      for (let piece = 0; piece < this.#have.length; piece++) {
        if (!peer.field.has(piece)) commands.push({ type: 'have', slot: peer.slot, piece });
      }
    }
  }

  /**
   * How long to wait for what takes as long as so many pieces need to go out. By the average of all that has gone out:
   * what goes out at the moment is first what sockets swallow at once, and last only what nobody waits for. The time in
   * which nothing went out does not count: when all wait for what was shown to one that is gone, patience must not grow.
   */
  #patienceMs(pieces: number): Ms {
    const { shownPatienceMs } = this.#limits;
    if (this.#sentBytes === 0) return shownPatienceMs;
    const sentMs = Math.max(AVERAGE_MS, this.#sentUntil - this.#sentFrom);
    const takesMs = (pieces * this.#pieceLength * sentMs) / this.#sentBytes;
    return Math.min(shownPatienceMs + takesMs, PATIENCE_MAX * shownPatienceMs);
  }
}

/** Pieces that some peers have not been told of. */
class News {
  /** About so long after the last word the next one is due. */
  paceMs: Ms = 0;
  /** Each with who has heard of it all the same. */
  #untold: { piece: number; sources: readonly number[] }[] = [];
  /** They are told then, or once there are so many. */
  #tellAt: Ms = Number.NEGATIVE_INFINITY;
  #enough = 1;

  add(piece: number, sources: readonly number[]): void {
    this.#untold.push({ piece, sources });
  }

  isDue(now: Ms): boolean {
    return this.#untold.length >= this.#enough || (this.#untold.length > 0 && now >= this.#tellAt);
  }

  deadline(): Ms {
    return this.#untold.length > 0 ? this.#tellAt : Number.POSITIVE_INFINITY;
  }

  /** Who has a piece need not hear that we have it too. */
  tell(peer: Peer, commands: SwarmCommand[]): void {
    for (const { piece, sources } of this.#untold) {
      if (peer.field.has(piece) || sources.includes(peer.slot)) continue;
      commands.push({ type: 'have', slot: peer.slot, piece });
    }
  }

  /** All have been told; the next are due after about `count` pieces, or `jitter` times the pace. */
  told(now: Ms, count: number, jitter: number): void {
    this.#untold = [];
    this.#tellAt = now + this.paceMs * jitter;
    this.#enough = Math.ceil(count * jitter);
  }
}
