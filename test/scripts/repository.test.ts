import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as path from 'node:path';
import test from 'node:test';
import { parseTorrent } from '../../agent/core/metainfo.ts';
import { hex } from '../../agent/core/units.ts';
import { digests } from '../../agent/io/digest.ts';
import { readEntries, torrentPath } from '../../scripts/repository.ts';
import { assertWhole, PROGRAM, published, swarmboot } from './commands.ts';
import { scratch } from './trees.ts';

test('publishing again replaces, another kind is refused, remove and list agree', async (t) => {
  const folder = scratch(t);
  const [tree, repo] = [path.join(folder, 'tree'), path.join(folder, 'repo')];
  fs.mkdirSync(tree);
  await published('x', '--from', tree, '--kind', 'image', '--repo', repo);
  fs.writeFileSync(path.join(tree, 'new'), '');
  const second = await published('x', '--from', tree, '--kind', 'image', '--repo', repo);
  assertWhole(repo, [second]);
  const other = await swarmboot(['publish', 'x', '--from', tree, '--kind', 'boel', '--repo', repo]);
  assert.match(other.err, /"x" is published as image; remove it first/);
  const listed = await swarmboot(['list', '--repo', repo, '--json']);
  assert.deepEqual(JSON.parse(listed.out), [second]);
  assert.match((await swarmboot(['list', '--repo', repo])).out, /^x +image .* 2 +[0-9a-f]{40}$/m);
  assert.equal((await swarmboot(['remove', 'y', '--repo', repo])).status, 13);
  assert.equal((await swarmboot(['remove', 'x', '--repo', repo])).status, 0);
  assertWhole(repo, []);
  assert.equal((await swarmboot(['list', '--repo', path.join(folder, 'none'), '--json'])).out, '[]\n');
});

test('many publications at once do not harm each other', async (t) => {
  const folder = scratch(t);
  const repo = path.join(folder, 'repo');
  const names = ['a', 'b', 'c', 'same', 'same'];
  const entries = await Promise.all(
    names.map((name, index) => {
      const tree = path.join(folder, `tree-${index}`);
      fs.mkdirSync(tree);
      fs.writeFileSync(path.join(tree, 'file'), `content of ${name} ${index}`);
      return published(name, '--from', tree, '--kind', 'image', '--repo', repo);
    }),
  );
  const left = await readEntries(repo);
  assert.deepEqual(
    left.map((entry) => entry.name),
    ['a', 'b', 'c', 'same'],
  );
  for (const entry of left) assert(entries.some((made) => made.sha256 === entry.sha256));
  // The last of them swept, if nobody was in its way; the next one does in any case.
  await swarmboot(['remove', 'a', '--repo', repo]);
  assertWhole(repo, left.slice(1));
});

test('a publish killed at any moment leaves the old or the new version, whole', async (t) => {
  const folder = scratch(t);
  const [tree, repo] = [path.join(folder, 'tree'), path.join(folder, 'repo')];
  fs.mkdirSync(tree);
  fs.writeFileSync(
    path.join(tree, 'big'),
    createHash('shake256', { outputLength: 4_000_000 }).update('x').digest(),
  );
  const args = ['publish', 'x', '--from', tree, '--kind', 'image', '--repo', repo];
  /** A publish in a process of its own, killed after so long. */
  const run = async (killMs: number) => {
    const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: 'ignore' });
    const killer = setTimeout(() => child.kill('SIGKILL'), killMs);
    await once(child, 'exit');
    clearTimeout(killer);
  };
  const startedMs = performance.now();
  await run(60_000);
  const wholeMs = performance.now() - startedMs;
  for (let round = 0; round < 8; round++) {
    fs.writeFileSync(path.join(tree, 'round'), String(round));
    await run(wholeMs * (0.4 + (0.6 * round) / 8));
    const listed = await readEntries(repo);
    assert.equal(listed.length, 1);
    const bytes = fs.readFileSync(path.join(repo, 'tarballs', listed[0]!.file));
    assert.equal(createHash('sha256').update(bytes).digest('hex'), listed[0]!.sha256);
    const torrent = torrentPath(repo, listed[0]!);
    assert.equal(hex(parseTorrent(fs.readFileSync(torrent), digests).infoHashV1!), listed[0]!.infoHash);
  }
  const last = await published(...args.slice(1));
  assertWhole(repo, [last]);
});

test('an interrupted publish cleans up after itself', async (t) => {
  const folder = scratch(t);
  const [tree, repo] = [path.join(folder, 'tree'), path.join(folder, 'repo')];
  fs.mkdirSync(tree);
  fs.writeFileSync(path.join(tree, 'big'), Buffer.alloc(200_000_000, 'x'));
  const args = ['publish', 'x', '--from', tree, '--kind', 'image', '--repo', repo];
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  while (
    !fs.existsSync(path.join(repo, 'making')) ||
    fs.readdirSync(path.join(repo, 'making')).length === 0
  ) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  child.kill('SIGINT');
  const [status] = await once(child, 'exit');
  assert.equal(status, 14);
  assertWhole(repo, []);
  assert.deepEqual(fs.readdirSync(path.join(repo, 'making')), []);
});

test('an entry that cannot be believed is told by its file', async (t) => {
  const repo = scratch(t);
  fs.mkdirSync(path.join(repo, 'catalog'));
  fs.writeFileSync(path.join(repo, 'catalog/x.json'), '{"name": "y"');
  const { status, err } = await swarmboot(['list', '--repo', repo]);
  assert.equal(status, 12);
  assert.match(err, /catalog\/x\.json is no catalog entry: .*; remove the file/);
});
