import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { STATUS } from '../../../agent/core/monitor.ts';
import { Run } from '../../../scripts/core/run.ts';
import { message } from '../../core/messages.ts';
import { BEGAN, BEGAN_AT, IMAGE, lastMessage, macOf, runOf } from './installs.ts';

test('a run is called by its image and the time at which it began', () => {
  equal(Run.begin(IMAGE, BEGAN, BEGAN_AT).id, 'web-20260131T120000Z');
});

test('an install is what its node told last, with its stages by its own clock', () => {
  const [install] = [...runOf([{ number: 1, beginMs: 3000 }]).installs()];
  const { name, beganMs, endedMs, end, stages, fetchedBefore, peersMost, link } = install!;
  deepEqual(
    { name, beganMs, endedMs, end, fetchedBefore, peersMost, speed: link?.megabitPerSec },
    {
      name: 'node1',
      beganMs: 3000,
      endedMs: 23_000,
      end: 'imaged',
      fetchedBefore: 10_000_000,
      peersMost: 12,
      speed: 1000,
    },
  );
  deepEqual(stages.at(-1), { stage: 'seed-wait', atMs: 20_000 });
});

test('the same message twice is as once, and an end stays', () => {
  const run = runOf([{ number: 1 }, { number: 2, end: 'failed', text: 'no disk' }]);
  const before = run.data();
  for (const number of [1, 2]) {
    const end = number === 1 ? 'imaged' : 'failed';
    const { message: last, atMs } = lastMessage({ number, end, text: number === 1 ? '' : 'no disk' });
    run.take(last, `node${number}`, BEGAN_AT + atMs);
    run.take({ ...last, status: 104, stage: 'post-action' }, `node${number}`, BEGAN_AT + atMs);
  }
  deepEqual(
    run.data().nodes.map(({ end, endedMs, text }) => [end, endedMs, text]),
    before.nodes.map(({ end, endedMs, text }) => [end, endedMs, text]),
  );
});

test('the new system says that it is up, and belongs to the install before it', () => {
  const run = runOf([{ number: 1 }, { number: 2, end: 'failed' }]);
  for (const number of [1, 2, 3]) {
    run.take(
      message({ mac: macOf(number), install: null, status: STATUS.rebooted, stage: 'rebooted' }),
      'x',
      BEGAN_AT + 90_000,
    );
  }
  deepEqual(
    run.data().nodes.map(({ end }) => end),
    ['installed', 'failed'],
  );
});

test('a run is open while somebody installs, and for a minute after', () => {
  const run = runOf([{ number: 1 }]);
  ok(run.isOpen(BEGAN_AT + 20_000 + 59_000));
  ok(!run.isOpen(BEGAN_AT + 20_000 + 61_000));
});

test('who gives to others after its end does not keep a run open', () => {
  const run = runOf([{ number: 1 }]);
  const { message: last } = lastMessage({ number: 1 });
  run.take(last, 'node1', BEGAN_AT + 200_000);
  ok(!run.isOpen(BEGAN_AT + 200_000));
});

test('what the first seeder sends is counted across its restarts', () => {
  const run = Run.begin(IMAGE, BEGAN, BEGAN_AT);
  for (const [at, total] of [
    [0, 500],
    [1000, 1500],
    [2000, 4500],
    [3000, 0],
    [4000, 700],
  ] as const) {
    run.sample(BEGAN_AT + at, total);
  }
  equal(run.head().seederBytes, 1000 + 3000 + 700);
  deepEqual(run.head().curves.columns[2], [0, 1000, 3000, 0, 700]);
});

test('a run goes on as it was kept', () => {
  const run = runOf([{ number: 1 }, { number: 2, end: null }]);
  run.sample(BEGAN_AT + 20_000, 0);
  const again = Run.from(JSON.parse(JSON.stringify(run.data())));
  deepEqual(again.data(), JSON.parse(JSON.stringify(run.data())));
  const { message: last, atMs } = lastMessage({ number: 2 });
  again.take(last, 'node2', BEGAN_AT + atMs);
  equal(again.installOf(macOf(2))!.end, 'imaged');
  ok(again.isOpen(BEGAN_AT + 30_000));
});

test('of a node that begins anew without end the last installs are kept', () => {
  const run = Run.begin(IMAGE, BEGAN, BEGAN_AT);
  for (let number = 0; number < 100; number++)
    run.take(message({ install: `i${number}` }), 'node1', BEGAN_AT);
  deepEqual(
    [...run.installs()].map(({ install }) => install),
    ['i92', 'i93', 'i94', 'i95', 'i96', 'i97', 'i98', 'i99'],
  );
  equal(run.installOf(message().mac)?.install, 'i99');
});
