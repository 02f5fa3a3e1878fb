// Super-seeding (BEP 16): a first seeder's link is the narrowest part of a young swarm, so nothing should cross it
// twice. To others it looks like a peer without pieces. It shows each piece to one peer, in the order of the file, and
// the next one when there is room on its link. Once every piece is out and spread, it shows everything to everybody and
// is a seeder like any other (showing.ts). It sends nothing; whom it may show pieces, it is told.

import type { Bitfield } from './bitfield.ts';
import type { Ms } from './units.ts';

/** Somebody to whom a piece may be shown. */
export interface Audience {
  readonly slot: number;
  readonly field: Bitfield;
}

/** What one peer has been shown. */
interface Load {
  /** 1 when it let the last one lie. */
  silent: 0 | 1;
  /** Pieces on their way to it, and those that it has but few others. */
  pieces: number;
  lastAt: Ms;
  /** From when a piece has gone out to it until it is spread; 0 while nobody knows. */
  spreadMs: Ms;
}

/** A piece on its way. */
interface Shown {
  readonly slot: number;
  readonly atMs: Ms;
  /** Bytes of it that have not gone out. */
  unsentBytes: number;
}

/** Pieces on their way in all, for one that has not gone out. */
const SHOWN_PER_UNSENT = 8;
/**
 * Pieces on their way before anybody has one; each that has arrived adds one. Of many that share an empty link the first
 * arrives as late as the last, and nobody has anything to pass on until then.
 */
export const SHOWN_FIRST = 4;
/** In a young swarm nobody waits for longer than this for a peer to tell of a piece that has gone out to it: it may never. */
const UNTOLD_MS: Ms = 2000;

/** Who takes longer to spread a piece than all do on average, by this factor, gets fewer. */
const SLOW_FACTOR = 1.3;
/** Who takes longer by this factor gets none of the last pieces. */
const LATE_FACTOR = 1.2;
/** Weight of one more piece in the average time of a peer, and of all. */
const [PEER_WEIGHT, ALL_WEIGHT] = [0.2, 0.02];

const IDLE: Load = { silent: 0, pieces: 0, lastAt: -1, spreadMs: 0 };

const HIDDEN = 0;
const SHOWN = 1;
const OUT = 2;

export class SuperSeed {
  readonly #state: Uint8Array;
  readonly #pieceLength: number;
  readonly #spreadMin: number;
  /** How many peers have each piece, and to whom it was shown; -1 once it is spread, or when nobody was shown it. */
  readonly #holders: Uint16Array;
  readonly #spreader: Int32Array;
  /** When each piece had gone out; 0 before. */
  readonly #sentAt: Float64Array;
  /** How many have, and since when. */
  #sentCount = 0;
  #sentFrom: Ms = 0;
  /** The average of all. */
  #spreadMs: Ms = 0;
  /** Pieces on their way, oldest first. */
  readonly #shown = new Map<number, Shown>();
  /** How many of them have not gone out as a whole. */
  #unsent = 0;
  readonly #load = new Map<number, Load>();
  /** Pieces that somebody else has, and those that enough others have. */
  #outCount = 0;
  #spreadCount = 0;
  /** No piece before this one is hidden. */
  #next = 0;

  /** @param spreadMin a piece is spread, and does not weigh on the peer that was shown it, once so many have it */
  constructor(pieceCount: number, pieceLength: number, spreadMin: number) {
    this.#state = new Uint8Array(pieceCount);
    this.#pieceLength = pieceLength;
    this.#spreadMin = spreadMin;
    this.#sentAt = new Float64Array(pieceCount);
    this.#holders = new Uint16Array(pieceCount);
    this.#spreader = new Int32Array(pieceCount).fill(-1);
  }

  /** Somebody else has each piece. */
  get isOut(): boolean {
    return this.#outCount === this.#state.length;
  }

  /** As many others as shall have each piece have it. */
  get isSpread(): boolean {
    return this.#spreadCount === this.#state.length;
  }

  /** Pieces that were shown, and of which nobody tells yet. */
  get onTheirWay(): number {
    return this.#shown.size;
  }

  /** One more peer has this piece. */
  seen(piece: number, now: Ms): void {
    if (++this.#holders[piece]! === this.#spreadMin) {
      this.#time(piece, now);
      this.#unload(piece);
      this.#spreadCount++;
    }
    if (this.#state[piece] === OUT) return;
    const load = this.#load.get(this.#shown.get(piece)?.slot ?? -1);
    if (load !== undefined) load.silent = 0;
    this.#forget(piece);
    this.#state[piece] = OUT;
    this.#outCount++;
  }

  /** So many bytes of a piece go out. */
  sent(piece: number, bytes: number, now: Ms): void {
    const shown = this.#shown.get(piece);
    if (shown === undefined || shown.unsentBytes <= 0) return;
    shown.unsentBytes -= bytes;
    if (shown.unsentBytes > 0) return;
    this.#unsent--;
    this.#sentAt[piece] = now;
    if (this.#sentCount++ === 0) this.#sentFrom = now;
  }

  /** A peer has gone, and what it had with it: what nobody else has is hidden again. */
  gone(slot: number, field: Bitfield): void {
    for (const [piece, shown] of this.#shown) if (shown.slot === slot) this.#hide(piece);
    for (let piece = 0; piece < field.length; piece++) {
      if (!field.has(piece)) continue;
      if (this.#holders[piece]!-- === this.#spreadMin) this.#spreadCount--;
      if (this.#holders[piece] !== 0) continue;
      this.#outCount--;
      this.#hide(piece);
    }
    this.#load.delete(slot);
  }

  /** Stops waiting for pieces that were shown `patienceMs` ago. */
  expire(now: Ms, patienceMs: Ms): void {
    for (const [piece, { slot, atMs }] of this.#shown) {
      if (now < atMs + patienceMs) continue;
      this.#hide(piece);
      const load = this.#load.get(slot);
      if (load !== undefined) load.silent = 1;
    }
  }

  /**
   * The next piece to show and to whom; null when `most` pieces are shown and have not gone out, or too many are
   * on their way for a swarm so young, or nobody can take one.
   * (What has gone out need not be waited for: the further away the others are, the later they tell of it.) The peer
   * that has least to fetch and to pass on comes first, by the time that this takes it, so that those get more who spread
   * faster (BEP 16), and of such the one that has waited longest; last of all come those that let a piece lie, and towards
   * the end the slow.
   */
  next(audience: Iterable<Audience>, most: number, now: Ms): { slot: number; piece: number } | null {
    if (this.#unsent >= most || this.#shown.size >= SHOWN_PER_UNSENT * most) return null;
    const young = SHOWN_FIRST + this.#outCount;
    if (this.#shown.size >= young && this.#shown.size - this.#letLie(now) >= young) return null;
    while (this.#next < this.#state.length && this.#state[this.#next] !== HIDDEN) this.#next++;
    const piece = this.#next;
    if (piece === this.#state.length) return null;
    let slot = -1;
    let least = IDLE;
    const leftMs = this.#leftMs(now);
    for (const peer of audience) {
      const load = this.#load.get(peer.slot) ?? IDLE;
      const less =
        load.silent - least.silent ||
        this.#lateness(load, leftMs) - this.#lateness(least, leftMs) ||
        this.#burden(load) - this.#burden(least) ||
        load.lastAt - least.lastAt;
      if (slot !== -1 && less >= 0) continue;
      slot = peer.slot;
      least = load;
    }
    if (slot === -1) return null;
    this.#state[piece] = SHOWN;
    this.#shown.set(piece, { slot, atMs: now, unsentBytes: this.#pieceLength });
    this.#unsent++;
    this.#sentAt[piece] = 0;
    this.#spreader[piece] = slot;
    this.#load.set(slot, { ...least, pieces: least.pieces + 1, lastAt: now });
    return { slot, piece };
  }

  /** How many pieces have gone out long ago and were not told of; who has one comes last from now on. */
  #letLie(now: Ms): number {
    let count = 0;
    for (const [piece, { slot }] of this.#shown) {
      const sentAt = this.#sentAt[piece]!;
      if (sentAt === 0 || now - sentAt <= UNTOLD_MS) continue;
      count++;
      const load = this.#load.get(slot);
      if (load !== undefined) load.silent = 1;
    }
    return count;
  }

  /** Learns from a piece that is spread how long whom it was shown to takes for that. */
  #time(piece: number, now: Ms): void {
    const load = this.#load.get(this.#spreader[piece]!);
    const sentAt = this.#sentAt[piece]!;
    if (load === undefined || sentAt === 0) return;
    load.spreadMs = averaged(load.spreadMs, now - sentAt, PEER_WEIGHT);
    this.#spreadMs = averaged(this.#spreadMs, now - sentAt, ALL_WEIGHT);
  }

  /** What one more piece would have to wait for there; a piece of a peer that is as fast as most counts one. */
  #burden({ pieces, spreadMs }: Load): number {
    const slowness = spreadMs / (this.#spreadMs || spreadMs || 1);
    return (pieces + 1) * (slowness > SLOW_FACTOR ? slowness : 1);
  }

  /** 1 for a slow peer that would still spread the piece when all others have gone out: everybody would wait for it. */
  #lateness({ spreadMs }: Load, leftMs: Ms): 0 | 1 {
    return spreadMs > LATE_FACTOR * this.#spreadMs && spreadMs > leftMs ? 1 : 0;
  }

  /** How long the pieces need to go out that are not on their way, by the average so far. */
  #leftMs(now: Ms): Ms {
    if (this.#sentCount === 0) return Number.POSITIVE_INFINITY;
    return ((this.#state.length - this.#next) * (now - this.#sentFrom)) / this.#sentCount;
  }

  #forget(piece: number): void {
    if ((this.#shown.get(piece)?.unsentBytes ?? 0) > 0) this.#unsent--;
    this.#shown.delete(piece);
  }

  #hide(piece: number): void {
    this.#forget(piece);
    this.#unload(piece);
    this.#state[piece] = HIDDEN;
    this.#next = Math.min(this.#next, piece);
  }

  /** The piece does not weigh on whom it was shown to any more. */
  #unload(piece: number): void {
    const load = this.#load.get(this.#spreader[piece]!);
    if (load !== undefined) load.pieces--;
    this.#spreader[piece] = -1;
  }
}

/** An average that a new value moves by its weight; the first value is the average. */
function averaged(average: Ms, value: Ms, weight: number): Ms {
  return average === 0 ? value : average + weight * (value - average);
}
