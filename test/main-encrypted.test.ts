// An encrypted image, from publish to installed nodes: the real server, real agents with a RAM disk's trust, and somebody who
// takes all that the swarm gives. Neither the plain tree nor the key is where it must not be.

import { deepEqual, doesNotMatch, equal, match, ok } from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import https from 'node:https';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CatalogEntry } from '../agent/core/catalog.ts';
import { EXIT_STATUS } from '../agent/core/errors.ts';
import { parseTorrent } from '../agent/core/metainfo.ts';
import { MIB } from '../agent/core/units.ts';
import { digests } from '../agent/io/digest.ts';
import { fileKeyOf } from '../scripts/agekeys.ts';
import { tarballPath } from '../scripts/repository.ts';
import { compareTrees } from '../scripts/trees.ts';
import { noise, scratch } from './content.ts';
import { startLeecher } from './nodes.ts';
import { published, swarmboot } from './scripts/commands.ts';
import { type Served, serveRepository } from './scripts/server.ts';

const MAIN = join(import.meta.dirname, '..', 'agent', 'main.ts');
const CANARY = 'a canary that must not be heard';
const needsRoot = { skip: process.getuid!() !== 0 && 'an /etc of its own needs root' };

interface Site extends Served {
  readonly repo: string;
  readonly tree: string;
  readonly entry: CatalogEntry;
  readonly secured: URL;
  readonly folder: string;
  /** PEM. */
  readonly authority: string;
  readonly file: { readonly hex: string; readonly bytes: Buffer };
}

async function ours(...args: readonly string[]): Promise<void> {
  const { status, err } = await swarmboot(args);
  equal(status, 0, err);
}

/** A signed and encrypted image behind a server with TLS, not faster than `uploadMax` KiB/s. */
async function startSite(t: TestContext, uploadMax = 0): Promise<Site> {
  const folder = scratch(t);
  const [repo, tree, key] = [join(folder, 'repo'), join(folder, 'tree'), join(folder, 'release')];
  fs.mkdirSync(join(tree, 'etc'), { recursive: true });
  fs.writeFileSync(join(tree, 'etc/canary'), CANARY.repeat(1000));
  fs.writeFileSync(join(tree, 'large'), noise(2 * MIB, 1));
  await ours('init', '--repo', repo, '--name', '127.0.0.1');
  const from = ['--from', tree, '--kind', 'image', '--repo', repo];
  // Not compressed: a canary in a tarball would be seen.
  const entry = await published('web', ...from, '--encrypt', '--compress', 'none');
  await ours('keygen', key, '--unencrypted');
  await ours('sign', '--key', `${key}.key`, '--repo', repo);
  const authority = fs.readFileSync(join(repo, 'tls/authority.pem'), 'utf8');
  const trust = {
    keys: [fs.readFileSync(`${key}.pub`, 'utf8')],
    serialMin: 1,
    since: 0,
    authority,
  };
  fs.mkdirSync(join(folder, 'etc/swarmboot'), { recursive: true });
  for (const name of ['passwd', 'group', 'hosts']) fs.copyFileSync(`/etc/${name}`, join(folder, 'etc', name));
  fs.writeFileSync(join(folder, 'etc/swarmboot/trust.json'), JSON.stringify(trust));
  const server = await serveRepository(t, repo, {}, uploadMax === 0 ? [] : ['--upload-max', `${uploadMax}`]);
  await server.manifest(({ entries }) => entries.length === 1);
  const secured = new URL(`https://127.0.0.1:${/over TLS: https port (\d+)/.exec(server.said())?.[1]}`);
  const bytes = Buffer.from((await fileKeyOf(repo, entry)).reveal());
  return {
    ...server,
    repo,
    tree,
    entry,
    secured,
    folder,
    authority,
    file: { bytes, hex: bytes.toString('hex') },
  };
}

interface Node {
  readonly child: ChildProcess;
  readonly target: string;
  readonly staging: string;
  readonly said: () => string;
  readonly ended: Promise<number | null>;
}

/** An agent whose /etc is that of the site's RAM disk. */
function startNode(
  t: TestContext,
  { folder, secured }: Site,
  number: number,
  flags: Record<string, string> = {},
): Node {
  const [target, staging] = [join(folder, `a${number}`), join(folder, `pool${number}`)];
  for (const path of [target, staging]) fs.mkdirSync(path);
  const words = Object.entries({
    IMAGESERVER: secured.href,
    IMAGENAME: 'web',
    TARGET: target,
    BITTORRENT_STAGING: staging,
    BITTORRENT_POLLING_TIME: '1',
    BITTORRENT_PORT: '0',
    BIND: '127.0.0.1',
    BOOTIF: `52:54:00:09:00:0${number}`,
    CONSOLE: 'json',
    ...flags,
  }).map(([name, value]) => `--${name}=${value}`);
  const script = 'mount --bind "$1" /etc && shift && exec "$@"';
  const program = ['/bin/sh', '-c', script, 'sh', join(folder, 'etc'), process.execPath, MAIN, ...words];
  const child = spawn('/usr/bin/unshare', ['--mount', '--propagation', 'private', ...program], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
  const ended = once(child, 'close').then(() => child.exitCode);
  t.after(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return { child, target, staging, said: () => text, ended };
}

/** Every byte of every file below these places. */
function bytesBelow(...places: readonly string[]): string {
  const read = (path: string): string => {
    try {
      return fs.readFileSync(path, 'latin1');
    } catch {
      // It was removed meanwhile.
      return '';
    }
  };
  return places
    .flatMap((place) => fs.readdirSync(place, { recursive: true, withFileTypes: true }))
    .filter((file) => file.isFile())
    .map((file) => read(join(file.parentPath, file.name)))
    .join('\n');
}

/** Fails when the key is in `text`, as bytes or in any way that bytes are written. */
function assertNoKey(text: string, { bytes, hex }: Site['file'], where: string): void {
  const shapes = [
    bytes.toString('latin1'),
    bytes.toString('base64').slice(0, 21),
    bytes.toString('base64url').slice(0, 21),
  ];
  for (const shape of [...shapes, [...bytes].join(','), JSON.stringify([...bytes])])
    ok(!text.includes(shape), where);
  ok(!text.toLowerCase().includes(hex), where);
}

async function get(url: URL, ca: string): Promise<{ status: number; body: Buffer }> {
  const [response] = await once(https.get(url, { ca, agent: false }), 'response');
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part);
  return { status: response.statusCode, body: Buffer.concat(parts) };
}

test(
  'an encrypted image is installed on two nodes; its tree and its key are nowhere else',
  needsRoot,
  async (t) => {
    const site = await startSite(t, 1500);
    const { repo, entry, folder, tree, file } = site;
    const nodes = [1, 2].map((number) => startNode(t, site, number));
    const answer = await fetch(`${site.url}/torrents/web.torrent`);
    const torrent = parseTorrent(new Uint8Array(await answer.arrayBuffer()), digests);
    const taker = await startLeecher(t, folder, torrent);
    let staged = '';
    let [looks, environments] = [0, 0];
    while (nodes.some(({ child }) => child.exitCode === null)) {
      const pools = bytesBelow(...nodes.map(({ staging }) => staging));
      doesNotMatch(pools, new RegExp(CANARY));
      assertNoKey(pools, file, 'staging');
      if (pools.includes('age-encryption.org/v1')) staged = 'ciphertext';
      for (const { child } of nodes) environments += assertNoKeyOutside(child, file);
      looks++;
      await sleep(50);
    }
    deepEqual(
      await Promise.all(nodes.map(({ ended }) => ended)),
      [0, 0],
      nodes.map(({ said }) => said()).join('\n'),
    );
    ok(
      looks > 5 && environments > 5 && staged === 'ciphertext',
      'the nodes were looked at while they worked',
    );
    for (const { target } of nodes) deepEqual(await compareTrees(tree, target), []);
    await taker.transfer.complete;
    const taken = fs.readFileSync(taker.path);
    deepEqual(taken, fs.readFileSync(tarballPath(repo, entry)));
    for (const [where, text] of [
      ['what travels', taken.toString('latin1')],
      ['the repository', bytesBelow(repo)],
      ['what nodes say', nodes.map(({ said }) => said()).join('\n')],
      ['what the server says', site.said()],
    ] as const) {
      ok(!text.includes(CANARY), where);
      assertNoKey(text, file, where);
    }
    for (const { target, staging } of nodes) {
      assertNoKey(bytesBelow(target), file, 'target');
      deepEqual(fs.readdirSync(staging), []);
    }
    match(bytesBelow(join(repo, 'reports')), /52:54:00:09:00:01/);
    match(bytesBelow(nodes[0]!.target), new RegExp(CANARY));
  },
);

/** 1 when there was something to look at. */
function assertNoKeyOutside({ pid }: ChildProcess, file: Site['file']): number {
  try {
    for (const name of ['environ', 'cmdline'])
      assertNoKey(fs.readFileSync(`/proc/${pid}/${name}`, 'latin1'), file, name);
    return 1;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code !== 'ERR_ASSERTION') return 0;
    throw error;
  }
}

test('the server gives a key over TLS alone, and no file of keys by any route', async (t) => {
  const site = await startSite(t);
  const { repo, entry, authority, secured, file } = site;
  await published('open', '--from', site.tree, '--kind', 'override', '--repo', repo);
  const key = await get(new URL('/keys/web', secured), authority);
  deepEqual([key.status, key.body], [200, file.bytes]);
  const plain = await fetch(`${site.url}/keys/web`);
  equal(plain.status, 403);
  match(await plain.text(), /^keys are given over https alone; come by the https port\n$/);
  const name = `${entry.kind}-web-${entry.sha256.slice(0, 12)}.agekey`;
  ok(fs.existsSync(join(repo, 'keys', name)));
  const paths = ['open', 'none', '', '__proto__', name, `web/${name}`].map((rest) => `keys/${rest}`);
  const others = ['files', 'boot', 'torrents'].map((folder) => `${folder}/..%2fkeys%2f${name}`);
  for (const path of [...paths, ...others, 'files/keys/web', `boot/${name}`]) {
    const { status, body } = await get(new URL(`/${path}`, secured), authority);
    equal(status, 404, path);
    assertNoKey(body.toString('latin1'), file, path);
  }
  fs.rmSync(join(repo, 'keys', name));
  equal((await get(new URL('/keys/web', secured), authority)).status, 500);
  while (!/not answered.*web cannot be opened/.test(site.said())) await sleep(10);
  assertNoKey(site.said(), file, 'what the server says');
});

test(
  'a node without an authority installs no encrypted image, and leaves its target empty',
  needsRoot,
  async (t) => {
    const site = await startSite(t);
    const place = join(site.folder, 'etc/swarmboot/trust.json');
    fs.writeFileSync(
      place,
      JSON.stringify({ ...JSON.parse(fs.readFileSync(place, 'utf8')), authority: null }),
    );
    const { ended, said, target } = startNode(t, site, 1, { IMAGESERVER: site.url });
    equal(await ended, EXIT_STATUS.signature);
    match(said(), /\\?"web\\?" is encrypted, and its key is given over TLS alone/);
    deepEqual(fs.readdirSync(target), []);
  },
);

test(
  'a node that is given the key of another image refuses this one, and leaves nothing that looks whole',
  needsRoot,
  async (t) => {
    const site = await startSite(t);
    const { repo, tree, entry } = site;
    const name = ({ sha256 }: CatalogEntry) => join(repo, 'keys', `image-web-${sha256.slice(0, 12)}.agekey`);
    // The tarball that the server opens for the key is another one now, by the same name.
    const other = await published('web', '--from', tree, '--kind', 'image', '--repo', repo, '--encrypt');
    const sealed = fs.readFileSync(tarballPath(repo, other));
    fs.copyFileSync(name(other), name(entry));
    const place = tarballPath(repo, entry);
    // The seeder goes on with the file that it has open.
    fs.rmSync(place);
    fs.writeFileSync(place, sealed);
    const { ended, said, target } = startNode(t, site, 1);
    equal(await ended, EXIT_STATUS.archive, said());
    match(said(), /has another key than the image server's, or its header was changed/);
    deepEqual(fs.readdirSync(target), []);
  },
);
