import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { SwarmbootError } from '../../../agent/core/errors.ts';
import { parseNodes } from '../../../scripts/core/nodes.ts';

const refusal = (reason: RegExp) => (error: unknown) =>
  error instanceof SwarmbootError && error.code === 'nodes' && reason.test(error.message);
const nodesOf = (...lines: string[]) => parseNodes(lines.join('\n'), 'nodes.conf');
const MAC = '52:54:00:09:00:01';

const SITE = nodesOf(
  '# the cluster of the third floor',
  '* image=base overrides=site param=console=ttyS0,115200n8',
  'node[001-256]   image=web groups=web,rack1   # all of them',
  '@rack1 layout=small overrides=rack',
  '@web   layout=web   overrides=web param=A=1 param=nomodeset',
  'node002-node003 image=test',
  `node001 mac=${MAC} overrides=own`,
  'node002 mac=52-54-00-09-00-02 image=special groups=web,odd param=B=[fd00::1]:8080',
  'head mac=525400090003',
);

test('global lines come first, then groups in their order, then ranges and names; later ones win, lists add up', () => {
  deepEqual(SITE.all, [
    {
      name: 'node001',
      mac: MAC,
      groups: ['web', 'rack1'],
      image: 'web',
      layout: 'small',
      serial: null,
      overrides: ['site', 'web', 'rack', 'own'],
      params: ['console=ttyS0,115200n8', 'A=1', 'nomodeset'],
    },
    {
      name: 'node002',
      mac: '52:54:00:09:00:02',
      groups: ['web', 'rack1', 'odd'],
      image: 'special',
      layout: 'small',
      serial: null,
      overrides: ['site', 'web', 'rack'],
      params: ['console=ttyS0,115200n8', 'A=1', 'nomodeset', 'B=[fd00::1]:8080'],
    },
    {
      name: 'head',
      mac: '52:54:00:09:00:03',
      groups: [],
      image: 'base',
      layout: null,
      serial: null,
      overrides: ['site'],
      params: ['console=ttyS0,115200n8'],
    },
  ]);
  deepEqual(SITE.params, ['console=ttyS0,115200n8']);
});

test('a node is found by its MAC, and words select by name, MAC, range and group', () => {
  equal(SITE.byMac(MAC)?.name, 'node001');
  equal(SITE.byMac('52:54:00:09:00:09'), null);
  const names = (word: string) => SITE.select(word).map(({ name }) => name);
  deepEqual(names('head'), ['head']);
  deepEqual(names('52-54-00-09-00-02'), ['node002']);
  deepEqual(names('node[001-002]'), ['node001', 'node002']);
  deepEqual(names('node002-node256'), ['node002']);
  deepEqual(names('@web'), ['node001', 'node002']);
  for (const word of ['node003', 'node[1-2]', '@none', '52:54:00:09:00:09', '*', '', '../x']) {
    throws(() => SITE.select(word), refusal(/no node ".*" in nodes\.conf; add a line/), word);
  }
});

test('a file of nothing has no nodes', () => {
  deepEqual(nodesOf('', '  # nothing', '').all, []);
});

test('numbers in ranges are as wide as they are written', () => {
  const fits = (range: string, name: string) =>
    nodesOf(`${range} image=x`, `${name} mac=${MAC}`).all[0]?.image === 'x';
  ok(fits('node[001-256]', 'node017'));
  ok(!fits('node[001-256]', 'node17'));
  ok(!fits('node[001-256]', 'node0017'));
  ok(fits('node[1-256]', 'node17'));
  ok(!fits('node[1-256]', 'node017'));
  ok(fits('node[08-12]', 'node12'));
  ok(!fits('node[08-12]', 'node13'));
  ok(fits('r1-n1-r1-n9', 'r1-n4'));
  ok(fits('[1-3]', '2'));
});

test('a serial number belongs to one node', () => {
  const { all } = nodesOf(`node1 mac=${MAC} serial=VMware-564d#9a`, 'node2 mac=52:54:00:09:00:02');
  deepEqual(
    all.map(({ serial }) => serial),
    ['VMware-564d#9a', null],
  );
});

test('a name with a hyphen is no range', () => {
  equal(nodesOf(`web-01 mac=${MAC}`).all[0]?.name, 'web-01');
});

describe('a line is a fault that is named with its number', () => {
  const cases: [string, RegExp][] = [
    ['node001', /line 1: nothing is said of "node001"/],
    [`node001 mac=${MAC} colour=red`, /line 1: "colour=red" is none of mac=/],
    [`node001 mac=${MAC} image=`, /line 1: "image=" is none of/],
    [`node001 mac=${MAC} image=../x`, /image=\.\.\/x is no name of an image/],
    [`node001 mac=${MAC} image=a image=b`, /image= is given twice/],
    [`node001 mac=${MAC} overrides=a,,b`, /overrides= has ""/],
    [`node001 mac=${MAC} groups=a.b`, /groups= has "a\.b"/],
    ['node001 mac=52:54:00', /mac=52:54:00 is no MAC/],
    [`node001 mac=${MAC} serial=ab\u00e9`, /serial=ab\u00e9 is no serial number without blanks/],
    ['@web serial=S1', /serial= belongs to a single name/],
    ['node001 image=x', /node001 has no mac= on any line/],
    [`node[1-2] mac=${MAC}`, /mac= belongs to a single name/],
    [`* mac=${MAC}`, /mac= belongs to a single name/],
    ['@web groups=a', /a group has no groups=/],
    ['node[2-1] image=x', /"node\[2-1\]" is no host name/],
    ['node[01-100] image=x', /"node\[01-100\]" is no host name/],
    [`-x mac=${MAC}`, /"-x" is no host name/],
    [`a.b mac=${MAC}`, /"a\.b" is no host name/],
    [`${'x'.repeat(64)} mac=${MAC}`, /is no host name/],
    ['@a.b image=x', /"@a\.b" is no host name/],
    [`node001 mac=${MAC} param=A=$(reboot)`, /param=A=\$\(reboot\) is no KEY=VALUE/],
    [`node001 mac=${MAC} param=A=a;b`, /param=A=a;b is no/],
    [`node001 mac=${MAC} param=A="b`, /param=A="b is no/],
    [`node001 mac=${MAC} param=A=\${b}`, /is no KEY=VALUE/],
    [`node001 mac=${MAC} param=||reboot`, /is no KEY=VALUE/],
    [`node001 mac=${MAC} param=IMAGENAME=x`, /param=IMAGENAME=x is not to be given/],
    [`node001 mac=${MAC} param=initrd=x`, /is not to be given/],
    [
      `node001 mac=${MAC} param=A=${'x'.repeat(1500)}`,
      /line 1: the parameters of node001 make more than 1500/,
    ],
  ];
  for (const [line, reason] of cases)
    test(line.slice(0, 60), () => throws(() => nodesOf(line), refusal(reason)));
});

test('every fault of a file is listed, and a MAC or name twice is one', () => {
  throws(
    () => nodesOf('x', `a mac=${MAC}`, '', `b mac=${MAC}`, 'a mac=525400090009', 'y'),
    refusal(
      /^nodes\.conf is wrong:\n {2}line 1: .*\n {2}line 6: .*\n {2}line 4: 52:54:00:09:00:01 is a's already\n {2}line 5: a has a mac= already\n {2}Correct it/,
    ),
  );
});

test('ten thousand nodes are read, and one more is a fault', () => {
  const mac = (index: number) => index.toString(16).padStart(12, '0');
  const lines = Array.from({ length: 10_000 }, (_, index) => `n${index} mac=${mac(index)}`);
  equal(nodesOf('* image=x', ...lines).all.length, 10_000);
  throws(() => nodesOf(...lines, `more mac=${mac(10_000)}`), refusal(/more than 10000 nodes/));
});

test('any text gives nodes or a refusal, and what becomes a kernel word or a name has no sign of a boot loader', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      '*',
      '@a',
      'n[1-9]',
      'n1',
      ' ',
      '\n',
      '#',
      '=',
      ',',
      `n1 mac=${MAC}`,
      'image=x',
      'param=K=V',
      'groups=a',
    ),
    fc.string({ maxLength: 8 }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      try {
        for (const node of parseNodes(pieces.join(''), 'x').all) {
          const words = [node.name, node.mac, ...node.groups, ...node.overrides, ...node.params];
          for (const word of words) ok(/^[A-Za-z0-9._:/@%+,=~[\]-]+$/.test(word), word);
        }
      } catch (error) {
        return error instanceof SwarmbootError;
      }
    }),
    { numRuns: 500 },
  );
});
