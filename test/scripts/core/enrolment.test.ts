import { deepEqual, equal, match, ok, throws } from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { SwarmbootError } from '../../../agent/core/errors.ts';
import {
  type Attempt,
  alarmed,
  booted,
  enrolled,
  judgeEnrolment,
  NEVER_ENROLLED,
  parseStanding,
  rearmed,
  type Standing,
  TOKEN_MAX_MS,
  tokenDigest,
} from '../../../scripts/core/enrolment.ts';

const HOUR = 3_600_000;
const MARKS = { token: 'a'.repeat(64), proof: 'b'.repeat(64) };
const ATTEMPT: Attempt = {
  nowMs: 10 * HOUR,
  from: '10.9.0.7',
  serial: 'S1',
  listedSerial: null,
  arming: { sinceMs: 9 * HOUR, windowHours: 24 },
};

function grant(standing: Standing, attempt: Attempt): Standing {
  const verdict = judgeEnrolment(standing, attempt);
  ok(verdict.granted);
  return enrolled(standing, attempt, verdict, MARKS);
}

function refusal(standing: Standing, attempt: Attempt): { reason: string; alarm: string | null } {
  const verdict = judgeEnrolment(standing, attempt);
  ok(!verdict.granted);
  return { reason: verdict.reason, alarm: verdict.alarm?.text ?? null };
}

const ONCE = grant(NEVER_ENROLLED, ATTEMPT);

describe('an enrolment is refused', () => {
  const silent: [string, Partial<Attempt>, RegExp][] = [
    ['of a machine that nodes.conf does not have', { listedSerial: undefined }, /not in nodes\.conf/],
    ['of a node that is not armed', { arming: null }, /not armed/],
    ['when its window is over', { nowMs: 33 * HOUR }, /armed more than 24 h ago/],
  ];
  for (const [name, more, reason] of silent) {
    test(`${name}, and nobody is alarmed`, () => {
      const { alarm, reason: told } = refusal(NEVER_ENROLLED, { ...ATTEMPT, ...more });
      match(told, reason);
      equal(alarm, null);
    });
  }

  test('the second time, with an alarm that says who and from where', () => {
    const { alarm, reason } = refusal(ONCE, { ...ATTEMPT, from: '10.9.0.8' });
    match(reason, /enrolled already/);
    match(alarm ?? '', /^the machine S1 at 10\.9\.0\.8 was refused: it has enrolled already/);
  });

  test('from a machine with another serial number than nodes.conf names; who asks is not told the right one', () => {
    const { alarm, reason } = refusal(NEVER_ENROLLED, { ...ATTEMPT, listedSerial: 'S9' });
    equal(reason, 'its serial number is not the one that nodes.conf names');
    match(alarm ?? '', /^the machine S1 at/);
    ok(!reason.includes('S9') && !(alarm ?? '').includes('S9'));
  });

  test('from another machine than the first, also after it was armed anew', () => {
    const again = { ...ATTEMPT, arming: { sinceMs: 10 * HOUR, windowHours: 24 } };
    const { alarm } = refusal(rearmed(ONCE), { ...again, serial: '' });
    match(alarm ?? '', /^a machine without serial number at .* of the machine that enrolled first$/);
    ok(judgeEnrolment(rearmed(ONCE), again).granted);
    // A new board, as nodes.conf says.
    ok(judgeEnrolment(rearmed(ONCE), { ...again, serial: 'S2', listedSerial: 'S2' }).granted);
  });
});

test('the first alarm stays until the node is armed anew; an enrolment does not end it', () => {
  const wrong = judgeEnrolment(NEVER_ENROLLED, { ...ATTEMPT, listedSerial: 'S9' });
  ok(!wrong.granted && wrong.alarm !== null);
  const standing = alarmed(NEVER_ENROLLED, wrong.alarm);
  equal(alarmed(standing, { atMs: 0, text: 'later' }), standing);
  deepEqual(grant(standing, ATTEMPT).alarm, wrong.alarm);
  equal(rearmed(standing).alarm, null);
});

test('a token counts until it is ended or old', () => {
  equal(tokenDigest(ONCE, ATTEMPT.nowMs), MARKS.token);
  equal(tokenDigest(ONCE, ATTEMPT.nowMs + TOKEN_MAX_MS), null);
  equal(tokenDigest(rearmed(ONCE), ATTEMPT.nowMs), null);
  equal(tokenDigest(booted(ONCE), ATTEMPT.nowMs), null);
  equal(booted(ONCE).enrolment?.proof, MARKS.proof);
  equal(rearmed(ONCE).enrolment?.proof, null);
});

test('what is kept reads back, and what is not so is refused', () => {
  const wrong = { ...ONCE, alarm: { atMs: 1, text: 'x' } };
  for (const standing of [NEVER_ENROLLED, ONCE, rearmed(ONCE), booted(ONCE), wrong]) {
    deepEqual(parseStanding(JSON.stringify(standing)), standing);
  }
  const digest = { ...ONCE, enrolment: { ...ONCE.enrolment, token: 'A'.repeat(64) } };
  for (const text of ['', '{}', '[]', '{"enrolment":{},"alarm":null}', JSON.stringify(digest)]) {
    throws(
      () => parseStanding(text),
      (error) => error instanceof SwarmbootError && error.code === 'report',
    );
  }
});

// What happens to a node, in any order.
type Step =
  | { readonly what: 'arm'; readonly windowHours: number }
  | { readonly what: 'disarm' | 'boot' }
  | { readonly what: 'enrol'; readonly serial: string; readonly listed: string | null | undefined }
  | { readonly what: 'wait'; readonly hours: number };

const SERIALS = ['', 'S1', 'S2'] as const;
const STEP: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ what: fc.constant('arm' as const), windowHours: fc.constantFrom(1, 24) }),
  fc.record({ what: fc.constantFrom('disarm' as const, 'boot' as const) }),
  fc.record({
    what: fc.constant('enrol' as const),
    serial: fc.constantFrom(...SERIALS),
    listed: fc.constantFrom(null, null, undefined, ...SERIALS),
  }),
  fc.record({ what: fc.constant('wait' as const), hours: fc.constantFrom(1, 12, 200) }),
);

test('whatever happens in whatever order: one enrolment for each arming, to the right machine, in time', () => {
  fc.assert(
    fc.property(fc.array(STEP, { maxLength: 40 }), (steps) => {
      let [nowMs, standing, granted]: [number, Standing, number] = [0, NEVER_ENROLLED, 0];
      let arming: Attempt['arming'] = null;
      for (const step of steps) {
        // Two armings are never at the same moment.
        nowMs += 1;
        if (step.what === 'wait') nowMs += step.hours * HOUR;
        if (step.what === 'arm') {
          [standing, granted] = [rearmed(standing), 0];
          arming = { sinceMs: nowMs, windowHours: step.windowHours };
          equal(tokenDigest(standing, nowMs), null);
        }
        if (step.what === 'disarm') arming = null;
        if (step.what === 'boot') {
          standing = booted(standing);
          equal(tokenDigest(standing, nowMs), null);
        }
        if (step.what !== 'enrol') continue;
        const { serial, listed } = step;
        const known = standing.enrolment?.serial;
        const attempt = { nowMs, from: 'x', serial, listedSerial: listed, arming };
        const verdict = judgeEnrolment(standing, attempt);
        const right = serial === (listed ?? known ?? serial);
        const inTime = arming !== null && nowMs - arming.sinceMs < arming.windowHours * HOUR;
        equal(verdict.granted, listed !== undefined && inTime && right && granted === 0);
        if (verdict.granted) [standing, granted] = [enrolled(standing, attempt, verdict, MARKS), 1];
        else {
          const second = right && granted === 1;
          equal(verdict.alarm !== null, listed !== undefined && arming !== null && (!right || second));
        }
      }
    }),
    { numRuns: 2000 },
  );
});
