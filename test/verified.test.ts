import { deepEqual, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SwarmbootError } from '../agent/core/errors.ts';
import { digests } from '../agent/io/digest.ts';
import { verified } from '../agent/verified.ts';
import { makeTorrent, noise } from './content.ts';

const PIECE = 16_384;

test('content is given on whole whatever its chunks, and of a piece with one bit changed no byte', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 6 * PIECE }),
      fc.array(fc.integer({ min: 1, max: 3 * PIECE }), { minLength: 1 }),
      fc.option(fc.nat()),
      async (length, cuts, flip) => {
        const bytes = noise(length, length);
        const { torrent } = makeTorrent('image.tar', [{ bytes }], PIECE, 'v1');
        const stored = Buffer.from(bytes);
        const at = flip === null ? null : flip % length;
        if (at !== null) stored[at]! ^= 1;
        const verify = (piece: number, content: Uint8Array) =>
          Buffer.compare(digests.sha1(content), torrent.piecesV1!.subarray(piece * 20, piece * 20 + 20)) ===
          0;
        const given: Buffer[] = [];
        const reading = (async () => {
          for await (const part of verified(chunksOf(stored, cuts), torrent, verify))
            given.push(Buffer.from(part));
        })();
        if (at === null) await reading;
        else {
          await rejects(reading, (error) => error instanceof SwarmbootError && error.code === 'staging');
        }
        const end = at === null ? length : Math.floor(at / PIECE) * PIECE;
        deepEqual(Buffer.concat(given), bytes.subarray(0, end));
      },
    ),
    { numRuns: 200 },
  );
});

async function* chunksOf(bytes: Uint8Array, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const length = cuts[turn % cuts.length]!;
    yield bytes.subarray(at, at + length);
    at += length;
  }
}
