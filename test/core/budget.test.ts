import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Budget } from '../../agent/core/budget.ts';
import { BLOCK_BYTES } from '../../agent/core/units.ts';

const rates = fc.integer({ min: 1000, max: 1_000_000_000 });

test('without a cap there is always enough', () => {
  const budget = new Budget(0);
  budget.spend(1e12);
  assert.equal(budget.available(5), Number.POSITIVE_INFINITY);
  assert.equal(budget.availableAt(BLOCK_BYTES, 5), 5);
});

test('whoever spends all that there is, whenever there is a block, keeps to the cap', () => {
  fc.assert(
    fc.property(rates, fc.array(fc.nat(500), { minLength: 5, maxLength: 100 }), (bytesPerSec, waits) => {
      const budget = new Budget(bytesPerSec);
      const begin = 1e6;
      let now = begin;
      let spent = 0;
      for (const wait of waits) {
        now += wait;
        while (budget.available(now) >= BLOCK_BYTES) {
          budget.spend(BLOCK_BYTES);
          spent += BLOCK_BYTES;
        }
      }
      const earned = (bytesPerSec * (now - begin)) / 1000;
      assert.ok(spent <= earned + Math.max(bytesPerSec / 10, 65_536), `${spent} of ${earned}`);
    }),
  );
});

test('what it says will be available then, is', () => {
  fc.assert(
    fc.property(rates, fc.nat(1_000_000), fc.nat(10_000_000), (bytesPerSec, spent, bytes) => {
      const budget = new Budget(bytesPerSec);
      budget.available(1000);
      budget.spend(spent);
      const at = budget.availableAt(BLOCK_BYTES, 1000);
      assert.ok(at >= 1000 && Number.isFinite(at));
      assert.ok(budget.available(at) >= BLOCK_BYTES - 1e-6 * bytesPerSec);
      // More than the bucket holds is never there at once; the time is that of a full bucket.
      assert.ok(Number.isFinite(budget.availableAt(bytes, at)));
    }),
  );
});
