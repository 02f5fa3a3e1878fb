import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { appendFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { MIB } from '../../agent/core/units.ts';
import { followLog, Logs, readLog } from '../../scripts/logs.ts';
import { scratch } from '../content.ts';
import { lines } from '../core/messages.ts';

const MAC = '52:54:00:09:00:01';
const AT = '2026-01-31T12:00:05.250Z';

function logs(t: Parameters<typeof scratch>[0]) {
  const repo = scratch(t);
  const kept = new Logs(repo);
  const append = (...texts: string[]) =>
    kept.append(MAC, { at: AT, install: 'i1', lines: lines(...texts), missed: 0 });
  const texts = async () => (await readLog(repo, MAC)).map(({ text }) => text);
  return { repo, append, texts };
}

test('a node without a log has no lines, and no lines make no file', async (t) => {
  const { append, texts } = logs(t);
  deepEqual(await texts(), []);
  await append();
  deepEqual(await texts(), []);
});

test('lines are kept in the order in which they were given, also at once', async (t) => {
  const { append, texts } = logs(t);
  const wanted = Array.from({ length: 100 }, (_, index) => `line ${index}`);
  await Promise.all(wanted.map((text) => append(text)));
  deepEqual(await texts(), wanted);
});

test('a long log makes way for the next, and of two files the newer lines stay', async (t) => {
  const { repo, append, texts } = logs(t);
  for (let part = 0; part < 40; part++)
    await append(...Array.from({ length: 100 }, () => `${part} ${'x'.repeat(1000)}`));
  const place = join(repo, 'logs/525400090001.jsonl');
  for (const file of [place, `${place}.1`]) ok(statSync(file).size < MIB + 200_000, file);
  const parts = (await texts()).map((text) => Number(text.split(' ')[0]));
  equal(parts.at(-1), 39);
  deepEqual(
    parts,
    [...parts].sort((a, b) => a - b),
  );
  ok(parts.length > 900);
});

test('half a line, which a killed server left, is left out', async (t) => {
  const { repo, append, texts } = logs(t);
  await append('one');
  appendFileSync(join(repo, 'logs/525400090001.jsonl'), '{"at":"2026-');
  deepEqual(await texts(), ['one']);
});

test('a folder that cannot be made is a fault, and later lines are kept', async (t) => {
  const { repo, append } = logs(t);
  writeFileSync(join(repo, 'logs'), '');
  await rejects(
    append('one'),
    (error) => error instanceof SwarmbootError && error.message.includes(join(repo, 'logs')),
  );
});

test('who follows a log gets what is there, what comes, and goes on in the next file', async (t) => {
  const { repo, append } = logs(t);
  await append('0');
  const stop = new AbortController();
  const seen: string[] = [];
  const following = (async () => {
    for await (const { text } of followLog(repo, MAC, stop.signal)) {
      seen.push(text.split(' ')[0]!);
      if (seen.at(-1) === '4') return;
    }
  })();
  await append('1');
  // The second of these begins a new file.
  await append(...Array.from({ length: 1200 }, () => `2 ${'x'.repeat(1000)}`));
  await append('3');
  await append('4');
  await following;
  stop.abort();
  deepEqual([...new Set(seen)], ['0', '1', '2', '3', '4']);
});
