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

/** What one peer has been shown. */
interface Load {
  /** 1 when it let the last one lie. */
  silent: 0 | 1;
  /** Pieces on their way to it. */
  pieces: number;
  lastAt: Ms;
}

const IDLE: Load = { silent: 0, pieces: 0, lastAt: -1 };

const HIDDEN = 0;
const SHOWN = 1;
const OUT = 2;

export class SuperSeed {
  readonly #state: Uint8Array;
  /** Pieces on their way, oldest first: to whom, and when that peer will not be waited for any more. */
  readonly #shown = new Map<number, { slot: number; until: Ms }>();
  readonly #load = new Map<number, Load>();
  #outCount = 0;
  /** No piece before this one is hidden. */
  #next = 0;

  constructor(pieceCount: number) {
    this.#state = new Uint8Array(pieceCount);
  }

  /** Somebody else has each piece. */
  get isDone(): boolean {
    return this.#outCount === this.#state.length;
  }

  /** Somebody has this piece. */
  seen(piece: number): void {
    if (this.#state[piece] === OUT) return;
    const load = this.#settle(piece);
    if (load !== undefined) load.silent = 0;
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
    for (const [piece, { slot, until }] of this.#shown) {
      if (until > now) continue;
      this.#hide(piece);
      const load = this.#load.get(slot);
      if (load !== undefined) load.silent = 1;
    }
  }

  /**
   * The next piece to show and to whom; null when `most` pieces are on their way, or nobody can take one. The peer
   * that has least to fetch comes first, and of those the one that has waited longest; last of all come those that let
   * a piece lie. It is waited for `patienceMs`.
   */
  next(
    audience: Iterable<Audience>,
    most: number,
    patienceMs: Ms,
    now: Ms,
  ): { slot: number; piece: number } | null {
    if (this.#shown.size >= most) return null;
    while (this.#next < this.#state.length && this.#state[this.#next] !== HIDDEN) this.#next++;
    const piece = this.#next;
    if (piece === this.#state.length) return null;
    let slot = -1;
    let least = IDLE;
    for (const peer of audience) {
      const load = this.#load.get(peer.slot) ?? IDLE;
      const less = load.silent - least.silent || load.pieces - least.pieces || load.lastAt - least.lastAt;
      if (slot !== -1 && less >= 0) continue;
      slot = peer.slot;
      least = load;
    }
    if (slot === -1) return null;
    this.#state[piece] = SHOWN;
    this.#shown.set(piece, { slot, until: now + patienceMs });
    this.#load.set(slot, { ...least, pieces: least.pieces + 1, lastAt: now });
    return { slot, piece };
  }

  #hide(piece: number): void {
    this.#settle(piece);
    this.#state[piece] = HIDDEN;
    this.#next = Math.min(this.#next, piece);
  }

  #settle(piece: number): Load | undefined {
    const shown = this.#shown.get(piece);
    if (shown === undefined) return undefined;
    this.#shown.delete(piece);
    const load = this.#load.get(shown.slot);
    if (load !== undefined) load.pieces--;
    return load;
  }
}
