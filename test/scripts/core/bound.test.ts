import { equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { boundMs, type Fabric } from '../../../scripts/core/bound.ts';

const RATE = 1000;
function fabric(changes: Partial<Fabric> = {}): Fabric {
  const nodes = changes.nodes ?? 8;
  return {
    nodes,
    imageServers: 1,
    sizeBytes: 100_000,
    pieceCount: 100,
    downMinBytesPerSec: RATE,
    serverBytesPerSec: RATE,
    upTotalBytesPerSec: RATE * (nodes + 1),
    rackBytesPerSec: Number.POSITIVE_INFINITY,
    ...changes,
  };
}

test('one image server and equal links: the bound of Mundinger, Weber and Weiss', () => {
  for (const [nodes, turns] of [
    [1, 0],
    [2, 1],
    [3, 1],
    [4, 2],
    [150, 7],
    [10_000, 13],
  ] as const) {
    equal(boundMs(fabric({ nodes })), 100_000 * (1 + turns / 100), `${nodes} nodes`);
  }
});

test('each link that all must pass bounds it', () => {
  const free = boundMs(fabric());
  for (const slow of [
    { serverBytesPerSec: RATE / 2 },
    { downMinBytesPerSec: RATE / 2 },
    { rackBytesPerSec: RATE / 2 },
    { upTotalBytesPerSec: RATE * 4 },
  ])
    equal(boundMs(fabric(slow)), 2 * free, JSON.stringify(slow));
});

test('more image servers spread a piece in fewer turns', () => {
  ok(boundMs(fabric({ nodes: 100, imageServers: 4 })) < boundMs(fabric({ nodes: 100 })));
  equal(boundMs(fabric({ nodes: 8, imageServers: 8 })), 100_000);
});
