import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Series } from '../../../scripts/core/series.ts';

const SHAPE = { columns: 2, stepMs: 1000, stepsMax: 8 };

test('values of one step become their average, and steps without one are empty', () => {
  const series = new Series(SHAPE);
  series.add(0, [10, 1]);
  series.add(400, [20, 3]);
  series.add(2500, [7, 7]);
  deepEqual(series.data(), {
    stepMs: 1000,
    columns: [
      [15, null, 7],
      [2, null, 7],
    ],
  });
});

test('when all steps are taken neighbours are joined, and the step is twice as long', () => {
  const series = new Series(SHAPE);
  for (let second = 0; second < 10; second++) series.add(1000 * second, [second, 0]);
  deepEqual(series.data(), {
    stepMs: 2000,
    columns: [[0.5, 2.5, 4.5, 6.5, 8.5].map(Math.round), [0, 0, 0, 0, 0]],
  });
});

test('what is told late is of the last step', () => {
  const series = new Series(SHAPE);
  series.add(3000, [4, 4]);
  series.add(1000, [8, 8]);
  deepEqual(series.data().columns[0], [null, null, null, 6]);
});

test('a series goes on as it was kept', () => {
  const [whole, first] = [new Series(SHAPE), new Series(SHAPE)];
  for (const series of [whole, first]) for (const second of [0, 1, 2]) series.add(1000 * second, [second, 9]);
  const second = new Series(SHAPE, JSON.parse(JSON.stringify(first.data())));
  for (const series of [whole, second]) for (const at of [3, 5, 12]) series.add(1000 * at, [at, 1]);
  deepEqual(second.data(), whole.data());
});

test('whatever comes, the room is bounded, the columns are of one length, and averages lie among the values', () => {
  const moments = fc.array(fc.tuple(fc.nat(1e7), fc.nat(1e6)), { maxLength: 60 });
  fc.assert(
    fc.property(moments, (list) => {
      const series = new Series(SHAPE);
      for (const [atMs, value] of list.sort((a, b) => a[0] - b[0])) series.add(atMs, [value, -value]);
      const [column = [], mirror = []] = series.data().columns;
      ok(column.length <= SHAPE.stepsMax);
      equal(column.length, mirror.length);
      const values = list.map(([, value]) => value);
      for (const value of column)
        ok(value === null || (value >= Math.min(...values) - 1 && value <= Math.max(...values) + 1));
    }),
  );
});
