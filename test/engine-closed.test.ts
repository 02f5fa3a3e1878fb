// Closed swarms by real engines on real sockets: who knows the secret gets everything, everybody else nothing at all, and who
// is in another network is not even spoken to.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LIMITS } from '../agent/core/limits.ts';
import type { Company } from '../agent/core/ports.ts';
import type { PeerAddress } from '../agent/core/tracker.ts';
import { BLOCK_BYTES, KIB, MIB } from '../agent/core/units.ts';
import { admissionBy, digests } from '../agent/io/digest.ts';
import { makeTorrent, noise, scratch } from './content.ts';
import {
  type NodeOptions,
  startEngine,
  startLeecher,
  startSeeder,
  startTracker,
  type TestNode,
} from './nodes.ts';
import { ID, RawPeer } from './rawpeer.ts';

const made = makeTorrent('image', [{ bytes: noise(2 * MIB + 1000, 1) }], 64 * KIB, 'hybrid');
const { torrent, space } = made;
const infoHash = torrent.infoHashV1!;
const SECRET = Buffer.alloc(32, 7);
const SITE: Company = { networks: null, admission: admissionBy(() => SECRET) };
const STRANGERS: Company = { networks: null, admission: admissionBy(() => Buffer.alloc(32, 8)) };
const OPEN: Company = { networks: null, admission: null };
/** Handshake, greeting and proof: all that anybody gets before it is admitted. */
const GREETED_BYTES = 68 + 81;
const PROVED_BYTES = GREETED_BYTES + 38;

const at = ({ engine }: TestNode, host = '127.0.0.1'): PeerAddress => ({ host, port: engine.port });

/** A seeder, and why those who came are gone. */
async function startVictim(t: TestContext, options: NodeOptions = {}) {
  const reasons: string[] = [];
  const log = (fact: string, values?: object) => {
    if (fact === 'peer gone' || fact === 'caller gone')
      reasons.push(String(Reflect.get(values ?? {}, 'reason')));
  };
  const folder = scratch(t);
  const seeder = await startSeeder(t, folder, torrent, space, { company: SITE, log, ...options });
  return { seeder, folder, reasons };
}

/** All bytes that a peer is given from now on. */
function givenTo({ socket }: RawPeer): () => number {
  let bytes = 0;
  socket.on('data', (chunk) => {
    bytes += chunk.length;
  });
  return () => bytes;
}

function greeting(nonce: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from('d1:md12:sb_admissioni3ee12:sb_admission32:'), nonce, Buffer.from('e')]);
}

/** What correct peers say when they want something. */
function beg(peer: RawPeer): void {
  peer.say(ID.interested);
  for (let piece = 0; piece < 4; piece++) peer.say(ID.request, piece, 0, BLOCK_BYTES);
  peer.extension(1, 'd8:msg_typei0e5:piecei0ee');
}

test('nodes with the secret feed each other until all have the whole content', async (t) => {
  const folder = scratch(t);
  const tracker = await startTracker(t);
  const announce = [`http://127.0.0.1:${tracker.httpPort}/announce`];
  const shared = makeTorrent('image', [{ bytes: noise(9 * MIB + 12_345, 1) }], 262_144, 'hybrid', announce);
  tracker.allow(shared.torrent.infoHashV1!);
  const company: Company = { ...SITE, networks: ['127.0.0.0/8'] };
  await startSeeder(t, folder, shared.torrent, shared.space, { company });
  const nodes = await Promise.all([1, 2, 3].map(() => startLeecher(t, folder, shared.torrent, { company })));
  await Promise.all(nodes.map((node) => node.transfer.complete));
  for (const node of nodes) assert.ok(readFileSync(node.path).equals(shared.space));
  const fromNodes = nodes.reduce((total, node) => total + node.transfer.view().uploadedBytes, 0);
  assert.ok(fromNodes > 0);
});

for (const [who, company] of [
  ['with another secret', STRANGERS],
  ['of an open swarm', OPEN],
] as const) {
  test(`a node ${who} gets nothing from one of a closed swarm, and gives it nothing`, async (t) => {
    const { seeder, folder } = await startVictim(t);
    const [insider, outsider] = [
      await startLeecher(t, folder, torrent, { company: SITE }),
      await startLeecher(t, folder, torrent, { company }),
    ];
    const rogue = await startSeeder(t, folder, torrent, space, { company });
    outsider.transfer.addPeers([at(seeder), at(insider)]);
    insider.transfer.addPeers([at(rogue), at(outsider)]);
    seeder.transfer.addPeers([at(outsider)]);
    await sleep(500);
    for (const { transfer } of [outsider, insider, seeder, rogue]) {
      const { downloadedBytes, uploadedBytes, wastedBytes, peers } = transfer.view();
      assert.deepEqual(
        { downloadedBytes, uploadedBytes, wastedBytes, peers },
        {
          downloadedBytes: 0,
          uploadedBytes: 0,
          wastedBytes: 0,
          peers: 0,
        },
      );
    }
    insider.transfer.addPeers([at(seeder)]);
    await insider.transfer.complete;
    assert.ok(readFileSync(insider.path).equals(space));
  });
}

test('a common peer is given a handshake and a greeting, not even a field, and is hung up on', async (t) => {
  const { seeder } = await startVictim(t);
  for (const manners of [{ extended: true }, { extended: false, fast: false }]) {
    const peer = await RawPeer.call(t, seeder.engine.port);
    const given = givenTo(peer);
    peer.greet(infoHash, manners);
    if (manners.extended) peer.extension(0, 'd1:md11:ut_metadatai3eee');
    beg(peer);
    await peer.closed;
    // All in one packet: it is hung up on before it is answered.
    assert.ok(given() <= GREETED_BYTES, `${given()} bytes`);
  }
});

test('requests before admission are answered by nothing, with a greeting before them or a nonce', async (t) => {
  const { seeder } = await startVictim(t);
  const peer = await RawPeer.meet(t, seeder.engine.port, infoHash, { extended: true });
  const given = givenTo(peer);
  await peer.hear(ID.extended);
  peer.extension(0, greeting(randomBytes(32)).toString('latin1'));
  beg(peer);
  await peer.closed;
  assert.ok(given() <= PROVED_BYTES, `${given()} bytes`);
  assert.equal(seeder.transfer.view().uploadedBytes, 0);
});

test('a peer that says nothing is hung up on after 10 s', async (t) => {
  assert.equal(LIMITS.greetingMs, 10_000);
  const { seeder } = await startVictim(t, { limits: { greetingMs: 300 } });
  const silent = await RawPeer.call(t, seeder.engine.port);
  const given = [givenTo(silent)];
  const polite = await RawPeer.call(t, seeder.engine.port);
  given.push(givenTo(polite));
  polite.greet(infoHash, { extended: true });
  const halfway = await RawPeer.call(t, seeder.engine.port);
  given.push(givenTo(halfway));
  halfway.greet(infoHash, { extended: true });
  halfway.extension(0, greeting(randomBytes(32)).toString('latin1'));
  await Promise.all([silent.closed, polite.closed, halfway.closed]);
  assert.deepEqual(
    given.map((bytes) => bytes()),
    [0, GREETED_BYTES, PROVED_BYTES],
  );
});

test('a peer that gives back what it hears is not admitted', async (t) => {
  const { seeder } = await startVictim(t);
  const mirror = await RawPeer.call(t, seeder.engine.port);
  const given = givenTo(mirror);
  mirror.greet(infoHash, { extended: true });
  for (let message = 0; message < 2; message++) {
    const heard = await mirror.hear(ID.extended);
    mirror.say(ID.extended, heard);
  }
  beg(mirror);
  await mirror.closed;
  assert.equal(given(), PROVED_BYTES);
});

/** Passes on what two say to each other, and keeps it. */
async function startRelay(t: TestContext, to: PeerAddress) {
  const heard: Buffer[] = [];
  const sockets: Socket[] = [];
  const server = createServer((caller) => {
    const onward = connect(to.port, to.host);
    sockets.push(caller, onward);
    for (const socket of [caller, onward]) socket.on('error', () => {});
    caller.on('data', (chunk: Buffer) => {
      heard.push(chunk);
      onward.write(chunk);
    });
    onward.on('data', (chunk: Buffer) => void caller.write(chunk));
    caller.on('close', () => onward.destroy());
    onward.on('close', () => caller.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const bound = server.address();
  const port = bound !== null && typeof bound === 'object' ? bound.port : 0;
  return { address: { host: '127.0.0.1', port }, heard };
}

test('who has recorded the whole conversation of a node and plays it again gets nothing', async (t) => {
  const { seeder, folder } = await startVictim(t);
  const relay = await startRelay(t, at(seeder));
  const leecher = await startLeecher(t, folder, torrent, { company: SITE });
  leecher.transfer.addPeers([relay.address]);
  await leecher.transfer.complete;
  await leecher.engine.stop();
  const sent = seeder.transfer.view().uploadedBytes;
  const peer = await RawPeer.call(t, seeder.engine.port);
  const given = givenTo(peer);
  for (const chunk of relay.heard) peer.write(chunk);
  await peer.closed;
  assert.ok(given() <= PROVED_BYTES, `${given()} bytes`);
  assert.equal(seeder.transfer.view().uploadedBytes, sent);
});

test('a torrent that is not here is not told to who has no secret', async (t) => {
  const { seeder } = await startVictim(t);
  for (const hash of [infoHash, Buffer.alloc(20, 9)]) {
    const peer = await RawPeer.call(t, seeder.engine.port);
    const given = givenTo(peer);
    peer.greet(hash, { extended: true });
    await peer.hear(ID.extended);
    peer.extension(0, 'd1:mdee');
    await peer.closed;
    assert.equal(given(), GREETED_BYTES);
  }
});

test('the info dictionary is found by who knows the secret, and by nobody else', async (t) => {
  const { seeder, reasons } = await startVictim(t);
  const magnet = { infoHashV1: infoHash, infoHashV2: null, name: null, trackers: [], peers: [at(seeder)] };
  const outsider = await startEngine(t);
  const rejected = assert.rejects(outsider.fetchInfo(magnet, digests.sha1, AbortSignal.timeout(500)));
  const insider = await startEngine(t, { company: SITE });
  const bytes = await insider.fetchInfo(magnet, digests.sha1, t.signal);
  assert.deepEqual(Buffer.from(bytes), Buffer.from(torrent.infoBytes));
  await rejected;
  assert.ok(!reasons.includes('asking enough peers for metadata'));
});

test('the secret is asked for anew with each connection: that of the next run lets in the next', async (t) => {
  let secret: Uint8Array | null = null;
  const { seeder, folder } = await startVictim(t, {
    company: { networks: null, admission: admissionBy(() => secret) },
  });
  const leecher = await startLeecher(t, folder, torrent, { company: SITE });
  leecher.transfer.addPeers([at(seeder)]);
  await sleep(200);
  assert.equal(leecher.transfer.view().downloadedBytes, 0);
  secret = SECRET;
  const next = await startLeecher(t, folder, torrent, { company: SITE });
  next.transfer.addPeers([at(seeder)]);
  await next.transfer.complete;
});

/** A node that listens to all, and shares with 127.0.0.1 and 127.0.0.2 only. */
const NEIGHBOURS: Company = { networks: ['127.0.0.0/30', 'fd00::/8'], admission: null };

test('a caller from another network is hung up on before a byte, even one that knows the secret', async (t) => {
  for (const company of [NEIGHBOURS, { ...NEIGHBOURS, admission: SITE.admission }]) {
    const { seeder } = await startVictim(t, { company });
    const outsider = new RawPeer(
      connect({ host: '127.0.0.1', port: seeder.engine.port, localAddress: '127.0.0.9' }),
    );
    const given = givenTo(outsider);
    outsider.greet(infoHash, { extended: true });
    await outsider.closed;
    assert.equal(given(), 0);
    const neighbour = new RawPeer(
      connect({ host: '127.0.0.1', port: seeder.engine.port, localAddress: '127.0.0.2' }),
    );
    neighbour.greet(infoHash, { extended: true });
    await neighbour.hear(ID.extended);
    neighbour.socket.destroy();
  }
});

test('an address in another network is never called, whoever names it', async (t) => {
  const tracker = await startTracker(t);
  const announce = [`http://127.0.0.1:${tracker.httpPort}/announce`];
  const named = makeTorrent('image', [{ bytes: noise(MIB, 1) }], 262_144, 'hybrid', announce);
  tracker.allow(named.torrent.infoHashV1!);
  let calls = 0;
  const trap = createServer((socket) => {
    calls++;
    socket.destroy();
  });
  trap.listen(0, '127.0.0.9');
  await once(trap, 'listening');
  t.after(() => void trap.close());
  const bound = trap.address();
  const port = bound !== null && typeof bound === 'object' ? bound.port : 0;
  // It announces itself, as an open tracker allows.
  const query = `info_hash=${escape(Buffer.from(named.torrent.infoHashV1!).toString('latin1'))}`;
  const caller = connect({ host: '127.0.0.1', port: tracker.httpPort, localAddress: '127.0.0.9' });
  caller.end(`GET /announce?${query}&port=${port}&left=1 HTTP/1.1\r\nHost: x\r\n\r\n`);
  await once(caller.resume(), 'close');
  assert.equal(tracker.stats().peers, 1);
  const folder = scratch(t);
  const leecher = await startLeecher(t, folder, named.torrent, { company: NEIGHBOURS });
  leecher.transfer.addPeers([{ host: '127.0.0.9', port }]);
  const { peers } = await leecher.engine.askTracker(named.torrent, announce[0]!, 20, t.signal);
  assert.deepEqual(peers, []);
  await startSeeder(t, folder, named.torrent, named.space, { company: NEIGHBOURS });
  await leecher.transfer.complete;
  assert.equal(calls, 0);
});

test('rules come before swarms: whoever has begun to speak before them is hung up on', async (t) => {
  const engine = await startEngine(t);
  const early = await RawPeer.call(t, engine.port);
  await sleep(50);
  engine.keepTo(NEIGHBOURS);
  await early.closed;
  const { seeder } = await startVictim(t);
  assert.throws(() => seeder.engine.keepTo(OPEN), /whoever is in a swarm already/);
});
