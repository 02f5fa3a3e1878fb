// Who takes part in the swarm bench, and how.

import type { Client } from '../../foreign/clients.ts';
import { ours } from '../contenders.ts';

export interface SwarmContender {
  readonly client: Client;
  /** Null for those that know no torrents, and no tracker. */
  readonly torrent: 'v1' | 'hybrid' | null;
  /** Its leechers are started beforehand and wait for the word to begin. */
  readonly waits: boolean;
  /** A node may begin later than the others. */
  readonly joins: boolean;
  /** When the seeder can be asked: the tracker knows it, its port is open, or it waits for its leechers itself. */
  readonly ready: 'announced' | 'listening' | 'started';
}

/** Ours; with `diary` each peer leaves one in its state folder. */
export function ourContender(diary: boolean): SwarmContender {
  const client = { ...ours('hybrid', diary), name: 'Swarmboot' };
  return { client, torrent: 'hybrid', waits: true, joins: true, ready: 'announced' };
}
