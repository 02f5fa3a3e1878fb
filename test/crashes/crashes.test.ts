import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MIB } from '../../agent/core/units.ts';
import { CODES, crashSite, killAndRetry, nthCall, SLOW } from './crashes.ts';

// `make crashes` goes through every call and hundreds of moments; here a few of each, others each time.
const seed = Number(process.env.SEED ?? Date.now() % 100_000);
const SAMPLES = 4;

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
function chanceOf(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

test('whichever call fails, an install ends installed, or failed with a reason and installed the next time', async (t) => {
  t.diagnostic(`SEED=${seed}`);
  const chance = chanceOf(seed);
  const site = await crashSite(t, MIB);
  const { count, outcome } = await nthCall(site, 0, 'EIO');
  assert.equal(outcome, 'installed');
  await Promise.all(
    Array.from({ length: SAMPLES }, (_, index) =>
      nthCall(site, 1 + Math.floor(chance() * count), CODES[index % CODES.length]!),
    ),
  );
});

test('an install that is killed goes on with what it had', async (t) => {
  t.diagnostic(`SEED=${seed}`);
  const chance = chanceOf(seed);
  const site = await crashSite(t, SLOW.bytes, SLOW.uploadBytesPerSec);
  const [saved] = await Promise.all([
    killAndRetry(site, 'late', 'seed-wait'),
    killAndRetry(site, 'some', Math.floor(500 + chance() * 3000)),
  ]);
  assert.ok(saved > 0, 'all pieces were there when the install was killed');
});
