import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { performance } from 'node:perf_hooks';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bitfield } from '../agent/core/bitfield.ts';
import type { Magnet } from '../agent/core/magnet.ts';
import type { StorePort } from '../agent/core/ports.ts';
import type { PeerAddress } from '../agent/core/tracker.ts';
import { BLOCK_BYTES, KIB, MIB } from '../agent/core/units.ts';
import type { Engine } from '../agent/engine.ts';
import { digests } from '../agent/io/digest.ts';
import { openStore } from '../agent/io/store.ts';
import { makeTorrent, noise, scratch } from './content.ts';
import { startEngine, startLeecher, startSeeder, startTracker } from './nodes.ts';
import { ID, RawPeer } from './rawpeer.ts';

const PIECE = 64 * KIB;
const made = makeTorrent('image', [{ bytes: noise(2 * MIB + 1000, 1) }], PIECE, 'v1');
const { torrent, space } = made;
const infoHash = torrent.infoHashV1!;

const at = (engine: Engine, host = '127.0.0.1'): PeerAddress => ({ host, port: engine.port });
const sha1 = (bytes: Uint8Array) => createHash('sha1').update(bytes).digest();

function magnetOf(hash: Uint8Array, peers: readonly PeerAddress[]): Magnet {
  return { infoHashV1: hash, infoHashV2: null, name: null, trackers: [], peers };
}

/** A peer that claims to have everything, and answers each request with what `answer` makes of it. */
function listenAsSeeder(t: TestContext, answer: (content: Buffer) => Buffer): Promise<PeerAddress> {
  return RawPeer.listen(t, async (peer) => {
    peer.greet(infoHash);
    peer.say(ID.haveAll);
    peer.say(ID.unchoke);
    for (;;) {
      const request = await peer.hear(ID.request).catch(() => null);
      if (request === null) return;
      const [piece, begin, length] = [0, 4, 8].map((offset) => request.readUInt32BE(offset)) as [
        number,
        number,
        number,
      ];
      const start = piece * PIECE + begin;
      peer.say(ID.piece, piece, begin, answer(Buffer.from(space.subarray(start, start + length))));
    }
  });
}

function flipped(content: Buffer): Buffer {
  content[0]! ^= 1;
  return content;
}

test('a peer that sends flipped bytes is dropped, and its pieces come from the honest one', async (t) => {
  const folder = scratch(t);
  const liar = await listenAsSeeder(t, flipped);
  const leecher = await startLeecher(t, folder, torrent);
  leecher.transfer.addPeers([liar]);
  while (leecher.transfer.view().hashFailures === 0) await sleep(5);
  assert.equal(leecher.transfer.view().peers, 0);
  const seeder = await startSeeder(t, folder, torrent, space);
  leecher.transfer.addPeers([at(seeder.engine)]);
  await leecher.transfer.complete;
  assert.ok(readFileSync(leecher.path).equals(space));
  assert.ok(leecher.transfer.view().wastedBytes > 0);
});

test('a foreign seeder byte for byte: everything that it is asked for is asked once', async (t) => {
  let bytes = 0;
  const honest = await listenAsSeeder(t, (content) => {
    bytes += content.length;
    return content;
  });
  const leecher = await startLeecher(t, scratch(t), torrent);
  leecher.transfer.addPeers([honest]);
  await leecher.transfer.complete;
  assert.equal(bytes, torrent.length);
  assert.ok(readFileSync(leecher.path).equals(space));
});

test('who have become complete by each other hang up on each other', async (t) => {
  const folder = scratch(t);
  const nodes = await Promise.all(
    [0, 1, 2].map(async (number) => {
      const path = `${folder}/n${number}`;
      const store = await openStore(torrent, { path, mode: 'create', hashes: digests });
      // Each has two pieces of three, so that each lacks what the two others have.
      for (let piece = 0; piece < torrent.pieceCount; piece++) {
        if (piece % 3 === number) continue;
        const bytes = space.subarray(piece * PIECE, (piece + 1) * PIECE);
        await new Promise((resolve) => store.write(piece, bytes, resolve));
        store.have.set(piece);
      }
      const engine = await startEngine(t);
      return { engine, transfer: engine.join(torrent, store, store.have) };
    }),
  );
  for (const { transfer } of nodes) transfer.addPeers(nodes.map(({ engine }) => at(engine)));
  await Promise.all(nodes.map(({ transfer }) => transfer.complete));
  while (nodes.some(({ transfer }) => transfer.view().peers > 0)) await sleep(5);
});

test('a caller that says nothing is hung up on, and so is one that says half', async (t) => {
  const engine = await startEngine(t, { limits: { greetingMs: 50 } });
  const silent = await RawPeer.call(t, engine.port);
  const half = await RawPeer.call(t, engine.port);
  half.write(Buffer.from('\x13BitTorrent protocol'));
  await Promise.all([silent.closed, half.closed]);
});

test('a caller about a torrent that is not served here is hung up on', async (t) => {
  const seeder = await startSeeder(t, scratch(t), torrent, space);
  const peer = await RawPeer.meet(t, seeder.engine.port, Buffer.alloc(20, 9));
  await peer.closed;
  assert.equal(seeder.transfer.view().peers, 0);
});

test('a message of 2 GiB costs no memory', async (t) => {
  const seeder = await startSeeder(t, scratch(t), torrent, space);
  const before = process.memoryUsage().rss;
  const peer = await RawPeer.meet(t, seeder.engine.port, infoHash);
  await peer.hear(ID.haveNone);
  peer.write(Buffer.from([0x80, 0, 0, 0, 20]), Buffer.alloc(MIB));
  await peer.closed;
  const grown = process.memoryUsage().rss - before;
  assert.ok(grown < 8 * MIB, `${grown} bytes more`);
});

test('more requests than were allowed end the connection', async (t) => {
  const seeder = await startSeeder(t, scratch(t), torrent, space, { limits: { queueMax: 20 } });
  const peer = await RawPeer.meet(t, seeder.engine.port, infoHash);
  peer.say(ID.interested);
  await peer.hear(ID.unchoke);
  // It reads nothing, so that its requests pile up.
  peer.socket.pause();
  for (let piece = 0; piece < 32; piece++) {
    for (let begin = 0; begin < PIECE; begin += BLOCK_BYTES) peer.say(ID.request, piece, begin, BLOCK_BYTES);
  }
  while (seeder.transfer.view().peers > 0) await sleep(5);
});

const hasIpv6 = Object.values(networkInterfaces()).some((list) =>
  list?.some(({ address }) => address === '::1'),
);

test('nodes meet over IPv6', async (t) => {
  assert.ok(hasIpv6, 'this machine has no IPv6 loopback');
  const folder = scratch(t);
  const seeder = await startSeeder(t, folder, torrent, space, { host: '::1' });
  const leecher = await startLeecher(t, folder, torrent, { host: '::1' });
  leecher.transfer.addPeers([at(seeder.engine, '::1')]);
  await leecher.transfer.complete;
  assert.ok(readFileSync(leecher.path).equals(space));
});

test('many torrents share one port and one process', async (t) => {
  const folder = scratch(t);
  const seeding = await startEngine(t);
  const leeching = await startEngine(t);
  const torrents = Array.from({ length: 12 }, (_, index) =>
    makeTorrent(
      `t${index}`,
      [{ bytes: noise(200_000 + index, index) }],
      32 * KIB,
      index % 2 ? 'v1' : 'hybrid',
    ),
  );
  const done = torrents.map(async (one, index) => {
    const source = await openStore(one.torrent, {
      path: `${folder}/s${index}`,
      mode: 'create',
      hashes: digests,
    });
    for (let piece = 0; piece < one.torrent.pieceCount; piece++) {
      const bytes = one.space.subarray(piece * 32 * KIB, (piece + 1) * 32 * KIB);
      await new Promise((resolve) => source.write(piece, bytes, resolve));
      source.have.set(piece);
    }
    seeding.join(one.torrent, source, source.have);
    const store = await openStore(one.torrent, {
      path: `${folder}/l${index}`,
      mode: 'create',
      hashes: digests,
    });
    const transfer = leeching.join(one.torrent, store, store.have);
    transfer.addPeers([at(seeding)]);
    await transfer.complete;
    assert.ok(readFileSync(`${folder}/l${index}`).equals(one.space));
  });
  await Promise.all(done);
});

test('a magnet link gets its info dictionary from a peer, and passes it on', async (t) => {
  const seeder = await startSeeder(t, scratch(t), torrent, space);
  const engine = await startEngine(t);
  const info = await engine.fetchInfo(
    magnetOf(infoHash, [at(seeder.engine)]),
    sha1,
    AbortSignal.timeout(5000),
  );
  assert.ok(Buffer.from(info).equals(torrent.infoBytes));
});

test('an info dictionary of many pieces comes whole', async (t) => {
  const large = makeTorrent('large', [{ bytes: noise(64 * MIB, 3) }], 16 * KIB, 'v1');
  assert.ok(large.torrent.infoBytes.length > 4 * BLOCK_BYTES);
  const store = { read: () => null, write: () => {}, verify: () => false };
  const source = await startEngine(t);
  source.join(large.torrent, store, new Bitfield(large.torrent.pieceCount));
  const engine = await startEngine(t);
  const magnet = magnetOf(large.torrent.infoHashV1!, [at(source)]);
  const info = await engine.fetchInfo(magnet, sha1, AbortSignal.timeout(5000));
  assert.ok(Buffer.from(info).equals(large.torrent.infoBytes));
});

/** A peer that offers these bytes as the info dictionary of whatever it is asked for. */
function listenWithInfo(t: TestContext, hash: Uint8Array, info: Uint8Array): Promise<PeerAddress> {
  return RawPeer.listen(t, async (peer) => {
    peer.greet(hash, { extended: true });
    peer.extension(0, `d1:md11:ut_metadatai3ee13:metadata_sizei${info.length}ee`);
    for (;;) {
      const request = await peer.hear(ID.extended).catch(() => null);
      if (request === null) return;
      if (request[0] === 3) peer.extension(1, `d8:msg_typei1e5:piecei0e10:total_sizei${info.length}ee`, info);
    }
  });
}

test('metadata that does not match is not believed; the next peer is asked', async (t) => {
  for (const wrong of ['d4:name5:wronge', 'l-3:', 'x']) {
    const liar = await listenWithInfo(t, infoHash, Buffer.from(wrong));
    const engine = await startEngine(t);
    const seeder = await startSeeder(t, scratch(t), torrent, space);
    const found = engine.fetchInfo(
      magnetOf(infoHash, [liar, at(seeder.engine)]),
      sha1,
      AbortSignal.timeout(5000),
    );
    assert.ok(Buffer.from(await found).equals(torrent.infoBytes));
  }
});

test('metadata that matches is handed over as it is, whatever it holds', async (t) => {
  const info = Buffer.from('not bencode at all');
  const peer = await listenWithInfo(t, sha1(info), info);
  const engine = await startEngine(t);
  const got = await engine.fetchInfo(magnetOf(sha1(info), [peer]), sha1, AbortSignal.timeout(5000));
  assert.ok(Buffer.from(got).equals(info));
});

test('peers that have no metadata do not hold up the search', async (t) => {
  const searchers = await Promise.all([1, 2, 3, 4, 5, 6].map(() => startEngine(t)));
  const over = new AbortController();
  const searches = searchers.map((engine) => engine.fetchInfo(magnetOf(infoHash, []), sha1, over.signal));
  const seeder = await startSeeder(t, scratch(t), torrent, space);
  const engine = await startEngine(t);
  const peers = [...searchers, seeder.engine].map((other) => at(other));
  const began = performance.now();
  await engine.fetchInfo(magnetOf(infoHash, peers), sha1, AbortSignal.timeout(6000));
  assert.ok(performance.now() - began < 5000);
  over.abort(new Error('enough'));
  for (const search of searches) await assert.rejects(search, /enough/);
});

test('leave serves what was promised, says `stopped` to the tracker, and hangs up', async (t) => {
  const tracker = await startTracker(t);
  const announce = [`http://127.0.0.1:${tracker.httpPort}/announce`];
  const tracked = makeTorrent('tracked', [{ bytes: noise(MIB, 2) }], PIECE, 'v1', announce);
  tracker.allow(tracked.torrent.infoHashV1!);
  const seeder = await startSeeder(t, scratch(t), tracked.torrent, tracked.space);
  while (tracker.stats().peers !== 1) await sleep(5);
  const peer = await RawPeer.meet(t, seeder.engine.port, tracked.torrent.infoHashV1!);
  peer.say(ID.interested);
  await peer.hear(ID.unchoke);
  peer.say(ID.request, 3, 0, BLOCK_BYTES);
  while (seeder.transfer.view().uploadedBytes === 0) await sleep(1);
  const gone = seeder.transfer.leave();
  assert.ok(
    (await peer.hear(ID.piece))
      .subarray(8)
      .equals(tracked.space.subarray(3 * PIECE, 3 * PIECE + BLOCK_BYTES)),
  );
  await gone;
  await peer.closed;
  assert.equal(tracker.stats().peers, 0);
  await seeder.transfer.leave();
});

test('a store that cannot be read ends its own torrent and no other', async (t) => {
  const folder = scratch(t);
  const engine = await startEngine(t, { limits: { leaveMs: 200 } });
  const broken = makeTorrent('broken', [{ bytes: noise(MIB, 5) }], PIECE, 'v1');
  const store = await openStore(torrent, { path: `${folder}/good`, mode: 'create', hashes: digests });
  const fails: StorePort = {
    read: () => {
      throw new Error('input/output error');
    },
    write: () => {},
    verify: () => true,
  };
  const bad = engine.join(broken.torrent, fails, Bitfield.full(broken.torrent.pieceCount));
  const good = engine.join(torrent, store, store.have);
  const seeder = await startSeeder(t, folder, torrent, space);
  const victim = await RawPeer.meet(t, engine.port, broken.torrent.infoHashV1!);
  victim.say(ID.interested);
  await victim.hear(ID.unchoke);
  victim.say(ID.request, 0, 0, BLOCK_BYTES);
  await victim.closed;
  good.addPeers([at(seeder.engine)]);
  await good.complete;
  assert.equal(bad.view().uploadedBytes, 0);
});

test('the same torrent is not joined twice', async (t) => {
  const seeder = await startSeeder(t, scratch(t), torrent, space);
  assert.throws(
    () => seeder.engine.join(torrent, seeder.store, seeder.store.have),
    /is being transferred already/,
  );
});
