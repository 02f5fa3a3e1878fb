// The network of the new system: which of the known ways its image configures a network, and the files that make that way
// do what the installer's lease says. An interface is found by its MAC: its name in the installer says little about the
// name that the new system gives it.

import type { Lease } from './lease.ts';
import type { TreeRoom } from './systemrooms.ts';
import { HEADER } from './targetfiles.ts';

export type NetworkKind = 'netplan' | 'NetworkManager' | 'systemd-networkd' | 'ifupdown';

export interface NetworkFile {
  /** From the root of the target. */
  readonly path: string;
  readonly text: string;
  readonly mode: number;
}

const WANTED = 'etc/systemd/system/multi-user.target.wants';

/**
 * How the image configures its network; null when in none of the known ways. What sits on top of others comes first, and
 * what was enabled before what is merely installed.
 */
export function networkKindOf(tree: TreeRoom): NetworkKind | null {
  if (tree.has('usr/sbin/netplan')) return 'netplan';
  if (tree.has(`${WANTED}/NetworkManager.service`)) return 'NetworkManager';
  if (tree.has(`${WANTED}/systemd-networkd.service`)) return 'systemd-networkd';
  if (tree.has('usr/sbin/ifup') || tree.has('sbin/ifup')) return 'ifupdown';
  return null;
}

/** Whether systemd-networkd could be enabled: Debian brings it with systemd and leaves it off. */
export function bringsNetworkd(tree: TreeRoom): boolean {
  return tree.has('lib/systemd/system/systemd-networkd.service') && tree.has('usr/bin/systemctl');
}

/** The files for `lease`, whose MAC is known. */
export function networkFiles(kind: NetworkKind, lease: Lease): NetworkFile[] {
  switch (kind) {
    case 'netplan':
      return [{ path: 'etc/netplan/90-swarmboot.yaml', text: netplanText(lease), mode: 0o600 }];
    case 'NetworkManager':
      return [
        {
          path: 'etc/NetworkManager/system-connections/swarmboot.nmconnection',
          text: keyfileText(lease),
          // NetworkManager reads no connection that others could have written.
          mode: 0o600,
        },
      ];
    case 'systemd-networkd':
      return networkdFiles(lease);
    case 'ifupdown':
      return [{ path: 'etc/network/interfaces', text: interfacesText(lease), mode: 0o644 }];
  }
}

/** The interface with the addresses, where it is a VLAN of the one with the MAC. */
function vlanName(vlan: number): string {
  return `vlan${vlan}`;
}

/** Names begin with 10: the first file that fits an interface is the only one (systemd.network(5)). */
function networkdFiles(lease: Lease): NetworkFile[] {
  const file = (name: string, text: string) => ({
    path: `etc/systemd/network/${name}`,
    text: HEADER + text,
    mode: 0o644,
  });
  // Type, because a VLAN or a bridge has the MAC of the interface below it.
  const match = `[Match]\nMACAddress=${lease.mac}\nType=ether\n\n[Network]\n`;
  if (lease.vlan === null) return [file('10-swarmboot.network', match + networkdAddress(lease))];
  const name = vlanName(lease.vlan);
  return [
    file('10-swarmboot.network', `${match}VLAN=${name}\nLinkLocalAddressing=no\n`),
    file('10-swarmboot-vlan.netdev', `[NetDev]\nName=${name}\nKind=vlan\n\n[VLAN]\nId=${lease.vlan}\n`),
    file('10-swarmboot-vlan.network', `[Match]\nName=${name}\n\n[Network]\n${networkdAddress(lease)}`),
  ];
}

/** ClientIdentifier: the DHCP server knew the installer by its MAC, and gives the new system the same address by it. */
function networkdAddress(lease: Lease): string {
  if (lease.method === 'dhcp') return 'DHCP=yes\n\n[DHCPv4]\nClientIdentifier=mac\n';
  return keyLines([
    ['Address', lease.address],
    ['Gateway', lease.gateway],
    ...lease.dns.map((server) => ['DNS', server] as const),
    ['Domains', lease.domain],
  ]);
}

/** interfaces(5); the pattern `mac/...` stands for the interface with that MAC. */
function interfacesText(lease: Lease): string {
  const loopback = 'source /etc/network/interfaces.d/*\n\nauto lo\niface lo inet loopback\n\n';
  const address =
    lease.method === 'dhcp'
      ? 'inet dhcp\n'
      : `inet static\n${keyLines(
          [
            ['address', lease.address],
            ['gateway', lease.gateway],
            ['dns-nameservers', lease.dns.join(' ')],
            ['dns-search', lease.domain],
          ],
          '    ',
          ' ',
        )}`;
  if (lease.vlan === null) {
    return `${HEADER}${loopback}auto mac/${lease.mac}=swarmboot\niface swarmboot ${address}`;
  }
  // ifupdown makes VLANs of interfaces that are named; this one is looked up by its MAC.
  const name = vlanName(lease.vlan);
  const below = `$(grep -lix ${lease.mac} /sys/class/net/*/address | head -n 1 | cut -d / -f 5)`;
  return `${HEADER}${loopback}auto ${name}
iface ${name} ${address}    pre-up below=${below} && ip link set "$below" up && ip link add link "$below" name ${name} type vlan id ${lease.vlan}
    post-down ip link delete ${name}
`;
}

/** A connection of NetworkManager (nm-settings-keyfile(5)). */
function keyfileText(lease: Lease): string {
  const vlan = lease.vlan;
  const own =
    vlan === null
      ? 'type=ethernet\n'
      : `type=vlan\ninterface-name=${vlanName(vlan)}\n\n[vlan]\nid=${vlan}\nflags=1\n`;
  const ipv4 =
    lease.method === 'dhcp'
      ? 'method=auto\ndhcp-client-id=mac\n'
      : `method=manual\n${keyLines([
          ['address1', [lease.address, lease.gateway].filter((text) => text !== '').join(',')],
          ['dns', lease.dns.filter((server) => !server.includes(':')).join(';')],
          ['dns-search', lease.domain],
        ])}`;
  return `${HEADER}[connection]
id=swarmboot
autoconnect-priority=100
${own}
[ethernet]
mac-address=${lease.mac}

[ipv4]
${ipv4}
[ipv6]
method=auto
`;
}

/** YAML as netplan reads it. The name begins with 00 for the file made from it to come before the image's own. */
function netplanText(lease: Lease): string {
  const address =
    lease.method === 'dhcp'
      ? ['dhcp4: true', 'dhcp-identifier: mac']
      : [
          `addresses: ["${lease.address}"]`,
          ...(lease.gateway === '' ? [] : [`routes: [{to: default, via: "${lease.gateway}"}]`]),
          ...nameServers(lease),
        ];
  const indented = (lines: readonly string[]) => lines.map((line) => `      ${line}\n`).join('');
  const match = [`match: {macaddress: "${lease.mac}"}`];
  const head = `${HEADER}network:\n  version: 2\n  ethernets:\n    00-swarmboot:\n`;
  if (lease.vlan === null) return head + indented([...match, ...address]);
  const vlan = [`id: ${lease.vlan}`, 'link: 00-swarmboot', ...address];
  return `${head}${indented(match)}  vlans:\n    ${vlanName(lease.vlan)}:\n${indented(vlan)}`;
}

function nameServers({ dns, domain }: Lease): string[] {
  const parts = [
    ...(dns.length === 0 ? [] : [`addresses: [${dns.map((server) => `"${server}"`).join(', ')}]`]),
    ...(domain === '' ? [] : [`search: ["${domain}"]`]),
  ];
  return parts.length === 0 ? [] : [`nameservers: {${parts.join(', ')}}`];
}

/** `key=value` lines, those without a value left out. */
function keyLines(pairs: readonly (readonly [string, string])[], before = '', between = '='): string {
  return pairs
    .filter(([, value]) => value !== '')
    .map(([key, value]) => `${before}${key}${between}${value}\n`)
    .join('');
}
