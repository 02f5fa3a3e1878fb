import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  DatagramError,
  readAnnounceReply,
  readConnectReply,
  readError,
  readRequest,
  transactionOf,
  writeAnnounce,
  writeAnnounceReply,
  writeConnect,
  writeConnectReply,
  writeError,
  writeScrapeReply,
} from '../../agent/core/datagram.ts';
import type { AnnounceEvent } from '../../agent/core/tracker.ts';

const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const bytes20 = fc.uint8Array({ minLength: 20, maxLength: 20 });

describe('the datagrams of UDP trackers', () => {
  it('carry a connect there and back', () => {
    fc.assert(
      fc.property(uint32, uint64, (transaction, connection) => {
        assert.deepEqual(readRequest(writeConnect(transaction)), { action: 'connect', transaction });
        const reply = writeConnectReply(transaction, connection);
        assert.equal(transactionOf(reply), transaction);
        assert.equal(readError(reply), null);
        assert.equal(readConnectReply(reply), connection);
      }),
    );
  });

  it('carry an announce there, with a path of any length', () => {
    const events = fc.constantFrom<AnnounceEvent>('started', 'completed', 'stopped', 'update');
    fc.assert(
      fc.property(
        bytes20,
        events,
        fc.nat(),
        fc.integer({ min: -1, max: 99 }),
        fc.nat(700),
        (infoHash, event, left, numWant, length) => {
          const request = {
            url: '',
            infoHash,
            peerId: infoHash,
            event,
            left,
            numWant,
            port: 7,
            uploaded: 1,
            downloaded: 2,
          };
          const words = { connection: 5n, transaction: 6, key: 7, path: '/'.repeat(length) };
          const bytes = writeAnnounce(request, words);
          assert.deepEqual(readRequest(bytes), {
            action: 'announce',
            transaction: 6,
            connection: 5n,
            infoHash,
            event,
            left: BigInt(left),
            numWant: numWant < 0 ? null : numWant,
            port: 7,
          });
          let path = 0;
          let at = 98;
          for (; at < bytes.length; at += 2 + bytes[at + 1]!) {
            assert.equal(bytes[at], 2);
            path += bytes[at + 1]!;
          }
          assert.deepEqual([at, path], [bytes.length, length]);
        },
      ),
    );
  });

  it("carry peers back, in entries of the asker's family", () => {
    for (const [ipv6, host] of [
      [false, '10.0.0.1'],
      [true, 'fd00::1'],
    ] as const) {
      const peers = [{ host, port: 6881 }];
      const bytes = writeAnnounceReply(9, { intervalMs: 14_001, complete: 1, incomplete: 2, peers }, ipv6);
      assert.equal(bytes.length, ipv6 ? 38 : 26);
      assert.deepEqual(readAnnounceReply(bytes, ipv6), {
        intervalMs: 15_000,
        minIntervalMs: null,
        seeders: 1,
        leechers: 2,
        peers,
        warning: null,
      });
      assert.throws(() => readAnnounceReply(bytes.subarray(0, 25), ipv6), DatagramError);
    }
  });

  it('carry counts in the order of BEP 15: complete, downloaded, incomplete', () => {
    const bytes = writeScrapeReply(1, [{ complete: 2, incomplete: 3, downloaded: 4 }]);
    assert.equal(
      Buffer.from(bytes).toString('hex'),
      '00000002' + '00000001' + '00000002' + '00000004' + '00000003',
    );
  });

  it('carry a reason, shown without control characters', () => {
    assert.equal(readError(writeError(1, 'no\x07')), 'no\\x07');
  });

  it('are read or refused, whatever comes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.integer({ min: 0, max: 3 }), (bytes, action) => {
        if (bytes.length >= 12) bytes.set([0, 0, 0, action], 8);
        readRequest(bytes);
        if (transactionOf(bytes) === null) return;
        readError(bytes);
        for (const read of [readConnectReply, (answer: Uint8Array) => readAnnounceReply(answer, true)]) {
          try {
            read(bytes);
          } catch (error) {
            assert.ok(error instanceof DatagramError, String(error));
          }
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
