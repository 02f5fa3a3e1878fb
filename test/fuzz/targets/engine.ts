// A peer and the whole engine: what a stream makes of wire, transfer and swarm, with a store that holds no files.

import { Bitfield } from '../../../agent/core/bitfield.ts';
import type { Link, PeersPort, StorePort, TrackerPort, WebPort } from '../../../agent/core/ports.ts';
import type { Torrent } from '../../../agent/core/torrent.ts';
import { KIB } from '../../../agent/core/units.ts';
import { Engine } from '../../../agent/engine.ts';
import { openWire } from '../../../agent/io/wire.ts';
import { makeTorrent, noise } from '../../content.ts';
import { drawn } from '../generate.ts';
import { bringAll, FakeLink, INFO_HASH, mannerOf, stream, streamSeeds, turns } from '../streams.ts';
import { must, type Target, type Verdict } from '../target.ts';

const PIECE = 32 * KIB;
/** Four pieces, under the info hash of which all streams speak. */
const TORRENT: Torrent = {
  ...makeTorrent('image', [{ bytes: noise(4 * PIECE - 5, 1) }], PIECE, 'v1').torrent,
  infoHashV1: INFO_HASH,
};

/** Takes callers; whom it calls, it reaches. */
class FakePeers implements PeersPort {
  arrived: (link: Link) => void = () => {};
  readonly dialed = new FakeLink(true, '192.0.2.8');

  listen(arrived: (link: Link) => void): Promise<number> {
    this.arrived = arrived;
    return Promise.resolve(7000);
  }

  dial(): Promise<Link> {
    return Promise.resolve(this.dialed);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Every other piece is good. */
const store: StorePort = {
  write: (_piece, _bytes, done) => done(null),
  verify: (piece) => piece % 2 === 0,
  read: (piece, begin, length) => {
    must(piece < TORRENT.pieceCount && begin + length <= PIECE, 'what is served is there');
    return { bytes: new Uint8Array(length), release: () => {} };
  },
};

const tracker: TrackerPort = { announce: () => Promise.reject(new Error('it is not there')) };
const web: WebPort = { fetchRange: () => Promise.reject(new Error('it is not there')) };

async function judge(bytes: Uint8Array): Promise<Verdict> {
  const { outgoing, seeding, chunks } = mannerOf(bytes);
  const peers = new FakePeers();
  const engine = await Engine.start({
    peers,
    openWire,
    discovery: null,
    tracker,
    web,
    clock: () => performance.now(),
    seed: 1,
    peerId: Buffer.alloc(20, 3),
    log: () => {},
    uploadBytesPerSec: 0,
    limits: { leaveMs: 50 },
  });
  const transfer = engine.join(
    TORRENT,
    store,
    seeding ? Bitfield.full(TORRENT.pieceCount) : new Bitfield(TORRENT.pieceCount),
  );
  const link = outgoing ? peers.dialed : new FakeLink(false);
  if (outgoing) transfer.addPeers([link.remote]);
  else peers.arrived(link);
  await turns(3);
  await bringAll(link, chunks);
  await turns(4);
  const fault = link.closedFor;
  link.close('the end of the test');
  await turns(2);
  await engine.stop();
  return fault === null ? 'accepted' : 'refused';
}

export const engine = (): Target => ({
  seeds: streamSeeds(),
  words: [
    '\0\0\0\x01\x01',
    '\0\0\0\x01\x02',
    '\0\0\0\x05\x04\0\0\0\x01',
    'd1:md11:ut_metadatai1eee',
    'd8:msg_typei0e5:piecei0ee',
  ],
  build: drawn(stream),
  bytesMax: 128 * KIB,
  growthMiB: 8,
  judge,
});
