// One peer of ours: `ours.ts seed|fetch TORRENT FILE HOST PORT`. Prints "complete" when it has the whole content, and
// seeds until it is stopped. The rooms are the agent's own.

import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseTorrent } from '../../agent/core/metainfo.ts';
import { Engine } from '../../agent/engine.ts';
import { digests } from '../../agent/io/digest.ts';
import { PEERS_OPTIONS, Peers } from '../../agent/io/peers.ts';
import { openStore } from '../../agent/io/store.ts';
import { TrackerClient } from '../../agent/io/tracker.ts';
import { openWire } from '../../agent/io/wire.ts';

async function main(): Promise<void> {
  const [role, torrentFile, path, host, port] = process.argv.slice(2) as [
    string,
    string,
    string,
    string,
    string,
  ];
  const torrent = parseTorrent(readFileSync(torrentFile), digests);
  const store = await openStore(torrent, {
    path,
    mode: role === 'seed' ? 'seed' : 'create',
    hashes: digests,
  });
  const engine = await Engine.start({
    peers: new Peers({ ...PEERS_OPTIONS, host, port: Number(port) }),
    openWire,
    tracker: new TrackerClient(),
    clock: () => performance.now(),
    seed: randomInt(2 ** 32),
    peerId: Buffer.from(`-SB0100-bench-${role.padEnd(6, '-')}`),
    log: () => {},
    uploadBytesPerSec: 0,
  });
  await engine.join(torrent, store, store.have).complete;
  process.stdout.write('complete\n');
}

void main();
