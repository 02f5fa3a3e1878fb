// One peer of ours: `ours.cjs seed|fetch TORRENT FILE HOST PORT`. As a leecher it prints "ready", begins when it reads a
// line, and prints "complete" when it has the whole content; it seeds until it is stopped.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { parseTorrent } from '../../agent/core/metainfo.ts';
import { digests } from '../../agent/io/digest.ts';
import { openStore } from '../../agent/io/store.ts';
import { startPeer } from '../../agent/peer.ts';

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
  const engine = await startPeer({ host, port: Number(port), uploadBytesPerSec: 0, log: () => {} });
  if (role === 'fetch') {
    process.stdout.write('ready\n');
    await once(process.stdin, 'data');
  }
  await engine.join(torrent, store, store.have).complete;
  process.stdout.write('complete\n');
}

void main();
