import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { withSiblings } from '../../agent/core/siblings.ts';

const known = (url: string, ...addresses: string[]) => {
  const parsed = new URL(url);
  return { url: parsed, hosts: [parsed.hostname, ...addresses] };
};
const SERVERS = [known('http://images:8080', '10.9.0.1', 'fd00::1'), known('http://10.9.0.2:8080')];

test('trackers of all image servers follow that of any of them, in one order for all nodes', () => {
  const all = [
    ['http://10.9.0.1:6969/announce'],
    ['http://10.9.0.2:6969/announce'],
    ['udp://10.9.0.1:6969/announce'],
    ['udp://10.9.0.2:6969/announce'],
  ];
  deepEqual(withSiblings([all[0]!, all[2]!], SERVERS), all);
  const fromSecond = withSiblings([all[1]!, all[3]!], SERVERS);
  deepEqual(
    fromSecond,
    all.map((tier) => tier.map((url) => url.replace('10.9.0.1', 'images'))),
    'the same servers in the same order, the first by the name that the node knows',
  );
});

test('in a closed site the tracker is the server itself, whatever its port', () => {
  const servers = [known('https://a:8443'), known('https://b:9443'), known('https://[fd00::2]:8443')];
  deepEqual(withSiblings([['https://b:9443/announce']], servers), [
    ['https://a:8443/announce'],
    ['https://b:9443/announce'],
    ['https://[fd00::2]:8443/announce'],
  ]);
});

test('IPv6 addresses are known in any spelling', () => {
  deepEqual(withSiblings([['http://[fd00:0::1]:6969/announce']], SERVERS), [
    ['http://[fd00:0::1]:6969/announce'],
    ['http://10.9.0.2:6969/announce'],
  ]);
});

test('other trackers stay as they are, nothing is named twice, and a lone server has no siblings', () => {
  const foreign = [['udp://tracker.lab:80/announce', 'http://10.9.0.2:6969/x'], ['http://images:1/announce']];
  deepEqual(withSiblings(foreign, SERVERS), [...foreign, ['http://10.9.0.2:1/announce']]);
  const both = [['http://images:1/announce'], ['http://10.9.0.2:1/announce']];
  deepEqual(withSiblings(both, SERVERS), both);
  deepEqual(withSiblings(foreign, SERVERS.slice(0, 1)), foreign);
});
