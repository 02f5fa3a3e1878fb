// Blocks as they go over the wire: buffers that leave 13 bytes before each block for the header of its `piece` message
// (BEP 3), so that any run of blocks is read from disk by one call and sent by one. Lays out memory; reads nothing.

import { BOUNDS } from './bounds.ts';
import { assert } from './errors.ts';
import type { Frame } from './ports.ts';
import { BLOCK_BYTES } from './units.ts';

/** Most blocks in one frame: 1 MiB of content, and far below the 1,024 parts that one readv takes. */
export const FRAME_BLOCKS = 64;
/** Framed bytes that one pool may have out at once; also the most that all pools together keep for reuse. */
export const POOL_BYTES = BOUNDS.frameBytes;

/** 4 bytes of length, the id, piece index, begin. */
const HEADER_BYTES = 13;
const SLOT_BYTES = HEADER_BYTES + BLOCK_BYTES;
const PIECE_ID = 7;
/** A frame of few blocks takes a small buffer, so that slow peers who ask block by block cannot hold the whole pool. */
const SMALL_FRAME_BLOCKS = 4;

/** Up to `slots` framed blocks in one buffer, used again and again. */
export class BlockFrame implements Frame {
  readonly size: number;
  /** The whole messages of the last `lay`. */
  bytes: Uint8Array;
  readonly #buffer: Uint8Array;
  readonly #headers: DataView;
  readonly #slots: readonly Uint8Array[];
  #pool: FramePool | null = null;

  constructor(slots: number) {
    this.size = slots * SLOT_BYTES;
    this.#buffer = new Uint8Array(this.size);
    this.#headers = new DataView(this.#buffer.buffer);
    this.bytes = this.#buffer;
    this.#slots = Array.from({ length: slots }, (_, slot) => {
      this.#buffer[slot * SLOT_BYTES + 4] = PIECE_ID;
      return this.#buffer.subarray(slot * SLOT_BYTES + HEADER_BYTES, (slot + 1) * SLOT_BYTES);
    });
  }

  /** Writes the headers of `length` bytes of `piece` from `begin` on; the result is where the blocks belong. */
  lay(piece: number, begin: number, length: number): readonly Uint8Array[] {
    const blocks = Math.ceil(length / BLOCK_BYTES);
    const lastBytes = length - (blocks - 1) * BLOCK_BYTES;
    for (let index = 0; index < blocks; index++) {
      const start = index * SLOT_BYTES;
      const blockBytes = index === blocks - 1 ? lastBytes : BLOCK_BYTES;
      this.#headers.setUint32(start, HEADER_BYTES - 4 + blockBytes);
      this.#headers.setUint32(start + 5, piece);
      this.#headers.setUint32(start + 9, begin + index * BLOCK_BYTES);
    }
    if (length === this.#slots.length * BLOCK_BYTES) {
      this.bytes = this.#buffer;
      return this.#slots;
    }
    this.bytes = this.#buffer.subarray(0, blocks * HEADER_BYTES + length);
    const slots = this.#slots.slice(0, blocks);
    slots[blocks - 1] = slots[blocks - 1]!.subarray(0, lastBytes);
    return slots;
  }

  /** For the pool: who gets the frame back. */
  lend(pool: FramePool): void {
    this.#pool = pool;
  }

  release(): void {
    const pool = this.#pool;
    assert(pool !== null, 'a frame is released once');
    this.#pool = null;
    pool.takeBack(this);
  }
}

/** Bounds the frames that one store has out. Each store has a pool of its own, so that null always means "wait for yours". */
export class FramePool {
  #outBytes = 0;

  /** A frame with room for `length` bytes of one piece; null when too many are out. */
  take(length: number): BlockFrame | null {
    const blocks = Math.ceil(length / BLOCK_BYTES);
    assert(blocks >= 1 && blocks <= FRAME_BLOCKS, `a frame holds 1 to ${FRAME_BLOCKS} blocks`);
    const slots = blocks <= SMALL_FRAME_BLOCKS ? SMALL_FRAME_BLOCKS : FRAME_BLOCKS;
    if (this.#outBytes + slots * SLOT_BYTES > POOL_BYTES) return null;
    const frame = idle.take(slots);
    this.#outBytes += frame.size;
    frame.lend(this);
    return frame;
  }

  /** For `release` alone. */
  takeBack(frame: BlockFrame): void {
    this.#outBytes -= frame.size;
    idle.keep(frame);
  }
}

/** Frames that are nowhere out, for all pools of the process: a swarm that has gone quiet holds no memory. */
class IdleFrames {
  readonly #frames = new Map<number, BlockFrame[]>();
  #bytes = 0;

  take(slots: number): BlockFrame {
    const frame = this.#frames.get(slots * SLOT_BYTES)?.pop();
    if (frame === undefined) return new BlockFrame(slots);
    this.#bytes -= frame.size;
    return frame;
  }

  keep(frame: BlockFrame): void {
    if (this.#bytes + frame.size > POOL_BYTES) return;
    this.#bytes += frame.size;
    const frames = this.#frames.get(frame.size);
    if (frames === undefined) this.#frames.set(frame.size, [frame]);
    else frames.push(frame);
  }
}

const idle = new IdleFrames();
