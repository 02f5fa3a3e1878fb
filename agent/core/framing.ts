// How a TCP stream falls into BitTorrent messages (BEP 3), with a limit on every length: pure arithmetic on bytes. It
// holds what is incomplete and copies nothing else; what a message means is decided elsewhere.

import { BOUNDS } from './bounds.ts';
import type { Stretch } from './events.ts';
import { BLOCK_BYTES } from './units.ts';

export const HANDSHAKE_BYTES = 68;
const PROTOCOL = Uint8Array.from('\x13BitTorrent protocol', (letter) => letter.charCodeAt(0));
/** Length, id, piece, begin: what comes before a block. */
const BLOCK_HEADER_BYTES = 13;
/** No message is longer: the bitfield of the most pieces that a torrent may have is a quarter of it. */
const MESSAGE_MAX = BOUNDS.messageBytes;
const HAVE_MESSAGE_BYTES = 9;
/** Extension messages and ids that we do not know: BEP 9 needs 16 KiB and a little. */
const OTHER_MESSAGE_MAX = BOUNDS.otherMessageBytes;
/** The first memory for incomplete messages: it grows to what comes, and shrinks again after a large bitfield. */
const HELD_BYTES = 256;
/** A bitfield before the number of pieces is known (magnet). */
const BITFIELD_MAX = BOUNDS.earlyBitfieldBytes;

export const MESSAGE = { have: 4, bitfield: 5, request: 6, piece: 7, port: 9, extended: 20 } as const;

/** Whole lengths of the messages that have one length, by id: BEP 3 and BEP 6. */
const FIXED_LENGTH = new Map([
  [0, 1],
  [1, 1],
  [2, 1],
  [3, 1],
  [4, 5],
  [6, 13],
  [8, 13],
  [9, 3],
  [13, 5],
  [14, 1],
  [15, 1],
  [16, 13],
  [17, 5],
]);

export interface FrameHandler {
  /** The 68 bytes of the handshake; valid during the call. */
  handshake(bytes: Uint8Array): void;
  /** Requests of whole blocks in a row that came together. */
  requested(stretch: Stretch): void;
  /** Any other whole message with its length prefix; valid during the call. Keep-alives have id -1 and length 4. */
  message(id: number, bytes: Uint8Array): void;
  /** A block begins. False: its bytes will be thrown away, and `unwanted` follows. */
  accepts(stretch: Stretch): boolean;
  block(stretch: Stretch, bytes: Uint8Array): void;
  unwanted(stretch: Stretch): void;
}

export class Framer {
  readonly #handler: FrameHandler;
  /** Null while the number of pieces is unknown. */
  pieceCount: number | null = null;
  #greeted = false;
  /** The beginning of something whose rest has not come yet. */
  #held = new Uint8Array(HELD_BYTES);
  #heldBytes = 0;
  #block: Stretch | null = null;
  #blockLeft = 0;
  #blockWanted = false;
  /** Requests of this chunk that continue one another. */
  #wish: Stretch | null = null;
  /** A block that spans two chunks gathers here. */
  #scratch: Uint8Array | null = null;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  /** Takes the next bytes of the stream. Returns the peer's fault, after which nothing may follow; else null. */
  take(chunk: Uint8Array): string | null {
    let at = 0;
    for (;;) {
      if (this.#block !== null) {
        if (at === chunk.length) break;
        at += this.#takeBlock(this.#block, chunk, at);
        continue;
      }
      const held = this.#heldBytes > 0;
      const source = held ? this.#held : chunk;
      const from = held ? 0 : at;
      const available = held ? this.#heldBytes : chunk.length - at;
      if (available === 0) break;
      const need = this.#need(source, from, available);
      if (typeof need === 'string') return need;
      if (available < need) {
        if (at === chunk.length) break;
        at += this.#hold(chunk, at, need);
        continue;
      }
      if (held) {
        this.#heldBytes = 0;
        if (source.length > 4 + OTHER_MESSAGE_MAX) this.#held = new Uint8Array(HELD_BYTES);
      } else at += need;
      this.#deliver(source, from, need);
    }
    this.#tellWish();
    return null;
  }

  /** How many bytes from `at` the next step takes, as far as can be told from those there; or the fault in them. */
  #need(bytes: Uint8Array, at: number, available: number): number | string {
    if (!this.#greeted) return protocolFault(bytes.subarray(at, at + available)) ?? HANDSHAKE_BYTES;
    if (available < 4) return 4;
    const length = u32(bytes, at);
    if (length === 0) return 4;
    if (length > MESSAGE_MAX) return `a message of ${length} bytes`;
    if (available < 5) return 5;
    const id = bytes[at + 4]!;
    const fault = this.#lengthFault(id, length);
    if (fault) return `message ${id} of ${length} bytes`;
    return id === MESSAGE.piece ? BLOCK_HEADER_BYTES : 4 + length;
  }

  #lengthFault(id: number, length: number): boolean {
    const fixed = FIXED_LENGTH.get(id);
    if (fixed !== undefined) return length !== fixed;
    if (id === MESSAGE.piece) return length <= 9 || length > 9 + BOUNDS.blockBytes;
    if (id !== MESSAGE.bitfield) return length > OTHER_MESSAGE_MAX || (id === MESSAGE.extended && length < 2);
    return this.pieceCount === null ? length > BITFIELD_MAX : length !== 1 + Math.ceil(this.pieceCount / 8);
  }

  #hold(chunk: Uint8Array, at: number, need: number): number {
    if (this.#held.length < need) {
      const larger = new Uint8Array(need);
      larger.set(this.#held.subarray(0, this.#heldBytes));
      this.#held = larger;
    }
    const taken = Math.min(need - this.#heldBytes, chunk.length - at);
    this.#held.set(chunk.subarray(at, at + taken), this.#heldBytes);
    this.#heldBytes += taken;
    return taken;
  }

  #deliver(source: Uint8Array, from: number, length: number): void {
    const id = length === 4 ? -1 : source[from + 4]!;
    if (this.#greeted && id === MESSAGE.request) {
      this.#gather({
        piece: u32(source, from + 5),
        begin: u32(source, from + 9),
        length: u32(source, from + 13),
      });
      return;
    }
    this.#tellWish();
    if (!this.#greeted) {
      this.#greeted = true;
      this.#handler.handshake(source.subarray(from, from + length));
    } else if (id === MESSAGE.piece) {
      this.#blockLeft = u32(source, from) - 9;
      this.#block = { piece: u32(source, from + 5), begin: u32(source, from + 9), length: this.#blockLeft };
      this.#blockWanted = this.#handler.accepts(this.#block);
    } else this.#handler.message(id, source.subarray(from, from + length));
  }

  /** Peers ask for a piece block by block, in order; the engine takes it as one wish. */
  #gather(next: Stretch): void {
    const wish = this.#wish;
    const continues =
      wish !== null &&
      wish.piece === next.piece &&
      wish.begin + wish.length === next.begin &&
      wish.length % BLOCK_BYTES === 0 &&
      next.length <= BLOCK_BYTES;
    if (continues) this.#wish = { piece: wish.piece, begin: wish.begin, length: wish.length + next.length };
    else {
      this.#tellWish();
      this.#wish = next;
    }
  }

  #tellWish(): void {
    const wish = this.#wish;
    if (wish === null) return;
    this.#wish = null;
    this.#handler.requested(wish);
  }

  /** Takes what there is of a block; returns how many bytes that was. */
  #takeBlock(stretch: Stretch, chunk: Uint8Array, at: number): number {
    const taken = Math.min(this.#blockLeft, chunk.length - at);
    const part = chunk.subarray(at, at + taken);
    const done = stretch.length - this.#blockLeft;
    this.#blockLeft -= taken;
    const whole = taken === stretch.length;
    if (this.#blockWanted && !whole) {
      this.#scratch ??= new Uint8Array(BLOCK_BYTES);
      this.#scratch.set(part, done);
    }
    if (this.#blockLeft > 0) return taken;
    this.#block = null;
    if (!this.#blockWanted) this.#handler.unwanted(stretch);
    else this.#handler.block(stretch, whole ? part : this.#scratch!.subarray(0, stretch.length));
    return taken;
  }
}

/** What is wrong with the beginning of a stream, however little of it is there; null: nothing yet. */
export function protocolFault(bytes: Uint8Array): string | null {
  const right = bytes.subarray(0, PROTOCOL.length).every((byte, at) => byte === PROTOCOL[at]);
  return right ? null : 'does not speak BitTorrent in the clear';
}

function u32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** A BEP 3 `have` message. */
export function haveMessage(piece: number): Uint8Array {
  const bytes = new Uint8Array(HAVE_MESSAGE_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, HAVE_MESSAGE_BYTES - 4);
  view.setUint8(4, MESSAGE.have);
  view.setUint32(5, piece);
  return bytes;
}

/** The piece of a whole `have` message; null when the message is not as long as one is. */
export function pieceOfHave(message: Uint8Array): number | null {
  if (message.length !== HAVE_MESSAGE_BYTES) return null;
  return new DataView(message.buffer, message.byteOffset).getUint32(5);
}

/** BEP 3 `request` messages for every block of a stretch, in one piece of memory. */
export function requestMessages({ piece, begin, length }: Stretch): Uint8Array {
  const blocks = Math.ceil(length / BLOCK_BYTES);
  const bytes = new Uint8Array(blocks * 17);
  const view = new DataView(bytes.buffer);
  for (let block = 0; block < blocks; block++) {
    const at = block * 17;
    const offset = block * BLOCK_BYTES;
    view.setUint32(at, 13);
    view.setUint8(at + 4, MESSAGE.request);
    view.setUint32(at + 5, piece);
    view.setUint32(at + 9, begin + offset);
    view.setUint32(at + 13, Math.min(BLOCK_BYTES, length - offset));
  }
  return bytes;
}
