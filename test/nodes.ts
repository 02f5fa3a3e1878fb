// Real nodes in this process: an Engine on loopback with its own store, and the tracker that brings them together.

import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { NO_CREDENTIALS } from '../agent/core/credentials.ts';
import type { Limits } from '../agent/core/limits.ts';
import type { Company, DiscoveryPort } from '../agent/core/ports.ts';
import type { Torrent } from '../agent/core/torrent.ts';
import { swarmHash } from '../agent/core/torrent.ts';
import { Engine } from '../agent/engine.ts';
import { digests } from '../agent/io/digest.ts';
import { PEERS_OPTIONS, Peers } from '../agent/io/peers.ts';
import { openStore, type Store } from '../agent/io/store.ts';
import { TrackerClient } from '../agent/io/tracker.ts';
import { WebClient } from '../agent/io/web.ts';
import { openWire } from '../agent/io/wire.ts';
import type { Transfer } from '../agent/transfer.ts';
import { TrackerServer } from '../scripts/tracker.ts';

interface Test {
  after(done: () => void | Promise<void>): void;
}

export interface NodeOptions {
  readonly host?: string;
  readonly uploadBytesPerSec?: number;
  readonly limits?: Partial<Limits>;
  readonly log?: (fact: string, values?: object) => void;
  readonly discovery?: DiscoveryPort;
  /** With whom it shares its swarms; not given: with all. */
  readonly company?: Company;
}

/** An engine on a free port of loopback, stopped when the test ends. */
export async function startEngine(test: Test, options: NodeOptions = {}): Promise<Engine> {
  const engine = await Engine.start({
    peers: new Peers({ ...PEERS_OPTIONS, host: options.host ?? '127.0.0.1', port: 0 }),
    openWire,
    discovery: options.discovery ?? null,
    tracker: new TrackerClient({ timeoutMs: 2000 }),
    web: new WebClient(NO_CREDENTIALS),
    clock: () => performance.now(),
    seed: randomBytes(4).readUInt32LE(),
    peerId: randomBytes(20),
    log: options.log ?? (() => {}),
    uploadBytesPerSec: options.uploadBytesPerSec ?? 0,
    ...(options.limits ? { limits: options.limits } : {}),
  });
  test.after(() => engine.stop());
  if (options.company !== undefined) engine.keepTo(options.company);
  return engine;
}

export interface TestNode {
  readonly engine: Engine;
  readonly transfer: Transfer;
  readonly store: Store;
  readonly path: string;
}

/** A node that has the whole content. */
export async function startSeeder(
  test: Test,
  folder: string,
  torrent: Torrent,
  content: Uint8Array,
  options: NodeOptions = {},
): Promise<TestNode> {
  const path = join(folder, `seed-${randomBytes(4).toString('hex')}`);
  writeFileSync(path, content);
  return startNode(test, path, 'seed', torrent, options);
}

/** A node that has nothing yet. */
export function startLeecher(
  test: Test,
  folder: string,
  torrent: Torrent,
  options: NodeOptions = {},
): Promise<TestNode> {
  return startNode(test, join(folder, `leech-${randomBytes(4).toString('hex')}`), 'create', torrent, options);
}

async function startNode(
  test: Test,
  path: string,
  mode: 'create' | 'seed',
  torrent: Torrent,
  options: NodeOptions,
): Promise<TestNode> {
  const store = await openStore(torrent, { path, mode, hashes: digests });
  const engine = await startEngine(test, options);
  return { engine, store, path, transfer: engine.join(torrent, store, store.have) };
}

/** Our tracker on a free port of loopback, for the given torrents; closed when the test ends. */
export async function startTracker(test: Test, torrents: readonly Torrent[] = []): Promise<TrackerServer> {
  const tracker = await TrackerServer.start({
    host: '127.0.0.1',
    port: 0,
    random: Math.random,
    clock: () => performance.now(),
    log: () => {},
  });
  test.after(() => tracker.close());
  for (const torrent of torrents) tracker.allow(swarmHash(torrent));
  return tracker;
}
