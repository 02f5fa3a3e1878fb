// An encrypted image, from publish to installed nodes: the real server, real agents with a RAM disk's trust, and somebody who
// takes all that the swarm gives. Neither the plain tree nor the key is where it must not be.

import { deepEqual, doesNotMatch, equal, match, ok } from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CatalogEntry } from '../agent/core/catalog.ts';
import { EXIT_STATUS } from '../agent/core/errors.ts';
import { parseTorrent } from '../agent/core/metainfo.ts';
import { MIB } from '../agent/core/units.ts';
import { openCatalog } from '../agent/io/catalog.ts';
import { admissionBy, digests } from '../agent/io/digest.ts';
import { fileKeyOf } from '../scripts/agekeys.ts';
import { tarballPath, torrentPath } from '../scripts/repository.ts';
import { compareTrees } from '../scripts/trees.ts';
import { type AgentProcess, startAgent } from './agentprocess.ts';
import { noise } from './content.ts';
import { startLeecher } from './nodes.ts';
import { type ClosedSite, closedSite, MAC, OTHER } from './scripts/closedsite.ts';
import { published, swarmboot } from './scripts/commands.ts';

const CANARY = 'a canary that must not be heard';

interface Site extends ClosedSite {
  readonly file: { readonly hex: string; readonly bytes: Buffer };
}

/** A closed site with an encrypted image and two armed nodes, not faster than `uploadMax` KiB/s. */
async function startSite(t: TestContext, uploadMax = 0): Promise<Site> {
  const site = await closedSite(t, {
    files: { canary: CANARY.repeat(1000), large: noise(2 * MIB, 1) },
    // Not compressed: a canary in a tarball would be seen.
    publish: ['--encrypt', '--compress', 'none'],
    serve: ['--upload-max', `${uploadMax}`],
  });
  await site.run('node', 'arm', 'node001', 'node002');
  const bytes = Buffer.from((await fileKeyOf(site.repo, site.image)).reveal());
  return { ...site, file: { bytes, hex: bytes.toString('hex') } };
}

/** Node 1 or 2. */
function startNode(t: TestContext, site: Site, number: number, flags: Record<string, string> = {}) {
  return startAgent(
    t,
    { ...site, number },
    {
      IMAGESERVER: site.secured.origin,
      IMAGENAME: 'web',
      BOOTIF: number === 1 ? MAC : OTHER,
      CONSOLE: 'json',
      ...flags,
    },
  );
}

const saidBy = (nodes: readonly AgentProcess[]) => nodes.map(({ out, err }) => out() + err()).join('\n');

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

test('an encrypted image is installed on two nodes; its tree and its key are nowhere else', async (t) => {
  const site = await startSite(t, 1500);
  const { repo, image, tree, file } = site;
  const nodes = [1, 2].map((number) => startNode(t, site, number));
  let [staged, taker] = ['', null as Awaited<ReturnType<typeof takeAll>> | null];
  let [looks, environments] = [0, 0];
  while (nodes.some(({ child }) => child.exitCode === null)) {
    if (taker === null && fs.existsSync(join(repo, 'enrolled/secret'))) taker = await takeAll(t, site);
    const pools = bytesBelow(...nodes.map(({ staging }) => staging));
    doesNotMatch(pools, new RegExp(CANARY));
    assertNoKey(pools, file, 'staging');
    if (pools.includes('age-encryption.org/v1')) staged = 'ciphertext';
    for (const { child } of nodes) environments += assertNoKeyOutside(child, file);
    looks++;
    await sleep(50);
  }
  deepEqual(await Promise.all(nodes.map(({ ended }) => ended)), [0, 0], saidBy(nodes));
  ok(looks > 5 && environments > 5 && staged === 'ciphertext', 'the nodes were looked at while they worked');
  for (const { target } of nodes) deepEqual(await compareTrees(tree, target), []);
  await taker!.transfer.complete;
  const taken = fs.readFileSync(taker!.path);
  deepEqual(taken, fs.readFileSync(tarballPath(repo, image)));
  for (const [where, text] of [
    ['what travels', taken.toString('latin1')],
    ['the repository', bytesBelow(repo)],
    ['what nodes say', saidBy(nodes)],
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
});

/** Somebody who is admitted, and takes all that the first seeder gives. */
async function takeAll(t: TestContext, { repo, folder, image, peerPort }: Site) {
  const torrent = parseTorrent(fs.readFileSync(torrentPath(repo, image)), digests);
  const secret = fs.readFileSync(join(repo, 'enrolled/secret'));
  const company = { networks: null, admission: admissionBy(() => secret) };
  const taker = await startLeecher(t, folder, torrent, { company });
  taker.transfer.addPeers([{ host: '127.0.0.1', port: peerPort }]);
  return taker;
}

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

test('the server gives a key over TLS to enrolled nodes alone, and no file of keys by any route', async (t) => {
  const site = await startSite(t);
  const { repo, image, secured, credentials, file } = site;
  const { token } = await site.enrol(MAC);
  const key = await openCatalog({ ...credentials, token }).fetchKey(secured, image, t.signal);
  deepEqual(key.reveal(), new Uint8Array(file.bytes));
  equal((await site.ask('/keys/web', { token, plain: true })).status, 403);
  equal((await site.ask('/keys/web')).status, 401);
  equal((await site.ask('/keys/web', { token: `${token}x` })).status, 401);
  const name = `${image.kind}-web-${image.sha256.slice(0, 12)}.agekey`;
  ok(fs.existsSync(join(repo, 'keys', name)));
  const paths = ['none', '', '__proto__', name, `web/${name}`].map((rest) => `keys/${rest}`);
  const others = ['files', 'boot', 'torrents'].map((folder) => `${folder}/..%2fkeys%2f${name}`);
  for (const path of [...paths, ...others, 'files/keys/web', `boot/${name}`]) {
    const { status, body } = await site.ask(`/${path}`, { token });
    equal(status, 404, path);
    assertNoKey(body, file, path);
  }
  fs.rmSync(join(repo, 'keys', name));
  equal((await site.ask('/keys/web', { token })).status, 500);
  while (!/not answered.*web cannot be opened/.test(site.said())) await sleep(10);
  assertNoKey(site.said(), file, 'what the server says');
});

test('an open site gives no key to anybody, and says so when it is signed', async (t) => {
  const site = await startSite(t);
  const err = await open(site);
  match(err, /^web is encrypted, and only nodes of a closed site get keys: sign with --closed$/m);
  const { status, body } = await site.ask('/keys/web');
  deepEqual(
    [status, body],
    [403, 'keys are for enrolled nodes: close the site with swarmboot sign --closed\n'],
  );
});

/** Signs that the site is open, and waits until it is. Returns what was said of that. */
async function open({ folder, repo, ask }: Site): Promise<string> {
  const { status, err } = await swarmboot([
    'sign',
    '--open',
    '--key',
    join(folder, 'release.key'),
    '--repo',
    repo,
  ]);
  equal(status, 0, err);
  while ((await ask('/manifest', { plain: true })).status !== 200) await sleep(20);
  return err;
}

test('a node without an authority installs no encrypted image, and leaves its target empty', async (t) => {
  const site = await startSite(t);
  await open(site);
  const trust = JSON.stringify({ ...JSON.parse(site.trust), authority: null });
  const node = startNode(t, { ...site, trust }, 1, { IMAGESERVER: site.url });
  equal(await node.ended, EXIT_STATUS.signature);
  match(saidBy([node]), /\\?"web\\?" is encrypted, and its key is given over TLS alone/);
  deepEqual(fs.readdirSync(node.target), []);
});

test('a node that is given the key of another image refuses this one, and leaves nothing that looks whole', async (t) => {
  const site = await startSite(t);
  const { repo, tree, image } = site;
  const name = ({ sha256 }: CatalogEntry) => join(repo, 'keys', `image-web-${sha256.slice(0, 12)}.agekey`);
  // The tarball that the server opens for the key is another one now, by the same name.
  const other = await published('web', '--from', tree, '--kind', 'image', '--repo', repo, '--encrypt');
  const sealed = fs.readFileSync(tarballPath(repo, other));
  fs.copyFileSync(name(other), name(image));
  const place = tarballPath(repo, image);
  // The seeder goes on with the file that it has open.
  fs.rmSync(place);
  fs.writeFileSync(place, sealed);
  const node = startNode(t, site, 1);
  equal(await node.ended, EXIT_STATUS.archive, saidBy([node]));
  match(saidBy([node]), /has another key than the image server's, or its header was changed/);
  deepEqual(fs.readdirSync(node.target), []);
});
