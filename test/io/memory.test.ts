import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { BOUNDS } from '../../agent/core/bounds.ts';
import { recall, remember } from '../../agent/io/memory.ts';
import { scratch } from '../content.ts';

test('what was kept is read, by its owner alone, and nothing lies beside it', async (t) => {
  const folder = scratch(t);
  const path = join(folder, 'peers');
  writeFileSync(`${path}.new`, 'half of a');
  await remember(path, 'one');
  await remember(path, 'two');
  assert.equal(await recall(path), 'two');
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(folder), ['peers']);
});

test('what is not there, is no file, or is too long, is nothing', { timeout: 10_000 }, async (t) => {
  const folder = scratch(t);
  const path = (name: string) => join(folder, name);
  writeFileSync(path('long'), 'x'.repeat(BOUNDS.rememberedBytes + 1));
  writeFileSync(path('other'), 'of somebody else');
  symlinkSync('other', path('link'));
  execFileSync('/usr/bin/mkfifo', [path('pipe')]);
  for (const name of ['absent', 'long', 'link', 'pipe', '.'])
    assert.equal(await recall(path(name)), null, name);
});

test('where nothing can be kept nothing is, and nobody is stopped', async (t) => {
  const path = join(scratch(t), 'absent', 'peers');
  await remember(path, 'text');
  assert.equal(await recall(path), null);
});
