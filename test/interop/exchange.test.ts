// Peer exchange (BEP 11) with libtorrent, on a torrent that is not private and has no tracker.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { KIB } from '../../agent/core/units.ts';
import { makeTorrent, noise, scratch } from '../content.ts';
import { libtorrent } from '../foreign/clients.ts';
import { freePort } from '../foreign/process.ts';
import { startLeecher, startSeeder, type TestNode } from '../nodes.ts';

const HOST = '127.0.0.1';
const PATIENCE_MS = 60_000;

async function meets({ transfer }: TestNode, peers: number): Promise<void> {
  while (transfer.view().peers < peers) await sleep(20);
}

/** libtorrent as a leecher that nobody has been named to. */
async function startForeign(t: TestContext) {
  const parts = [{ bytes: noise(300_000, 1) }];
  const { file, torrent, space } = makeTorrent('image', parts, 64 * KIB, 'v1', [], false);
  const folder = scratch(t);
  const path = join(folder, 'image.torrent');
  writeFileSync(path, file);
  const port = await freePort();
  const job = {
    torrent: path,
    folder,
    name: 'image',
    state: folder,
    host: HOST,
    port,
    seeder: '',
    launch: {},
  };
  const { program, complete } = await libtorrent('default').fetch(job);
  t.after(() => program.stop());
  return { torrent, space, folder, address: { host: HOST, port }, completed: complete(PATIENCE_MS) };
}

test('libtorrent hears of peers from us, and calls them', { timeout: PATIENCE_MS }, async (t) => {
  const { torrent, space, folder, address, completed } = await startForeign(t);
  // Slow, or all would be over before anybody hears of it.
  const seeder = await startSeeder(t, folder, torrent, space, { uploadBytesPerSec: 40 * KIB });
  const node = await startLeecher(t, folder, torrent);
  node.transfer.addPeers([{ host: HOST, port: seeder.engine.port }]);
  await meets(node, 1);
  node.transfer.addPeers([address]);
  // A seeder calls nobody.
  await meets(seeder, 2);
  await completed;
});

test('we hear of peers from libtorrent, and call them', { timeout: PATIENCE_MS }, async (t) => {
  const { torrent, space, folder, address, completed } = await startForeign(t);
  const [one, two] = await Promise.all([startLeecher(t, folder, torrent), startLeecher(t, folder, torrent)]);
  for (const { transfer } of [one, two]) transfer.addPeers([address]);
  // Nobody else could have told them of each other.
  await meets(one, 2);
  await meets(two, 2);
  const seeder = await startSeeder(t, folder, torrent, space);
  one.transfer.addPeers([{ host: HOST, port: seeder.engine.port }]);
  await completed;
});
