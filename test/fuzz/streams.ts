// What a peer may say: streams of messages for the targets that hold conversations, and the link that brings them.

import fc from 'fast-check';
import { type Bencodable, encode } from '../../agent/core/bencode.ts';
import type { Link } from '../../agent/core/ports.ts';
import { BLOCK_BYTES } from '../../agent/core/units.ts';

export const INFO_HASH = Buffer.alloc(20, 1);
/** However small its chunks are to be, a stream comes in so many. */
const CHUNKS_MAX = 200;
const PROTOCOL = Buffer.from('\x13BitTorrent protocol', 'latin1');

/** `reserved`: the bits of BEP 6 and BEP 10, or others. */
export function handshake(reserved: Uint8Array = Buffer.from([0, 0, 0, 0, 0, 0x10, 0, 4])): Uint8Array {
  return Buffer.concat([PROTOCOL, reserved, INFO_HASH, Buffer.alloc(20, 2)]);
}

export function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

/** One message; numbers are 32 bits, big end first. */
export function message(id: number, ...parts: readonly (number | Uint8Array)[]): Uint8Array {
  const payload = Buffer.concat(parts.map((part) => (typeof part === 'number' ? u32(part) : part)));
  return Buffer.concat([u32(1 + payload.length), Buffer.from([id]), payload]);
}

const number = fc.oneof(fc.nat(6), fc.nat(80_000), fc.constantFrom(BLOCK_BYTES, 2 ** 31, 2 ** 32 - 1));
const count = fc.oneof(fc.integer({ min: -2, max: 700 }), fc.constantFrom(10_000_000, 2 ** 31, 2 ** 40));
const shaken: fc.Arbitrary<{ [key: string]: Bencodable }> = fc.record(
  {
    m: fc.oneof(
      fc.constant<Bencodable>({ ut_metadata: 3 }),
      fc.dictionary(fc.constantFrom('ut_metadata', 'ut_pex', 'a'), count),
    ),
    metadata_size: count,
    reqq: count,
    p: count,
    upload_only: fc.nat(2),
    v: fc.string({ maxLength: 9 }),
  },
  { requiredKeys: [] },
);
const latin = fc.string({
  unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
  maxLength: 9,
});
const metadata: fc.Arbitrary<{ [key: string]: Bencodable }> = fc
  .tuple(fc.nat(3), count, count, fc.dictionary(latin, fc.nat(9), { maxKeys: 2 }))
  .map(([kind, piece, size, more]) => ({ ...more, msg_type: kind, piece, total_size: size }));

/** Messages as correct peers send them, with numbers that are not always theirs. */
const anyMessage = fc.oneof(
  fc.constantFrom(0, 1, 2, 3, 14, 15).map((id) => message(id)),
  fc.constant(u32(0)),
  number.map((piece) => message(4, piece)),
  fc.uint8Array({ minLength: 1, maxLength: 3 }).map((field) => message(5, field)),
  fc.tuple(number, number, number).map((three) => message(6, ...three)),
  fc
    .tuple(fc.nat(4), fc.nat(4), fc.constantFrom(1, 100, BLOCK_BYTES))
    .map(([piece, block, length]) => message(7, piece, block * BLOCK_BYTES, Buffer.alloc(length, 7))),
  fc.tuple(fc.constantFrom(8, 16), number, number, number).map(([id, ...three]) => message(id, ...three)),
  fc.tuple(fc.constantFrom(13, 17), number).map(([id, piece]) => message(id, piece)),
  shaken.map((fields) => message(20, Buffer.from([0]), encode(fields))),
  fc
    .tuple(metadata, fc.uint8Array({ maxLength: 40 }))
    .map(([fields, rest]) => message(20, Buffer.from([1]), encode(fields), rest)),
  fc.tuple(fc.nat(255), fc.uint8Array({ maxLength: 30 })).map(([id, rest]) => message(id, rest)),
);

/** Two bytes that say how the stream comes, then messages. */
export const stream: fc.Arbitrary<Uint8Array> = fc
  .tuple(fc.nat(255), fc.nat(255), fc.array(anyMessage, { maxLength: 10 }))
  .map(([how, chunk, messages]) => Buffer.concat([Buffer.from([how, chunk]), ...messages]));

/** One of each message that there is, in some order. */
export function streamSeeds(): Uint8Array[] {
  const metadataOf = (text: string) => message(20, Buffer.from([1]), Buffer.from(text));
  const hello = message(
    20,
    Buffer.from([0]),
    Buffer.from('d1:md11:ut_metadatai3ee13:metadata_sizei20000e4:reqqi9ee'),
  );
  const talk = [
    message(5, Buffer.from([0xf0])),
    message(14),
    message(15),
    message(2),
    message(1),
    message(4, 2),
    message(6, 0, 0, BLOCK_BYTES),
    message(6, 0, BLOCK_BYTES, BLOCK_BYTES),
    message(7, 0, 0, Buffer.alloc(BLOCK_BYTES, 7)),
    message(8, 0, 0, BLOCK_BYTES),
    message(16, 0, 0, BLOCK_BYTES),
    message(17, 1),
    message(9, Buffer.from([1, 2])),
    hello,
    metadataOf('d8:msg_typei0e5:piecei0ee'),
    metadataOf('d8:msg_typei1e5:piecei0e10:total_sizei20000eexyz'),
    metadataOf('d8:msg_typei2e5:piecei0ee'),
  ];
  const hows = [0, 1, 2, 3, 4, 5, 8, 16];
  return [
    ...hows.map((how) => Buffer.concat([Buffer.from([how, 200]), ...talk])),
    ...talk.map((one, index) =>
      Buffer.concat([Buffer.from([hows[index % hows.length]!, 3]), hello, one, one]),
    ),
    Buffer.concat([Buffer.from([8, 255]), handshake(), ...talk]),
    Buffer.concat([Buffer.from([8, 9]), handshake(new Uint8Array(8)), ...talk]),
    ...[0, 1, 4, 64, 68].flatMap((how) =>
      calm(hello).map((one) => Buffer.concat([Buffer.from([how, 255]), ...one])),
    ),
  ];
}

/** What correct peers say: one that takes, and one that gives four pieces of two blocks. */
function calm(hello: Uint8Array): (readonly Uint8Array[])[] {
  const asks = [0, 1, 2, 3].map((piece) => message(6, piece, 0, BLOCK_BYTES));
  const blocks = [0, 1, 2, 3].flatMap((piece) =>
    [0, BLOCK_BYTES].map((begin) =>
      message(
        7,
        piece,
        begin,
        Buffer.alloc(piece + begin === 3 + BLOCK_BYTES ? BLOCK_BYTES - 5 : BLOCK_BYTES, 7),
      ),
    ),
  );
  return [
    [hello, message(15), message(2), ...asks, message(8, 3, 0, BLOCK_BYTES), u32(0)],
    [hello, message(14), message(1), ...blocks],
    [hello, message(5, Buffer.from([0xc0])), message(4, 3), message(1), ...blocks.slice(0, 4), message(0)],
  ];
}

/** How a stream comes, as its first two bytes say. */
export interface Manner {
  /** We called the peer. */
  readonly outgoing: boolean;
  /** We have no info dictionary yet. */
  readonly searching: boolean;
  /** We have all pieces. */
  readonly seeding: boolean;
  readonly chunks: readonly Uint8Array[];
}

export function mannerOf(bytes: Uint8Array): Manner {
  const [how = 0, chunk = 0] = bytes;
  const greeting =
    (how & 8) === 0 ? handshake(Buffer.from([0, 0, 0, 0, 0, how & 16 ? 0 : 0x10, 0, how & 32 ? 0 : 4])) : [];
  const said = Buffer.concat([Uint8Array.from(greeting), bytes.subarray(2)]);
  const size =
    (how & 4) === 0 ? Math.max(1, said.length) : Math.max(1 + chunk, Math.ceil(said.length / CHUNKS_MAX));
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < said.length; at += size) chunks.push(said.subarray(at, at + size));
  return { outgoing: (how & 1) !== 0, searching: (how & 2) !== 0, seeding: (how & 64) !== 0, chunks };
}

/** The end of a connection that a target holds in its hand. */
export class FakeLink implements Link {
  readonly remote: Link['remote'];
  readonly outgoing: boolean;
  writtenBytes = 0;
  closedFor: string | null = null;
  #handlers: Parameters<Link['open']>[0] | null = null;

  constructor(outgoing: boolean, host = '192.0.2.7') {
    this.outgoing = outgoing;
    this.remote = { host, port: 6881 };
  }

  open(handlers: Parameters<Link['open']>[0]): void {
    this.#handlers = handlers;
  }

  write(bytes: Uint8Array, done?: () => void): void {
    this.writtenBytes += bytes.length;
    done?.();
  }

  /** As a socket does, it tells of the end later. */
  close(reason: string): void {
    if (this.closedFor !== null) return;
    this.closedFor = reason;
    setImmediate(() => this.#handlers?.closed(reason));
  }

  /** The peer sends; what was read before is overwritten, as in the buffer of a socket. */
  bring(chunk: Uint8Array): void {
    if (this.closedFor !== null) return;
    const reused = Uint8Array.from(chunk);
    this.#handlers?.data(reused);
    reused.fill(0xee);
  }
}

/** The whole stream, with some turns of the event loop in between. */
export async function bringAll(link: FakeLink, chunks: readonly Uint8Array[]): Promise<void> {
  const pause = Math.ceil(chunks.length / 8);
  for (const [index, chunk] of chunks.entries()) {
    link.bring(chunk);
    if (index % pause === 0) await turns(1);
  }
}

/** Lets all that is under way happen. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}
