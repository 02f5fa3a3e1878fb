import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT_STATUS, SwarmbootError } from '../../agent/core/errors.ts';
import { formatMagnet } from '../../agent/core/magnet.ts';
import { swarmHash } from '../../agent/core/torrent.ts';
import { KIB } from '../../agent/core/units.ts';
import { digests } from '../../agent/io/digest.ts';
import { openStore } from '../../agent/io/store.ts';
import { fetch as fetchCommand } from '../../scripts/fetch.ts';
import { runCommand } from '../../scripts/program.ts';
import { type Made, makeTorrent, noise, type Part, scratch } from '../content.ts';
import { startEngine, startSeeder, startTracker } from '../nodes.ts';

const PIECE = 64 * KIB;

interface Scene extends Made {
  readonly folder: string;
  readonly into: string;
  /** The .torrent file. */
  readonly path: string;
  readonly tracker: Awaited<ReturnType<typeof startTracker>>;
}

/** A torrent at a tracker; nobody has its content yet. */
async function scene(t: TestContext, name: string, parts: readonly Part[]): Promise<Scene> {
  const folder = scratch(t);
  const tracker = await startTracker(t);
  const url = `http://127.0.0.1:${tracker.httpPort}/announce`;
  const made = makeTorrent(name, parts, PIECE, 'hybrid', [url]);
  tracker.allow(swarmHash(made.torrent));
  const path = join(folder, 'one.torrent');
  writeFileSync(path, made.file);
  return { ...made, folder, into: join(folder, 'into'), path, tracker };
}

function image(t: TestContext): Promise<Scene> {
  return scene(t, 'image.tar', [{ bytes: noise(20 * PIECE + 77, 5) }]);
}

async function fetch(args: readonly string[], signal = new AbortController().signal) {
  const said = { out: '', err: '' };
  const pen = (page: 'out' | 'err') =>
    new Writable({
      write: (chunk, _, done) => {
        said[page] += chunk;
        done();
      },
    });
  const words = ['fetch', ...args, '--host', '127.0.0.1'];
  const status = await runCommand([fetchCommand], '0', words, { out: pen('out'), err: pen('err'), signal });
  return { status, ...said };
}

test('one file is downloaded whole, and its facts are told as JSON', async (t) => {
  const { folder, into, path, torrent, space } = await image(t);
  await startSeeder(t, folder, torrent, space);
  const { status, out, err } = await fetch([path, '--into', into, '--json']);
  equal(status, 0, err);
  deepEqual(readdirSync(into), ['image.tar']);
  deepEqual(readFileSync(join(into, 'image.tar')), space);
  const facts = JSON.parse(out);
  deepEqual([facts.name, facts.path, facts.bytes], ['image.tar', join(into, 'image.tar'), space.length]);
});

test('a folder of many files is downloaded, without its pad files', async (t) => {
  const parts = [70_000, 0, 12, PIECE].map((size, index) => ({
    path: ['a', `f${index}`],
    bytes: noise(size, index),
  }));
  const { folder, into, path, torrent } = await scene(t, 'folder', parts);
  const content = join(folder, 'content');
  mkdirSync(join(content, 'a'), { recursive: true });
  for (const part of parts) writeFileSync(join(content, ...part.path), part.bytes);
  const store = await openStore(torrent, { path: content, mode: 'seed', hashes: digests });
  (await startEngine(t)).join(torrent, store, store.have);
  const { status, err } = await fetch([path, '--into', into]);
  equal(status, 0, err);
  deepEqual(readdirSync(into, { recursive: true }).sort(), [
    'folder',
    'folder/a',
    ...[0, 1, 2, 3].map((n) => `folder/a/f${n}`),
  ]);
  for (const part of parts) deepEqual(readFileSync(join(into, 'folder', ...part.path)), part.bytes);
});

test('a magnet link alone is enough', async (t) => {
  const { folder, into, torrent, space } = await image(t);
  await startSeeder(t, folder, torrent, space);
  const { status, err } = await fetch([formatMagnet(torrent), '--into', into]);
  equal(status, 0, err);
  deepEqual(readFileSync(join(into, 'image.tar')), space);
});

test('the torrent may be at a URL', async (t) => {
  const { folder, into, torrent, space, file } = await image(t);
  await startSeeder(t, folder, torrent, space);
  const server = createServer((_, response) => response.end(file)).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const { status, err } = await fetch([`http://127.0.0.1:${port}/image.torrent`, '--into', into]);
  equal(status, 0, err);
  deepEqual(readFileSync(join(into, 'image.tar')), space);
});

test('what an earlier run left is kept, and only what is missing or damaged is downloaded', async (t) => {
  const { folder, into, path, torrent, space } = await image(t);
  const { transfer } = await startSeeder(t, folder, torrent, space);
  mkdirSync(into);
  const left = Buffer.from(space);
  left.fill(0, 3 * PIECE, 4 * PIECE);
  left[9 * PIECE]! ^= 1;
  writeFileSync(join(into, 'image.tar.part'), left);
  const { status, err } = await fetch([path, '--into', into]);
  equal(status, 0, err);
  deepEqual(readdirSync(into), ['image.tar']);
  deepEqual(readFileSync(join(into, 'image.tar')), space);
  equal(transfer.view().uploadedBytes, 2 * PIECE);
});

test('content that is there already needs no peer', async (t) => {
  const { into, path, space } = await image(t);
  mkdirSync(into);
  writeFileSync(join(into, 'image.tar'), space);
  const { status, err } = await fetch([path, '--into', into]);
  equal(status, 0, err);
});

test('with --seed it goes on feeding others until it is stopped', async (t) => {
  const { folder, into, path, torrent, space } = await image(t);
  const first = await startSeeder(t, folder, torrent, space);
  const stop = new AbortController();
  const seeding = fetch([path, '--into', into, '--seed'], stop.signal);
  while (!existsSync(join(into, 'image.tar'))) await sleep(20);
  await first.engine.stop();
  const second = await fetch([path, '--into', join(folder, 'second')]);
  equal(second.status, 0, second.err);
  deepEqual(readFileSync(join(folder, 'second', 'image.tar')), space);
  stop.abort(new SwarmbootError('interrupted', 'stopped by a test'));
  equal((await seeding).status, 0);
});

test('a stop in the middle leaves nothing that looks whole, and status 14', async (t) => {
  const { folder, into, path, torrent, space } = await image(t);
  const seeder = await startSeeder(t, folder, torrent, space, { uploadBytesPerSec: 256 * KIB });
  const stop = new AbortController();
  const running = fetch([path, '--into', into], stop.signal);
  while (seeder.transfer.view().uploadedBytes < 3 * PIECE) await sleep(20);
  stop.abort(new SwarmbootError('interrupted', 'stopped by a test'));
  const { status, err } = await running;
  equal(status, EXIT_STATUS.interrupted);
  match(err, /swarmboot fetch: stopped by a test/);
  deepEqual(readdirSync(into), ['image.tar.part']);
});

test('each bad source or place has its reason and its status', async (t) => {
  const { folder, into, path } = await image(t);
  const bad = join(folder, 'bad.torrent');
  writeFileSync(bad, 'd4:infod');
  writeFileSync(join(folder, 'file'), '');
  const cases: readonly (readonly [string[], keyof typeof EXIT_STATUS, RegExp])[] = [
    [[path], 'usage', /--into DIR is missing/],
    [['--into', into], 'usage', /TORRENT-FILE\|MAGNET\|URL is missing/],
    [[bad, '--into', into], 'torrent', /bad torrent: .*byte 8/],
    [[join(folder, 'none.torrent'), '--into', into], 'missing', /none\.torrent/],
    [[path, '--into', join(folder, 'file')], 'staging', /choose another/],
    [['magnet:?xt=urn:btih:zz', '--into', into], 'torrent', /bad magnet link/],
    [[`magnet:?xt=urn:btih:${'a'.repeat(40)}`, '--into', into], 'torrent', /no tracker and no peer/],
  ];
  for (const [args, code, reason] of cases) {
    const { status, err } = await fetch(args);
    match(err, reason);
    equal(status, EXIT_STATUS[code], err);
  }
  ok(!existsSync(into));
});
