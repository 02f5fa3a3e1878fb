import { describe, test } from 'node:test';
import { aria2, libtorrent } from '../foreign/clients.ts';
import { fetchFrom, openTracker, seedTo } from './swarm.ts';

const [ours, theirs] = ['127.0.0.1', '127.0.0.1'];

describe('opentracker instead of our own tracker', { concurrency: true }, () => {
  for (const tracker of ['http', 'udp'] as const) {
    test(`aria2 and we find each other by ${tracker}, both ways`, async (t) => {
      const which = { client: aria2, kind: 'v1', tracker, ours, theirs } as const;
      await seedTo(t, which, await openTracker(t, which));
      await fetchFrom(t, which, await openTracker(t, which));
    });
    test(`libtorrent and we find each other by ${tracker} over a hybrid torrent, both ways`, async (t) => {
      const which = { client: libtorrent('default'), kind: 'hybrid', tracker, ours, theirs } as const;
      await seedTo(t, which, await openTracker(t, which));
      await fetchFrom(t, which, await openTracker(t, which));
    });
  }
});
