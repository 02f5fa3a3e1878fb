// A peer of bad manners, as a program of its own: our engine on a store that gives bad bytes or none, or a caller written by
// hand that hangs up all the time. Told by one JSON text what it is to be.

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseTorrent } from '../../agent/core/metainfo.ts';
import type { Frame, StorePort } from '../../agent/core/ports.ts';
import { Rng } from '../../agent/core/rng.ts';
import { pieceSize, swarmHash, type Torrent } from '../../agent/core/torrent.ts';
import { BLOCK_BYTES } from '../../agent/core/units.ts';
import { digests } from '../../agent/io/digest.ts';
import { openStore, type Store } from '../../agent/io/store.ts';
import { startPeer } from '../../agent/peer.ts';
import { ID, RawPeer } from '../rawpeer.ts';
import { copyIds, crowd, storm } from './crowd.ts';
import { HTTP_PORT, TRACKER_PORT } from './ports.ts';

export type Behaviour =
  /** A byte of each block is wrong. */
  | 'poisons blocks'
  /** All of each seventh piece is wrong, the rest is good. */
  | 'poisons pieces'
  /** One block of each piece is wrong, always the same one: others who gave blocks of that piece look guilty too. */
  | 'poisons one block'
  /** Says that it has all, and gives of every other piece nothing. */
  | 'lies'
  /** Takes requests and never answers. */
  | 'stalls'
  /** Calls, gives ten blocks, chokes, hangs up, calls again. */
  | 'flaps'
  /** Says that it is one of the others, by that one's id. */
  | 'copies an id'
  /** A thousand connections to each of four ports, idle or slow. */
  | 'crowds'
  /** Announces for many nodes at once, from each address that it has. */
  | 'storms';

interface Job {
  readonly torrent: string;
  readonly tarball: string;
  readonly host: string;
  readonly port: number;
  /** The image server. */
  readonly server: string;
  readonly victims: readonly string[];
  readonly behaviour: Behaviour;
  readonly seed: number;
}

/** Length, id, piece, begin: what stands before each block of a frame. */
const HEADER_BYTES = 13;
const POISONED_PIECES = 7;
const FLAP_BLOCKS = 10;
const FLAP_MS = 50;

class RogueStore implements StorePort {
  readonly #store: Store;
  readonly #behaviour: Behaviour;
  readonly #seed: number;

  constructor(store: Store, behaviour: Behaviour, seed: number) {
    this.#store = store;
    this.#behaviour = behaviour;
    this.#seed = seed;
  }

  write(): void {
    throw new Error('it has everything');
  }

  verify(): boolean {
    throw new Error('it has everything');
  }

  read(piece: number, begin: number, length: number): Frame | null {
    if (this.#behaviour === 'stalls' || (this.#behaviour === 'lies' && piece % 2 === 1)) return null;
    const frame = this.#store.read(piece, begin, length);
    if (frame === null) return null;
    const blocks = Math.ceil(length / BLOCK_BYTES);
    for (let block = 0; block < blocks; block++) {
      if (!this.#isPoisoned(piece, begin / BLOCK_BYTES + block)) continue;
      const at = block * (HEADER_BYTES + BLOCK_BYTES) + HEADER_BYTES;
      frame.bytes[at]! ^= 0xff;
    }
    return frame;
  }

  #isPoisoned(piece: number, block: number): boolean {
    switch (this.#behaviour) {
      case 'poisons blocks':
        return true;
      case 'poisons pieces':
        return (piece + this.#seed) % POISONED_PIECES === 0;
      case 'poisons one block': {
        const blocks = Math.ceil(pieceSize(this.#store.torrent, piece) / BLOCK_BYTES);
        return block === (piece + this.#seed) % blocks;
      }
      default:
        return false;
    }
  }
}

/** Calls a node over and over, gives it some blocks, chokes it in between, and hangs up. */
async function flap(torrent: Torrent, store: Store, host: string, port: number): Promise<void> {
  const nobody = { after: () => {} };
  for (;;) {
    await sleep(FLAP_MS);
    try {
      const peer = await RawPeer.call(nobody, port, host);
      peer.greet(swarmHash(torrent), { peerId: randomBytes(20) });
      peer.say(ID.haveAll);
      for (let given = 0; given < FLAP_BLOCKS; given++) {
        peer.say(ID.unchoke);
        const asked = await peer.hear(ID.request);
        const [piece, begin, length] = [0, 4, 8].map((at) => asked.readUInt32BE(at)) as [
          number,
          number,
          number,
        ];
        const frame = store.read(piece, begin, length)!;
        peer.write(Buffer.from(frame.bytes));
        frame.release();
        peer.say(ID.choke);
      }
      peer.socket.destroy();
      await peer.closed;
    } catch {
      // It was hung up on: that is the game.
    }
  }
}

async function main(): Promise<void> {
  const job = JSON.parse(process.argv[2]!) as Job;
  const torrent = parseTorrent(readFileSync(job.torrent), digests);
  const infoHash = swarmHash(torrent);
  if (job.behaviour === 'crowds') {
    const ports = [job.port, HTTP_PORT, TRACKER_PORT].map((port) => ({ host: job.server, port }));
    return crowd([...ports, { host: job.victims[0]!, port: job.port }]);
  }
  if (job.behaviour === 'storms') return storm(job.server, infoHash);
  if (job.behaviour === 'copies an id') return copyIds(job.victims, job.port, infoHash);
  const store = await openStore(torrent, { path: job.tarball, mode: 'seed', hashes: digests });
  if (job.behaviour === 'flaps') {
    for (const host of job.victims) void flap(torrent, store, host, job.port);
    return;
  }
  const log = (fact: string, values?: object) =>
    void process.stdout.write(`${JSON.stringify({ fact, ...values })}\n`);
  const engine = await startPeer({ host: job.host, port: job.port, uploadBytesPerSec: 0, log });
  engine.join(torrent, new RogueStore(store, job.behaviour, new Rng(job.seed).below(1000)), store.have);
}

if (import.meta.main) await main();
