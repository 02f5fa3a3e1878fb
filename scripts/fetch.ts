// Downloads any torrent by the same peer that the agent is.

import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NO_CREDENTIALS } from '../agent/core/credentials.ts';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import { parseInfo, parseTorrent } from '../agent/core/metainfo.ts';
import type { LogFact } from '../agent/core/ports.ts';
import { swarmHash, type Torrent } from '../agent/core/torrent.ts';
import { formatBytes, hex, KIB, type Ms } from '../agent/core/units.ts';
import type { Engine } from '../agent/engine.ts';
import { openCatalog } from '../agent/io/catalog.ts';
import { digests } from '../agent/io/digest.ts';
import { openStore } from '../agent/io/store.ts';
import { startPeer } from '../agent/peer.ts';
import type { Transfer } from '../agent/transfer.ts';
import { type Command, expectWords, type Terminal, usage } from './command.ts';
import { Progress } from './progress.ts';

const LOOK_MS: Ms = 100;
/** So long without a byte is told. */
const SILENCE_MS: Ms = 15_000;

export const fetch: Command = {
  name: 'fetch',
  synopsis: 'TORRENT-FILE|MAGNET|URL --into DIR [options]',
  summary: 'Downloads a torrent of one file or many; goes on where an earlier run stopped.',
  options: [
    { name: 'into', kind: 'text', value: 'DIR', help: 'the folder; made when it is not there' },
    { name: 'seed', kind: 'flag', help: 'go on seeding afterwards, until stopped' },
    { name: 'host', kind: 'text', value: 'ADDR', help: 'address to listen on', default: '::' },
    { name: 'port', kind: 'number', value: 'PORT', help: 'port for peers; 0: any free one', default: 0 },
    { name: 'upload-max', kind: 'number', value: 'KIB', help: 'cap on upload, KiB/s; 0: none', default: 0 },
    { name: 'json', kind: 'flag', help: 'print what was downloaded as JSON' },
  ],
  run: async (args, terminal) => {
    const [source] = expectWords(args, 'TORRENT-FILE|MAGNET|URL');
    const into = args.text('into');
    if (into === undefined) throw usage('--into DIR is missing');
    const engine = await startPeer({
      host: args.text('host')!,
      port: args.number('port')!,
      uploadBytesPerSec: args.number('upload-max')! * KIB,
      log: troubles((line) => void terminal.err.write(`\n${line}\n`)),
    });
    try {
      const { torrent, addPeers } = await readTorrent(source, engine, terminal);
      const path = await download(torrent, into, engine, addPeers, terminal);
      const facts = { name: torrent.name, path, bytes: torrent.length, infoHash: hex(swarmHash(torrent)) };
      terminal.out.write(args.flag('json') ? `${JSON.stringify(facts)}\n` : `downloaded ${path}\n`);
      if (!args.flag('seed')) return;
      terminal.err.write('seeding, until stopped\n');
      await new Promise<void>((resolve) =>
        terminal.signal.addEventListener('abort', () => resolve(), { once: true }),
      );
    } finally {
      await engine.stop();
    }
  },
};

/** Tells what trackers do wrong, each thing once in a row. */
function troubles(say: (line: string) => void): LogFact {
  let last = '';
  return (fact, values) => {
    if (fact !== 'announce failed' || values?.reason === last) return;
    last = String(values?.reason);
    say(last);
  };
}

/** The torrent, and peers that a magnet link named. */
async function readTorrent(source: string, engine: Engine, { err, signal }: Terminal) {
  const found = await openCatalog(NO_CREDENTIALS).readTorrentSource(source, signal);
  if (found.kind === 'torrent') return { torrent: parseTorrent(found.bytes, digests), addPeers: [] };
  const { magnet } = found;
  if (magnet.trackers.length + magnet.peers.length === 0) {
    throw new SwarmbootError(
      'torrent',
      'the magnet link names no tracker and no peer, so nobody can be asked; add &tr=TRACKER-URL to it',
    );
  }
  err.write('asking peers for the metadata\n');
  const infoBytes = await engine.fetchInfo(magnet, digests.sha1, signal);
  const trackers = magnet.trackers.map((url) => [url]);
  return { torrent: parseInfo(infoBytes, digests, trackers), addPeers: magnet.peers };
}

/** Downloads beside the final name, then moves. Returns the path. */
async function download(
  torrent: Torrent,
  into: string,
  engine: Engine,
  peers: Parameters<Transfer['addPeers']>[0],
  terminal: Terminal,
): Promise<string> {
  try {
    mkdirSync(into, { recursive: true });
  } catch (error) {
    throw new SwarmbootError('staging', `cannot make ${into} (${messageOf(error)}); choose another --into`);
  }
  const path = join(into, torrent.name);
  const draft = existsSync(path) ? path : `${path}.part`;
  const store = await openStore(torrent, { path: draft, mode: 'resume', hashes: digests }, terminal.signal);
  const transfer = engine.join(torrent, store, store.have);
  transfer.addPeers(peers);
  transfer.addWebSeeds(torrent.webSeeds);
  try {
    await watch(transfer, terminal);
  } catch (error) {
    await transfer.leave();
    await store.close();
    throw error;
  }
  if (draft !== path) await store.finish(path);
  return path;
}

/** Shows the progress until all is there. */
async function watch(transfer: Transfer, { err, signal }: Terminal): Promise<void> {
  const { name, length } = transfer.torrent;
  const progress = new Progress(err, name, length);
  let done = false;
  const finished = transfer.complete.then(() => {
    done = true;
  });
  let [bytes, sinceMs] = [0, performance.now()];
  while (!done) {
    await Promise.race([finished, sleep(LOOK_MS)]);
    signal.throwIfAborted();
    const view = transfer.view();
    progress.update(length - view.bytesLeft);
    if (view.downloadedBytes > bytes) [bytes, sinceMs] = [view.downloadedBytes, performance.now()];
    if (done || performance.now() - sinceMs < SILENCE_MS) continue;
    sinceMs = performance.now();
    err.write(`\nnothing comes: ${view.peers} peers, ${formatBytes(view.bytesLeft)} missing\n`);
  }
  progress.end();
}
