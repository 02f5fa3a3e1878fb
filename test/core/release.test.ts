// The rules of a release: what is read, which nodes may install by it, and which trackers its torrents may name.

import { deepEqual, equal, match, throws } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { mayAnnounce, OPEN_RULES, parseRelease, type Rules, refusalOf } from '../../agent/core/release.ts';
import { RELEASE } from './manifests.ts';

const MAC = '52:54:00:09:00:01';
const RULES: Rules = {
  closed: true,
  networks: ['10.0.0.0/8', 'fd00::/8'],
  machines: [MAC],
  agentMin: '1.20.3',
  trackers: ['udp://tracker.example:6969/announce'],
};

test('a release is read with its rules', () => {
  deepEqual(parseRelease({ ...RELEASE, ...RULES }), { ...RELEASE, ...RULES });
  deepEqual(parseRelease(RELEASE), RELEASE);
  equal(parseRelease(null), null);
});

describe('a release is refused', () => {
  const without = (key: string) => Object.fromEntries(Object.entries(RELEASE).filter(([own]) => own !== key));
  const cases: [string, unknown, RegExp][] = [
    ['with a field that is not known', { ...RELEASE, sudo: true }, /"release" of the manifest has "sudo"/],
    ...Object.keys(RELEASE).map((key): [string, unknown, RegExp] => [
      `without ${key}`,
      without(key),
      new RegExp(`"${key}" is missing`),
    ]),
    ['that is closed by a word', { ...RELEASE, closed: 'yes' }, /"closed" is "yes", not true or false/],
    ['with no network', { ...RELEASE, networks: [] }, /"networks" is \[\], not null or a list of 1 to 64/],
    ['with a host', { ...RELEASE, networks: ['10.0.0.1'] }, /"networks" is \["10.0.0.1"\]/],
    ['with a network of another text', { ...RELEASE, networks: ['FD00::/8'] }, /"networks"/],
    ['with too many networks', { ...RELEASE, networks: Array(65).fill('10.0.0.0/8') }, /"networks"/],
    ['with a list in a list', { ...RELEASE, networks: [['10.0.0.0/8']] }, /"networks"/],
    ['with machines by name', { ...RELEASE, machines: ['n1'] }, /"machines" is \["n1"\]/],
    ['with a MAC of another text', { ...RELEASE, machines: ['525400090001'] }, /"machines"/],
    ['for agents of no version', { ...RELEASE, agentMin: '1.2' }, /"agentMin" is "1.2", not a version/],
    ['for agents of a long version', { ...RELEASE, agentMin: '1.2.3-rc1' }, /"agentMin"/],
    ['with a tracker by file', { ...RELEASE, trackers: ['file:///etc/passwd'] }, /"trackers"/],
  ];
  for (const [what, value, reason] of cases) {
    test(what, () =>
      throws(
        () => parseRelease(value),
        (error) => error instanceof SwarmbootError && error.code === 'catalog' && reason.test(error.message),
      ),
    );
  }
});

test('a node installs by a release when its agent is new enough and it is one of the machines', () => {
  const node = { version: '1.20.3', mac: MAC };
  equal(refusalOf(RULES, node), null);
  equal(refusalOf(OPEN_RULES, { version: '0.0.0', mac: '' }), null);
  for (const version of ['1.20.4', '1.21.0', '2.0.0']) equal(refusalOf(RULES, { ...node, version }), null);
  for (const version of ['1.20.2', '1.9.9', '0.99.99']) {
    match(refusalOf(RULES, { ...node, version }) ?? '', /wants an agent of version 1\.20\.3, and this is/);
  }
  match(refusalOf(RULES, { ...node, mac: '52:54:00:09:00:02' }) ?? '', /not for this machine \(52:54:00/);
  match(refusalOf(RULES, { ...node, mac: '' }) ?? '', /not for this machine \(its MAC is not known\)/);
});

test('trackers are those at the image server and those of the release; what leads elsewhere is none', () => {
  const hosts = ['images.example', '10.0.0.1', '[fd00::1]'];
  for (const url of [
    'http://images.example:6969/announce',
    'https://IMAGES.example:8443/announce',
    'udp://10.0.0.1:6969/announce',
    'http://[fd00:0::1]:6969/announce',
    'udp://tracker.example:6969/announce',
  ]) {
    equal(mayAnnounce(url, RULES, hosts), true, url);
  }
  for (const url of [
    'http://127.0.0.1/admin',
    'http://127.0.0.1:6969/announce',
    'http://10.0.0.1/reports',
    'http://10.0.0.1:8080/nodes/announce',
    'http://10.0.0.1:6969/announce?x=/announce',
    'http://10.0.0.1@evil.example/announce',
    'http://evil.example\\@10.0.0.1/announce',
    'http://evil.example/#@10.0.0.1/announce',
    'http://10.0.0.1.evil.example/announce',
    'http://0x0a000001/announce',
    'http://10.0.0.1%00/announce',
    'ftp://10.0.0.1/announce',
    'udp://tracker.example:6970/announce',
    'udp://tracker.example:6969/announce/',
  ]) {
    equal(mayAnnounce(url, RULES, hosts), false, url);
  }
  equal(mayAnnounce('udp://tracker.example:6969/announce', OPEN_RULES, hosts), false);
});
