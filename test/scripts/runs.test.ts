import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { SwarmbootError } from '../../agent/core/errors.ts';
import type { Message } from '../../agent/core/monitor.ts';
import { recorded } from '../../scripts/core/board.ts';
import { listRuns, Runs, readRun } from '../../scripts/runs.ts';
import { scratch } from '../content.ts';
import { message } from '../core/messages.ts';
import { IMAGE, lastMessage } from './core/installs.ts';

const none = (text: string) => {
  throw new Error(`told: ${text}`);
};
const imageOf = (name: string) => (name === 'web' ? { image: IMAGE, uploadedBytes: 0 } : null);

async function open(repo: string, messages: readonly Message[] = []): Promise<Runs> {
  const at = new Date().toISOString();
  const records = messages.map((one) => recorded(null, one, at).record);
  return Runs.open(repo, records, imageOf, none);
}

test('nodes that install one image at about the same time are one run, and another image is another', async (t) => {
  const runs = await open(scratch(t));
  const now = Date.now();
  for (const number of [1, 2]) runs.take(lastMessage({ number }).message, `node${number}`, now);
  deepEqual(
    runs.recent.map((run) => [run.image.name, [...run.installs()].length]),
    [['web', 2]],
  );
  runs.take(message({ install: 'i9', image: 'unpublished' }), 'node9', now);
  runs.take(message({ install: null, status: 0, stage: 'waiting' }), 'node9', now);
  equal(runs.recent.length, 1);
  runs.take(lastMessage({ number: 3 }).message, 'node3', now + 300_000);
  equal(runs.recent.length, 2);
  await runs.close();
});

test('runs are in files of their own, and are read as they were', async (t) => {
  const repo = scratch(t);
  const runs = await open(repo);
  for (const number of [1, 2]) runs.take(lastMessage({ number }).message, `node${number}`, Date.now());
  const data = runs.recent[0]!.data();
  await runs.close();
  deepEqual(readdirSync(join(repo, 'runs')), [`${data.id}.jsonl`]);
  deepEqual(await readRun(repo, data.id), data);
  deepEqual(
    (await listRuns(repo, none)).map(({ id }) => id),
    [data.id],
  );
});

test('a server that was killed goes on with the run, and takes what only the records know', async (t) => {
  const repo = scratch(t);
  const before = await open(repo);
  const begun = lastMessage({ number: 1, end: null }).message;
  before.take(begun, 'node1', Date.now());
  await before.close();
  // The end came after the run was last written.
  const ended = lastMessage({ number: 1 }).message;
  const after = await open(repo, [ended]);
  equal(after.recent.length, 1);
  equal(after.recent[0]!.installOf(ended.mac)!.end, 'imaged');
  after.take(message({ mac: ended.mac, install: null, status: 102, stage: 'rebooted' }), 'node1', Date.now());
  equal(after.recent[0]!.installOf(ended.mac)!.end, 'installed');
  await after.close();
});

test('a file that is no run is told of and left alone, and the others are listed', async (t) => {
  const repo = scratch(t);
  mkdirSync(join(repo, 'runs'));
  const broken = join(repo, 'runs', 'web-20260131T120000Z.jsonl');
  writeFileSync(broken, '{"format":2}\n');
  const told: string[] = [];
  deepEqual(await listRuns(repo, (text) => void told.push(text)), []);
  ok(told[0]!.includes(broken) && told[0]!.includes('remove the file'), told.join('\n'));
  equal(readFileSync(broken, 'utf8'), '{"format":2}\n');
  await rejects(readRun(repo, 'web-20260131T120000Z'), (error) => error instanceof SwarmbootError);
  await rejects(readRun(repo, 'none'), (error) => error instanceof SwarmbootError);
});

test('a run that breaks off keeps no server from starting', async (t) => {
  const repo = scratch(t);
  const before = await open(repo);
  before.take(lastMessage({ number: 1 }).message, 'node1', Date.now());
  const { id } = before.recent[0]!;
  await before.close();
  const place = join(repo, 'runs', `${id}.jsonl`);
  writeFileSync(place, readFileSync(place, 'utf8').slice(0, -20));
  const told: string[] = [];
  const after = await Runs.open(repo, [], imageOf, (text) => void told.push(text));
  deepEqual([after.recent.length, told.length], [0, 1]);
  ok(told[0]!.includes(`${id}.jsonl is no run`), told[0]!);
  await after.close();
});

test('no id leads out of the folder of runs', async (t) => {
  const repo = scratch(t);
  writeFileSync(join(repo, 'secret-20260131T120000Z.jsonl'), '{"format":1,"id":"x"}\n');
  const runs = await open(repo);
  equal(await runs.get('../secret-20260131T120000Z'), null);
  equal(await runs.get('nothing'), null);
  await runs.close();
});

test('of more runs than are kept the oldest go', async (t) => {
  const repo = scratch(t);
  mkdirSync(join(repo, 'runs'));
  for (let day = 0; day < 210; day++) {
    const id = `web-2025${String(day).padStart(4, '0')}T120000Z`;
    writeFileSync(
      join(repo, 'runs', `${id}.jsonl`),
      `${JSON.stringify({ format: 1, id, beganAt: day, untilMs: 0 })}\n`,
    );
  }
  const runs = await open(repo);
  runs.take(lastMessage({ number: 1 }).message, 'node1', Date.now());
  await runs.close();
  const names = readdirSync(join(repo, 'runs')).sort();
  equal(names.length, 201);
  equal(names[0], 'web-20250010T120000Z.jsonl');
});

test('an install that says it has gone on for longer than there are dates begins a run of today', async (t) => {
  const runs = await open(scratch(t));
  const { message: last } = lastMessage({ number: 1 });
  const now = Date.now();
  runs.take({ ...last, report: { ...last.report!, elapsedMs: Number.MAX_SAFE_INTEGER } }, 'node1', now);
  equal(runs.recent[0]!.beganAt, now - 86_400_000);
  await runs.close();
});
