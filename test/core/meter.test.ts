import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Meter } from '../../agent/core/meter.ts';

test('a steady stream is measured at its rate, from the first second on', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 100_000 }), (everyMs, bytes) => {
      const meter = new Meter(500);
      for (let now = 500 + everyMs; now <= 10_500; now += everyMs) {
        meter.add(bytes, now);
        if (now < 1500) continue;
        const expected = (bytes / everyMs) * 1000;
        const rate = meter.rate(now);
        assert.ok(Math.abs(rate - expected) < expected * 0.25, `${rate} of ${expected} at ${now}`);
      }
    }),
    { numRuns: 50 },
  );
});

test('a stream that ends is forgotten within seconds', () => {
  const meter = new Meter(0);
  for (let now = 0; now <= 5000; now += 50) meter.add(1000, now);
  const before = meter.rate(5000);
  assert.ok(meter.rate(8000) < before * 0.5);
  assert.ok(meter.rate(30_000) < before * 0.01);
});

test('it counts all bytes, and a look changes nothing', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(1000), fc.nat(1000)), { maxLength: 50 }), (steps) => {
      const [meter, watched] = [new Meter(0), new Meter(0)];
      let now = 0;
      let total = 0;
      for (const [ms, bytes] of steps) {
        now += ms;
        total += bytes;
        meter.add(bytes, now);
        watched.add(bytes, now);
        watched.rate(now);
        assert.equal(watched.rate(now), watched.rate(now));
      }
      assert.equal(meter.totalBytes, total);
      assert.ok(Number.isFinite(meter.rate(now)) && meter.rate(now) >= 0);
      assert.equal(watched.rate(now), meter.rate(now));
    }),
  );
});
