// Super-seeding (BEP 16): a first seeder's link is the narrowest part of a young swarm, so nothing should cross it
// twice. To others it looks like a peer without pieces. It shows each piece to one peer, in the order of the file, and
// the next one when there is room on its link. Once every piece is out, it shows everything to everybody and is a
// seeder like any other. It sends nothing; whom it may show pieces, it is told.

import type { Bitfield } from './bitfield.ts';
import type { Ms } from './units.ts';

/** Somebody to whom a piece may be shown. */
export interface Audience {
  readonly slot: number;
  readonly field: Bitfield;
}

const HIDDEN = 0;
const SHOWN = 1;
const OUT = 2;

export class SuperSeed {
  readonly #patienceMs: Ms;
  readonly #state: Uint8Array;
  /** Pieces on their way, oldest first: to whom, and when that peer will not be waited for any more. */
  readonly #shown = new Map<number, { slot: number; until: Ms }>();
  /** How many pieces are on their way to each peer, and when it was last shown one. */
  readonly #load = new Map<number, { pieces: number; lastAt: Ms }>();
  #outCount = 0;
  /** No piece before this one is hidden. */
  #next = 0;

  /** @param patienceMs a peer that has not taken what it was shown after so long is not waited for */
  constructor(pieceCount: number, patienceMs: Ms) {
    this.#patienceMs = patienceMs;
    this.#state = new Uint8Array(pieceCount);
  }

  /** Somebody else has each piece. */
  get isDone(): boolean {
    return this.#outCount === this.#state.length;
  }

  /** Somebody has this piece. */
  seen(piece: number): void {
    if (this.#state[piece] === OUT) return;
    this.#settle(piece);
    this.#state[piece] = OUT;
    this.#outCount++;
  }

  /** A peer has gone: what it was shown and has not told of is hidden again. */
  gone(slot: number): void {
    for (const [piece, shown] of this.#shown) if (shown.slot === slot) this.#hide(piece);
    this.#load.delete(slot);
  }

  /** Stops waiting for pieces that were shown too long ago. */
  expire(now: Ms): void {
    for (const [piece, { until }] of this.#shown) {
      if (until > now) return;
      this.#hide(piece);
    }
  }

  /**
   * The next piece to show and to whom; null when `most` pieces are on their way, or nobody can take one. The peer
   * that has least to fetch comes first, and of those the one that has waited longest.
   */
  next(audience: Iterable<Audience>, most: number, now: Ms): { slot: number; piece: number } | null {
    if (this.#shown.size >= most) return null;
    while (this.#next < this.#state.length && this.#state[this.#next] !== HIDDEN) this.#next++;
    const piece = this.#next;
    if (piece === this.#state.length) return null;
    let slot = -1;
    let least = { pieces: Number.POSITIVE_INFINITY, lastAt: 0 };
    for (const peer of audience) {
      const load = this.#load.get(peer.slot) ?? IDLE;
      const less = load.pieces - least.pieces;
      if (less < 0 || (less === 0 && load.lastAt < least.lastAt)) {
        slot = peer.slot;
        least = load;
      }
    }
    if (slot === -1) return null;
    this.#state[piece] = SHOWN;
    this.#shown.set(piece, { slot, until: now + this.#patienceMs });
    this.#load.set(slot, { pieces: least.pieces + 1, lastAt: now });
    return { slot, piece };
  }

  #hide(piece: number): void {
    this.#settle(piece);
    this.#state[piece] = HIDDEN;
    this.#next = Math.min(this.#next, piece);
  }

  #settle(piece: number): void {
    const shown = this.#shown.get(piece);
    if (shown === undefined) return;
    this.#shown.delete(piece);
    const load = this.#load.get(shown.slot);
    if (load !== undefined) load.pieces--;
  }
}

const IDLE = { pieces: 0, lastAt: Number.NEGATIVE_INFINITY };
