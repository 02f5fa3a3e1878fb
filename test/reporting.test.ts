import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Message } from '../agent/core/monitor.ts';
import { foldReport } from '../agent/core/report.ts';
import { Reporting } from '../agent/reporting.ts';
import { INVENTORY } from './core/messages.ts';

const WHO = {
  mac: '52:54:00:09:00:01',
  host: 'node001',
  image: 'debian',
  install: 'i1',
  postAction: 'reboot',
} as const;
const HALF = {
  fact: 'report' as const,
  ...foldReport('image', [{ bytes: 100, extractedBytes: 100, writtenBytes: 100, view: null }], {
    pool: '/tmp',
    elapsedMs: 1,
    errors: [],
    retries: 0,
    busyPercent: 0,
    diskBytesPerSec: null,
  }),
};

function follow(postAction: 'reboot' | 'kexec' | 'poweroff' | 'shell' = 'reboot') {
  const sent: Message[] = [];
  let now = 5000;
  const send = (message: Message) => void sent.push(message);
  const reporting = new Reporting({ ...WHO, postAction }, send, () => now);
  const pass = (ms: number) => {
    now += ms;
  };
  return { sent, reporting, pass };
}

test('each stage and each report becomes a message with the status of SystemImager', () => {
  const { sent, reporting } = follow();
  reporting.take({ fact: 'stageBegan', stage: 'image' });
  reporting.take(HALF);
  reporting.take({ fact: 'stageBegan', stage: 'finish' });
  reporting.take({ fact: 'stageBegan', stage: 'post-action' });
  assert.deepEqual(
    sent.map(({ stage, status, report }) => [stage, status, report?.percent ?? null]),
    [
      ['image', 1, null],
      ['image', 50, 50],
      ['finish', 101, 50],
      ['post-action', 104, 50],
    ],
  );
  assert.deepEqual([sent[0]!.mac, sent[0]!.host, sent[0]!.image], [WHO.mac, WHO.host, WHO.image]);
});

test('every message has the stages so far, each with the time at which it began', () => {
  const { sent, reporting, pass } = follow();
  reporting.take({ fact: 'stageBegan', stage: 'parameters' });
  pass(1500);
  reporting.take({ fact: 'stageBegan', stage: 'catalog' });
  pass(500);
  reporting.take(HALF);
  const stages = [
    { stage: 'parameters', atMs: 0 },
    { stage: 'catalog', atMs: 1500 },
  ];
  assert.deepEqual(
    sent.map((message) => message.stages),
    [stages.slice(0, 1), stages, stages],
  );
});

test('the post action has a status of its own', () => {
  for (const [action, status] of [
    ['kexec', 104],
    ['poweroff', 105],
    ['shell', 106],
  ] as const) {
    const { sent, reporting } = follow(action);
    reporting.take({ fact: 'stageBegan', stage: 'post-action' });
    assert.equal(sent[0]!.status, status, action);
  }
});

test('a failed stage is told with its reason', () => {
  const { sent, reporting } = follow();
  reporting.take({ fact: 'stageBegan', stage: 'disks' });
  reporting.take({ fact: 'stageFailed', stage: 'disks', ms: 6, error: 'cannot partition', code: 'disk' });
  const { status, stage, text, code } = sent.at(-1)!;
  assert.deepEqual([status, stage, text, code], [-1, 'disks', 'cannot partition', 'disk']);
});

test('every line goes out once, with what the commands wrote, numbered from the first', () => {
  const { sent, reporting, pass } = follow();
  reporting.take({ fact: 'stageBegan', stage: 'disks' });
  pass(1500);
  for (const text of ['$ /usr/sbin/sfdisk /dev/vda', 'busy\u001b[2J'])
    reporting.take({ fact: 'command', text });
  reporting.take(HALF);
  reporting.take({ fact: 'stageEnded', stage: 'disks', ms: 1500 });
  reporting.take({ fact: 'stageBegan', stage: 'image' });
  assert.deepEqual(
    sent.map(({ logFrom, log }) => [logFrom, log]),
    [
      [0, [{ atMs: 0, text: 'disks ...' }]],
      [
        1,
        [
          { atMs: 1500, text: '$ /usr/sbin/sfdisk /dev/vda' },
          { atMs: 1500, text: 'busy\\u001b[2J' },
        ],
      ],
      [
        3,
        [
          { atMs: 1500, text: 'disks done in 0:02' },
          { atMs: 1500, text: 'image ...' },
        ],
      ],
    ],
  );
});

test('what the machine is made of is told when it is known', () => {
  const { sent, reporting } = follow();
  reporting.equipped(INVENTORY);
  assert.deepEqual(sent[0]!.inventory, INVENTORY);
  reporting.take({ fact: 'stageFailed', stage: 'disks', ms: 6, error: 'no disk', code: 'disk' });
  reporting.equipped(INVENTORY);
  const { status, text, code } = sent.at(-1)!;
  assert.deepEqual([status, text, code], [-1, 'no disk', 'disk'], 'a failure stays one');
});

test('of a long log the last lines are kept', () => {
  const { reporting } = follow();
  for (let line = 0; line < 5000; line++) reporting.take({ fact: 'note', text: `line ${line}` });
  assert.equal(reporting.lines.length, 2000);
  assert.equal(reporting.lines.at(-1), 'line 4999');
});
