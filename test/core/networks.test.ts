// Networks: what is one, and which addresses lie in it.

import { equal } from 'node:assert/strict';
import { BlockList } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatAddress } from '../../agent/core/address.ts';
import { insideOf, parseNetwork } from '../../agent/core/networks.ts';

test('a network has one text, whichever way it was written', () => {
  for (const [written, text] of [
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['192.168.7.9/32', '192.168.7.9/32'],
    ['192.168.7.128/25', '192.168.7.128/25'],
    ['FD00:0:0::/8', 'fd00::/8'],
    ['::/0', '::/0'],
    ['2001:db8:0:0:0:0:0:0/33', '2001:db8::/33'],
    ['::1/128', '::1/128'],
    ['::ffff:10.0.0.0/104', '10.0.0.0/8'],
  ] as const) {
    equal(parseNetwork(written), text);
  }
});

test('what is no network, or an address in the middle of one, is null', () => {
  for (const text of [
    '',
    '10.0.0.0',
    '10.0.0.0/',
    '/8',
    '10.0.0.0/33',
    '10.0.0.0/08',
    '10.0.0.0/-1',
    '10.0.0.0/8 ',
    '10.0.0/8',
    '010.0.0.0/8',
    '10.0.0.1/8',
    '10.0.0.0/7.0',
    'fd00::/129',
    'fd00::1/64',
    'fe80::1%eth0/128',
    '::ffff:10.0.0.0/95',
    'localhost/8',
    '[fd00::]/8',
  ]) {
    equal(parseNetwork(text), null, text);
  }
});

test('an address is inside or outside, at the edges too', () => {
  const inside = insideOf(['10.1.0.0/20', 'fd00:1::/33', '192.0.2.7/32']);
  for (const [host, within] of [
    ['10.1.0.0', true],
    ['10.1.15.255', true],
    ['10.1.16.0', false],
    ['10.0.255.255', false],
    ['192.0.2.7', true],
    ['192.0.2.8', false],
    ['::ffff:10.1.2.3', true],
    ['::ffff:10.2.2.3', false],
    ['fd00:1:7fff::1', true],
    ['fd00:1:8000::', false],
    ['fd00:1::1%eth0', true],
    ['fe80::1%eth0', false],
    ['::', false],
    ['', false],
    ['localhost', false],
    ['10.1.0', false],
  ] as const) {
    equal(inside(host), within, host);
  }
  equal(insideOf([])('10.1.0.0'), false);
  equal(insideOf(['0.0.0.0/0'])('fd00::1'), false, 'no network of one family holds the other');
});

test('any address in any network: as the list of Node says', () => {
  const sized = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  fc.assert(
    fc.property(
      fc.constantFrom(4, 16).chain((length) => fc.tuple(sized(length), sized(length), fc.nat(8 * length))),
      fc.nat(16),
      ([base, other, bits], near) => {
        // IPv4 inside IPv6 is IPv4 here and not there.
        if (base.length === 16) base[0] = other[0] = 0xfd;
        const cut = base.map((byte, at) => byte & (0xff00 >> Math.max(0, Math.min(8, bits - 8 * at))) & 0xff);
        const address = other.map((byte, at) => (at < near ? base[at]! : byte));
        const family = base.length === 4 ? 'ipv4' : 'ipv6';
        const list = new BlockList();
        list.addSubnet(formatAddress(cut), bits, family);
        const host = formatAddress(address);
        equal(parseNetwork(`${formatAddress(cut)}/${bits}`), `${formatAddress(cut)}/${bits}`);
        equal(insideOf([`${formatAddress(cut)}/${bits}`])(host), list.check(host, family));
      },
    ),
  );
});
