import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { Bitfield } from '../../agent/core/bitfield.ts';
import { LIMITS } from '../../agent/core/limits.ts';
import { Rng } from '../../agent/core/rng.ts';
import { KIB, MIB, type Ms } from '../../agent/core/units.ts';
import type { NodeFaults, SimNode } from '../../scripts/sim/node.ts';
import { type Simulation, simulate } from '../../scripts/sim/simulation.ts';
import { blankTorrent, World } from '../../scripts/sim/world.ts';

const RATES = { upBytesPerSec: 12_500_000, downBytesPerSec: 12_500_000 };
/** Nodes may arrive, back off and wait for stalled peers; a run that takes longer than this hangs. */
const PATIENCE_MS = 300_000;
/** Until a first seeder has stopped waiting for a node that vanished: by its first seconds, within which rates say little. */
const VANISHED_MS = 60_000;
/** Payload thrown away, as a share of all payload. */
const WASTE_SHARE = 0.02;

interface Plan {
  readonly seed: number;
  readonly leechers: number;
  readonly faults?: (index: number) => NodeFaults;
  readonly pieceLength?: number;
}

/** One first seeder and some leechers that start within a tenth of a second. */
function prepare({ seed, leechers, faults, pieceLength = 128 * KIB }: Plan) {
  const world = new World({
    torrent: blankTorrent(16 * MIB - 5000, pieceLength),
    seed,
    latencyMs: 0.5,
    windowBytes: 64 * KIB,
    socketBytes: 64 * KIB,
    bufferBytes: 512 * KIB,
    sendBufferBytes: 128 * KIB,
    scale: 1,
  });
  const rng = new Rng(seed);
  const seeder = world.join({ ...RATES, seeder: true, atMs: 0 });
  const nodes = Array.from({ length: leechers }, (_, index) =>
    world.join({ ...RATES, seeder: false, atMs: rng.below(100), faults: faults?.(index) ?? {} }),
  );
  return { world, seeder, nodes };
}

function runUntilComplete(world: World, nodes: readonly SimNode[]): void {
  world.run(() => world.completions >= nodes.length && nodes.every(isComplete), PATIENCE_MS);
  const late = nodes.filter((node) => !isComplete(node));
  assert.equal(late.length, 0, `seed ${world.seed}: ${late.length} of ${nodes.length} nodes never completed`);
}

function isComplete(node: SimNode): boolean {
  return Number.isFinite(node.completeAtMs);
}

function bannedNodes(world: World): Set<SimNode> {
  return new Set(world.nodes.flatMap((node) => [...node.banned]));
}

/** Fifty nodes; the first seeder and the links are as the floors of make sim have them. */
const FIFTY: Omit<Simulation, 'seed'> = {
  ...RATES,
  nodes: 49,
  sizeBytes: 16 * MIB - 5000,
  pieceBytes: 128 * KIB,
  grainBytes: 16 * KIB,
  staggerMs: 100,
  patienceMs: PATIENCE_MS,
};

function smoke(seed: number) {
  const outcome = simulate({ ...FIFTY, seed });
  assert.deepEqual(outcome.unfinished, [], `seed ${seed}`);
  const waste = outcome.wastedBytes / FIFTY.sizeBytes / FIFTY.nodes;
  assert.ok(waste <= WASTE_SHARE, `seed ${seed}: ${(waste * 100).toFixed(2)} % of the payload was wasted`);
  return outcome;
}

test('50 nodes all complete, and the same seed gives the very same run', () => {
  assert.deepEqual(smoke(1), smoke(1));
});

test('another seed gives another run, and 50 nodes all complete from a fresh one', (t) => {
  const seed = randomInt(2, 2 ** 31);
  t.diagnostic(`seed ${seed}`);
  assert.notEqual(smoke(seed).events, smoke(1).events);
});

test('a poisoner is banned by everyone to whom it sent a whole bad piece, and nobody else ever is', () => {
  for (const seed of [11, 12, 13]) {
    const { world, nodes } = prepare({ seed, leechers: 14 });
    const poisoner = world.join({ ...RATES, seeder: true, atMs: 0, faults: { poisons: true } });
    runUntilComplete(world, nodes);
    const proofs = nodes.filter((node) => node.proven.has(poisoner));
    assert.ok(proofs.length > 0, `seed ${seed}: nobody met the poisoner`);
    for (const node of proofs) assert.ok(node.banned.has(poisoner), `seed ${seed}: node ${node.index}`);
    assert.deepEqual([...bannedNodes(world)], [poisoner], `seed ${seed}`);
  }
});

test('a node that takes requests and never serves holds nobody up', () => {
  const { world, nodes } = prepare({ seed: 21, leechers: 14 });
  world.join({ ...RATES, seeder: true, atMs: 0, faults: { stalls: true } });
  runUntilComplete(world, nodes);
  assert.equal(bannedNodes(world).size, 0);
});

test('when half of all peers never serve, nobody waits much longer than it takes to find them out', () => {
  for (const seed of [22, 23, 24, 25]) {
    const { world, nodes } = prepare({ seed, leechers: 3 });
    for (let stalling = 0; stalling < 3; stalling++)
      world.join({ ...RATES, seeder: true, atMs: 0, faults: { stalls: true } });
    runUntilComplete(world, nodes);
    assert.ok(world.now < 3 * LIMITS.stallMs, `seed ${seed}: ${world.now} ms`);
  }
});

test('a third of the nodes die at random times and the others complete', () => {
  for (const seed of [31, 32]) {
    const chance = new Rng(seed);
    const dies = (index: number) => index % 3 === 0;
    const { world, nodes } = prepare({
      seed,
      leechers: 24,
      faults: (index) => (dies(index) ? { diesAtMs: 100 + chance.below(4000) } : {}),
    });
    runUntilComplete(
      world,
      nodes.filter((_, index) => !dies(index)),
    );
    assert.equal(bannedNodes(world).size, 0);
  }
});

test('what the first seeder has shown to a node that vanishes without a word is soon shown to others', () => {
  for (const seed of [36, 37, 38, 39]) {
    const { world, nodes } = prepare({ seed, leechers: 6 });
    const [gone, ...others] = nodes;
    world.at(500, () => world.part(new Set([gone!])));
    runUntilComplete(world, others);
    assert.ok(world.now < VANISHED_MS, `seed ${seed}: ${world.now} ms`);
  }
});

test('a part of the swarm that is cut off for half a minute completes when it is joined again', () => {
  const { world, nodes } = prepare({ seed: 35, leechers: 20 });
  const apart = nodes.slice(0, 8);
  world.at(700, () => world.part(new Set(apart)));
  world.run(() => false, 30_000);
  assert.ok(!apart.some(isComplete));
  world.heal();
  runUntilComplete(world, nodes);
  assert.equal(bannedNodes(world).size, 0);
});

test('a node that leaves has left soon, and the others complete', () => {
  const { world, nodes } = prepare({ seed: 41, leechers: 12 });
  const [leaver, ...others] = nodes as [SimNode, ...SimNode[]];
  world.at(1000, () => leaver.tell({ type: 'leave' }));
  runUntilComplete(world, others);
  assert.ok(!isComplete(leaver));
  const leftAtMs: Ms = leaver.leftAtMs;
  assert.ok(leftAtMs >= 1000 && leftAtMs <= 1000 + LIMITS.leaveMs, `left at ${leftAtMs} ms`);
  assert.equal(leaver.connections.length, 0);
});

for (const pieceLength of [128 * KIB, 2 * MIB]) {
  test(`the first seeder dies early: all end with every piece that is left, in pieces of ${pieceLength / KIB} KiB`, () => {
    for (const seed of [51, 52]) {
      const { world, seeder, nodes } = prepare({ seed, leechers: 24, pieceLength });
      world.run(() => seeder.sentBytes >= 0.7 * world.torrent.length, PATIENCE_MS);
      seeder.die();
      world.run(() => false, world.now + 20_000);
      const left = together(nodes).count;
      assert.ok(left < world.torrent.pieceCount);
      for (const node of nodes) assert.equal(node.have.count, left, `seed ${seed}, node ${node.index}`);
    }
  });

  test(`the first seeder dies when the others have all together: all complete, in pieces of ${pieceLength / KIB} KiB`, () => {
    const { world, seeder, nodes } = prepare({ seed: 61, leechers: 24, pieceLength });
    while (!together(nodes).isFull) world.run(() => false, world.now + 20);
    assert.ok(world.completions < nodes.length / 2);
    seeder.die();
    runUntilComplete(world, nodes);
  });
}

/** The pieces that somebody has. */
function together(nodes: readonly SimNode[]): Bitfield {
  const field = new Bitfield(nodes[0]!.have.length);
  for (const node of nodes) {
    for (let piece = 0; piece < field.length; piece++) if (node.have.has(piece)) field.set(piece);
  }
  return field;
}
