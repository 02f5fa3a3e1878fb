// An image server that is killed again and again while a node installs from it: tracker, catalog and the only seeder at once.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MIB } from '../../agent/core/units.ts';
import { agent, same } from '../agentsite.ts';
import { noise, scratch } from '../content.ts';
import { published } from '../scripts/commands.ts';
import { serveRepository } from '../scripts/server.ts';

interface Test {
  after(done: () => void | Promise<void>): void;
}

/** Every server lives as long, and is away as long. */
const [LIFE_MS, DEATH_MS] = [1500, 500];
const UPLOAD_KIB = 1024;

export interface Restarts {
  readonly installedMs: number;
  /** What came twice or in vain. */
  readonly wastedBytes: number;
  readonly bytes: number;
}

/** Kills the server `times` times. Throws unless the node ends installed, and no server has had to read the tarball anew. */
export async function restartServer(test: Test, times: number): Promise<Restarts> {
  const folder = scratch(test);
  const [repo, tree, target, staging] = ['repo', 'tree', 'a', 'pool'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
    string,
  ];
  for (const path of [tree, target, staging]) mkdirSync(path);
  const bytes = (times + 2) * MIB;
  writeFileSync(join(tree, 'noise'), noise(bytes, 7));
  await published('one', '--kind', 'image', '--from', tree, '--repo', repo, '--compress', 'none');
  const limit = ['--upload-max', String(UPLOAD_KIB)];
  let server = await serveRepository(test, repo, {}, limit);
  await server.manifest(({ entries }) => entries.length === 1);
  const { port } = new URL(server.url);
  const ports = { http: Number(port), tracker: server.trackerPort, peer: server.peerPort };
  const { ended } = agent({
    IMAGESERVER: `127.0.0.1:${port}`,
    IMAGENAME: 'one',
    TARGET: target,
    BITTORRENT_STAGING: staging,
    BITTORRENT_POLLING_TIME: '1',
    BITTORRENT_PORT: '0',
    BIND: '127.0.0.1',
    CONSOLE: 'json',
  });
  for (let time = 0; time < times; time++) {
    await sleep(LIFE_MS);
    const closed = once(server.child, 'close');
    server.child.kill('SIGKILL');
    await closed;
    await sleep(DEATH_MS);
    server = await serveRepository(test, repo, ports, limit);
  }
  const { status, out, err } = await ended;
  assert.equal(status, 0, `${out.slice(-2000)}${err}`);
  same(tree, target);
  assert.doesNotMatch(server.said(), /was touched/);
  const facts = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const { wastedBytes } = facts.findLast(({ fact }) => fact === 'report');
  return { installedMs: facts.find(({ fact }) => fact === 'installed').ms, wastedBytes, bytes };
}
