import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { Rng } from '../../../agent/core/rng.ts';
import { Agenda } from '../../../scripts/sim/agenda.ts';

test('entries come in order of time, and those of one time in the order in which they were made', () => {
  const rng = new Rng(7);
  const seen: { at: number; id: number }[] = [];
  const agenda = new Agenda((_, id) => seen.push({ at: agenda.now, id }));
  const made = Array.from({ length: 5000 }, (_, id) => ({ at: rng.below(50), id }));
  for (const { at, id } of made) agenda.at(at, 1, id);
  agenda.run(() => false, Number.POSITIVE_INFINITY);
  deepEqual(
    seen,
    made.toSorted((a, b) => a.at - b.at || a.id - b.id),
  );
});

test('entries far apart come in order too, and runs of any length find them', () => {
  const rng = new Rng(8);
  const seen: number[] = [];
  const agenda = new Agenda((kind) => {
    seen.push(agenda.now);
    if (kind === 1) agenda.at(agenda.now + 10_000 * rng.next(), 2, 0);
  });
  for (let id = 0; id < 500; id++) agenda.at(20_000 * rng.next(), 1, id);
  for (let untilMs = 0; untilMs < 30_000; untilMs += 700 * rng.next()) agenda.run(() => false, untilMs);
  agenda.run(() => false, Number.POSITIVE_INFINITY);
  equal(seen.length, 1000);
  deepEqual(
    seen,
    seen.toSorted((a, b) => a - b),
  );
});

test('functions and numbers stand in one line; a past time is now', () => {
  const seen: string[] = [];
  const agenda = new Agenda((kind, id) => seen.push(`${kind} ${id}`));
  agenda.call(5, () => {
    seen.push('call');
    agenda.at(1, 7, 2 ** 28 - 1);
  });
  agenda.at(5, 3, 9);
  agenda.run(() => false, 10);
  deepEqual(seen, ['call', '3 9', `7 ${2 ** 28 - 1}`]);
  equal(agenda.now, 5);
});

test('a run stops at its time and when it is done', () => {
  const seen: number[] = [];
  const agenda = new Agenda((_, id) => seen.push(id));
  for (const id of [1, 2, 3, 4]) agenda.at(id * 10, 1, id);
  agenda.run(() => false, 20);
  deepEqual(seen, [1, 2]);
  agenda.run(() => seen.length === 3, 100);
  deepEqual(seen, [1, 2, 3]);
});
