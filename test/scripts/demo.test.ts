import { deepEqual, equal, match, ok, throws } from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { hear, newNode, resultOf } from '../../scripts/demo/node.ts';
import {
  formatFaults,
  formatSummary,
  leastTimeMs,
  type NodeResult,
  summarize,
} from '../../scripts/demo/result.ts';
import { formatNode, showNodes } from '../../scripts/demo/screen.ts';
import { readSettings, uploadMaxBytesPerSec } from '../../scripts/demo/settings.ts';

const NOTHING_WRONG: NodeResult = {
  node: 1,
  imageBeganMs: 200,
  imageMs: 8000,
  readyMs: 10_000,
  endedMs: 12_000,
  exitStatus: 0,
  downloadedBytes: 1000,
  uploadedBytes: 500,
  differences: [],
};

const SPREAD = {
  imageBytes: 1_000_000,
  imagePieces: 100,
  totalBytes: 1_100_000,
  uploadMaxBytesPerSec: 0,
  seederUploadedBytes: 2_200_000,
};

test('without words the demo has eight nodes, a Debian, no extra file and no cap', () => {
  deepEqual(readSettings({}), { nodes: 8, extraBytes: 0, uploadMaxMbitPerSec: 0, image: null });
});

test('sizes carry units and rates are megabits', () => {
  const settings = readSettings({ NODES: '12', SIZE: '2G', RATE: '100' });
  equal(settings.nodes, 12);
  equal(settings.extraBytes, 2 * 1024 ** 3);
  equal(uploadMaxBytesPerSec(settings), 12_500_000);
});

test('every fault of the settings is listed at once', () => {
  throws(
    () => readSettings({ NODES: '0', SIZE: 'big', RATE: '-1' }),
    (error: Error) =>
      /NODES=0/.test(error.message) && /SIZE=big/.test(error.message) && /RATE=-1/.test(error.message),
  );
  throws(() => readSettings({ NODES: '2.5' }), /whole number/);
  throws(() => readSettings({ IMAGE: '/some/dir', SIZE: '1M' }), /cannot go with IMAGE/);
});

test('the least time is one file over one link, and a piece more for each doubling', () => {
  equal(leastTimeMs(1_000_000, 100, 1_000_000, 1), 1000);
  equal(leastTimeMs(1_000_000, 100, 1_000_000, 8), 1030);
  equal(leastTimeMs(1_000_000, 1, 1_000_000, 8), 4000);
});

test('without a cap there is no bound and the table says why', () => {
  const summary = summarize([NOTHING_WRONG], SPREAD);
  equal(summary.boundMs, null);
  equal(summary.efficiency, null);
  match(formatSummary(summary).join('\n'), /RATE= sets one/);
});

test('with a cap the efficiency is the bound over the time from the first entry to the last whole image', () => {
  const late = { ...NOTHING_WRONG, node: 2, imageMs: 20_400 };
  const summary = summarize([NOTHING_WRONG, late], { ...SPREAD, uploadMaxBytesPerSec: 100_000 });
  equal(summary.boundMs, 10_100);
  equal(summary.efficiency, 0.5);
  equal(summary.seederCopies, 2);
});

test('a node that failed leaves no last time, and is told with its first differences', () => {
  const differences = ['etc/passwd: content', 'etc/shadow: mode', 'etc/group: owner'];
  const failed = { ...NOTHING_WRONG, node: 2, imageMs: null, readyMs: null, exitStatus: 8, differences };
  const summary = summarize([NOTHING_WRONG, failed], SPREAD);
  equal(summary.identical, 1);
  equal(summary.lastReadyMs, null);
  const lines = formatFaults(failed, 2);
  equal(lines.length, 4);
  match(lines[0] ?? '', /node 2: the agent ended with status 8/);
  match(lines[3] ?? '', /and 1 more/);
  deepEqual(formatFaults(NOTHING_WRONG, 2), []);
});

test('a node is what its agent says, line by line', () => {
  const state = newNode(3, '/nodes');
  equal(state.folder, '/nodes/03');
  hear(state, 'a stack trace', 0);
  hear(state, '{"t":0,"fact":"stageBegan","stage":"image"}', 100);
  equal(state.stage, 'image');
  hear(
    state,
    '{"t":1,"fact":"report","stage":"image","percent":40,"bytesVerified":900,"wastedBytes":16,"uploadedBytes":300,"downBytesPerSec":2048,"upBytesPerSec":1024,"peers":5}',
    200,
  );
  match(formatNode(state), /node {2}3 {2}image +40 % .*down +2\.0 KiB\/s +up +1\.0 KiB\/s +peers 5$/);
  hear(state, '{"t":2,"fact":"stageEnded","stage":"image","ms":1900}', 2000);
  hear(state, '{"t":3,"fact":"stageEnded","stage":"overrides","ms":100}', 3000);
  hear(state, '{"t":4,"fact":"leaving","reason":"r","uploadedBytes":350}', 4000);
  state.stage = 'done';
  match(formatNode(state), /done +100 % .*down +900 B +up +350 B$/);
  state.exitStatus = 0;
  state.endedMs = 4100;
  deepEqual(resultOf(state, []), {
    node: 3,
    imageBeganMs: 100,
    imageMs: 2000,
    readyMs: 3000,
    endedMs: 4100,
    exitStatus: 0,
    downloadedBytes: 916,
    uploadedBytes: 350,
    differences: [],
  });
});

test('off a terminal the screen shows each node once at the end, without control codes', () => {
  const written: string[] = [];
  const out = new Writable({
    write(chunk, _encoding, done) {
      written.push(String(chunk));
      done();
    },
  });
  const stop = showNodes([newNode(1, '/nodes'), newNode(2, '/nodes')], out, () => 0);
  stop();
  const text = written.join('');
  equal(text.split('\n').length, 3);
  ok(!text.includes('\u001b'));
});
