import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { reportOf } from '../../../scripts/core/runreport.ts';
import { median } from '../../../scripts/core/slowness.ts';
import { runOf, type Story } from './installs.ts';

const OTHERS: readonly Story[] = [2, 3, 4, 5, 6, 7, 8].map((number) => ({ number }));

/** Why node1 was slow, among seven that were not. */
function reasonsOf(story: Omit<Story, 'number'>) {
  const run = runOf([{ number: 1, ...story }, ...OTHERS]);
  const { slow } = reportOf(run.head(), [...run.facts()], 300_000);
  deepEqual(
    slow.map(({ name }) => name).filter((name) => name !== 'node1'),
    [],
  );
  return slow[0]?.reasons ?? [];
}

/** All stages from this one on begin so much later. */
function laterFrom(stage: 'extract' | 'finish', ms: number) {
  const stages = ['image', 'extract', 'finish', 'boot loader', 'seed-wait'] as const;
  const at = { image: 5000, extract: 15_000, finish: 18_000, 'boot loader': 19_000, 'seed-wait': 20_000 };
  const from = stages.indexOf(stage);
  return Object.fromEntries(stages.map((name, index) => [name, at[name] + (index >= from ? ms : 0)]));
}

test('a node like the others has no reasons', () => {
  deepEqual(reasonsOf({}), []);
  deepEqual(reasonsOf({ at: laterFrom('extract', 1500) }), []);
});

test('a slow download with nothing else to be seen is the link', () => {
  const reasons = reasonsOf({ at: laterFrom('extract', 30_000) });
  deepEqual(
    reasons.map(({ cause }) => cause),
    ['link'],
  );
  equal(reasons[0]!.text, 'link: 2.4 MiB/s came, elsewhere 9.5 MiB/s; look at its cable and switch port');
});

test('a link that negotiated less says so', () => {
  const texts = reasonsOf({
    at: laterFrom('extract', 30_000),
    link: { megabitPerSec: 100, fullDuplex: false, mtu: 9000 },
  }).map(({ text }) => text);
  deepEqual(texts, [
    'link: negotiated 100 Mbit/s, elsewhere 1000',
    'link: negotiated half duplex',
    'link: MTU 9000, elsewhere 1500',
  ]);
});

test('a slow extraction after an ordinary download is the disk', () => {
  const reasons = reasonsOf({ at: laterFrom('finish', 40_000) });
  deepEqual(
    reasons.map(({ cause }) => cause),
    ['disk'],
  );
  match(reasons[0]!.text, /^disk: 4\.5 MiB\/s were written, elsewhere 18\.3 MiB\/s; look at its health$/);
});

test('a disk that was slow in the check is the reason for a slow download and a slow extraction', () => {
  const report = { diskBytesPerSec: 8 * 2 ** 20 };
  for (const at of [laterFrom('extract', 30_000), laterFrom('finish', 40_000)]) {
    const [reason, ...others] = reasonsOf({ at, report });
    equal(others.length, 0);
    match(reason!.text, /^disk: 8\.0 MiB\/s were written in the check, elsewhere 286\.1 MiB\/s;/);
  }
});

test('busy processors, few peers, damaged pieces and retries are told', () => {
  const at = laterFrom('extract', 30_000);
  const causes = (report: Story['report']) => reasonsOf({ at, report: report! }).map(({ cause }) => cause);
  deepEqual(causes({ busyPercent: 99 }), ['processor']);
  deepEqual(causes({ peers: 2 }), ['peers']);
  deepEqual(causes({ hashFailures: 9 }), ['hash']);
  deepEqual(causes({ retries: 2, errors: ['the tracker did not answer'] }), ['link', 'retries']);
});

test('a node that began late says so, and is not blamed for more', () => {
  const reasons = reasonsOf({ beginMs: 45_000 });
  deepEqual(reasons, [{ cause: 'late', text: 'it began 0:45 after the others' }]);
});

test('time that is lost in another stage is told as that', () => {
  const reasons = reasonsOf({
    at: {
      'BOEL binaries': 30_500,
      disks: 32_000,
      staging: 34_000,
      image: 35_000,
      extract: 45_000,
      finish: 48_000,
      'boot loader': 49_000,
      'seed-wait': 50_000,
    },
  });
  deepEqual(reasons, [{ cause: 'stage', text: 'catalog took 0:30, elsewhere 0:00' }]);
});

test('the median is one of the values', () => {
  equal(median([]), 0);
  equal(median([3, 1, 2]), 2);
  equal(median([4, 3, 1, 2]), 2);
});
