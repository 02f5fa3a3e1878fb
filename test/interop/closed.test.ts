// Peers of other makers at a closed swarm: they are told nothing, and an open one gives them everything.

import { test } from 'node:test';
import { aria2, libtorrent } from '../foreign/clients.ts';
import { type Case, ourTracker, refuseTo, seedTo } from './swarm.ts';

for (const client of [libtorrent('default'), aria2]) {
  test(`${client.name} gets 0 bytes from us in a closed swarm, and everything in an open one`, async (t) => {
    const which: Case = { client, kind: 'v1', tracker: 'http', ours: '127.0.0.1', theirs: '127.0.0.1' };
    await refuseTo(t, which, await ourTracker(t, which));
    await seedTo(t, which, await ourTracker(t, which));
  });
}
