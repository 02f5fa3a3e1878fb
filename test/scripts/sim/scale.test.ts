import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../../agent/core/limits.ts';
import { BLOCK_BYTES, KIB, MIB } from '../../../agent/core/units.ts';
import { coarsenessFor, scaledLimits } from '../../../scripts/sim/scale.ts';

test('a small run is simulated as it is, a large one in coarser grain, a very large one in coarser pieces too', () => {
  const size = 606 * MIB;
  deepEqual(coarsenessFor(10, size, 512 * KIB), { grainBytes: BLOCK_BYTES, pieceBytes: 512 * KIB });
  deepEqual(coarsenessFor(300, size, 512 * KIB), { grainBytes: 256 * KIB, pieceBytes: 512 * KIB });
  const { grainBytes, pieceBytes } = coarsenessFor(10_000, size, 512 * KIB);
  equal(grainBytes, pieceBytes);
  ok(pieceBytes > 512 * KIB && size / pieceBytes >= 200);
});

test('limits of blocks and bytes shrink with the grain, and those of pieces with the pieces', () => {
  deepEqual(scaledLimits(LIMITS, 1, 1), LIMITS);
  const { queueMax, activeBytes, haves, frontPieces, stallMs } = scaledLimits(LIMITS, 128, 4);
  deepEqual(
    { queueMax, activeBytes, haves, frontPieces, stallMs },
    {
      queueMax: LIMITS.queueMax / 128,
      activeBytes: LIMITS.activeBytes / 128,
      haves: LIMITS.haves / 4,
      frontPieces: LIMITS.frontPieces / 4,
      stallMs: LIMITS.stallMs,
    },
  );
});
