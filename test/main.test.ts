import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import type { CatalogEntry, Kind } from '../agent/core/catalog.ts';
import { EXIT_STATUS } from '../agent/core/errors.ts';
import { formatMagnet } from '../agent/core/magnet.ts';
import { hex, KIB, MIB } from '../agent/core/units.ts';
import { type Made, makeTorrent, scratch } from './content.ts';
import { type NodeOptions, startSeeder, startTracker } from './nodes.ts';

const MAIN = join(import.meta.dirname, '..', 'agent', 'main.ts');

interface Run {
  readonly child: ChildProcess;
  /** Resolves with what it said, when it has ended. */
  readonly ended: Promise<{ status: number | null; out: string; err: string }>;
  /** Resolves when its output has matched. */
  said(pattern: RegExp): Promise<void>;
}

function agent(flags: Record<string, string>): Run {
  const words = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  const child = spawn(process.execPath, [MAIN, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    err += text;
  });
  const ended = new Promise<{ status: number | null; out: string; err: string }>((done) =>
    child.once('close', (status) => done({ status, out, err })),
  );
  const said = (pattern: RegExp) =>
    new Promise<void>((done, failed) => {
      const look = () => pattern.test(out) && done();
      child.stdout.on('data', look);
      child.once('close', () => failed(new Error(`it ended and never said ${pattern}: ${out}${err}`)));
      look();
    });
  return { child, ended, said };
}

/** A folder of a few files, one of them large and not to be compressed. */
function makeTree(folder: string, seed: number, bytes: number): void {
  mkdirSync(join(folder, 'etc'), { recursive: true });
  const noise = createHash('shake256', { outputLength: bytes }).update(String(seed)).digest();
  writeFileSync(join(folder, 'large'), noise);
  writeFileSync(join(folder, 'etc', 'name'), `tree ${seed}\n`, { mode: 0o640 });
  symlinkSync('etc/name', join(folder, 'link'));
}

interface Offer extends Made {
  readonly entry: CatalogEntry;
}

function offer(folder: string, name: string, kind: Kind, announce: readonly string[]): Offer {
  const tar = execFileSync('/usr/bin/tar', ['-c', '--format=pax', '--numeric-owner', '-C', folder, '.'], {
    maxBuffer: 64 * MIB,
  });
  const bytes = zstdCompressSync(tar);
  const made = makeTorrent(`${kind}-${name}.tar.zst`, [{ bytes }], 16 * KIB, 'hybrid', announce);
  const list = execFileSync('/usr/bin/tar', ['-t'], { input: tar, encoding: 'utf8' });
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  const entry: CatalogEntry = {
    name,
    kind,
    file: made.torrent.name,
    compression: 'zstd',
    encryption: null,
    size: bytes.length,
    unpackedSize: files.reduce((sum, file) => sum + readFileSync(join(file.parentPath, file.name)).length, 0),
    entryCount: list.trim().split('\n').length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    pieceLength: 16 * KIB,
    infoHash: hex(made.torrent.infoHashV1!),
    infoHashV2: hex(made.torrent.infoHashV2!),
  };
  return { ...made, entry };
}

/** An image server: a tracker, a manifest over HTTP, and a seeder of everything; and the folders of one node. */
async function startSite(t: TestContext, options: NodeOptions = {}, lie: Partial<CatalogEntry> = {}) {
  const folder = scratch(t);
  const tracker = await startTracker(t);
  const announce = [`http://127.0.0.1:${tracker.httpPort}/announce`];
  const offers = (['image', 'boel', 'override'] as const).map((kind, seed) => {
    const tree = join(folder, kind);
    makeTree(tree, seed, kind === 'image' ? 3 * MIB : 50 * KIB);
    return offer(tree, `the-${kind}`, kind, announce);
  });
  for (const { torrent, space } of offers) {
    tracker.allow(torrent.infoHashV1!);
    await startSeeder(t, folder, torrent, space, options);
  }
  const server = createServer((request, response) => {
    const found = offers.find(({ entry }) => request.url === `/torrents/${entry.name}.torrent`);
    if (request.url === '/manifest') {
      response.end(
        JSON.stringify({
          format: 1,
          release: null,
          entries: offers.map(({ entry }) => ({ ...entry, ...lie })),
          files: [],
        }),
      );
    } else response.writeHead(found ? 200 : 404).end(found?.file);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => void server.close());
  const node = { target: join(folder, 'a'), boel: join(folder, 'node-boel'), staging: join(folder, 'pool') };
  for (const path of Object.values(node)) mkdirSync(path);
  const flags = {
    IMAGESERVER: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    TARGET: node.target,
    BITTORRENT_STAGING: node.staging,
    BITTORRENT_POLLING_TIME: '1',
    BITTORRENT_PORT: '0',
    BIND: '127.0.0.1',
  };
  return { folder, tracker, offers, node, flags };
}

function same(a: string, b: string): void {
  execFileSync('/usr/bin/diff', ['-r', '--no-dereference', a, b]);
}

test('a node installs image, BOEL binaries and override by a manifest, leaves, and frees its pool', async (t) => {
  const { folder, tracker, node, flags } = await startSite(t);
  const { status, out, err } = await agent({
    ...flags,
    IMAGENAME: 'the-image',
    OVERRIDES: 'the-override',
    BOEL_DIR: node.boel,
    CONSOLE: 'json',
  }).ended;
  assert.deepEqual([status, err], [0, '']);
  same(join(folder, 'boel'), node.boel);
  same(join(folder, 'override'), node.target);
  assert.deepEqual(readdirSync(node.staging), []);
  const facts = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const stages = facts.filter(({ fact }) => fact === 'stageEnded').map(({ stage }) => stage);
  assert.deepEqual(stages, [
    'parameters',
    'catalog',
    'BOEL binaries',
    'staging',
    'image',
    'extract',
    'overrides',
    'seed-wait',
    'leave',
  ]);
  assert.equal(facts.findLast(({ fact }) => fact === 'report').percent, 100);
  assert.equal(facts.find(({ fact }) => fact === 'leaving').reason, 'no leecher is left');
  // The seeders alone are left.
  assert.equal(tracker.stats().peers, 3);
});

test('a magnet link alone installs a node', async (t) => {
  const { folder, offers, node, flags } = await startSite(t);
  const { IMAGESERVER: _, ...more } = flags;
  const { status, out, err } = await agent({ ...more, TORRENT: formatMagnet(offers[0]!.torrent) }).ended;
  assert.deepEqual([status, err], [0, '']);
  assert.match(out, /image-the-image\.tar\.zst: \d+ entries, 3\.0 MiB in/);
  same(join(folder, 'image'), node.target);
});

test('an install that is interrupted leaves the swarm, frees its pool and says how to go on', async (t) => {
  const { tracker, node, flags } = await startSite(t, { uploadBytesPerSec: 200 * KIB });
  const run = agent({ ...flags, IMAGENAME: 'the-image', BOEL_DIR: node.boel });
  await run.said(/^image +\d+ %.*peers [1-9]/m);
  assert.notDeepEqual(readdirSync(node.staging), []);
  run.child.kill('SIGTERM');
  const { status, err } = await run.ended;
  assert.equal(status, EXIT_STATUS.interrupted);
  assert.match(err, /^swarmboot-agent: stopped by SIGTERM; start again/);
  assert.deepEqual(readdirSync(node.staging), []);
  assert.equal(tracker.stats().peers, 3);
});

test('a tarball with more in it than the catalog says ends the install, and the pool is freed', async (t) => {
  const { tracker, node, flags } = await startSite(t, {}, { unpackedSize: 1000 });
  const { status, err } = await agent({ ...flags, IMAGENAME: 'the-image', BOEL_DIR: node.boel }).ended;
  assert.equal(status, EXIT_STATUS.archive);
  assert.match(err, /more than the catalog's 1000 bytes/);
  assert.deepEqual(readdirSync(node.staging), []);
  assert.equal(tracker.stats().peers, 3);
});

test('an image server that is away is tried again until the install is interrupted', async () => {
  const run = agent({
    IMAGESERVER: '127.0.0.1:1',
    IMAGENAME: 'x',
    TARGET: '/tmp',
    BITTORRENT_PORT: '0',
    BIND: '127.0.0.1',
  });
  await run.said(/cannot get http:\/\/127\.0\.0\.1:1\/manifest.*\ncatalog will be tried again in 0:01/);
  run.child.kill('SIGINT');
  assert.equal((await run.ended).status, EXIT_STATUS.interrupted);
});

test('bad parameters stop before anything is written, each named', async () => {
  const { status, err } = await agent({ IMAGENAME: '../x', BITTORRENT_POLLING_TIME: '0' }).ended;
  assert.equal(status, EXIT_STATUS.parameters);
  assert.match(err, /IMAGENAME="\.\.\/x" \(flags\)/);
  assert.match(err, /BITTORRENT_POLLING_TIME="0" \(flags\)/);
});

test('what is no flag is a usage error; a parameter file that is not there is a fault', async () => {
  const usage = await agent({ IMAGNAME: 'x' }).ended;
  assert.deepEqual(
    [usage.status, usage.err],
    [2, 'swarmboot-agent: not a flag: --IMAGNAME=x; --help lists them\n'],
  );
  const file = await agent({ 'local-cfg': '/none/local.cfg' }).ended;
  assert.equal(file.status, EXIT_STATUS.parameters);
});

test('a parameter file is read, and flags win over it', async (t) => {
  const path = join(scratch(t), 'local.cfg');
  writeFileSync(path, '# site\nIMAGENAME="debian"\nIMAGESERVER=server\nTARGET=/no/such/target\n');
  const { status, err } = await agent({ 'local-cfg': path, BIND: '127.0.0.1', BITTORRENT_PORT: '0' }).ended;
  assert.equal(status, EXIT_STATUS.staging);
  assert.match(err, /TARGET=\/no\/such\/target is not a folder here/);
  const other = await agent({ 'local-cfg': path, 'si.target': '/no/other' }).ended;
  assert.match(other.err, /TARGET=\/no\/other is not a folder/);
});
