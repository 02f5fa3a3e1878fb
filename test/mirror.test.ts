// Real agents install from an image server and its mirror, and the server dies: in the middle, or before anything began. The
// two have loopback addresses of their own and the same ports, as the servers of a site have.

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { KIB } from '../agent/core/units.ts';
import type { Cluster } from '../scripts/core/cluster.ts';
import { noise, scratch } from './content.ts';
import { published } from './scripts/commands.ts';
import { type Served, serveRepository } from './scripts/server.ts';

const AGENT = fileURLToPath(new URL('../agent/main.ts', import.meta.url));
const NODES = 4;
const CONTENT = noise(6_000_000, 9);
/** Slow enough to die in the middle. */
const PRIMARY_MAX = ['--upload-max', `${Math.round(CONTENT.length / 4 / KIB)}`];

const mac = (number: number) => `02:00:00:00:00:0${number}`;

/** An image server with one image, and a mirror that has all of it. */
async function mirrored(t: TestContext) {
  const folder = scratch(t);
  const [repo, copy, tree] = ['repo', 'copy', 'tree'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  mkdirSync(tree);
  writeFileSync(join(tree, 'noise'), CONTENT);
  await published('web', '--kind', 'image', '--from', tree, '--repo', repo, '--compress', 'none');
  const lines = Array.from({ length: NODES }, (_, i) => `node${i + 1} mac=${mac(i + 1)} image=web\n`);
  writeFileSync(join(repo, 'nodes.conf'), lines.join(''));
  const primary = await serveRepository(t, repo);
  const ports = {
    host: '127.0.0.2',
    http: Number(new URL(primary.url).port),
    tracker: primary.trackerPort,
  };
  const mirror = await serveRepository(t, copy, ports, ['--mirror', primary.url]);
  await mirror.manifest(({ entries }) => entries.length === 1);
  return { folder, repo, primary, mirror, ports };
}

async function kill(served: Served): Promise<void> {
  served.child.kill('SIGKILL');
  await once(served.child, 'close');
}

interface Node {
  said(): string;
  readonly ended: Promise<number | null>;
  readonly target: string;
}

/** An install into a folder, by an agent that knows both servers. */
function startNode(t: TestContext, folder: string, number: number, servers: readonly Served[]): Node {
  const [target, staging] = ['target', 'staging'].map((name) => join(folder, `${name}${number}`)) as [
    string,
    string,
  ];
  for (const path of [target, staging]) mkdirSync(path);
  const flags = {
    IMAGESERVER: servers.map(({ url }) => new URL(url).host).join(','),
    IMAGENAME: 'web',
    BOOTIF: mac(number),
    TARGET: target,
    BITTORRENT_STAGING: staging,
    BITTORRENT_PORT: '0',
    BITTORRENT_POLLING_TIME: '1',
    BITTORRENT_SEED_WAIT: 'n',
    BIND: '127.0.0.1',
  };
  const words = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  const child = spawn(process.execPath, [AGENT, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'close').then(([status]) => status as number | null);
  t.after(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
  return { said: () => said, ended, target };
}

async function allInstalled(nodes: readonly Node[]): Promise<void> {
  for (const { ended, said, target } of nodes) {
    equal(await ended, 0, said());
    ok(readFileSync(join(target, 'noise')).equals(CONTENT));
  }
}

async function imaged({ url }: Served): Promise<number> {
  const { counts } = (await (await fetch(`${url}/cluster.json`)).json()) as Cluster;
  return counts.imaged;
}

test('the image server dies in the middle: all nodes are installed, and it hears of them when it is back', async (t) => {
  const { folder, repo, primary, mirror, ports } = await mirrored(t);
  await kill(primary);
  const slow = await serveRepository(
    t,
    repo,
    { http: ports.http, tracker: ports.tracker, peer: primary.peerPort },
    PRIMARY_MAX,
  );
  await slow.manifest(({ entries }) => entries.length === 1);
  const nodes = Array.from({ length: NODES }, (_, i) => startNode(t, folder, i + 1, [slow, mirror]));
  while (!/^image +\d\d %/m.test(nodes[0]!.said())) await sleep(20);
  const killedAt = performance.now();
  await kill(slow);
  ok(!/^installed in/m.test(nodes[0]!.said()), 'it died in the middle');
  await allInstalled(nodes);
  t.diagnostic(`all installed ${Math.round(performance.now() - killedAt)} ms after the server died`);
  equal(await imaged(mirror), NODES);
  const back = await serveRepository(t, repo, { http: ports.http, tracker: ports.tracker });
  while ((await imaged(back)) < NODES) await sleep(50);
});

test('the image server is dead before anything begins: all nodes are installed from the mirror alone', async (t) => {
  const { folder, primary, mirror } = await mirrored(t);
  await kill(primary);
  const nodes = Array.from({ length: NODES }, (_, i) => startNode(t, folder, i + 1, [primary, mirror]));
  await allInstalled(nodes);
  for (const { said } of nodes)
    match(said(), /^the image server http:\/\/127\.0\.0\.2:\d+ is asked first from now on: .*ECONNREFUSED/m);
  equal(await imaged(mirror), NODES);
  deepEqual(/ALARM|Error:/.exec(mirror.said()), null);
});
