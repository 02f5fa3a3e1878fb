// The demo: a Debian root published once and installed on many nodes of this machine, which feed each other; every tree
// is then compared with the original. What it may be told is in demo/settings.ts; `make demo` runs it.

import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir, rm, statfs, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Kind } from '../agent/core/catalog.ts';
import { EXIT_STATUS, messageOf, SwarmbootError } from '../agent/core/errors.ts';
import { type Manifest, parseManifest } from '../agent/core/manifest.ts';
import { formatBytes, KIB, MIB } from '../agent/core/units.ts';
import { collectBoel, TOOLS } from '../initrd-builder/boel.ts';
import { IS_ROOT, makeImage, makeOverrides, makeReference } from './demo/image.ts';
import { type Cluster, type NodeState, newNode, nodeFolders, resultOf, runNode } from './demo/node.ts';
import { formatFaults, formatSummary, type Spread, summarize } from './demo/result.ts';
import { showNodes } from './demo/screen.ts';
import { readSettings, type Settings, uploadMaxBytesPerSec } from './demo/settings.ts';
import { compareTrees } from './trees.ts';

const TOP = join(import.meta.dirname, '..');
const BUILD = join(TOP, 'build');
const FOLDER = join(BUILD, 'demo');
const REPOSITORY = join(FOLDER, 'repo');
const REFERENCE = join(FOLDER, 'reference');
const SERVER_LOG = join(FOLDER, 'server.log');
const BOEL = join(FOLDER, 'boel');
const HOST = '127.0.0.1';
const SERVER_START_MS = 30_000;
/** Most differences shown of one tree; report.json has all. */
const MOST_LINES = 10;

const say = (line: string) => console.log(line);
const shown = (path: string) => relative(process.cwd(), path) || '.';

/** Runs `swarmboot`; what it reports comes to this terminal, or to us. */
function swarmboot(args: readonly string[], reports: 'inherit' | 'pipe', signal: AbortSignal): ChildProcess {
  return spawn(process.execPath, [join(TOP, 'scripts', 'swarmboot.ts'), ...args], {
    stdio: ['ignore', 'inherit', reports],
    signal,
  });
}

function statusOf(child: ChildProcess): Promise<number | null> {
  return new Promise((done, failed) => child.once('error', failed).once('close', done));
}

/**
 * The port at which the manifest is, from what `swarmboot serve` says first; all that it says is kept in SERVER_LOG. Throws
 * when the server ends without it.
 */
function httpPortOf(server: ChildProcess): Promise<number> {
  server.stderr!.pipe(createWriteStream(SERVER_LOG));
  let said = '';
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.stderr!.on('data', (text: Buffer) => {
    said += text.toString();
    const port = /http port (\d+)\n/.exec(said)?.[1];
    if (port !== undefined) resolve(Number(port));
  });
  server.once('close', () =>
    reject(
      new SwarmbootError('network', `swarmboot serve ended: ${said.trim()}; correct that and try again`),
    ),
  );
  return promise;
}

/** Makes the image and the overrides and publishes them, with the BOEL binaries. */
async function publishAll(settings: Settings, signal: AbortSignal) {
  const image = await makeImage({ ...settings, variant: 'minbase' }, FOLDER, say, signal);
  const overrides = await makeOverrides(FOLDER);
  const run = async (...words: string[]) => {
    const status = await statusOf(swarmboot([...words, '--repo', REPOSITORY], 'inherit', signal));
    if (status !== 0)
      throw new SwarmbootError(
        'repository',
        `swarmboot ${words.join(' ')} ended with status ${status}; see above`,
      );
  };
  const publish = (name: string, kind: Kind, from: string) =>
    run('publish', name, '--kind', kind, '--from', from);
  await publish('image', 'image', image);
  await run('boel', 'build');
  // The same tools once more: what the nodes get is compared with these.
  collectBoel(TOOLS, BOEL);
  for (const [name, folder] of overrides) await publish(name, 'override', folder);
  return { image, overrides };
}

/** The manifest, as soon as all is on offer. Throws when the server ends, or takes too long. */
async function firstManifest(
  url: string,
  entries: number,
  server: ChildProcess,
  signal: AbortSignal,
): Promise<Manifest> {
  for (let waitedMs = 0; waitedMs < SERVER_START_MS && server.exitCode === null; waitedMs += 100) {
    const response = await fetch(`${url}/manifest`, { signal }).catch(() => null);
    const manifest = response?.ok ? parseManifest(await response.text()) : null;
    if (manifest?.entries.length === entries) return manifest;
    await sleep(100, undefined, { signal });
  }
  throw new SwarmbootError(
    'network',
    `swarmboot serve does not answer at ${url}; ${SERVER_LOG} has what it said`,
  );
}

/** Refuses a disk that cannot hold the run, before the nodes find out one by one. */
async function checkRoom(manifest: Manifest, settings: Settings): Promise<void> {
  const sum = (pick: (entry: Manifest['entries'][number]) => number) =>
    manifest.entries.reduce((total, entry) => total + pick(entry), 0);
  const unpacked = sum((entry) => entry.unpackedSize + 4096 * entry.entryCount);
  // A node's agent wants 100 MiB of slack in its staging pool (agent/core/staging.ts); all share this one.
  const need = settings.nodes * (unpacked + sum((entry) => entry.size)) + unpacked + 100 * MIB;
  const { bavail, bsize } = await statfs(FOLDER);
  if (bavail * bsize < need) {
    throw new SwarmbootError(
      'staging',
      `${FOLDER} has ${formatBytes(bavail * bsize)} free and ${settings.nodes} nodes need ${formatBytes(need)}; make room or set NODES= lower`,
    );
  }
}

/** Runs all agents to their ends, with one line each on the screen. */
async function runNodes(cluster: Cluster, count: number, signal: AbortSignal): Promise<NodeState[]> {
  const nodes = Array.from({ length: count }, (_, index) => newNode(index + 1, join(FOLDER, 'nodes')));
  const startedMs = performance.now();
  const now = () => performance.now() - startedMs;
  const stop = showNodes(nodes, process.stdout, now);
  try {
    await Promise.all(nodes.map((state) => runNode(state, cluster, now, signal)));
  } finally {
    stop();
  }
  return nodes;
}

/**
 * What of a node differs from the originals. The time of a top folder is left out: it tells when the node itself last
 * put something there.
 */
async function differencesOf(state: NodeState): Promise<string[]> {
  const { target, boel } = nodeFolders(state.folder);
  const all = [...(await compareTrees(REFERENCE, target)), ...(await compareTrees(BOEL, boel))];
  return all.filter((line) => !line.startsWith('"": time of modification'));
}

/**
 * What the first seeder sent is reckoned from the nodes' own counts: what they received less what they gave each other.
 */
function spreadOf(manifest: Manifest, settings: Settings, nodes: readonly NodeState[]): Spread {
  const image = manifest.entries.find((entry) => entry.kind === 'image');
  if (image === undefined)
    throw new SwarmbootError('catalog', 'the manifest has lost its image; see what swarmboot publish said');
  const totalBytes = manifest.entries.reduce((total, entry) => total + entry.size, 0);
  const received = nodes.reduce(
    (total, { report, exitStatus }) =>
      total + (exitStatus === 0 ? totalBytes : (report?.bytesVerified ?? 0)) + (report?.wastedBytes ?? 0),
    0,
  );
  return {
    imageBytes: image.size,
    imagePieces: Math.ceil(image.size / image.pieceLength),
    totalBytes,
    uploadMaxBytesPerSec: uploadMaxBytesPerSec(settings),
    seederUploadedBytes: received - nodes.reduce((total, node) => total + node.uploadedBytes, 0),
  };
}

/** The whole demo. True when every tree is identical. */
async function demo(settings: Settings, signal: AbortSignal): Promise<boolean> {
  await mkdir(FOLDER, { recursive: true });
  for (const name of [
    'image',
    'override-site',
    'override-extras',
    'reference',
    'boel',
    'repo',
    'nodes',
    'report.json',
  ]) {
    await rm(join(FOLDER, name), { recursive: true, force: true });
  }
  const { image, overrides } = await publishAll(settings, signal);
  const cap = uploadMaxBytesPerSec(settings);
  const ports = ['http-port', 'tracker-port', 'peer-port'].flatMap((name) => [`--${name}`, '0']);
  const words = ['serve', '--repo', REPOSITORY, '--host', HOST, '--upload-max', `${cap / KIB}`, ...ports];
  const server = swarmboot(words, 'pipe', signal);
  const serverEnded = statusOf(server);
  try {
    const httpPort = await httpPortOf(server);
    const manifest = await firstManifest(`http://${HOST}:${httpPort}`, 2 + overrides.size, server, signal);
    await checkRoom(manifest, settings);
    await makeReference(REFERENCE, image, overrides.values(), signal);
    const cluster: Cluster = {
      agent: join(BUILD, 'swarmboot-agent'),
      imageServer: `${HOST}:${httpPort}`,
      imageName: 'image',
      overrides: [...overrides.keys()],
      uploadMaxBytesPerSec: cap,
    };
    say(
      `\n${settings.nodes} nodes, ${cap === 0 ? 'no cap on upload' : `upload of each capped at ${settings.uploadMaxMbitPerSec} Mbit/s`}; logs and trees in ${shown(join(FOLDER, 'nodes'))}`,
    );
    say(`watch them at http://${HOST}:${httpPort}/`);
    const nodes = await runNodes(cluster, settings.nodes, signal);
    return await conclude(nodes, spreadOf(manifest, settings, nodes));
  } finally {
    server.kill('SIGTERM');
    await serverEnded.catch(() => null);
  }
}

/** Compares, prints the table, writes report.json. */
async function conclude(nodes: readonly NodeState[], spread: Spread): Promise<boolean> {
  say(
    `\ncomparing ${nodes.length} trees with the original: content, mode, times, links, attributes${IS_ROOT ? ', owners, devices' : '; not owners and devices, which only root can keep'}`,
  );
  const results = [];
  for (const state of nodes) results.push(resultOf(state, await differencesOf(state)));
  const summary = summarize(results, spread);
  for (const line of [
    ...results.flatMap((result) => formatFaults(result, MOST_LINES)),
    '',
    ...formatSummary(summary),
  ])
    say(line);
  const reportPath = join(FOLDER, 'report.json');
  await writeFile(reportPath, `${JSON.stringify(summary, null, 2)}\n`);
  say(`\n${shown(reportPath)} has the same as JSON`);
  return summary.identical === summary.nodes;
}

const ending = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => ending.abort(new SwarmbootError('interrupted', `stopped by ${name}`)));
}
try {
  process.exitCode = (await demo(readSettings(process.env), ending.signal)) ? 0 : 1;
} catch (caught) {
  const error: unknown = ending.signal.aborted ? ending.signal.reason : caught;
  ending.abort(error);
  console.error(
    `demo: ${error instanceof SwarmbootError ? error.message : error instanceof Error ? error.stack : messageOf(error)}`,
  );
  process.exitCode = error instanceof SwarmbootError ? EXIT_STATUS[error.code] : 1;
}
