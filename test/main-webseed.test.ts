// Agents whose swarm never comes to life: the tracker that their torrents name is not there, so nobody finds the first seeder.
// The image server answers by HTTP, and that is enough.

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { MIB } from '../agent/core/units.ts';
import { startAgent } from './agentprocess.ts';
import { noise, scratch } from './content.ts';
import { message } from './core/messages.ts';
import { published } from './scripts/commands.ts';
import { serveRepository } from './scripts/server.ts';

/** Nobody listens there. */
const DEAD_TRACKER = 'http://127.0.0.1:1/announce';

test('nodes without tracker and first seeder install by HTTP, and say so with the reason', async (t) => {
  const folder = scratch(t);
  const [repo, tree] = [join(folder, 'repo'), join(folder, 'tree')];
  mkdirSync(tree);
  const content = noise(5 * MIB, 7);
  writeFileSync(join(tree, 'noise'), content);
  const { size } = await published(
    'web',
    ...['--kind', 'image', '--from', tree, '--repo', repo, '--compress', 'none'],
    ...['--announce', DEAD_TRACKER],
  );
  const server = await serveRepository(t, repo);
  await server.manifest(({ entries }) => entries.length === 1);
  const agents = [1, 2].map((number) =>
    startAgent(
      t,
      { folder, trust: null, number },
      {
        IMAGESERVER: server.url,
        IMAGENAME: 'web',
        BITTORRENT_SEED_WAIT: 'n',
        BOOTIF: message().mac.replace(/.$/, `${number}`),
        CONSOLE: 'json',
      },
    ),
  );
  for (const { ended, err, out, target } of agents) {
    deepEqual([await ended, err()], [0, '']);
    ok(readFileSync(join(target, 'noise')).equals(content));
    const facts = out()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const { step, reason } = facts.find(({ fact }) => fact === 'fallback');
    deepEqual([step, reason], ['web seed', 'no peer is connected']);
    equal(facts.findLast(({ fact }) => fact === 'report').webSeedBytes, size);
  }
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  // They knew nobody to share it with.
  match(metrics, new RegExp(`^swarmboot_tarballs_sent_bytes_total ${2 * size}$`, 'm'));
  match(metrics, /^swarmboot_first_seeder_sent_bytes_total\{publication="web"\} 0$/m);
});
