// The largest cluster that we promise to simulate (`make sim-large`): 10,000 nodes on gigabit links. It takes minutes, so it
// is no part of `make test`. Asserted is what does not depend on the machine; time and memory are printed.
//
// Ten image servers with gigabit links need 300 s to hand so many nodes a RAM disk of 36 MB: then the nodes start within
// that time. Within 30 s they start where a hundred such servers do it, or where nodes that wait are told to go at once.

import assert from 'node:assert/strict';
import { pieceLengthFor } from '../../agent/core/metainfo.ts';
import { MIB } from '../../agent/core/units.ts';
import { simulate } from '../../scripts/sim/simulation.ts';

/** Within which time the nodes start, and the least T* over the slowest node's own time. */
const STORMS = [
  { staggerMs: 300_000, efficiencyMin: 0.85 },
  { staggerMs: 30_000, efficiencyMin: 0.77 },
];
const NODES = 10_000;
const SIZE_BYTES = 606 * MIB;
const RATE = 117_700_000;

for (const { staggerMs, efficiencyMin } of STORMS) {
  const begun = performance.now();
  const outcome = simulate({
    nodes: NODES,
    sizeBytes: SIZE_BYTES,
    pieceBytes: pieceLengthFor(SIZE_BYTES),
    upBytesPerSec: RATE,
    downBytesPerSec: RATE,
    staggerMs,
    seed: 1,
  });
  const efficiency = outcome.boundMs / outcome.ownMs.reduce((most, ms) => Math.max(most, ms), 0);
  const seconds = (performance.now() - begun) / 1000;
  const gib = process.resourceUsage().maxRSS / MIB;
  console.log(
    `${NODES} nodes that start within ${staggerMs / 1000} s: efficiency ${efficiency.toFixed(3)}, ${seconds.toFixed(0)} s, ` +
      `${gib.toFixed(2)} GiB, ${(outcome.seederBytes / SIZE_BYTES).toFixed(2)} images from the first seeder`,
  );
  assert.deepEqual(outcome.unfinished, [], 'every node completes');
  assert.ok(efficiency >= efficiencyMin, `efficiency ${efficiency.toFixed(3)}, below ${efficiencyMin}`);
}
