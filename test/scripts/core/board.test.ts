import { deepEqual, equal, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { SwarmbootError } from '../../../agent/core/errors.ts';
import { begunMs, describeState, parseRecord, recorded } from '../../../scripts/core/board.ts';
import { INVENTORY, message, REPORT } from '../../core/messages.ts';

const [EARLY, LATE] = ['2026-01-31T12:00:00.000Z', '2026-01-31T12:05:00.000Z'];

test('a record is the newest message; inventory and the log of a failure stay, until the node succeeds', () => {
  const first = recorded(null, message({ status: 0, inventory: INVENTORY }), EARLY);
  const failed = recorded(first, message({ status: -1, text: 'no disk', log: ['a', 'b'] }), LATE);
  deepEqual(failed, {
    at: LATE,
    message: message({ status: -1, text: 'no disk', log: ['a', 'b'], inventory: INVENTORY }),
  });
  const again = recorded(failed, message({ status: 7 }), LATE);
  deepEqual(again.message.log, ['a', 'b']);
  for (const status of [100, 102, 104, 105])
    deepEqual(recorded(again, message({ status }), LATE).message.log, []);
  deepEqual(parseRecord(JSON.stringify(failed)), failed);
});

test('what is no record is refused', () => {
  for (const text of ['', '{}', JSON.stringify(message()), '{"at":"x","message":{}}']) {
    throws(
      () => parseRecord(text),
      (error) => error instanceof SwarmbootError && error.code === 'report',
    );
  }
});

test('an install began as long ago as it says', () => {
  equal(begunMs(message({ report: REPORT }), 100_000), 40_000);
  equal(begunMs(message(), 100_000), null);
});

test('the state of a node in one phrase', () => {
  const state = (more: Parameters<typeof message>[0], armedAt: string | null = null) =>
    describeState(recorded(null, message(more), LATE), true, armedAt);
  equal(describeState(null, true, null), 'not armed');
  equal(describeState(null, true, EARLY), 'armed');
  equal(describeState(recorded(null, message(), LATE), false, null), 'unknown');
  equal(state({ status: 0, stage: 'waiting' }), 'waiting');
  equal(state({ status: 0, stage: 'waiting' }, EARLY), 'armed');
  equal(state({ status: 0, stage: 'catalog' }, EARLY), 'installing 0 %');
  equal(state({ status: 42 }, EARLY), 'installing 42 %');
  equal(state({ status: 107, report: { ...REPORT, percent: 80 } }, EARLY), 'installing 80 %');
  equal(state({ status: -1, text: 'two disks fit\nvda\nvdb' }, EARLY), 'failed: two disks fit');
  equal(state({ status: 100 }), 'imaged');
  equal(state({ status: 104 }), 'rebooting');
  equal(state({ status: 105 }), 'powered off');
  equal(state({ status: 106 }), 'shell');
  equal(state({ status: 102 }), 'installed');
});

test('armed after it last spoke, a node is armed', () => {
  equal(describeState(recorded(null, message({ status: 102 }), EARLY), true, LATE), 'armed');
});
