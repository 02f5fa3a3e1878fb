// Peers without a tracker: who knows one peer finds the others (BEP 11), who is on the same segment is found (BEP 14), and
// in a private torrent neither happens unless all are admitted (BEP 27).

import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { formatSearch } from '../agent/core/discovery.ts';
import type { Company, DiscoveryPort } from '../agent/core/ports.ts';
import { swarmHash } from '../agent/core/torrent.ts';
import type { PeerAddress } from '../agent/core/tracker.ts';
import { hex, KIB } from '../agent/core/units.ts';
import { admissionBy } from '../agent/io/digest.ts';
import { makeTorrent, noise, scratch } from './content.ts';
import { type NodeOptions, startLeecher, startSeeder, type TestNode } from './nodes.ts';
import { ID, RawPeer } from './rawpeer.ts';

const NODES = 8;
const PIECE = 64 * KIB;
const SITE: Company = { networks: null, admission: admissionBy(() => Buffer.alloc(32, 7)) };
/** No need to wait for what is seldom. */
const limits = { exchangeFirstMs: 100, exchangeLookMs: 200 };

const at = ({ engine }: TestNode): PeerAddress => ({ host: '127.0.0.1', port: engine.port });

/** A tracker that takes calls and never answers; its URL. */
async function startMute(t: TestContext): Promise<string> {
  const server = createServer(() => {}).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.after(() => void server.close());
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return `http://127.0.0.1:${address.port}/announce`;
}

const imageOf = (isPrivate: boolean, trackers: readonly string[] = []) =>
  makeTorrent('image', [{ bytes: noise(600_000, 1) }], PIECE, 'v1', trackers, isPrivate);

/** Peers that each says it has, by now and by later. */
const peersOf = (nodes: readonly TestNode[]) => nodes.map(({ transfer }) => transfer.view().peers);

for (const [what, isPrivate, company] of [
  ['a closed swarm', true, SITE],
  ['a torrent that is not private', false, undefined],
] as const) {
  test(`the tracker never answers: in ${what} nodes that know one peer find all others, and complete`, async (t) => {
    const { torrent, space } = imageOf(isPrivate, [await startMute(t)]);
    const folder = scratch(t);
    const options: NodeOptions = { limits, ...(company && { company }) };
    const [first, ...others] = await Promise.all(
      Array.from({ length: NODES }, () => startLeecher(t, folder, torrent, options)),
    );
    for (const { transfer } of others) transfer.addPeers([at(first!)]);
    const nodes = [first!, ...others];
    while (peersOf(nodes).some((peers) => peers < NODES - 1)) await sleep(10);
    // Known to the last one alone.
    const seeder = await startSeeder(t, folder, torrent, space, options);
    others.at(-1)!.transfer.addPeers([at(seeder)]);
    await Promise.all(nodes.map(({ transfer }) => transfer.complete));
  });
}

test('who comes when the first peer is gone is found by those who are left', async (t) => {
  const { torrent } = imageOf(false);
  const folder = scratch(t);
  const start = () => startLeecher(t, folder, torrent, { limits });
  const [first, second, third, late] = await Promise.all([start(), start(), start(), start()]);
  for (const { transfer } of [second, third]) transfer.addPeers([at(first)]);
  while (peersOf([second, third]).some((peers) => peers < 2)) await sleep(10);
  await first.engine.stop();
  late.transfer.addPeers([at(second)]);
  while (peersOf([late, third]).some((peers) => peers < 2)) await sleep(10);
});

test('in a private torrent that is open no peer is told of others, or believed about others', async (t) => {
  const { torrent } = imageOf(true);
  const folder = scratch(t);
  const leecher = await startLeecher(t, folder, torrent, { limits });
  let calls = 0;
  const bystander = await RawPeer.listen(t, async () => void calls++);
  const peer = await RawPeer.meet(t, leecher.engine.port, swarmHash(torrent), { extended: true });
  peer.extension(0, 'd1:md6:ut_pexi2eee');
  const port = String.fromCharCode(bystander.port >> 8, bystander.port & 255);
  peer.extension(2, `d5:added6:\x7f\0\0\x01${port}e`);
  const greeting = (await peer.hear(ID.extended)).toString('latin1');
  assert.doesNotMatch(greeting, /ut_pex/);
  await sleep(500);
  assert.equal(calls, 0);
});

test('peers are told of nobody outside of the networks that a swarm keeps to', async (t) => {
  const { torrent } = imageOf(false);
  const folder = scratch(t);
  const dialed: string[] = [];
  const company: Company = { networks: ['127.0.0.1/32'], admission: null };
  const log = (_fact: string, values?: object) => void dialed.push(String(Reflect.get(values ?? {}, 'peer')));
  const leecher = await startLeecher(t, folder, torrent, { limits, company, log });
  let calls = 0;
  const inside = await RawPeer.listen(t, async (called) => {
    calls++;
    called.greet(swarmHash(torrent));
  });
  const peer = await RawPeer.meet(t, leecher.engine.port, swarmHash(torrent), { extended: true });
  peer.extension(0, 'd1:md6:ut_pexi2eee');
  const port = String.fromCharCode(inside.port >> 8, inside.port & 255);
  peer.extension(2, `d5:added12:\x7f\0\0\x02${port}\x7f\0\0\x01${port}e`);
  while (leecher.transfer.view().peers < 2) await sleep(10);
  assert.equal(calls, 1);
});

/** One segment of a network, and a port of it for each node. */
class Segment {
  readonly #ears = new Map<string, (datagram: Uint8Array, host: string) => void>();
  said = 0;

  plug(name: string): DiscoveryPort {
    return {
      open: (heard) => void this.#ears.set(name, heard),
      say: (datagram) => {
        this.said++;
        for (const heard of this.#ears.values()) setImmediate(() => heard(datagram, '127.0.0.1'));
      },
      close: () => void this.#ears.delete(name),
    };
  }

  get listening(): number {
    return this.#ears.size;
  }
}

test('nodes of one segment find each other without a tracker, and complete', async (t) => {
  const { torrent, space } = imageOf(true);
  const folder = scratch(t);
  const segment = new Segment();
  const options = (name: string): NodeOptions => ({ limits, company: SITE, discovery: segment.plug(name) });
  await startSeeder(t, folder, torrent, space, options('seeder'));
  const nodes = await Promise.all(
    Array.from({ length: NODES }, (_, index) => startLeecher(t, folder, torrent, options(`node${index}`))),
  );
  await Promise.all(nodes.map(({ transfer }) => transfer.complete));
  assert.ok(segment.said >= 1 && segment.said <= 2 * (NODES + 1), `${segment.said} datagrams`);
});

test('a private torrent that is open is neither looked for nor listened for on the segment', async (t) => {
  const { torrent } = imageOf(true);
  const segment = new Segment();
  await startLeecher(t, scratch(t), torrent, { limits, discovery: segment.plug('node') });
  await sleep(1000);
  assert.deepEqual([segment.listening, segment.said], [0, 0]);
});

test('who is heard on the segment outside of the networks of a swarm is not called', async (t) => {
  const { torrent } = imageOf(false);
  const segment = new Segment();
  let calls = 0;
  const bystander = await RawPeer.listen(t, async () => void calls++);
  const company: Company = { networks: ['10.0.0.0/8'], admission: null };
  await startLeecher(t, scratch(t), torrent, { limits, company, discovery: segment.plug('node') });
  const infoHashes = [hex(swarmHash(torrent))];
  const [datagram] = formatSearch({ port: bystander.port, infoHashes, cookie: 'x' });
  segment.plug('stranger').say(datagram!);
  await sleep(500);
  assert.equal(calls, 0);
});
