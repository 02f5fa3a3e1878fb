import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BencodeError, encode } from '../../agent/core/bencode.ts';
import { announceQuery, printable, readHttpReply, TrackerRefusal } from '../../agent/core/tracker.ts';

const bytes20 = fc.uint8Array({ minLength: 20, maxLength: 20 });

describe('the words of an HTTP tracker', () => {
  it('carry info hash and peer id so that any decoder of percent escapes gets the same bytes', () => {
    fc.assert(
      fc.property(bytes20, bytes20, (infoHash, peerId) => {
        const numbers = { port: 1, uploaded: 0, downloaded: 0, left: 0, numWant: 0 };
        const query = announceQuery({ url: '', event: 'update', infoHash, peerId, ...numbers }, 'k', null);
        assert.match(query, /^[0-9A-Za-z._~%=&_-]+$/);
        for (const [name, bytes] of [
          ['info_hash', infoHash],
          ['peer_id', peerId],
        ] as const) {
          const value = query
            .split('&')
            .find((field) => field.startsWith(`${name}=`))!
            .slice(name.length + 1);
          const text = value.replace(/%(..)/g, (_, two) => String.fromCharCode(Number.parseInt(two, 16)));
          assert.deepEqual(
            Uint8Array.from(text, (char) => char.charCodeAt(0)),
            bytes,
          );
        }
      }),
    );
  });

  it('are an answer, a refusal or an error at a byte, whatever comes', () => {
    const value = fc.oneof(
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      fc.uint8Array({ maxLength: 40 }),
      fc.array(fc.record({ ip: fc.constantFrom('1.2.3.4', '::1', '::zz', 'a.b'), port: fc.integer() })),
    );
    const names = [
      'interval',
      'min interval',
      'complete',
      'incomplete',
      'peers',
      'peers6',
      'failure reason',
      'tracker id',
    ];
    const body = fc.oneof(
      fc.dictionary(fc.constantFrom(...names), value).map((dict) => encode({ interval: 1, ...dict })),
      fc.uint8Array(),
    );
    fc.assert(
      fc.property(body, (bytes) => {
        try {
          const { reply } = readHttpReply(bytes);
          assert.ok(reply.intervalMs >= 0 && Number.isFinite(reply.intervalMs));
          for (const peer of reply.peers) assert.ok(peer.port > 0 && peer.port < 65_536);
        } catch (error) {
          assert.ok(error instanceof BencodeError || error instanceof TrackerRefusal, String(error));
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('give at most 1000 peers', () => {
    const { reply } = readHttpReply(encode({ interval: 1, peers: new Uint8Array(6 * 5_000).fill(1) }));
    assert.equal(reply.peers.length, 1_000);
  });

  it('are shown without control characters, and cut', () => {
    assert.equal(printable(Uint8Array.of(0x41, 0x0a, 0x1b, 0x5c, 0x7f, 0xff)), 'A\\x0a\\x1b\\x5c\\x7f\\xff');
    assert.equal(printable(new Uint8Array(300).fill(0x41)), `${'A'.repeat(200)}...`);
  });
});
