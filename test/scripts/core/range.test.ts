import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseRange } from '../../../scripts/core/range.ts';

test('one range is read as RFC 9110 has it', () => {
  deepEqual(parseRange('bytes=0-0', 100), { begin: 0, end: 1 });
  deepEqual(parseRange('bytes=10-19', 100), { begin: 10, end: 20 });
  deepEqual(parseRange('bytes=90-', 100), { begin: 90, end: 100 });
  deepEqual(parseRange('bytes=90-1000', 100), { begin: 90, end: 100 });
  deepEqual(parseRange('bytes=-7', 100), { begin: 93, end: 100 });
  deepEqual(parseRange('bytes=-1000', 100), { begin: 0, end: 100 });
});

test('what is not in the file is unsatisfiable', () => {
  for (const header of ['bytes=100-', 'bytes=100-200', 'bytes=-0'])
    equal(parseRange(header, 100), 'unsatisfiable');
  equal(parseRange('bytes=0-', 0), 'unsatisfiable');
});

test('no range, several, or none that is understood give the whole file', () => {
  for (const header of [
    undefined,
    '',
    'bytes=',
    'bytes=-',
    'bytes=5-4',
    'bytes=0-1,5-6',
    'pages=1-2',
    'bytes=a-b',
  ])
    equal(parseRange(header, 100), null);
});

test('whatever is asked, nothing outside the file is given', () => {
  const number = fc.oneof(fc.nat(200), fc.constantFrom('', '9'.repeat(15), '9'.repeat(40)));
  fc.assert(
    fc.property(fc.tuple(number, number), fc.string(), fc.nat(150), ([first, last], text, size) => {
      for (const header of [`bytes=${first}-${last}`, text]) {
        const range = parseRange(header, size);
        if (range === null || range === 'unsatisfiable') continue;
        ok(range.begin >= 0 && range.begin < range.end && range.end <= size);
      }
    }),
    { seed: 7 },
  );
});
