import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseLease } from '../../agent/core/lease.ts';

const TEXT = `METHOD=static
DEVICE=eth0
MAC=52:54:00:09:00:0A
VLAN=5
ADDRESS=10.9.0.5/24
GATEWAY=10.9.0.1
DNS=10.9.0.1 fd09::1
HOSTNAME=node005
DOMAIN=lab.example
NEXT_SERVER=10.9.0.1
ADDRESS6=fd09::5/64
`;

test('every line of a lease is read', () => {
  deepEqual(parseLease(TEXT), {
    method: 'static',
    device: 'eth0',
    mac: '52:54:00:09:00:0a',
    vlan: 5,
    address: '10.9.0.5/24',
    gateway: '10.9.0.1',
    dns: ['10.9.0.1', 'fd09::1'],
    hostName: 'node005',
    domain: 'lab.example',
    nextServer: '10.9.0.1',
    address6: 'fd09::5/64',
  });
});

test('without lines, nothing is known and DHCP is assumed', () => {
  const lease = parseLease('');
  equal(lease.method, 'dhcp');
  equal(lease.vlan, null);
  deepEqual([lease.device, lease.mac, lease.hostName, lease.dns], ['', '', '', []]);
});

test('what has no right form is left empty, whatever the network said', () => {
  const lease = parseLease(
    'HOSTNAME=a;reboot\nDEVICE=../../x\nVLAN=4095\nDNS=$(x) 10.0.0.1\nDOMAIN=a b\nMAC=zz',
  );
  deepEqual(
    [lease.hostName, lease.device, lease.vlan, lease.dns, lease.domain, lease.mac],
    ['', '', null, ['10.0.0.1'], '', ''],
  );
});

test('any text gives a lease', () => {
  fc.assert(fc.property(fc.string(), (text) => ['dhcp', 'static'].includes(parseLease(text).method)));
});
