import assert from 'node:assert/strict';
import net from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  COMPACT_IPV4_BYTES,
  COMPACT_IPV6_BYTES,
  formatAddress,
  parseAddress,
  readCompact,
  writeCompact,
} from '../../agent/core/address.ts';

describe('addresses', () => {
  it('have one text each: the one of RFC 5952', () => {
    for (const [text, canonical] of [
      ['10.0.0.1', '10.0.0.1'],
      ['::', '::'],
      ['::1', '::1'],
      ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
      ['2001:db8::1:1:1:0:1', '2001:db8:0:1:1:1:0:1'],
      ['fe80::', 'fe80::'],
      ['::ffff:1.2.3.4', '1.2.3.4'],
      ['64:ff9b::1.2.3.4', '64:ff9b::102:304'],
    ]) {
      const bytes = parseAddress(text!);
      assert.equal(bytes && formatAddress(bytes), canonical!, text!);
    }
  });

  it('survive the way to text and back, and Node agrees that the text is an address', () => {
    const byte = fc.constantFrom(0, 0, 0, 1, 255);
    const address = fc
      .constantFrom(4, 16)
      .chain((length) => fc.array(byte, { minLength: length, maxLength: length }))
      .map((bytes) => Uint8Array.from(bytes));
    fc.assert(
      fc.property(address, (bytes) => {
        const text = formatAddress(bytes);
        assert.ok(net.isIP(text) !== 0, text);
        const again = parseAddress(text)!;
        assert.equal(formatAddress(again), text);
        if (again.length === bytes.length) assert.deepEqual(again, bytes);
      }),
    );
  });

  it('are told from anything else as Node tells them', () => {
    const soup = fc.array(
      fc.constantFrom('0', '1', 'f', '255', '256', '.', ':', '::', '1.2.3.4', 'g', '%1', ' '),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(soup, (parts) => {
        const text = parts.join('');
        assert.equal(parseAddress(text) !== null, net.isIP(text) !== 0 && !text.includes('%'), text);
      }),
      { numRuns: 2_000 },
    );
  });

  it('make compact lists that read back, each family apart', () => {
    const peers = [
      { host: '10.0.0.1', port: 6881 },
      { host: 'fd00::1', port: 1 },
      { host: '10.0.0.2', port: 65_535 },
    ];
    const ipv4 = writeCompact(peers, COMPACT_IPV4_BYTES);
    const ipv6 = writeCompact(peers, COMPACT_IPV6_BYTES);
    assert.equal(ipv4.length, 12);
    assert.deepEqual(readCompact(ipv4, COMPACT_IPV4_BYTES), [peers[0], peers[2]]);
    assert.deepEqual(readCompact(ipv6, COMPACT_IPV6_BYTES), [peers[1]]);
    assert.equal(readCompact(ipv4.subarray(1), COMPACT_IPV4_BYTES), null);
  });
});
