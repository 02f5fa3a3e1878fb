// An image server of a tracker, a manifest over HTTP and a seeder, the folders of one node, and the agent as a process.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import type { CatalogEntry, Kind } from '../agent/core/catalog.ts';
import { hex, KIB, MIB } from '../agent/core/units.ts';
import { type Made, makeTorrent, scratch } from './content.ts';
import { type NodeOptions, startSeeder, startTracker } from './nodes.ts';

const MAIN = join(import.meta.dirname, '..', 'agent', 'main.ts');

interface Test {
  after(done: () => void | Promise<void>): void;
}

export interface Run {
  readonly child: ChildProcess;
  /** Resolves with what it said, when it has ended. */
  readonly ended: Promise<{ status: number | null; out: string; err: string }>;
  /** Resolves when its output has matched. */
  said(pattern: RegExp): Promise<void>;
}

/** Starts the agent; `before` are words for Node. */
export function agent(
  flags: Readonly<Record<string, string>>,
  before: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Run {
  const words = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  const child = spawn(process.execPath, [...before, MAIN, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
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
export function makeTree(folder: string, seed: number, bytes: number): void {
  mkdirSync(join(folder, 'etc'), { recursive: true });
  const noise = createHash('shake256', { outputLength: bytes }).update(String(seed)).digest();
  writeFileSync(join(folder, 'large'), noise);
  writeFileSync(join(folder, 'etc', 'name'), `tree ${seed}\n`, { mode: 0o640 });
  symlinkSync('etc/name', join(folder, 'link'));
}

export interface Offer extends Made {
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

const SITE_KINDS = ['image', 'boel', 'override'] as const;

/** A tree of each kind; the override replaces all files of the image. */
function plantTrees(folder: string): void {
  for (const [seed, kind] of SITE_KINDS.entries())
    makeTree(join(folder, kind), seed, kind === 'image' ? 3 * MIB : 50 * KIB);
}

/** An image server: a tracker, a manifest over HTTP, and a seeder of everything; and the folders of one node. */
export async function startSite(
  t: Test,
  options: NodeOptions = {},
  lie: Partial<CatalogEntry> = {},
  makeTrees = plantTrees,
) {
  const folder = scratch(t);
  const tracker = await startTracker(t);
  const announce = [`http://127.0.0.1:${tracker.httpPort}/announce`];
  makeTrees(folder);
  const offers = SITE_KINDS.map((kind) => offer(join(folder, kind), `the-${kind}`, kind, announce));
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

/** Throws when two trees differ. */
export function same(a: string, b: string): void {
  execFileSync('/usr/bin/diff', ['-r', '--no-dereference', a, b]);
}
