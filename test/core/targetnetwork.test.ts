import { deepEqual, doesNotMatch, equal, match } from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  bringsNetworkd,
  type NetworkKind,
  networkFiles,
  networkKindOf,
} from '../../agent/core/targetnetwork.ts';
import { openTree } from '../../agent/io/target.ts';
import { scratch } from '../content.ts';
import { LEASE } from '../systems.ts';

/** A tree with empty files; `a -> b` is a link. */
function treeOf(t: TestContext, ...paths: string[]) {
  const root = scratch(t);
  for (const path of paths) {
    const [place, to] = path.split(' -> ');
    mkdirSync(join(root, dirname(place!)), { recursive: true });
    if (to === undefined) writeFileSync(join(root, place!), '');
    else symlinkSync(to, join(root, place!));
  }
  return openTree(root);
}

const UNIT = 'usr/lib/systemd/system/systemd-networkd.service';
const WANTS = 'etc/systemd/system/multi-user.target.wants';
const ENABLED = `${WANTS}/systemd-networkd.service -> /lib/systemd/system/systemd-networkd.service`;
const LIB = 'lib -> usr/lib';

test("an image's way to the network is found by what is installed and enabled in it", (t) => {
  const kinds: [string[], NetworkKind | null][] = [
    [[], null],
    [[LIB, UNIT], null],
    [['usr/sbin/ifup', LIB, UNIT], 'ifupdown'],
    [['usr/sbin/ifup', LIB, UNIT, ENABLED], 'systemd-networkd'],
    [['usr/sbin/ifup', 'usr/lib/nm', `${WANTS}/NetworkManager.service -> /usr/lib/nm`], 'NetworkManager'],
    [['usr/sbin/netplan', LIB, UNIT, ENABLED], 'netplan'],
  ];
  for (const [paths, kind] of kinds) equal(networkKindOf(treeOf(t, ...paths)), kind, paths.join(' '));
});

test('systemd-networkd can be enabled where its unit and systemctl are', (t) => {
  equal(bringsNetworkd(treeOf(t, LIB, UNIT, 'usr/bin/systemctl')), true);
  equal(bringsNetworkd(treeOf(t, LIB, UNIT)), false);
});

const KINDS: readonly NetworkKind[] = ['netplan', 'NetworkManager', 'systemd-networkd', 'ifupdown'];

test('every way finds the interface by its MAC, never by its name in the installer', () => {
  for (const kind of KINDS) {
    for (const vlan of [null, 5]) {
      const text = networkFiles(kind, { ...LEASE, vlan })
        .map((file) => file.text)
        .join('');
      match(text, /52:54:00:09:00:01/, kind);
      doesNotMatch(text, /eth0/, kind);
    }
  }
});

test('with DHCP no address stands in a file, and the MAC stays what the server knows the node by', () => {
  for (const kind of KINDS) {
    const text = networkFiles(kind, LEASE)[0]!.text;
    doesNotMatch(text, /10\.9\.0/, kind);
    if (kind !== 'ifupdown') match(text, /(client-?id|identifier)\W+mac\n/i, kind);
  }
});

test('a static lease brings address, gateway and name servers', () => {
  const lease = { ...LEASE, method: 'static' as const };
  for (const kind of KINDS) {
    const text = networkFiles(kind, lease)[0]!.text;
    match(text, /10\.9\.0\.5\/24/, kind);
    match(text, /(gateway|via|address1=[^,]*,)\W*10\.9\.0\.1\b/i, kind);
    match(text, /lab\.example/, kind);
    doesNotMatch(text, /dhcp/i, kind);
  }
});

test('what a static lease does not know is left out', () => {
  const lease = { ...LEASE, method: 'static' as const, gateway: '', dns: [], domain: '' };
  const texts = KINDS.map((kind) => networkFiles(kind, lease)[0]!.text);
  for (const text of texts) doesNotMatch(text, /gateway|via|dns|domains|search|nameservers|=\n/i);
  match(texts[1]!, /address1=10\.9\.0\.5\/24\n/);
});

test('systemd-networkd: one file, which leaves VLANs and bridges with the same MAC alone', () => {
  deepEqual(networkFiles('systemd-networkd', LEASE), [
    {
      path: 'etc/systemd/network/10-swarmboot.network',
      text: `# Written by swarmboot when this machine was installed.
[Match]
MACAddress=52:54:00:09:00:01
Type=ether

[Network]
DHCP=yes

[DHCPv4]
ClientIdentifier=mac
`,
      mode: 0o644,
    },
  ]);
});

test('a VLAN carries the address; the interface below it carries none', () => {
  const lease = { ...LEASE, vlan: 5 };
  const [below, device, above] = networkFiles('systemd-networkd', lease);
  match(below!.text, /VLAN=vlan5\n/);
  doesNotMatch(below!.text, /DHCP/);
  match(device!.text, /Name=vlan5\nKind=vlan\n\n\[VLAN\]\nId=5\n/);
  match(above!.text, /Name=vlan5\n\n\[Network\]\nDHCP=yes/);
  match(
    networkFiles('NetworkManager', lease)[0]!.text,
    /type=vlan\ninterface-name=vlan5\n\n\[vlan\]\nid=5\n/,
  );
  match(
    networkFiles('netplan', lease)[0]!.text,
    /vlans:\n {4}vlan5:\n {6}id: 5\n {6}link: 00-swarmboot\n {6}dhcp4: true/,
  );
  match(
    networkFiles('ifupdown', lease)[0]!.text,
    /auto vlan5\niface vlan5 inet dhcp\n {4}pre-up .* vlan id 5\n/,
  );
});

test('files that may hold what others must not change are for root alone', () => {
  const modes = KINDS.map((kind) => networkFiles(kind, LEASE)[0]!.mode);
  deepEqual(modes, [0o600, 0o600, 0o644, 0o644]);
});
