import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FRAME_BLOCKS, FramePool, POOL_BYTES } from '../../agent/core/frames.ts';
import { BLOCK_BYTES } from '../../agent/core/units.ts';
import { noise } from '../content.ts';

/** The same messages, written one field after the other (BEP 3). */
function messages(piece: number, begin: number, content: Uint8Array): Buffer {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < content.length; at += BLOCK_BYTES) {
    const block = content.subarray(at, at + BLOCK_BYTES);
    const header = Buffer.alloc(13);
    header.writeUInt32BE(9 + block.length, 0);
    header[4] = 7;
    header.writeUInt32BE(piece, 5);
    header.writeUInt32BE(begin + at, 9);
    parts.push(header, block);
  }
  return Buffer.concat(parts);
}

test('frames used again and again hold exactly the messages of BEP 3', () => {
  const pool = new FramePool();
  const length = fc.integer({ min: 1, max: FRAME_BLOCKS * BLOCK_BYTES });
  const asked = fc.tuple(fc.nat(2 ** 32 - 1), fc.nat(100), fc.oneof(length, fc.integer({ min: 1, max: 4 })));
  fc.assert(
    fc.property(fc.array(asked, { minLength: 1, maxLength: 4 }), (all) => {
      for (const [piece, beginBlock, bytes] of all) {
        const content = noise(bytes, piece);
        const frame = pool.take(bytes)!;
        let at = 0;
        for (const slot of frame.lay(piece, beginBlock * BLOCK_BYTES, bytes)) {
          slot.set(content.subarray(at, at + slot.length));
          at += slot.length;
        }
        equal(at, bytes);
        deepEqual(Buffer.from(frame.bytes), messages(piece, beginBlock * BLOCK_BYTES, content));
        frame.release();
      }
    }),
    { numRuns: 60 },
  );
});

test('a pool gives out no more than its bytes, and again after a release', () => {
  const pool = new FramePool();
  const out = [];
  for (
    let frame = pool.take(FRAME_BLOCKS * BLOCK_BYTES);
    frame !== null;
    frame = pool.take(FRAME_BLOCKS * BLOCK_BYTES)
  ) {
    out.push(frame);
  }
  ok(out.length * out[0]!.size <= POOL_BYTES && (out.length + 1) * out[0]!.size > POOL_BYTES);
  out[0]!.release();
  ok(pool.take(FRAME_BLOCKS * BLOCK_BYTES) !== null);
});

test('peers who ask for single blocks hold a sixteenth of what whole frames take', () => {
  const pool = new FramePool();
  for (let count = 0; count < 200; count++) ok(pool.take(BLOCK_BYTES) !== null);
});

test('releasing twice, and asking for more than a frame holds, are faults of ours', () => {
  const pool = new FramePool();
  const frame = pool.take(1)!;
  frame.release();
  throws(() => frame.release(), /broken assumption/);
  throws(() => pool.take(FRAME_BLOCKS * BLOCK_BYTES + 1), /broken assumption/);
  throws(() => pool.take(0), /broken assumption/);
});
