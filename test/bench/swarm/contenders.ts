// Who takes part in the swarm bench, and how.

import { join } from 'node:path';
import { aria2, type Client, libtorrent, transmissionOf } from '../../foreign/clients.ts';
import { Program } from '../../foreign/process.ts';
import { ours, rsync, running } from '../contenders.ts';
import type { Scenario } from './scenario.ts';

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

/** Upload slots of Transmission's own settings. */
const TRANSMISSION_SLOTS = 14;
/** The part of a link's rate that udpcast is given: what it sends beyond that is lost, for its packets have headers too. */
const UDPCAST_SHARE = 0.95;

/** Ours, as bundled; with `diary` each peer leaves one in its state folder. */
export function ourContender(bundled: string, diary: boolean): SwarmContender {
  const client = { ...ours(bundled, 'hybrid', diary), name: 'Swarmboot' };
  return { client, torrent: 'hybrid', waits: true, joins: true, ready: 'announced' };
}

/** All the others, in the order of their turns. */
export function rivalsIn(scenario: Scenario): SwarmContender[] {
  const peer = { torrent: 'v1', waits: false, joins: true, ready: 'announced' } as const;
  return [
    { ...peer, client: libtorrent('default'), waits: true },
    { ...peer, client: libtorrent('lan'), waits: true },
    { ...peer, client: aria2 },
    { ...peer, client: transmissionOf(TRANSMISSION_SLOTS) },
    { client: rsync, torrent: null, waits: false, joins: true, ready: 'listening' },
    { client: udpcast(scenario), torrent: null, waits: false, joins: false, ready: 'started' },
  ];
}

/** Multicast. The sender begins when all its receivers have called; whoever comes later gets nothing. */
function udpcast({ nodes, joinShare, bitsPerSec }: Scenario): Client {
  const receivers = joinShare === null ? nodes : nodes - 1;
  const common = ['--interface', 'eth0', '--nokbd', '--portbase', '9000'];
  const sender = [
    ...['--full-duplex', '--min-receivers', String(receivers)],
    ...['--max-bitrate', `${Math.floor((bitsPerSec * UDPCAST_SHARE) / 1000)}k`],
  ];
  // It ends once it has everything, and does not stay to say so twice.
  const receiver = ['--exit-wait', '0'];
  return {
    name: 'udpcast',
    package: 'udpcast',
    path: '/usr/bin/udp-sender',
    versionArgs: [],
    async seed(job) {
      const file = join(job.folder, job.name);
      return running(new Program('/usr/bin/udp-sender', ['--file', file, ...common, ...sender], job.launch));
    },
    async fetch(job) {
      const file = join(job.folder, job.name);
      return running(
        new Program('/usr/bin/udp-receiver', ['--file', file, ...common, ...receiver], job.launch),
      );
    },
  };
}
