import { deepEqual, throws } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SwarmbootError } from '../../../agent/core/errors.ts';
import { parseSiteState, type SiteState } from '../../../scripts/core/sitestate.ts';

const STATE: SiteState = {
  format: 1,
  nodes: '# none\n',
  armed: [{ mac: '52:54:00:09:00:01', sinceMs: 1_700_000_000_000, windowHours: 24 }],
  boot: [{ name: 'initrd.img', size: 5, changedMs: 7 }],
  entries: ['web'],
};

const isOurs = (error: unknown) => error instanceof SwarmbootError && error.code === 'catalog';

test('what one side tells the other one reads', () => {
  for (const state of [STATE, { ...STATE, nodes: null, armed: [], boot: [], entries: [] }])
    deepEqual(parseSiteState(JSON.stringify(state)), state);
});

test('what is no such document is refused', () => {
  const [armed, boot] = [STATE.armed[0]!, STATE.boot[0]!];
  const wrong: object[] = [
    { ...STATE, format: 2 },
    { ...STATE, nodes: 7 },
    { ...STATE, entries: ['web', 1] },
    { ...STATE, armed: {} },
    ...['../../etc/passwd', '52-54-00-09-00-01', 1].map((mac) => ({ ...STATE, armed: [{ ...armed, mac }] })),
    ...[-1, 0.5, '1'].map((sinceMs) => ({ ...STATE, armed: [{ ...armed, sinceMs }] })),
    ...['../kernel', '.kernel', '', 'a/b', null].map((name) => ({ ...STATE, boot: [{ ...boot, name }] })),
    ...[-1, 2 ** 40].map((size) => ({ ...STATE, boot: [{ ...boot, size }] })),
    { ...STATE, boot: Array(1001).fill(boot) },
  ];
  for (const value of wrong)
    throws(() => parseSiteState(JSON.stringify(value)), isOurs, JSON.stringify(value));
  for (const text of ['', '{', 'null', '[]', '1']) throws(() => parseSiteState(text), isOurs, text);
});

test('whatever comes is read or refused', () => {
  const near = fc.record(
    {
      format: fc.constantFrom(1, 2),
      nodes: fc.oneof(fc.string(), fc.jsonValue()),
      armed: fc.oneof(fc.array(fc.jsonValue()), fc.jsonValue()),
      boot: fc.oneof(fc.array(fc.jsonValue()), fc.jsonValue()),
      entries: fc.oneof(fc.array(fc.string()), fc.jsonValue()),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.oneof(near, fc.jsonValue()), (value) => {
      try {
        parseSiteState(JSON.stringify(value));
      } catch (error) {
        if (!isOurs(error)) throw error;
      }
    }),
    { numRuns: 500 },
  );
});
