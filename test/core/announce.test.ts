import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ANNOUNCE_LIMITS, AnnounceSchedule } from '../../agent/core/announce.ts';
import type { AnnounceReply } from '../../agent/core/tracker.ts';

const A = 'http://a/announce';
const B = 'http://b/announce';
const C = 'udp://c/announce';

function reply(values: Partial<AnnounceReply> = {}): AnnounceReply {
  return {
    intervalMs: 600_000,
    minIntervalMs: null,
    seeders: 1,
    leechers: 50,
    peers: [],
    warning: null,
    ...values,
  };
}

/** A schedule whose waits are not spread and whose tiers keep their order. */
function schedule(tiers: string[][]): AnnounceSchedule {
  return new AnnounceSchedule(tiers, { ...ANNOUNCE_LIMITS, jitter: 0 }, () => 0.999);
}

describe('the announce schedule', () => {
  it('says started at once, then update at the interval that the tracker named', () => {
    const one = schedule([[A]]);
    assert.deepEqual(one.take(0), { url: A, event: 'started' });
    one.succeeded(A, reply(), 10);
    assert.equal(one.deadline(), 600_010);
    assert.equal(one.take(600_009), null);
    assert.deepEqual(one.take(600_010), { url: A, event: 'update' });
    assert.equal(one.seeders, 1);
    assert.equal(one.leechers, 50);
  });

  it('gives nothing while an announce is under way, and nothing at all without trackers', () => {
    const one = schedule([[A]]);
    one.take(0);
    assert.equal(one.take(1e9), null);
    assert.equal(one.deadline(), Number.POSITIVE_INFINITY);
    const none = schedule([[], []]);
    assert.equal(none.take(1e9), null);
    assert.equal(none.deadline(), Number.POSITIVE_INFINITY);
  });

  it('says completed once, after started has been answered', () => {
    const one = schedule([[A]]);
    one.take(0);
    one.completed(5);
    one.succeeded(A, reply(), 10);
    assert.deepEqual(one.take(10), { url: A, event: 'completed' });
    one.succeeded(A, reply(), 20);
    one.completed(30);
    assert.equal(one.take(30), null);
    assert.equal(one.take(600_020)?.event, 'update');
  });

  it('says completed again when the first saying failed', () => {
    const one = schedule([[A]]);
    one.take(0);
    one.succeeded(A, reply(), 0);
    one.completed(100);
    assert.equal(one.take(100)?.event, 'completed');
    one.failed(A, 'reset', 100);
    assert.equal(one.problem, 'reset');
    assert.equal(one.take(1_100)?.event, 'started');
    one.succeeded(A, reply(), 1_100);
    assert.equal(one.problem, null);
    assert.equal(one.take(1_100)?.event, 'completed');
  });

  it('backs off between refusals of completed, though the words between are taken', () => {
    const one = schedule([[A]]);
    one.completed(0);
    let now = 0;
    let announces = 0;
    while (now < 600_000) {
      const announce = one.take(now)!;
      announces++;
      if (announce.event === 'completed') one.failed(A, 'no', now);
      else one.succeeded(A, reply(), now);
      now = Math.max(now, one.deadline());
    }
    assert.ok(announces < 40, `${announces} announces in ten minutes`);
  });

  it('passes over a tracker that has failed for a minute, while there is another', () => {
    const one = schedule([[A], [B]]);
    one.take(0);
    one.failed(A, 'silent', 0);
    assert.equal(one.take(0)?.url, B);
    one.succeeded(B, reply({ seeders: 1, leechers: 1 }), 0);
    assert.deepEqual(one.take(1_000), { url: B, event: 'update' });
    one.succeeded(B, reply(), 1_000);
    const later = Math.max(ANNOUNCE_LIMITS.restMs, one.deadline());
    assert.deepEqual(one.take(later), { url: A, event: 'started' });
  });

  it('asks all of them again when each has failed', () => {
    const one = schedule([[A], [B, C]]);
    const asked: string[] = [];
    let now = 0;
    while (asked.length < 9) {
      const announce = one.take(now);
      if (announce !== null) {
        asked.push(announce.url);
        one.failed(announce.url, 'silent', now);
      }
      now = Math.max(now, one.deadline());
    }
    assert.deepEqual(asked, [A, B, C, A, B, C, A, B, C]);
    assert.ok(now < ANNOUNCE_LIMITS.restMs, `${now}`);
  });

  it('looks again after 1, 2, 4 ... seconds while the swarm is small', () => {
    const one = schedule([[A]]);
    const waits: number[] = [];
    let now = 0;
    for (let round = 0; round < 5; round++) {
      one.take(now);
      one.succeeded(A, reply({ seeders: 1, leechers: 1 }), now);
      waits.push(one.deadline() - now);
      now = one.deadline();
    }
    assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 16_000]);
  });

  it('holds to the min interval while the swarm is small and when it is hurried', () => {
    const one = schedule([[A]]);
    one.take(0);
    one.succeeded(A, reply({ seeders: 1, leechers: 1, minIntervalMs: 30_000 }), 0);
    assert.equal(one.deadline(), 30_000);
    one.hurry(5_000);
    assert.equal(one.deadline(), 30_000);
  });

  it('comes earlier when hurried, but not below its own floor', () => {
    const one = schedule([[A]]);
    one.take(0);
    one.succeeded(A, reply(), 0);
    one.hurry(1_000);
    assert.equal(one.deadline(), ANNOUNCE_LIMITS.hurryFloorMs);
    one.hurry(20_000);
    assert.equal(one.deadline(), ANNOUNCE_LIMITS.hurryFloorMs);
  });

  it('clamps an interval of 0, of a day, and of no number', () => {
    for (const [intervalMs, waitMs] of [
      [0, 5_000],
      [-1, 5_000],
      [Number.NaN, 5_000],
      [86_400_000, 3_600_000],
      [Number.POSITIVE_INFINITY, 3_600_000],
    ]) {
      const one = schedule([[A]]);
      one.take(0);
      one.succeeded(A, reply({ intervalMs: intervalMs! }), 0);
      assert.equal(one.deadline(), waitMs);
    }
  });

  it('backs off from 1 to 60 seconds while every tracker fails', () => {
    const one = schedule([[A], [B]]);
    const waits: number[] = [];
    let now = 0;
    for (let round = 0; round < 8; round++) {
      assert.equal(one.take(now)?.url, A);
      one.failed(A, 'down', now);
      assert.equal(one.take(now)?.url, B);
      one.failed(B, 'down', now);
      waits.push(one.deadline() - now);
      now = one.deadline();
    }
    assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  });

  it('moves the tracker that answers to the front of its tier and starts from the first tier again', () => {
    const one = schedule([[A, B], [C]]);
    one.take(0);
    one.failed(A, 'down', 0);
    assert.equal(one.take(0)?.url, B);
    one.succeeded(B, reply(), 0);
    assert.deepEqual(one.take(600_000), { url: B, event: 'update' });
    one.failed(B, 'down', 600_000);
    assert.equal(one.take(600_000)?.url, A);
    one.failed(A, 'down', 600_000);
    assert.deepEqual(one.take(600_000), { url: C, event: 'started' });
    one.succeeded(C, reply(), 600_000);
    assert.equal(one.take(1_200_000)?.url, B);
  });

  it('says nothing at leave to a tracker that never answered', () => {
    const one = schedule([[A]]);
    one.take(0);
    one.stop(1);
    one.failed(A, 'aborted', 2);
    assert.equal(one.take(1e9), null);
  });

  it('says stopped to a tracker whose answer to started came after the leave', () => {
    const one = schedule([[A]]);
    one.take(0);
    one.stop(1);
    one.succeeded(A, reply(), 2);
    assert.deepEqual(one.take(2), { url: A, event: 'stopped' });
    one.failed(A, 'down', 3);
    assert.equal(one.take(1e9), null);
  });

  it('spreads its waits by the jitter and no more', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 0.999, noNaN: true }), (chance) => {
        const one = new AnnounceSchedule([[A]], ANNOUNCE_LIMITS, () => chance);
        one.take(0);
        one.succeeded(A, reply(), 0);
        const share = one.deadline() / 600_000;
        assert.ok(share >= 1 - ANNOUNCE_LIMITS.jitter && share <= 1 + ANNOUNCE_LIMITS.jitter);
      }),
    );
  });

  it('uses each URL once and no more trackers than the limit', () => {
    const many = Array.from({ length: 200 }, (_, n) => [`http://${n}/`, `http://${n}/`]);
    const one = schedule(many);
    const asked = new Set<string>();
    for (let turn = 0; turn < 200; turn++) {
      const announce = one.take(0);
      if (announce === null) break;
      assert.ok(!asked.has(announce.url));
      asked.add(announce.url);
      one.failed(announce.url, 'down', 0);
    }
    assert.equal(asked.size, ANNOUNCE_LIMITS.trackersMax);
  });

  it('reaches every tracker of every tier, tier by tier, when all before have failed', () => {
    const shapes = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 6 });
    fc.assert(
      fc.property(
        shapes,
        fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
        (shape, chance) => {
          const tiers = shape.map((size, tier) =>
            Array.from({ length: size }, (_, place) => `http://t${tier}/${place}`),
          );
          const one = new AnnounceSchedule(tiers, ANNOUNCE_LIMITS, () => chance.next().value);
          for (const tier of tiers) {
            const asked: string[] = [];
            for (const _ of tier) {
              const { url } = one.take(0)!;
              asked.push(url);
              one.failed(url, 'down', 0);
            }
            assert.deepEqual(asked.sort(), [...tier].sort());
          }
          assert.equal(one.take(0), null);
        },
      ),
    );
  });

  it('keeps its promises whatever happens: no announce early, none beside another, one stopped, then silence', () => {
    const step = fc.record({
      act: fc.constantFrom('take', 'good', 'bad', 'completed', 'stop', 'hurry', 'wait'),
      waitMs: fc.integer({ min: 0, max: 100_000 }),
      intervalMs: fc.constantFrom(0, 1_000, 60_000, 1e9),
      minIntervalMs: fc.constantFrom(null, 0, 2_000, 1e12),
      leechers: fc.constantFrom(null, 0, 3, 100),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 200 }), (steps) => {
        const one = new AnnounceSchedule([[A, B], [C]], ANNOUNCE_LIMITS, () => 0.3);
        const said = { completed: 0 };
        const knows = new Set<string>();
        let underWay: { url: string; event: string } | null = null;
        let stopping = false;
        let now = 0;
        for (const { act, waitMs, ...values } of [...steps, ...endings(steps)]) {
          now += waitMs;
          if (act === 'take') {
            const deadline = one.deadline();
            const announce = one.take(now);
            assert.equal(announce !== null, now >= deadline);
            if (announce === null) continue;
            assert.equal(underWay, null);
            underWay = announce;
            assert.equal(announce.event === 'stopped', stopping);
            assert.equal(announce.event === 'started', !knows.has(announce.url));
            if (stopping) knows.delete(announce.url);
          } else if (act === 'good' && underWay !== null) {
            one.succeeded(underWay.url, reply(values), now);
            if (underWay.event === 'completed') said.completed++;
            if (underWay.event !== 'stopped') knows.add(underWay.url);
            underWay = null;
          } else if (act === 'bad' && underWay !== null) {
            one.failed(underWay.url, 'down', now);
            knows.delete(underWay.url);
            underWay = null;
          } else if (act === 'stop') {
            one.stop(now);
            stopping = true;
          } else if (act === 'completed') {
            one.completed(now);
          } else if (act === 'hurry') {
            one.hurry(now);
          }
        }
        assert.ok(said.completed <= 1);
        assert.equal(knows.size, 0);
        assert.equal(one.deadline(), Number.POSITIVE_INFINITY);
      }),
    );
  });
});

/** Ends a run: the announce under way is answered, we leave, and each tracker that knows us is told. */
function endings<Step extends { act: string; waitMs: number }>(steps: readonly Step[]): Step[] {
  const acts = ['good', 'stop', 'take', 'good', 'take', 'bad', 'take', 'good', 'take'];
  return acts.map((act) => ({ ...steps[0]!, act, waitMs: 1 }));
}
