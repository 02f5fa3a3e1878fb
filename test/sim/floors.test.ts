import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { KIB, MIB } from '../../agent/core/units.ts';
import type { FaultShares } from '../../scripts/sim/faults.ts';
import { type Simulation, simulate } from '../../scripts/sim/simulation.ts';

/** Content over a link of 20 Mbit/s, headers off. */
const SLOW_LINK = { upBytesPerSec: 2_390_000, downBytesPerSec: 2_390_000 };
const GIGABIT = { upBytesPerSec: 117_700_000, downBytesPerSec: 117_700_000 };

/** Where the policies stand: T* over the slowest node's own time at least, and the first seeder's images at most. */
const FLOORS: readonly {
  readonly what: string;
  readonly swarm: Omit<Simulation, 'seed'>;
  readonly efficiency: number;
  readonly seederImages: number;
}[] = [
  {
    what: '16 nodes on slow links',
    swarm: { ...SLOW_LINK, nodes: 16, sizeBytes: 64 * MIB, pieceBytes: 64 * KIB, staggerMs: 100 },
    efficiency: 0.85,
    seederImages: 1.12,
  },
  {
    what: '50 nodes on slow links',
    swarm: { ...SLOW_LINK, nodes: 50, sizeBytes: 32 * MIB, pieceBytes: 32 * KIB, staggerMs: 100 },
    efficiency: 0.8,
    seederImages: 1.2,
  },
  {
    what: '100 nodes on very slow links, where a block is underway for seconds',
    swarm: {
      upBytesPerSec: 239_000,
      downBytesPerSec: 239_000,
      nodes: 100,
      sizeBytes: 32 * MIB,
      pieceBytes: 32 * KIB,
      staggerMs: 100,
    },
    efficiency: 0.8,
    seederImages: 1.2,
  },
  {
    what: '150 nodes on gigabit links',
    swarm: { ...GIGABIT, nodes: 150, sizeBytes: 128 * MIB, pieceBytes: 64 * KIB, grainBytes: 32 * KIB },
    efficiency: 0.65,
    seederImages: 1.4,
  },
];

const seeds = (t: { diagnostic(text: string): void }): number[] => {
  const fresh = randomInt(2 ** 31);
  t.diagnostic(`fresh seed ${fresh}`);
  return [1, fresh];
};

for (const { what, swarm, efficiency, seederImages } of FLOORS) {
  test(`${what}: all complete, ${efficiency} of the bound, and the first seeder sends ${seederImages} images`, (t) => {
    for (const seed of seeds(t)) {
      const outcome = simulate({ ...swarm, seed });
      assert.deepEqual(outcome.unfinished, [], `seed ${seed}`);
      const slowestMs = outcome.ownMs.reduce((most, ms) => Math.max(most, ms), 0);
      const reached = outcome.boundMs / slowestMs;
      assert.ok(reached >= efficiency, `seed ${seed}: efficiency ${reached.toFixed(3)}`);
      const images = outcome.seederBytes / swarm.sizeBytes;
      assert.ok(images <= seederImages, `seed ${seed}: the first seeder sent ${images.toFixed(2)} images`);
      t.diagnostic(`seed ${seed}: efficiency ${reached.toFixed(3)}, ${images.toFixed(3)} images`);
    }
  });
}

const FAULTS: Readonly<Record<string, FaultShares>> = {
  'nodes that die, stall, poison and crawl': { die: 0.1, stall: 0.05, poison: 0.05, slow: 0.1 },
  'a part that is cut off': { part: 0.3, die: 0.05 },
};

for (const [what, faults] of Object.entries(FAULTS)) {
  test(`${what}: every node that lives and does no harm completes`, (t) => {
    for (const seed of seeds(t)) {
      const { unfinished } = simulate({
        ...SLOW_LINK,
        nodes: 40,
        sizeBytes: 8 * MIB,
        pieceBytes: 64 * KIB,
        racks: { count: 4, bytesPerSec: 4 * SLOW_LINK.upBytesPerSec },
        staggerMs: 1000,
        faults,
        seed,
        patienceMs: 900_000,
      });
      assert.deepEqual(unfinished, [], `seed ${seed}`);
    }
  });
}

test('nodes that leave when they are ready cost the others nothing but time', () => {
  const stayed = simulate({ ...FLOORS[1]!.swarm, seed: 3 });
  const left = simulate({ ...FLOORS[1]!.swarm, seed: 3, leaveAfterMs: 500 });
  assert.deepEqual([stayed.unfinished, left.unfinished], [[], []]);
});
