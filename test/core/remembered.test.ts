import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BOUNDS } from '../../agent/core/bounds.ts';
import { formatPeers, parsePeers } from '../../agent/core/remembered.ts';

const host = fc.oneof(fc.ipV4(), fc.constantFrom('2001:db8::1', 'fd00::2'));
const peer = fc.record({ host, port: fc.integer({ min: 1, max: 65_535 }) }, { noNullPrototype: true });

test('peers are read as they were written, up to the limit', () => {
  fc.assert(
    fc.property(fc.array(peer, { maxLength: 2 * BOUNDS.rememberedPeers }), (peers) => {
      const text = formatPeers(peers);
      assert.deepEqual(parsePeers(text), peers.slice(0, BOUNDS.rememberedPeers));
      assert.ok(text.length <= BOUNDS.rememberedBytes);
    }),
  );
});

test('lines that are no peer are passed over', () => {
  const text =
    '10.0.0.1 7000\nhost 1\n10.0.0.2 0\n10.0.0.2 70000\n10.0.0.256 1\n\n10.0.0.3 1 1\n::1 9\n10.0.0.4 1';
  assert.deepEqual(parsePeers(text), [
    { host: '10.0.0.1', port: 7000 },
    { host: '::1', port: 9 },
    { host: '10.0.0.4', port: 1 },
  ]);
});

test('any text gives peers within the limits', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      for (const { port } of parsePeers(text)) assert.ok(port > 0 && port <= 65_535);
    }),
  );
});
