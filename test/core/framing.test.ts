import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Stretch } from '../../agent/core/events.ts';
import { Framer, requestMessages } from '../../agent/core/framing.ts';
import { BLOCK_BYTES, KIB, MIB } from '../../agent/core/units.ts';

const PIECES = 33;
const handshake = Buffer.concat([Buffer.from('\x13BitTorrent protocol'), Buffer.alloc(48, 7)]);

function message(id: number, ...parts: (number | Uint8Array)[]): Buffer {
  const payload = Buffer.concat(parts.map((part) => (typeof part === 'number' ? u32(part) : part)));
  return Buffer.concat([u32(1 + payload.length), Buffer.from([id]), payload]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** What a framer made of the chunks: one line per message, and the fault that ended it. */
function read(chunks: readonly Uint8Array[], accepts: (stretch: Stretch) => boolean = () => true) {
  const heard: string[] = [];
  const wishes: Stretch[] = [];
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  const line = ({ piece, begin, length }: Stretch) => `${piece} ${begin} ${length}`;
  const framer = new Framer({
    handshake: (bytes) => heard.push(`handshake ${hex(bytes)}`),
    requested: (stretch) => {
      wishes.push(stretch);
      for (let at = 0; at < stretch.length; at += BLOCK_BYTES) {
        const length = Math.min(BLOCK_BYTES, stretch.length - at);
        heard.push(`request ${line({ ...stretch, begin: stretch.begin + at, length })}`);
      }
    },
    message: (id, bytes) => heard.push(`message ${id} ${hex(bytes)}`),
    accepts,
    block: (stretch, bytes) => heard.push(`block ${line(stretch)} ${hex(bytes)}`),
    unwanted: (stretch) => heard.push(`unwanted ${line(stretch)}`),
  });
  framer.pieceCount = PIECES;
  for (const chunk of chunks) {
    // The socket's buffer is used again for the next chunk: nothing may be kept of it.
    const reused = Uint8Array.from(chunk);
    const fault = framer.take(reused);
    reused.fill(0xee);
    if (fault !== null) return { heard, wishes, fault };
  }
  return { heard, wishes, fault: null };
}

const numbers = fc.nat(2 ** 32 - 1);
const block = fc.record({
  piece: fc.nat(40),
  begin: numbers,
  bytes: fc.uint8Array({ minLength: 1, maxLength: 300 }),
});
const messages = fc.oneof(
  fc.constantFrom(0, 1, 2, 3, 14, 15).map((id) => message(id)),
  fc.constant(Buffer.alloc(4)),
  numbers.map((piece) => message(4, piece)),
  fc.uint8Array({ minLength: 5, maxLength: 5 }).map((field) => message(5, field)),
  fc.tuple(fc.nat(3), fc.nat(3)).map(([piece, at]) => message(6, piece, at * BLOCK_BYTES, BLOCK_BYTES)),
  fc.tuple(numbers, numbers, numbers).map((triple) => message(8, ...triple)),
  block.map(({ piece, begin, bytes }) => message(7, piece, begin, bytes)),
  fc.uint8Array({ minLength: 1, maxLength: 100 }).map((payload) => message(20, payload)),
  fc
    .tuple(fc.integer({ min: 21, max: 255 }), fc.uint8Array({ maxLength: 50 }))
    .map(([id, rest]) => message(id, rest)),
);

test('however a stream is cut into chunks, its messages are the same', () => {
  const cuts = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(fc.array(messages, { maxLength: 12 }), cuts, (parts, sizes) => {
      const stream = Buffer.concat([handshake, ...parts]);
      const chunks: Buffer[] = [];
      for (let at = 0, turn = 0; at < stream.length; turn++) {
        const size = sizes[turn % sizes.length]!;
        chunks.push(stream.subarray(at, at + size));
        at += size;
      }
      const accepts = ({ piece }: Stretch) => piece % 2 === 0;
      const whole = read([stream], accepts);
      assert.equal(whole.fault, null);
      assert.equal(whole.heard.length, 1 + parts.length);
      assert.deepEqual(read(chunks, accepts).heard, whole.heard);
    }),
  );
});

test('requests that follow one another come as one stretch, as far as they do', () => {
  const request = (piece: number, at: number, length = BLOCK_BYTES) =>
    message(6, piece, at * BLOCK_BYTES, length);
  const { wishes } = read([
    Buffer.concat([
      handshake,
      request(1, 0),
      request(1, 1),
      request(1, 2, 100),
      request(1, 3),
      request(2, 4),
      message(2),
      request(2, 5),
    ]),
    request(2, 6),
  ]);
  assert.deepEqual(wishes, [
    { piece: 1, begin: 0, length: 2 * BLOCK_BYTES + 100 },
    { piece: 1, begin: 3 * BLOCK_BYTES, length: BLOCK_BYTES },
    { piece: 2, begin: 4 * BLOCK_BYTES, length: BLOCK_BYTES },
    { piece: 2, begin: 5 * BLOCK_BYTES, length: BLOCK_BYTES },
    { piece: 2, begin: 6 * BLOCK_BYTES, length: BLOCK_BYTES },
  ]);
});

test('what is asked for block by block is read as what was meant', () => {
  fc.assert(
    fc.property(fc.nat(99), fc.nat(9), fc.integer({ min: 1, max: 20 * BLOCK_BYTES }), (piece, at, length) => {
      const stretch = { piece, begin: at * BLOCK_BYTES, length };
      const { wishes, fault } = read([handshake, requestMessages(stretch)]);
      assert.deepEqual([wishes, fault], [[stretch], null]);
    }),
  );
});

test('a length beyond the limit is a fault with its fourth byte, and nothing of it is kept', () => {
  fc.assert(
    fc.property(fc.integer({ min: MIB + 1, max: 2 ** 32 - 1 }), (length) => {
      const { fault, heard } = read([handshake, u32(length)]);
      assert.equal(fault, `a message of ${length} bytes`);
      assert.equal(heard.length, 1);
    }),
  );
});

test('a message whose length does not fit its kind is a fault with its fifth byte', () => {
  const wrong: [number, number][] = [
    [0, 2],
    [4, 4],
    [4, 6],
    [6, 12],
    [8, 14],
    [9, 2],
    [13, 1],
    [14, 2],
    [16, 12],
    [17, 4],
    [5, 5],
    [5, 7],
    [5, 1],
    [7, 9],
    [7, 8],
    [7, 1],
    [7, 9 + BLOCK_BYTES + 1],
    [20, 1],
  ];
  for (const [id, length] of wrong) {
    const { fault } = read([handshake, Buffer.concat([u32(length), Buffer.from([id])])]);
    assert.equal(fault, `message ${id} of ${length} bytes`);
  }
});

test('what does not begin as BitTorrent is a fault at its first wrong byte', () => {
  assert.match(read([Buffer.from('G')]).fault!, /does not speak BitTorrent/);
  assert.match(
    read([Buffer.from('\x13BitTorrent protoco'), Buffer.from('x')]).fault!,
    /does not speak BitTorrent/,
  );
});

test('no bytes at all make it throw', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 80 }), { maxLength: 20 }), (chunks) => {
      read([handshake, ...chunks]);
    }),
  );
});

test('a long stream of large messages in small chunks costs no more memory than one message', () => {
  const framer = new Framer({
    handshake: () => {},
    requested: () => {},
    message: () => {},
    accepts: () => false,
    block: () => {},
    unwanted: () => {},
  });
  framer.take(handshake);
  const stream = Buffer.concat([
    message(20, Buffer.alloc(60 * KIB)),
    message(7, 0, 0, Buffer.alloc(BLOCK_BYTES)),
  ]);
  const before = process.memoryUsage();
  for (let round = 0; round < 100; round++) {
    for (let at = 0; at < stream.length; at += 5000)
      assert.equal(framer.take(stream.subarray(at, at + 5000)), null);
  }
  const grown = process.memoryUsage().arrayBuffers - before.arrayBuffers;
  assert.ok(grown < 2 * MIB, `${grown} bytes more`);
});
