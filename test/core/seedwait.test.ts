import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  QUIET_INTERVALS,
  SeedWait,
  type SeedWaitLimits,
  type SeedWaitSight,
} from '../../agent/core/seedwait.ts';

const LIMITS: SeedWaitLimits = {
  enabled: true,
  uploadMinBytesPerSec: 1000,
  pollingMs: 5000,
  seedMaxMs: 60_000,
};
const BUSY: SeedWaitSight = { uploadedBytes: 0, leechersConnected: 3, trackerLeechers: 3 };

/** Looks once an interval with the given rates; returns the reason and after how many looks it came. */
function run(rates: number[], more: Partial<SeedWaitLimits> = {}, sight: Partial<SeedWaitSight> = {}) {
  const wait = new SeedWait({ ...LIMITS, ...more }, 0, { ...BUSY, ...sight });
  let uploadedBytes = 0;
  for (const [i, rate] of rates.entries()) {
    uploadedBytes += rate * 5;
    const reason = wait.look((i + 1) * 5000, { ...BUSY, ...sight, uploadedBytes });
    if (reason !== null) return { reason, looks: i + 1 };
  }
  return null;
}

test('two whole intervals below the threshold end the wait', () => {
  assert.deepEqual(run([9000, 999, 999, 999]), {
    reason: 'uploaded less than 1000 B/s (BITTORRENT_UPLOAD_MIN) for 2 intervals',
    looks: 3,
  });
});

test('one quiet interval between busy ones does not', () => {
  assert.equal(run([999, 1000, 999, 1000, 999, 1000]), null);
});

test('no leecher at the tracker and none connected ends it at the first look', () => {
  assert.deepEqual(run([9000], {}, { leechersConnected: 0, trackerLeechers: 0 }), {
    reason: 'no leecher is left',
    looks: 1,
  });
});

test('a leecher that is connected, or a tracker that has not said, is no reason to leave', () => {
  assert.equal(run([9000], {}, { leechersConnected: 1, trackerLeechers: 0 }), null);
  assert.equal(run([9000], {}, { leechersConnected: 0, trackerLeechers: null }), null);
});

test('the cap ends it however busy the swarm is, and may fall between two looks', () => {
  const wait = new SeedWait({ ...LIMITS, seedMaxMs: 7000 }, 100, BUSY);
  assert.equal(wait.deadline(), 5100);
  assert.equal(wait.look(5100, { ...BUSY, uploadedBytes: 1e9 }), null);
  assert.equal(wait.deadline(), 7100);
  assert.equal(
    wait.look(7100, { ...BUSY, uploadedBytes: 2e9 }),
    'seeded for 0:07, the cap (BITTORRENT_SEED_MAX)',
  );
});

test('no cap means no cap', () => {
  assert.equal(run(Array(1000).fill(9000), { seedMaxMs: 0 }), null);
});

test('BITTORRENT_SEED_WAIT=n leaves at once', () => {
  const wait = new SeedWait({ ...LIMITS, enabled: false }, 42, BUSY);
  assert.equal(wait.deadline(), 42);
  assert.equal(wait.look(42, BUSY), 'BITTORRENT_SEED_WAIT=n');
});

test('a threshold of zero is never undercut', () => {
  assert.equal(run(Array(10).fill(0), { uploadMinBytesPerSec: 0 }), null);
});

test('looks before the deadline change nothing', () => {
  const looks = fc.array(fc.record({ gap: fc.nat(4999), rate: fc.nat(3000) }), { maxLength: 30 });
  fc.assert(
    fc.property(looks, (steps) => {
      const plain = new SeedWait(LIMITS, 0, BUSY);
      const eager = new SeedWait(LIMITS, 0, BUSY);
      let now = 0;
      let uploadedBytes = 0;
      for (const { gap, rate } of steps) {
        assert.equal(eager.look(now + gap, { ...BUSY, uploadedBytes: uploadedBytes + 1e6 }), null);
        now += 5000;
        uploadedBytes += rate * 5;
        const sight = { ...BUSY, uploadedBytes };
        const reason = plain.look(now, sight);
        assert.equal(eager.look(now, sight), reason);
        if (reason !== null) return;
      }
    }),
  );
});

test('a swarm that stays quiet is left after exactly the named number of intervals', () => {
  assert.equal(run(Array(10).fill(0))?.looks, QUIET_INTERVALS);
});
