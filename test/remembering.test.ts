import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Torrent } from '../agent/core/torrent.ts';
import { KIB } from '../agent/core/units.ts';
import { recall, remember } from '../agent/io/memory.ts';
import { peersPath, REMEMBER_MS, rememberPeers } from '../agent/remembering.ts';
import { makeTorrent, noise, scratch } from './content.ts';
import { startLeecher, type TestNode } from './nodes.ts';

/** The rooms, with waits a thousand times as short; what was told, and what was written. */
function roomsOf() {
  const told: string[] = [];
  const written: string[] = [];
  const rooms = {
    memory: {
      read: recall,
      write: (path: string, text: string) => {
        written.push(text);
        return remember(path, text);
      },
    },
    sleep: (ms: number, signal: AbortSignal) => sleep(ms / 1000, undefined, { signal }),
    tell: (event: object) => void told.push(String(Reflect.get(event, 'text'))),
  };
  return { rooms, told, written };
}

/** A node that keeps its peers beside `path`, until it is cut off. */
async function startKeeping(t: TestContext, torrent: Torrent, path: string) {
  const node = await startLeecher(t, scratch(t), torrent);
  const { rooms, told, written } = roomsOf();
  const ends = new AbortController();
  const keeping = rememberPeers(node.transfer, path, rooms, ends.signal);
  const cutOff = async () => {
    ends.abort();
    await keeping;
    await node.engine.stop();
  };
  t.after(cutOff);
  return { node, told, written, cutOff };
}

const meets = async ({ transfer }: TestNode, peers: number) => {
  while (transfer.view().peers < peers) await sleep(5);
};

test('a node that is cut off and starts anew finds its swarm, though nobody names a peer to it', async (t) => {
  const { torrent } = makeTorrent('image', [{ bytes: noise(200_000, 1) }], 64 * KIB, 'v1');
  const folder = join(scratch(t), 'staging');
  mkdirSync(folder);
  const path = join(folder, torrent.name);
  const others = await Promise.all([1, 2].map(() => startLeecher(t, scratch(t), torrent)));
  const first = await startKeeping(t, torrent, path);
  first.node.transfer.addPeers(others.map(({ engine }) => ({ host: '127.0.0.1', port: engine.port })));
  await meets(first.node, 2);
  while (first.written.at(-1)?.split('\n').length !== 3) await sleep(5);
  await first.cutOff();
  assert.match(readFileSync(peersPath(path), 'utf8'), /^(127\.0\.0\.1 \d+\n){2}$/);
  const second = await startKeeping(t, torrent, path);
  await meets(second.node, 2);
  assert.deepEqual(second.told, ['2 peers are remembered from the install that was cut off']);
});

test('peers are kept when they change, and a node that is alone keeps those that it had', async (t) => {
  const { torrent } = makeTorrent('image', [{ bytes: noise(200_000, 1) }], 64 * KIB, 'v1');
  const other = await startLeecher(t, scratch(t), torrent);
  const path = join(scratch(t), torrent.name);
  const { node, written } = await startKeeping(t, torrent, path);
  node.transfer.addPeers([{ host: '127.0.0.1', port: other.engine.port }]);
  while (written.length === 0) await sleep(5);
  await sleep((20 * REMEMBER_MS) / 1000);
  await other.engine.stop();
  while (node.transfer.view().peers > 0) await sleep(5);
  await sleep((20 * REMEMBER_MS) / 1000);
  assert.deepEqual(written, [`127.0.0.1 ${other.engine.port}\n`]);
});
