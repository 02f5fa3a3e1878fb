import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isOneFile, pieceTree, spansOf } from '../../agent/core/layout.ts';
import { makeTorrent, noise } from '../content.ts';

const PIECE = 32_768;

test('spans cover a range exactly once, in order, and name every byte of every file', () => {
  const parts = fc.array(fc.nat(100_000), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(
      parts,
      fc.constantFrom('v1' as const, 'hybrid' as const),
      fc.nat(),
      fc.nat(),
      (lengths, kind, a, b) => {
        lengths.push(1);
        const files = lengths.map((length, index) => ({
          path: ['d', `f${index}`],
          bytes: noise(length, index),
        }));
        const { torrent, space } = makeTorrent('folder', files, PIECE, kind);
        const from = a % torrent.length;
        const length = b % (torrent.length - from + 1);
        const contents = new Map(files.map((file) => [file.path.join('/'), file.bytes]));
        const bytes = spansOf(torrent, from, length).map((span) =>
          span.file < 0
            ? Buffer.alloc(span.length)
            : contents
                .get(torrent.files[span.file]!.path.join('/'))!
                .subarray(span.position, span.position + span.length),
        );
        deepEqual(Buffer.concat(bytes), space.subarray(from, from + length));
      },
    ),
    { numRuns: 60 },
  );
});

test('a folder is told from a file that bears the name of the torrent', () => {
  equal(isOneFile(makeTorrent('x', [{ bytes: noise(9, 1) }], PIECE, 'v1').torrent), true);
  equal(isOneFile(makeTorrent('x', [{ path: ['y'], bytes: noise(9, 1) }], PIECE, 'v1').torrent), false);
});

test('the tree of a piece leaves out the pad behind the file, and is small for a small file', () => {
  const parts = [40_000, 5, 70_000].map((length, index) => ({
    path: [`f${index}`],
    bytes: noise(length, index),
  }));
  const { torrent } = makeTorrent('folder', parts, PIECE, 'hybrid');
  deepEqual(
    Array.from({ length: torrent.pieceCount }, (_, piece) => pieceTree(torrent, piece)),
    [
      { bytes: PIECE, leaves: 2 },
      { bytes: 40_000 - PIECE, leaves: 2 },
      { bytes: 5, leaves: 1 },
      { bytes: PIECE, leaves: 2 },
      { bytes: PIECE, leaves: 2 },
      { bytes: 70_000 - 2 * PIECE, leaves: 2 },
    ],
  );
});
