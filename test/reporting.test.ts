import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Message } from '../agent/core/monitor.ts';
import { foldReport } from '../agent/core/report.ts';
import { Reporting } from '../agent/reporting.ts';

const WHO = { mac: '52:54:00:09:00:01', host: 'node001', image: 'debian', postAction: 'reboot' } as const;
const HALF = {
  fact: 'report' as const,
  ...foldReport('image', [{ bytes: 100, extractedBytes: 100, view: null }], {
    pool: '/tmp',
    elapsedMs: 1,
    errors: [],
  }),
};

function follow(postAction: 'reboot' | 'kexec' | 'poweroff' | 'shell' = 'reboot') {
  const sent: Message[] = [];
  return { sent, reporting: new Reporting({ ...WHO, postAction }, (message) => void sent.push(message)) };
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

test('a failed stage is told with its reason and the log, with what the commands wrote', () => {
  const { sent, reporting } = follow();
  reporting.take({ fact: 'stageBegan', stage: 'disks' });
  for (const text of ['$ /usr/sbin/sfdisk /dev/vda', 'busy\u001b[2J'])
    reporting.take({ fact: 'command', text });
  reporting.take({ fact: 'stageFailed', stage: 'disks', ms: 6, error: 'cannot partition' });
  const last = sent.at(-1)!;
  assert.deepEqual([last.status, last.stage, last.text], [-1, 'disks', 'cannot partition']);
  assert.deepEqual(last.log, [
    'disks ...',
    '$ /usr/sbin/sfdisk /dev/vda',
    'busy\\u001b[2J',
    'disks FAILED after 0:00: cannot partition',
  ]);
});

test('of a long log the last lines are kept', () => {
  const { reporting } = follow();
  for (let line = 0; line < 5000; line++) reporting.take({ fact: 'note', text: `line ${line}` });
  assert.equal(reporting.lines.length, 2000);
  assert.equal(reporting.lines.at(-1), 'line 4999');
});
