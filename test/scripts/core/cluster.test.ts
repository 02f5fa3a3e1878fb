import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { type NodeRecord, recorded } from '../../../scripts/core/board.ts';
import { ClusterChanges, clusterNode, clusterOf } from '../../../scripts/core/cluster.ts';
import { INVENTORY, message, REPORT } from '../../core/messages.ts';

const MAC = '52:54:00:09:00:01';
const AT = '2026-01-31T12:00:00.000Z';
const KNOWN = { listed: true, armedAt: null, alarm: null, lostBefore: '2026-01-31T11:59:00.000Z' };
const LISTED = {
  name: 'web1',
  mac: MAC,
  groups: ['web'],
  image: 'web',
  layout: null,
  serial: null,
  overrides: [],
  params: [],
};

function record(more: Parameters<typeof message>[0]): NodeRecord {
  return recorded(null, message(more), AT).record;
}

test('an alarm is the state of a node, and what it does goes on', () => {
  const report = { ...REPORT, downBytesPerSec: 5 };
  const works = record({ status: 42, stage: 'image', report });
  const alarmed = clusterNode(MAC, null, works, { ...KNOWN, alarm: 'somebody else' });
  const calm = clusterNode(MAC, null, works, KNOWN);
  deepEqual(alarmed, { ...calm, state: 'alarm', phrase: 'alarm: somebody else' });
  equal(alarmed.downBytesPerSec, 5);
});

test('a node is called as nodes.conf says, else as it says, else by its MAC', () => {
  equal(clusterNode(MAC, LISTED, record({}), KNOWN).name, 'web1');
  equal(clusterNode(MAC, null, record({}), KNOWN).name, 'node001');
  equal(clusterNode(MAC, null, record({ host: '' }), KNOWN).name, MAC);
});

test('rates are those of nodes that are at work', () => {
  const report = { ...REPORT, downBytesPerSec: 5, upBytesPerSec: 6 };
  const rates = (more: Parameters<typeof message>[0], lostBefore = KNOWN.lostBefore) => {
    const node = clusterNode(MAC, LISTED, record({ report, ...more }), { ...KNOWN, lostBefore });
    return [node.state, node.downBytesPerSec, node.upBytesPerSec];
  };
  deepEqual(rates({}), ['installing', 5, 6]);
  deepEqual(rates({ status: 100 }), ['imaged', 5, 6]);
  deepEqual(rates({ status: -1 }), ['failed', 0, 0]);
  deepEqual(rates({}, '2026-01-31T12:01:00.000Z'), ['lost', 0, 0]);
});

test('the address is that of the link by which it boots', () => {
  equal(clusterNode(MAC, LISTED, record({ inventory: INVENTORY }), KNOWN).address, '10.9.0.101');
  equal(clusterNode(MAC, LISTED, null, KNOWN).address, '');
});

test('the picture has sums and counts by state', () => {
  const nodes = [
    clusterNode(MAC, LISTED, record({ report: { ...REPORT, downBytesPerSec: 5 } }), KNOWN),
    clusterNode('52:54:00:09:00:02', null, null, { ...KNOWN, listed: false }),
  ];
  const { counts, downBytesPerSec } = clusterOf(AT, nodes, []);
  deepEqual([counts.installing, counts.unknown, counts.failed, downBytesPerSec], [1, 1, 0, 5]);
});

test('changes from picture to picture: new, different and gone nodes, and nothing else', () => {
  const node = (mac: string, percent: number) =>
    clusterNode(mac, null, record({ mac, report: { ...REPORT, percent } }), KNOWN);
  const changes = new ClusterChanges();
  const told = (...nodes: ReturnType<typeof node>[]) => {
    const change = changes.next(clusterOf(AT, nodes, []));
    return [change.nodes.map(({ mac }) => mac.slice(-2)), change.gone.map((mac) => mac.slice(-2))];
  };
  const [a, b, c] = ['52:54:00:09:00:0a', '52:54:00:09:00:0b', '52:54:00:09:00:0c'] as const;
  deepEqual(told(node(a, 1), node(b, 1)), [['0a', '0b'], []]);
  deepEqual(told(node(a, 1), node(b, 2), node(c, 1)), [['0b', '0c'], []]);
  deepEqual(told(node(b, 2), node(c, 1)), [[], ['0a']]);
});
