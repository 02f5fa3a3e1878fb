import { equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  CONNECTIONS_MAX,
  CONNECTIONS_PER_ADDRESS_MAX,
  ConnectionCounts,
  REQUESTS_AT_ONCE_MAX,
  REQUESTS_PER_SEC_MAX,
  RequestRates,
} from '../../../scripts/core/httplimits.ts';

test('ten thousand nodes behind their own addresses never meet the limit: a start of 50 requests, then two a second', () => {
  const rates = new RequestRates();
  const nodes = Array.from({ length: 10_000 }, (_, index) => `10.9.${index >> 8}.${index & 255}`);
  for (const node of nodes) for (let count = 0; count < 50; count++) ok(rates.take(node, 0));
  for (let nowMs = 500; nowMs < 10_000; nowMs += 500) for (const node of nodes) ok(rates.take(node, nowMs));
});

test('a hundred nodes behind one address start at the same moment and report twice a second without meeting it', () => {
  const rates = new RequestRates();
  for (let count = 0; count < 100 * 50; count++) ok(rates.take('10.9.0.9', 0));
  for (let nowMs = 500; nowMs < 60_000; nowMs += 500)
    for (let node = 0; node < 100; node++) ok(rates.take('10.9.0.9', nowMs));
});

test('one address gets no more than its rate, however it asks, and costs its neighbours nothing', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 2000 }), { maxLength: 30 }), (waits) => {
      const rates = new RequestRates();
      let [nowMs, granted] = [0, 0];
      for (const waitMs of waits) {
        nowMs += waitMs;
        for (let count = 0; count < 3000; count++) if (rates.take('10.9.0.66', nowMs)) granted++;
        if (!rates.take('10.9.0.1', nowMs)) return false;
      }
      return granted <= REQUESTS_AT_ONCE_MAX + (nowMs / 1000) * REQUESTS_PER_SEC_MAX + 1;
    }),
    { numRuns: 20 },
  );
});

test('of addresses without end the last ones are remembered', () => {
  const rates = new RequestRates();
  for (let count = 0; count < REQUESTS_AT_ONCE_MAX; count++) rates.take('fd09::1', 0);
  equal(rates.take('fd09::1', 0), false);
  for (let index = 0; index < 30_000; index++) rates.take(`fd09::2:${index.toString(16)}`, 1);
  equal(rates.size, 20_000);
});

test('one address leaves half of the connections to all others, and has room again when one of its own goes', () => {
  const counts = new ConnectionCounts();
  let open = 0;
  while (counts.open('10.9.0.66')) open++;
  equal(open, CONNECTIONS_PER_ADDRESS_MAX);
  ok(open <= CONNECTIONS_MAX / 2);
  ok(counts.open('10.9.0.1'));
  counts.close('10.9.0.66');
  ok(counts.open('10.9.0.66'));
  equal(counts.open('10.9.0.66'), false);
});
