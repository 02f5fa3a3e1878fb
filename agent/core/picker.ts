// Which blocks to ask a peer for. It tracks, for one torrent:
//   1. have: pieces verified and written (shared with the Swarm, which alone sets it);
//   2. availability: how many connected peers have each piece;
//   3. active pieces: those of which at least one block was asked for, with the state of each block.
// It chooses and marks in one step, sends nothing, and knows peers only by number and bitfield. Order of choice:
//   a. the rest of a piece that this peer began (runs stay whole: the sender reads them in one go);
//   b. the rest of a piece that nobody holds any more (its peer left, choked us, or stalled);
//   c. a new piece: random for the first few (something to trade, soon), then from the in-order window if there is
//      one, then the rarest;
//   d. free blocks of a piece that another peer began;
//   e. endgame: blocks asked of others, once more, when nothing else is missing.

import type { Bitfield } from './bitfield.ts';
import { assert } from './errors.ts';
import type { Stretch } from './events.ts';
import type { Rng } from './rng.ts';
import { pieceSize, type Torrent } from './torrent.ts';
import { BLOCK_BYTES } from './units.ts';

/** Pieces taken at random before rarest first begins (BEP 3's practice). */
const RANDOM_FIRST_PIECES = 4;
/** In the endgame a block is asked of at most this many peers. */
const ASKERS_MAX = 2;

const FREE = 0;
const ASKED = 1;
const ARRIVED = 2;

/** A piece that is being fetched. */
interface ActivePiece {
  readonly piece: number;
  readonly size: number;
  readonly state: Uint8Array;
  /** How many peers were asked for each block. */
  readonly askers: Uint8Array;
  /** Who delivered each block; -1 before. */
  readonly source: Int32Array;
  freeBlocks: number;
  arrivedBlocks: number;
  /** The peer that began it and still works on it; -1 for nobody. */
  owner: number;
  /** After a hash failure with several senders: one peer alone may send it, so that the next failure has one name. */
  readonly sole: boolean;
  /** The last owner: of a sole piece nobody else's blocks count. */
  sender: number;
}

export class Picker {
  readonly #torrent: Torrent;
  readonly #have: Bitfield;
  readonly #rng: Rng;
  readonly #activeMax: number;
  readonly #frontPieces: number;
  readonly #availability: Uint16Array;
  readonly #active = new Map<number, ActivePiece>();
  /** One bit per active piece, laid out like a bitfield: the scan for a new piece skips them bytewise. */
  readonly #activeBits: Uint8Array;
  readonly #suspect = new Set<number>();
  readonly #stranded: number[] = [];
  #freeBlocks = 0;
  #refused = false;
  #front = 0;

  /**
   * @param activeMax pieces in progress at once, which bounds the memory for their buffers
   * @param frontPieces width of the in-order window in pieces; 0 for none
   */
  constructor(torrent: Torrent, have: Bitfield, rng: Rng, activeMax: number, frontPieces: number) {
    this.#torrent = torrent;
    this.#have = have;
    this.#rng = rng;
    this.#activeMax = activeMax;
    this.#frontPieces = frontPieces;
    this.#availability = new Uint16Array(torrent.pieceCount);
    this.#activeBits = new Uint8Array(have.bytes.length);
  }

  /** Pieces in progress, those being checked or written included. */
  get activePieces(): number {
    return this.#active.size;
  }

  /** A connected peer has one more piece. */
  gained(piece: number): void {
    this.#availability[piece]!++;
  }

  /** How many connected peers have it, as far as known. */
  holders(piece: number): number {
    return this.#availability[piece]!;
  }

  /** A connected peer's whole bitfield came (+1) or went (-1). */
  counted(field: Bitfield, by: 1 | -1): void {
    for (let piece = 0; piece < field.length; piece++) {
      if (field.has(piece)) this.#availability[piece]! += by;
    }
  }

  /** A block of this missing piece may be asked of one more peer that has it. */
  canAsk(piece: number): boolean {
    const active = this.#active.get(piece);
    return active === undefined || active.freeBlocks > 0;
  }

  /** Since the last call somebody was refused a piece, for too many were in progress. */
  takeRefused(): boolean {
    const refused = this.#refused;
    this.#refused = false;
    return refused;
  }

  /** Marks up to `blocks` blocks as asked of `slot` and adds them to `out` as stretches. Returns how many. */
  pick(slot: number, field: Bitfield, blocks: number, out: Stretch[]): number {
    let left = blocks;
    if (this.#freeBlocks > 0) {
      for (const active of this.#active.values()) {
        if (left === 0) return blocks;
        if (active.freeBlocks === 0) continue;
        if (active.owner === slot || (active.owner === -1 && field.has(active.piece))) {
          this.#takeOver(active, slot);
          left -= this.#ask(active, left, out);
        }
      }
    }
    while (left > 0) {
      const stranded = this.#active.size < this.#activeMax ? null : this.#findStranded();
      if (stranded === -1) {
        this.#refused = true;
        break;
      }
      const piece = this.#newPiece(field);
      if (piece === -1) break;
      if (stranded !== null) this.#giveUp(stranded);
      left -= this.#ask(this.#begin(piece, slot), left, out);
    }
    if (left > 0 && this.#freeBlocks > 0) {
      for (const active of this.#active.values()) {
        if (left === 0) return blocks;
        if (active.freeBlocks === 0 || active.sole || !field.has(active.piece)) continue;
        left -= this.#ask(active, left, out);
      }
    }
    return blocks - left;
  }

  /** Some of it may be asked of somebody new, for nobody is at it; with `ownedToo`, or somebody who gives nothing. */
  isIdle(piece: number, ownedToo: boolean): boolean {
    if (this.#have.has(piece)) return false;
    const active = this.#active.get(piece);
    if (active === undefined) return this.#active.size < this.#activeMax;
    return active.freeBlocks > 0 && (ownedToo || active.owner === -1);
  }

  /** Marks all free blocks of an idle piece as asked of `slot`, and adds them to `out`. */
  pickWhole(slot: number, piece: number, out: Stretch[]): void {
    const active = this.#active.get(piece) ?? this.#begin(piece, slot);
    this.#takeOver(active, slot);
    this.#ask(active, active.state.length, out);
  }

  /** Every missing block has been asked of somebody. */
  get isEndgame(): boolean {
    const missing = this.#torrent.pieceCount - this.#have.count;
    return missing > 0 && this.#freeBlocks === 0 && this.#active.size === missing;
  }

  /** Endgame: up to `blocks` blocks that were asked of others, but not of the peer for which `asked` answers by key. */
  pickAgain(field: Bitfield, blocks: number, asked: (key: number) => boolean, out: Stretch[]): number {
    let left = blocks;
    for (const active of this.#active.values()) {
      if (active.sole || !field.has(active.piece)) continue;
      for (let block = 0; block < active.state.length && left > 0; block++) {
        if (active.state[block] !== ASKED || active.askers[block]! >= ASKERS_MAX) continue;
        if (asked(this.key(active.piece, block))) continue;
        active.askers[block]!++;
        out.push({
          piece: active.piece,
          begin: block * BLOCK_BYTES,
          length: blockLength(active.size, block),
        });
        left--;
      }
    }
    return blocks - left;
  }

  /** One number for a block of the torrent. */
  key(piece: number, block: number): number {
    return piece * Math.ceil(this.#torrent.pieceLength / BLOCK_BYTES) + block;
  }

  /** True when the block is still missing, `slot` may send it, and the stretch names exactly one whole block. */
  misses(slot: number, { piece, begin, length }: Stretch): boolean {
    const active = this.#active.get(piece);
    if (active === undefined || begin % BLOCK_BYTES !== 0 || begin >= active.size) return false;
    if (active.sole && active.sender !== slot) return false;
    const block = begin / BLOCK_BYTES;
    return active.state[block] !== ARRIVED && length === blockLength(active.size, block);
  }

  /** More than one peer was asked for this block. */
  isShared(piece: number, block: number): boolean {
    return (this.#active.get(piece)?.askers[block] ?? 0) > 1;
  }

  /** A block came in. True when it was the last of its piece. */
  arrived(slot: number, piece: number, block: number): boolean {
    const active = this.#active.get(piece);
    assert(
      active !== undefined && active.state[block] !== ARRIVED,
      'a block arrives once, in an active piece',
    );
    if (active.state[block] === FREE) {
      active.freeBlocks--;
      this.#freeBlocks--;
    }
    active.state[block] = ARRIVED;
    active.source[block] = slot;
    active.arrivedBlocks++;
    return active.arrivedBlocks === active.state.length;
  }

  /** A peer will not deliver this block (rejected, choked, stalled, gone, cancelled). */
  released(slot: number, piece: number, block: number): void {
    const active = this.#active.get(piece);
    if (active === undefined || (active.sole && active.sender !== slot)) return;
    if (active.owner === slot) active.owner = -1;
    if (active.askers[block]! > 0) active.askers[block]!--;
    if (active.state[block] === ASKED && active.askers[block] === 0) {
      active.state[block] = FREE;
      active.freeBlocks++;
      this.#freeBlocks++;
    }
  }

  /** Nobody waits for this peer any more: pieces that it began are free to be taken over. */
  abandoned(slot: number): void {
    for (const active of this.#active.values()) {
      if (active.owner === slot) active.owner = -1;
    }
  }

  /**
   * The piece was bad: all of it is missing again. Returns who delivered it; when that is one peer, it is guilty. When
   * there are several, the next try has a single source.
   */
  failed(piece: number): number[] {
    const active = this.#active.get(piece);
    assert(active !== undefined, 'only an active piece can fail');
    const sources = sourcesOf(active);
    if (sources.length > 1) this.#suspect.add(piece);
    this.#end(piece);
    return sources;
  }

  /** The piece is written; the Swarm has set it in `have`. Returns who delivered it. */
  finished(piece: number): number[] {
    const sources = sourcesOf(this.#active.get(piece)!);
    this.#suspect.delete(piece);
    this.#end(piece);
    while (this.#front < this.#have.length && this.#have.has(this.#front)) this.#front++;
    return sources;
  }

  /** The pieces given up since the last call, for want of anybody who has them: their buffers are free. */
  takeStranded(): number[] {
    return this.#stranded.splice(0);
  }

  /** A piece in progress whose rest nobody has any more; -1 for none. */
  #findStranded(): number {
    for (const { piece, freeBlocks } of this.#active.values()) {
      if (freeBlocks > 0 && this.#availability[piece] === 0) return piece;
    }
    return -1;
  }

  #giveUp(piece: number): void {
    this.#end(piece);
    this.#stranded.push(piece);
  }

  #takeOver(active: ActivePiece, slot: number): void {
    if (active.sole && active.sender !== slot) this.#restart(active);
    active.owner = slot;
    active.sender = slot;
  }

  /** A single-source piece changes hands: what the former owner sent, or was asked for, does not count. */
  #restart(active: ActivePiece): void {
    const blocks = active.state.length;
    this.#freeBlocks += blocks - active.freeBlocks;
    active.freeBlocks = blocks;
    active.arrivedBlocks = 0;
    active.state.fill(FREE);
    active.askers.fill(0);
  }

  #end(piece: number): void {
    this.#freeBlocks -= this.#active.get(piece)?.freeBlocks ?? 0;
    this.#active.delete(piece);
    this.#activeBits[piece >> 3]! &= ~(0x80 >> (piece & 7));
  }

  #begin(piece: number, slot: number): ActivePiece {
    const size = pieceSize(this.#torrent, piece);
    const blocks = Math.ceil(size / BLOCK_BYTES);
    const active: ActivePiece = {
      piece,
      size,
      state: new Uint8Array(blocks),
      askers: new Uint8Array(blocks),
      source: new Int32Array(blocks).fill(-1),
      freeBlocks: blocks,
      arrivedBlocks: 0,
      owner: slot,
      sole: this.#suspect.has(piece),
      sender: slot,
    };
    this.#active.set(piece, active);
    this.#activeBits[piece >> 3]! |= 0x80 >> (piece & 7);
    this.#freeBlocks += blocks;
    return active;
  }

  /** Marks up to `blocks` free blocks of one piece; neighbours become one stretch. Returns how many. */
  #ask(active: ActivePiece, blocks: number, out: Stretch[]): number {
    const { state, askers, piece, size } = active;
    let taken = 0;
    let block = 0;
    while (taken < blocks && active.freeBlocks > 0) {
      while (state[block] !== FREE) block++;
      const first = block;
      while (taken < blocks && block < state.length && state[block] === FREE) {
        state[block] = ASKED;
        askers[block] = 1;
        active.freeBlocks--;
        this.#freeBlocks--;
        taken++;
        block++;
      }
      const begin = first * BLOCK_BYTES;
      out.push({ piece, begin, length: Math.min(block * BLOCK_BYTES, size) - begin });
    }
    return taken;
  }

  #newPiece(field: Bitfield): number {
    const pieces = this.#torrent.pieceCount;
    if (this.#have.count + this.#active.size >= pieces) return -1;
    if (this.#have.count < RANDOM_FIRST_PIECES) return this.#scan(field, 0, pieces, true);
    if (this.#frontPieces > 0) {
      const near = this.#scan(field, this.#front, Math.min(pieces, this.#front + this.#frontPieces), false);
      if (near !== -1) return near;
    }
    return this.#scan(field, 0, pieces, false);
  }

  /**
   * A missing, inactive piece of `field` in [from, to): the first one met, or the rarest. The scan begins at a random
   * place, so equals are taken in no fixed order; it skips eight pieces at a time where there is nothing to see.
   */
  #scan(field: Bitfield, from: number, to: number, first: boolean): number {
    const firstByte = from >> 3;
    const bytes = ((to + 7) >> 3) - firstByte;
    if (bytes <= 0) return -1;
    const start = this.#rng.below(bytes);
    let best = -1;
    let bestAvailability = 0xffff;
    for (let step = 0; step < bytes; step++) {
      const at = firstByte + ((start + step) % bytes);
      const wanted = field.bytes[at]! & ~this.#have.bytes[at]! & ~this.#activeBits[at]!;
      if (wanted === 0) continue;
      const turn = this.#rng.below(8);
      for (let bit = 0; bit < 8; bit++) {
        const piece = at * 8 + ((bit + turn) & 7);
        if ((wanted & (0x80 >> (piece & 7))) === 0 || piece < from || piece >= to) continue;
        if (first) return piece;
        if (this.#availability[piece]! < bestAvailability) {
          best = piece;
          bestAvailability = this.#availability[piece]!;
        }
      }
    }
    return best;
  }
}

function sourcesOf({ source }: ActivePiece): number[] {
  const [first] = source;
  return source.every((slot) => slot === first) ? [first!] : [...new Set(source)];
}

function blockLength(size: number, block: number): number {
  return Math.min(BLOCK_BYTES, size - block * BLOCK_BYTES);
}
