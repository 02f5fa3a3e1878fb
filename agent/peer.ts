// The engine joined with the real rooms: what the agent, the first seeder and `swarmboot fetch` all are in a swarm.

import { randomBytes, randomInt } from 'node:crypto';
import packageJson from '../package.json' with { type: 'json' };
import { type Credentials, NO_CREDENTIALS } from './core/credentials.ts';
import type { Limits } from './core/limits.ts';
import type { LogFact } from './core/ports.ts';
import { Engine } from './engine.ts';
import { LocalDiscovery } from './io/discovery.ts';
import { PEERS_OPTIONS, Peers } from './io/peers.ts';
import { TrackerClient } from './io/tracker.ts';
import { WebClient } from './io/web.ts';
import { openWire } from './io/wire.ts';

export interface PeerOptions {
  /** Address to listen on; `::` for all. */
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  /** Cap on what all torrents together upload; 0 for none. */
  readonly uploadBytesPerSec: number;
  readonly log: LogFact;
  readonly limits?: Partial<Limits>;
  /** For trackers and web seeds by HTTPS. */
  readonly credentials?: Credentials;
}

/** Starts a peer; it listens at once. Throws SwarmbootError('network') when the port is taken. */
export function startPeer({
  host,
  port,
  credentials = NO_CREDENTIALS,
  ...options
}: PeerOptions): Promise<Engine> {
  return Engine.start({
    ...options,
    peers: new Peers({ ...PEERS_OPTIONS, host, port }),
    openWire,
    discovery: new LocalDiscovery(host),
    tracker: new TrackerClient({ credentials }),
    web: new WebClient(credentials),
    clock: () => performance.now(),
    seed: randomInt(2 ** 32),
    peerId: newPeerId(),
  });
}

/** `-SB0100-` and chance: BEP 20's form, with our version. */
function newPeerId(): Uint8Array {
  const version = packageJson.version.replaceAll('.', '').padEnd(4, '0').slice(0, 4);
  return Buffer.concat([Buffer.from(`-SB${version}-`), randomBytes(12)]);
}
