import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encode } from '../../agent/core/bencode.ts';
import { BOUNDS } from '../../agent/core/bounds.ts';
import { type Contact, readExchange, writeExchange } from '../../agent/core/pex.ts';

const contact = (host: string, port: number, gives = false, reachable = true): Contact => ({
  host,
  port,
  gives,
  reachable,
});

test('who is told of as new is read as it was written, IPv4 before IPv6', () => {
  const added = [contact('2001:db8::1', 7001), contact('10.0.0.1', 7000), contact('10.0.0.2', 65_535)];
  const read = readExchange(writeExchange(added, [{ host: '10.0.0.9', port: 1 }]));
  assert.deepEqual(read, [
    { host: '10.0.0.1', port: 7000 },
    { host: '10.0.0.2', port: 65_535 },
    { host: '2001:db8::1', port: 7001 },
  ]);
});

test('a message has the six keys of BEP 11, in order, and a flag for each new peer', () => {
  const added = [contact('1.2.3.4', 0x0102, true, true), contact('1.2.3.5', 0x0102, false, false)];
  const payload = Buffer.from(writeExchange(added, [{ host: '1.2.3.6', port: 0x0304 }]));
  assert.equal(
    payload.toString('latin1'),
    'd5:added12:\x01\x02\x03\x04\x01\x02\x01\x02\x03\x05\x01\x027:added.f2:\x12\x006:added60:8:added6.f0:' +
      '7:dropped6:\x01\x02\x03\x06\x03\x048:dropped60:e',
  );
});

test('of more peers than a message may name the rest is ignored', () => {
  const added = Buffer.alloc(6 * 5000, 7);
  assert.equal(readExchange(encode({ added }))!.length, BOUNDS.exchangedPeers);
});

test('peers that cannot be called are left out', () => {
  const added = Buffer.from([10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 10, 0, 0, 2, 0, 1]);
  assert.deepEqual(readExchange(encode({ added })), [{ host: '10.0.0.2', port: 1 }]);
});

test('a list that ends inside an entry, and what is no dictionary, is nothing', () => {
  for (const bad of [encode({ added: Buffer.alloc(7) }), encode({ added6: Buffer.alloc(6) }), encode([])]) {
    assert.equal(readExchange(bad), null);
  }
  assert.equal(readExchange(encode({ added: 7 })), null);
  assert.deepEqual(readExchange(encode({})), []);
});

test('any bytes give peers within the limit, or nothing', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array(),
        fc
          .dictionary(
            fc.constantFrom('added', 'added6', 'added.f', 'dropped'),
            fc.uint8Array({ maxLength: 72 }),
          )
          .map((dict) => encode(dict)),
      ),
      (payload) => {
        const peers = readExchange(payload) ?? [];
        assert.ok(peers.length <= BOUNDS.exchangedPeers);
        for (const { port } of peers) assert.ok(port > 0 && port <= 65_535);
      },
    ),
  );
});
