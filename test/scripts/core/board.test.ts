import { deepEqual, equal, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { SwarmbootError } from '../../../agent/core/errors.ts';
import {
  begunMs,
  describeState,
  type NodeRecord,
  parseRecord,
  recorded,
  stateOf,
} from '../../../scripts/core/board.ts';
import { INVENTORY, lines, message, REPORT } from '../../core/messages.ts';

const [EARLY, LATE] = ['2026-01-31T12:00:00.000Z', '2026-01-31T12:05:00.000Z'];

test('a record is the newest message without its log; the inventory stays', () => {
  const first = recorded(null, message({ status: 0, inventory: INVENTORY }), EARLY).record;
  const { record } = recorded(first, message({ status: -1, text: 'no disk', log: lines('a', 'b') }), LATE);
  deepEqual(record, {
    at: LATE,
    message: message({ status: -1, text: 'no disk', inventory: INVENTORY }),
    logLines: 2,
  });
  deepEqual(parseRecord(JSON.stringify(record)), record);
});

test('of the lines of a message those are new that no message before had; what is missing is counted', () => {
  const say = (before: NodeRecord | null, install: string, logFrom: number, ...texts: string[]) => {
    const sent = message({ install, logFrom, log: lines(...texts) });
    const { record, lines: fresh, missed } = recorded(before, sent, LATE);
    return { record, told: [fresh.map(({ text }) => text), missed] };
  };
  const one = say(null, 'i1', 0, 'a', 'b');
  deepEqual(one.told, [['a', 'b'], 0]);
  const again = say(one.record, 'i1', 0, 'a', 'b', 'c');
  deepEqual(again.told, [['c'], 0]);
  const gap = say(again.record, 'i1', 5, 'f');
  deepEqual(gap.told, [['f'], 2]);
  const none = say(gap.record, 'i1', 6);
  deepEqual(none.told, [[], 0]);
  deepEqual(say(none.record, 'i1', 6, 'g').told, [['g'], 0]);
  deepEqual(say(none.record, 'i2', 0, 'A').told, [['A'], 0]);
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

const LOST_BEFORE = '2026-01-31T12:04:30.000Z';

test('the state of a node in one phrase', () => {
  const state = (more: Parameters<typeof message>[0], armedAt: string | null = null) =>
    describeState(recorded(null, message(more), LATE).record, {
      listed: true,
      armedAt,
      alarm: null,
      lostBefore: LOST_BEFORE,
    });
  const unspoken = (listed: boolean, armedAt: string | null = null) =>
    describeState(null, { listed, armedAt, alarm: null, lostBefore: LOST_BEFORE });
  equal(unspoken(true), 'idle');
  equal(unspoken(true, EARLY), 'armed');
  equal(unspoken(false), 'unknown');
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

test('a machine that is not in nodes.conf is unknown while it waits, and shows its install like any other', () => {
  const state = (more: Parameters<typeof message>[0]) =>
    stateOf(recorded(null, message(more), LATE).record, {
      listed: false,
      armedAt: null,
      alarm: null,
      lostBefore: LOST_BEFORE,
    });
  equal(state({ status: 0, stage: 'waiting' }), 'unknown');
  equal(state({ status: 42 }), 'installing');
  equal(state({ status: -1 }), 'failed');
});

const LATER = '2026-01-31T12:06:00.000Z';

test('who is silent for a minute in the middle of an install is lost, and nobody else is', () => {
  const state = (more: Parameters<typeof message>[0]) =>
    stateOf(recorded(null, message(more), LATE).record, {
      listed: true,
      armedAt: null,
      alarm: null,
      lostBefore: LATER,
    });
  equal(state({ status: 42 }), 'lost');
  equal(state({ status: 107, stage: 'extract' }), 'lost');
  equal(state({ status: 100 }), 'imaged');
  equal(state({ status: 102 }), 'installed');
  equal(state({ status: -1 }), 'failed');
  equal(state({ status: 0, stage: 'waiting' }), 'waiting');
});

test('armed after it last spoke, a node is armed', () => {
  const { record } = recorded(null, message({ status: 102 }), EARLY);
  equal(
    describeState(record, { listed: true, armedAt: LATE, alarm: null, lostBefore: LOST_BEFORE }),
    'armed',
  );
});
