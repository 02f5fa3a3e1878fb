// Inputs by the rules of a format: what fast-check's generators make, and good JSON with something wrong in one place.

import fc from 'fast-check';
import type { Rng } from '../../agent/core/rng.ts';

/** Values of a generator are made so many at once: to begin is what costs most. */
const BATCH = 200;
/** Each is changed further in about so many ways. */
const USES = 8;

/** One value after another of a generator, by the chance of the run. */
export function drawn(arbitrary: fc.Arbitrary<Uint8Array>): (rng: Rng) => Uint8Array {
  let batch: Uint8Array[] = [];
  let left = 0;
  return (rng) => {
    if (left === 0) {
      batch = fc.sample(arbitrary, { seed: rng.below(2 ** 31), numRuns: BATCH });
      left = BATCH * USES;
    }
    left--;
    return batch[rng.below(BATCH)]!;
  };
}

/** What a field may hold that ought to hold something else. */
const ODD: readonly unknown[] = [
  null,
  true,
  0,
  -0,
  -1,
  0.5,
  1e21,
  9_007_199_254_740_991,
  9_007_199_254_740_992,
  -9_007_199_254_740_991,
  1e308,
  '',
  'a',
  '..',
  '../x',
  'a\nb',
  '\u0000',
  '\u202e',
  '\ud800',
  '__proto__',
  'x'.repeat(5000),
  [],
  [null],
  [[[[[[[[]]]]]]]],
  {},
];
const KEYS = ['__proto__', 'constructor', 'toString', 'length', 'x', ''];

function odd(rng: Rng): unknown {
  return structuredClone(ODD[rng.below(ODD.length)]);
}

/** The JSON of `value` with one to three things changed. */
export function oddJson(value: unknown, rng: Rng): Uint8Array {
  let changed = structuredClone(value);
  for (let times = 1 + rng.below(3); times > 0; times--) changed = changedOnce(changed, rng);
  return new TextEncoder().encode(JSON.stringify(changed) ?? 'null');
}

/** Goes down some way and changes what is there. */
function changedOnce(value: unknown, rng: Rng): unknown {
  const here = rng.next() < 0.15;
  if (Array.isArray(value)) return here ? changedList(value, rng) : below(value, rng);
  if (typeof value === 'object' && value !== null) {
    return here ? changedFields(value, rng) : below(value, rng);
  }
  return oddFor(value, rng);
}

function below(value: object, rng: Rng): unknown {
  const keys = Object.keys(value);
  const key = keys[rng.below(keys.length)];
  if (key === undefined) return odd(rng);
  Reflect.set(value, key, changedOnce(Reflect.get(value, key), rng));
  return value;
}

function changedList(list: unknown[], rng: Rng): unknown {
  const item = list[rng.below(list.length)] ?? odd(rng);
  switch (rng.below(4)) {
    case 0:
      return list.slice(1);
    case 1:
      return [...list, ...Array.from({ length: 1 + rng.below(100) }, () => item)];
    case 2:
      return [...list, odd(rng)];
    default:
      return odd(rng);
  }
}

function changedFields(fields: object, rng: Rng): unknown {
  const entries = Object.entries(fields);
  switch (rng.below(3)) {
    case 0:
      return Object.fromEntries(entries.filter(() => rng.next() < 0.8));
    case 1:
      return Object.fromEntries([...entries, [KEYS[rng.below(KEYS.length)]!, odd(rng)]]);
    default:
      return odd(rng);
  }
}

/** Most often something of the same kind: what has the wrong kind is refused at once. */
function oddFor(value: unknown, rng: Rng): unknown {
  if (typeof value === 'number' && rng.next() < 0.6) return value + (rng.below(5) - 2) * 10 ** rng.below(18);
  if (typeof value === 'string' && rng.next() < 0.6) {
    const at = rng.below(value.length + 1);
    return value.slice(0, at) + String.fromCodePoint(rng.below(0x250)) + value.slice(at + rng.below(3));
  }
  return odd(rng);
}
