// What is tried with every client: both directions, v1 and hybrid torrents, HTTP and UDP tracker.

import { match } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import type { ReadingClient } from '../foreign/clients.ts';
import { type Case, fetchFrom, ourTracker, readsHybrid, seedTo, seedTwins } from './swarm.ts';

/** Versions that cannot read the empty names in BEP 52's file tree. */
const BEFORE_HYBRID = /^(aria2 version 1\.([0-9]|[12][0-9]|3[0-6])\.|transmission-daemon [0-3]\.)/m;

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
    test(`we download a hybrid torrent from ${name} if its version knows BEP 52, ${met}`, async (t) => {
      if (readsHybrid(t, client)) await fetchFrom(t, at('hybrid'), await ourTracker(t, at('hybrid')));
      // Then it cannot seed one: a fact of old versions, and of no others.
      else match(versionOf(client), BEFORE_HYBRID);
    });
  }
}

function versionOf({ path, versionArgs }: ReadingClient): string {
  const { stdout, stderr } = spawnSync(path, versionArgs, { encoding: 'utf8' });
  return stdout + stderr;
}
