import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MIB } from '../agent/core/units.ts';
import { makeTorrent, noise, scratch } from './content.ts';
import { startEngine, startLeecher, startSeeder, startTracker } from './nodes.ts';

for (const kind of ['v1', 'hybrid'] as const) {
  test(`five nodes feed each other a ${kind} torrent until all have it`, async (t) => {
    const folder = scratch(t);
    const tracker = await startTracker(t);
    const announce = [`http://127.0.0.1:${tracker.httpPort}/announce`];
    const made = makeTorrent('image', [{ bytes: noise(9 * MIB + 12_345, 1) }], 262_144, kind, announce);
    tracker.allow(made.torrent.infoHashV1!);
    const seeder = await startSeeder(t, folder, made.torrent, made.space);
    const nodes = await Promise.all([1, 2, 3, 4, 5].map(() => startLeecher(t, folder, made.torrent)));
    await Promise.all(nodes.map((node) => node.transfer.complete));
    for (const node of nodes) assert.ok(readFileSync(node.path).equals(made.space));
    const fromSeeder = seeder.transfer.view().uploadedBytes;
    const fromNodes = nodes.reduce((total, node) => total + node.transfer.view().uploadedBytes, 0);
    assert.ok(fromNodes > 0, `the seeder sent ${fromSeeder}, the nodes nothing`);
    await Promise.all(nodes.map((node) => node.transfer.leave()));
  });
}

test('a tracker is asked about a swarm without joining it, and knows nothing of that afterwards', async (t) => {
  const tracker = await startTracker(t);
  const announce = [`http://127.0.0.1:${tracker.httpPort}/announce`, `udp://127.0.0.1:${tracker.udpPort}`];
  const made = makeTorrent('image', [{ bytes: noise(MIB, 1) }], 262_144, 'hybrid', announce.slice(0, 1));
  tracker.allow(made.torrent.infoHashV1!);
  const seeder = await startSeeder(t, scratch(t), made.torrent, made.space);
  while (tracker.stats().peers === 0) await sleep(10);
  const engine = await startEngine(t);
  for (const url of announce) {
    const { peers, seeders, leechers } = await engine.askTracker(made.torrent, url, 20, t.signal);
    assert.deepEqual(peers, [{ host: '127.0.0.1', port: seeder.engine.port }]);
    assert.deepEqual([seeders, leechers], [1, 1]);
    assert.equal(tracker.stats().peers, 1);
  }
  await assert.rejects(
    engine.askTracker(made.torrent, 'http://127.0.0.1:1/announce', 20, t.signal),
    /http:\/\/127\.0\.0\.1:1\/announce refused the connection/,
  );
});
