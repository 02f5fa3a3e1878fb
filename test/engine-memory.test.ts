import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BOUNDS } from '../agent/core/bounds.ts';
import { BLOCK_BYTES, KIB, MIB } from '../agent/core/units.ts';
import { makeTorrent, noise, scratch } from './content.ts';
import { startSeeder } from './nodes.ts';
import { ID, RawPeer } from './rawpeer.ts';

const PIECE = 64 * KIB;
/** A node that does nothing takes some 70 MiB, and it may take 200 beside its staging pool. Without limits it would be 400 more. */
const MORE_MAX = 64 * MIB;

/** The most that this process has ever had in memory, in bytes. */
function peak(): number {
  return KIB * Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]);
}

test('a swarm of peers that ask for all that they may and read nothing costs little memory', async (t) => {
  const { torrent, space } = makeTorrent('image', [{ bytes: noise(16 * MIB, 1) }], PIECE, 'v1');
  const seeder = await startSeeder(t, scratch(t), torrent, space);
  const before = peak();
  const greeted = Array.from({ length: BOUNDS.swarmPeers }, async () => {
    const peer = await RawPeer.meet(t, seeder.engine.port, torrent.infoHashV1!);
    peer.say(ID.interested);
    await peer.hear(ID.unchoke);
    peer.socket.pause();
    return peer;
  });
  const peers = await Promise.all(greeted);
  assert.equal(seeder.transfer.view().peers, BOUNDS.swarmPeers);
  for (const peer of peers) {
    for (let block = 0; block < BOUNDS.requestsWaiting; block++) {
      const begin = block * BLOCK_BYTES;
      peer.say(ID.request, Math.floor(begin / PIECE), begin % PIECE, BLOCK_BYTES);
    }
  }
  // What can go out has gone when no more is taken for a while.
  for (let sent = -1, now = 0; sent !== now; await sleep(500))
    [sent, now] = [now, seeder.transfer.view().uploadedBytes];
  const more = peak() - before;
  t.diagnostic(`${Math.round(more / MIB)} MiB more`);
  assert.ok(more <= MORE_MAX, `${more} bytes more`);
});
