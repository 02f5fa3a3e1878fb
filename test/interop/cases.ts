// What is tried with every client: both directions, v1 and hybrid torrents, HTTP and UDP tracker.

import { test } from 'node:test';
import type { ReadingClient } from '../foreign/clients.ts';
import { type Case, fetchFrom, ourTracker, readsHybrid, seedTo, seedTwins } from './swarm.ts';

/** Declares the tests of one client; `ours` and `theirs` are addresses of this machine. */
export function interop(client: ReadingClient, ours: string, theirs: string): void {
  const { name } = client;
  for (const tracker of ['http', 'udp'] as const) {
    const at = (kind: Case['kind']) => ({ client, kind, tracker, ours, theirs });
    const met = `met at our tracker by ${tracker}`;
    test(`${name} downloads a v1 torrent from us, ${met}`, async (t) =>
      seedTo(t, at('v1'), await ourTracker(t, at('v1'))));
    test(`we download a v1 torrent from ${name}, ${met}`, async (t) =>
      fetchFrom(t, at('v1'), await ourTracker(t, at('v1'))));
    test(`${name} downloads what we seed as a hybrid torrent, ${met}`, async (t) => {
      const reads = readsHybrid(t, client);
      if (!reads)
        t.diagnostic(`this ${name} cannot read hybrid torrents: it takes the v1 torrent of the same file`);
      await (reads ? seedTo : seedTwins)(t, at('hybrid'), await ourTracker(t, at('hybrid')));
    });
    test(`we download a hybrid torrent from ${name}, ${met}`, async (t) => {
      if (!readsHybrid(t, client))
        return t.skip(`this ${name} cannot read hybrid torrents, so it cannot seed one`);
      await fetchFrom(t, at('hybrid'), await ourTracker(t, at('hybrid')));
    });
  }
}
