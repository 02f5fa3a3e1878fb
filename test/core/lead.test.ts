import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lead } from '../../agent/core/lead.ts';
import { MIB } from '../../agent/core/units.ts';

const MOST = 4;
const STEP_BYTES = MIB;

/** Lets bytes come at a rate for so many seconds, and returns the factor in the end. */
function runs(lead: Lead, fromSec: number, seconds: number, bytesPerSec: number): number {
  let factor = 0;
  for (let tenth = 1; tenth <= 10 * seconds; tenth++) {
    lead.add(bytesPerSec / 10);
    factor = lead.factor(fromSec * 1000 + tenth * 100);
  }
  return factor;
}

test('at the best rate requests do not run ahead', () => {
  assert.equal(runs(new Lead(MOST, STEP_BYTES), 0, 10, 8e6), 1);
});

test('they do while less comes than came before, within the bound, and no more once all is well again', () => {
  const lead = new Lead(MOST, STEP_BYTES);
  runs(lead, 0, 5, 8e6);
  const soon = runs(lead, 5, 1, 4e6);
  assert.ok(soon > 1 && soon < MOST, `${soon} times`);
  assert.equal(runs(lead, 6, 9, 4e6), MOST);
  assert.equal(runs(lead, 15, 30, 8e6), 1);
});

test('a link that stands idle is noticed, though nothing comes', () => {
  const lead = new Lead(MOST, STEP_BYTES);
  runs(lead, 0, 5, 8e6);
  assert.equal(runs(lead, 5, 20, 0), MOST);
});

test('the best rate is kept, and a moment without time changes nothing', () => {
  const lead = new Lead(MOST, STEP_BYTES);
  runs(lead, 0, 5, 8e6);
  const best = lead.bestBytesPerSec;
  assert.ok(Math.abs(best - 8e6) < 100_000, `${best}`);
  runs(lead, 5, 5, 1e6);
  assert.equal(lead.bestBytesPerSec, best);
  const before = lead.factor(10_000);
  assert.equal(lead.factor(10_000), before);
});
