import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseTorrent } from '../../agent/core/metainfo.ts';
import { BLOCK_BYTES, MIB } from '../../agent/core/units.ts';
import { digests } from '../../agent/io/digest.ts';
import { WatchedStore } from '../../scripts/watched.ts';
import { makeTorrent, noise, scratch } from '../content.ts';
import { noiseRepository } from './commands.ts';
import { type Served, serveRepository } from './server.ts';

async function said(server: Served, pattern: RegExp): Promise<void> {
  while (!pattern.test(server.said())) await sleep(20);
}

/** Returns when the server has written down what it knows: a time of change of the tarball, or any. */
async function remembered(repo: string, mtimeMs?: number): Promise<void> {
  const path = join(repo, 'known.json');
  while (!existsSync(path) || !readFileSync(path, 'utf8').includes(`"mtimeMs": ${mtimeMs ?? ''}`))
    await sleep(20);
}

async function stop({ child }: Served): Promise<void> {
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
}

/** Changes one byte in place, as somebody would who knows no better. */
function damage(path: string): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, Uint8Array.of(readFileSync(path)[MIB]! ^ 1), 0, 1, MIB);
  closeSync(fd);
}

test('a tarball that is changed beneath the seeder is no longer given, by the very next read', async (t) => {
  const bytes = noise(4 * BLOCK_BYTES, 1);
  const { torrent } = makeTorrent('image.tar', [{ bytes }], BLOCK_BYTES, 'hybrid');
  const path = join(scratch(t), 'image.tar');
  writeFileSync(path, bytes);
  utimesSync(path, 1, 1);
  const store = await WatchedStore.open(torrent, path);
  t.after(() => store.close());
  store.read(0, 0, BLOCK_BYTES)!.release();
  const fd = openSync(path, 'r+');
  writeSync(fd, 'changed', 0);
  closeSync(fd);
  assert.throws(() => store.read(3, 0, BLOCK_BYTES), /was changed beneath the seeder/);
  assert.throws(() => store.watch(), { code: 'repository' });
  await assert.rejects(store.check(), /piece 0 of "image\.tar" is not what it was/);
});

test('serve stops seeding what is changed beneath it, says so, and offers it again when it is put back', async (t) => {
  const { repo, tarball } = await noiseRepository(t, 2 * MIB);
  const server = await serveRepository(t, repo);
  await said(server, /seeding image one/);
  const before = readFileSync(tarball);
  damage(tarball);
  await said(server, /was changed beneath the seeder.*\n[\s\S]*no longer seeding image one/);
  await said(server, /is not what its torrent says: piece \d+ .*; publish one again/);
  assert.equal((await fetch(`${server.url}/torrents/one.torrent`)).status, 404);
  writeFileSync(tarball, before);
  await said(server, /no longer seeding[\s\S]*\nseeding image one/);
  const torrent = await fetch(`${server.url}/torrents/one.torrent`);
  parseTorrent(new Uint8Array(await torrent.arrayBuffer()), digests);
});

test('a server that starts again reads only what was touched meanwhile, and gives none of it that is not whole', async (t) => {
  const { repo, tarball } = await noiseRepository(t, 2 * MIB);
  const first = await serveRepository(t, repo);
  await said(first, /seeding image one/);
  await remembered(repo);
  await stop(first);
  const same = await serveRepository(t, repo);
  await said(same, /seeding image one/);
  assert.doesNotMatch(same.said(), /checked/);
  await stop(same);
  utimesSync(tarball, 1, 1);
  const touched = await serveRepository(t, repo);
  await said(touched, /"checked".*its tarball was touched[\s\S]*seeding image one/);
  await remembered(repo, 1000);
  await stop(touched);
  damage(tarball);
  assert.ok(statSync(tarball).mtimeMs > 1000);
  const damaged = await serveRepository(t, repo);
  await said(damaged, /is not what its torrent says: piece \d+/);
  assert.doesNotMatch(damaged.said(), /^seeding/m);
});
