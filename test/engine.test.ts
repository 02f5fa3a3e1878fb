import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { MIB } from '../agent/core/units.ts';
import { makeTorrent, noise, scratch } from './content.ts';
import { startLeecher, startSeeder, startTracker } from './nodes.ts';

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
