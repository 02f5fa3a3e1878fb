import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { formatReport } from '../../../scripts/core/reporttext.ts';
import { reportOf, reportOfRun } from '../../../scripts/core/runreport.ts';
import { BEGAN_AT, runOf } from './installs.ts';

test('times of first, median and last node; transfer and all else apart', () => {
  const run = runOf([{ number: 1 }, { number: 2, beginMs: 5000 }, { number: 3, beginMs: 9000 }]);
  const report = reportOf(run.head(), [...run.facts()], 60_000);
  deepEqual(report.done, { firstMs: 20_000, medianMs: 25_000, lastMs: 29_000 });
  deepEqual(report.own, { firstMs: 20_000, medianMs: 20_000, lastMs: 20_000 });
  deepEqual(report.transfer, { firstMs: 10_000, medianMs: 10_000, lastMs: 10_000 });
  deepEqual(report.fixed, { firstMs: 10_000, medianMs: 10_000, lastMs: 10_000 });
  equal(report.counts.imaged, 3);
});

test('the efficiency is the bound over the slowest transfer, at the rate of the links', () => {
  const link = { megabitPerSec: 100 };
  const run = runOf([1, 2, 3].map((number) => ({ number, link })));
  const report = reportOf(run.head(), [...run.facts()], 60_000);
  equal(report.linkFrom, 'negotiated');
  // 100 MB at 11.77 MB/s of content, and one of 400 pieces more for the second turn.
  ok(Math.abs(report.boundMs! - 8517) < 5, `${report.boundMs}`);
  ok(Math.abs(report.efficiency! - 0.8517) < 0.001);
  ok(Math.abs(report.linkShare! - 0.85) < 0.01);
});

test('without speeds of links the best rate that was seen is the measure', () => {
  const run = runOf([{ number: 1, link: { megabitPerSec: null } }]);
  const { linkFrom, linkBytesPerSec } = reportOf(run.head(), [...run.facts()], 60_000);
  deepEqual([linkFrom, linkBytesPerSec], ['seen', 10_000_000]);
});

test('while nodes install there is no efficiency, but a time left', () => {
  const run = runOf([
    { number: 1 },
    { number: 2, end: null, report: { percent: 50, leftMs: 4000, elapsedMs: 15_000 } },
  ]);
  const report = reportOf(run.head(), [...run.facts()], 20_000);
  equal(report.efficiency, null);
  equal(report.leftMs, 15_000);
});

test('failed and lost nodes are listed with where and why', () => {
  const run = runOf([
    { number: 1 },
    { number: 2, end: 'failed', text: 'no disk fits\nvda' },
    { number: 3, end: null },
  ]);
  const report = reportOf(run.head(), [...run.facts()], 200_000);
  deepEqual(
    report.failures.map(({ name, standing, stage }) => [name, standing, stage]),
    [
      ['node2', 'failed', 'extract'],
      ['node3', 'lost', 'extract'],
    ],
  );
  match(
    formatReport(report),
    /not installed:\n {2}node2 +failed in extract: no disk fits\n {2}node3 +lost in extract: has not been heard of since\n$/,
  );
});

test('of a node that was installed twice the newer install counts', () => {
  const run = runOf([{ number: 1, end: 'failed', text: 'no disk' }]);
  const data = run.data();
  const [failed] = data.nodes;
  const again = { ...failed!, install: 'again', end: 'imaged' as const, endedMs: 50_000, text: '' };
  const report = reportOfRun({ ...data, nodes: [failed!, again], untilMs: 60_000 });
  deepEqual([report.counts.imaged, report.counts.failed], [1, 0]);
});

test('the report in words', () => {
  const run = runOf([
    { number: 1, at: { extract: 45_000, finish: 48_000, 'boot loader': 49_000, 'seed-wait': 50_000 } },
    { number: 2 },
    { number: 3 },
  ]);
  run.sample(BEGAN_AT, 0);
  run.sample(BEGAN_AT + 60_000, 105_000_000);
  const text = formatReport(reportOf(run.head(), [...run.facts()], 60_000));
  const lines = [
    'run web-20260131T120000Z',
    '  image          web, 95.4 MiB',
    '  began          2026-01-31 12:00:00 UTC',
    '  nodes          3 imaged',
    '  image on disk  first 20.0 s, median 20.0 s, last 50.0 s',
    '  own time       first 20.0 s, median 20.0 s, last 50.0 s',
    '    transfer     first 10.0 s, median 10.0 s, last 40.0 s',
    '    all else     first 10.0 s, median 10.0 s, last 10.0 s',
    '  at best        0.9 s at 112.2 MiB/s a node (as negotiated)',
    '  efficiency     2 % of the bound, at the slowest transfer',
    '  links          4 % full while the image came, on average',
    '  first seeder   sent 1.05 images; the nodes 257.5 MiB',
    '  thrown away    0 B, 0 pieces damaged, 0 retries',
    '',
    'slow nodes, and why:',
    '  node1  0:50                   link: 2.4 MiB/s came, elsewhere 9.5 MiB/s; look at its cable and switch port',
    '',
  ];
  equal(text, lines.join('\n'));
});
