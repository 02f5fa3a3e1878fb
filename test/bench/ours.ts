// One peer of ours: `ours.cjs seed|fetch|leave TORRENT FILE HOST PORT [DIARY]`. As a leecher it prints "ready", begins when
// it reads a line, and prints "complete" when it has the whole content; then it leaves, or seeds until it is stopped.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { parseTorrent } from '../../agent/core/metainfo.ts';
import { digests } from '../../agent/io/digest.ts';
import { openStore } from '../../agent/io/store.ts';
import { startPeer } from '../../agent/peer.ts';
import { SEEDER_LIMITS } from '../../scripts/seeder.ts';
import { Diary } from './diary.ts';

async function main(): Promise<void> {
  const [role, torrentFile, path, host, port, diaryFile] = process.argv.slice(2) as [
    string,
    string,
    string,
    string,
    string,
    string | undefined,
  ];
  const seeds = role === 'seed';
  const diary = diaryFile === undefined ? null : new Diary(diaryFile);
  const torrent = parseTorrent(readFileSync(torrentFile), digests);
  const store = await openStore(torrent, { path, mode: seeds ? 'seed' : 'create', hashes: digests });
  const engine = await startPeer({
    host,
    port: Number(port),
    uploadBytesPerSec: 0,
    log: diary?.log ?? (() => {}),
    ...(seeds ? { limits: SEEDER_LIMITS } : {}),
  });
  if (!seeds) {
    process.stdout.write('ready\n');
    await once(process.stdin, 'data');
  }
  diary?.begin();
  const transfer = engine.join(torrent, diary?.watched(store) ?? store, store.have);
  diary?.follow(transfer);
  const end = async () => {
    await diary?.end();
    process.exit();
  };
  process.once('SIGTERM', end);
  await transfer.complete;
  diary?.log('complete');
  process.stdout.write('complete\n');
  if (role !== 'leave') return;
  await engine.stop();
  await end();
}

void main();
