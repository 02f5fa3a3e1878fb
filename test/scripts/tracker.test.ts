import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { decode, requiredField } from '../../agent/core/bencode.ts';
import { transactionOf, writeAnnounce, writeConnect } from '../../agent/core/datagram.ts';
import { SwarmbootError } from '../../agent/core/errors.ts';
import type { AnnounceRequest } from '../../agent/core/tracker.ts';
import { TrackerClient } from '../../agent/io/tracker.ts';
import { TrackerServer } from '../../scripts/tracker.ts';

const HASHES = [0, 1, 2, 3, 4, 5, 6].map((n) =>
  Uint8Array.from({ length: 20 }, (_, i) => (i * 37 + n * 13) & 0xff),
);
const options = { host: '::', port: 0, random: () => 0.5, clock: () => performance.now(), log: () => {} };
const never = new AbortController().signal;

let tracker: TrackerServer;
before(async () => {
  tracker = await TrackerServer.start(options);
  for (const hash of HASHES) tracker.allow(hash);
});
after(() => tracker.close());

function request(url: string, infoHash: Uint8Array, values: Partial<AnnounceRequest> = {}): AnnounceRequest {
  return {
    url,
    infoHash,
    event: 'started',
    peerId: new Uint8Array(20).fill(0x2d),
    port: 6881,
    uploaded: 0,
    downloaded: 0,
    left: 5_000_000_000_000,
    numWant: 50,
    ...values,
  };
}

/** Two leechers and a seeder meet, one ends its download, one leaves. */
async function meet(url: string, host: string, infoHash: Uint8Array): Promise<void> {
  const client = new TrackerClient();
  const announce = (values: Partial<AnnounceRequest>) =>
    client.announce(request(url, infoHash, values), never);
  const ports = async (values: Partial<AnnounceRequest>) => {
    const { peers } = await announce(values);
    for (const peer of peers) assert.equal(peer.host, host);
    return peers.map((peer) => peer.port).sort();
  };
  assert.deepEqual(await ports({ port: 1001, left: 0 }), []);
  assert.deepEqual(await ports({ port: 1002 }), [1001]);
  assert.deepEqual(await ports({ port: 1003 }), [1001, 1002]);
  assert.deepEqual(await ports({ port: 1003, numWant: 0, event: 'update' }), []);
  assert.deepEqual(await ports({ port: 1002, left: 0, event: 'completed' }), [1003]);
  const last = await announce({ port: 1003, event: 'stopped' });
  assert.deepEqual(
    { seeders: last.seeders, leechers: last.leechers, peers: last.peers, intervalMs: last.intervalMs },
    { seeders: 2, leechers: 0, peers: [], intervalMs: 60_000 },
  );
}

async function get(path: string): Promise<{ status: number; type: string | null; body: Uint8Array }> {
  const response = await fetch(`http://127.0.0.1:${tracker.httpPort}${path}`);
  const body = new Uint8Array(await response.arrayBuffer());
  return { status: response.status, type: response.headers.get('content-type'), body };
}

const escaped = (hash: Uint8Array) =>
  [...hash].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');

describe('our tracker', () => {
  it('has one port number for TCP and UDP', () => {
    assert.equal(tracker.httpPort, tracker.udpPort);
  });

  it('lets peers meet over HTTP', () =>
    meet(`http://127.0.0.1:${tracker.httpPort}/announce`, '127.0.0.1', HASHES[0]!));

  it('lets peers meet over UDP', () =>
    meet(`udp://127.0.0.1:${tracker.udpPort}/announce`, '127.0.0.1', HASHES[1]!));

  it('lets peers meet over HTTP and IPv6', () =>
    meet(`http://[::1]:${tracker.httpPort}/announce`, '::1', HASHES[2]!));

  it('lets peers meet over UDP and IPv6', () => meet(`udp://[::1]:${tracker.udpPort}`, '::1', HASHES[3]!));

  it('joins those who came over HTTP with those who came over UDP', async () => {
    const client = new TrackerClient();
    const http = `http://127.0.0.1:${tracker.httpPort}/announce?pass=word`;
    await client.announce(request(http, HASHES[4]!, { port: 7 }), never);
    const udp = `udp://127.0.0.1:${tracker.udpPort}/announce`;
    const reply = await client.announce(request(udp, HASHES[4]!), never);
    assert.deepEqual(reply.peers, [{ host: '127.0.0.1', port: 7 }]);
  });

  it('names a min interval that lets the nodes of a young swarm find each other within a second', async () => {
    const url = `http://127.0.0.1:${tracker.httpPort}/announce`;
    const reply = await new TrackerClient().announce(request(url, HASHES[4]!), never);
    assert.equal(reply.minIntervalMs, 1_000);
  });

  it('takes the address of the socket, whatever ip= says', async () => {
    const hash = escaped(HASHES[5]!);
    await get(`/announce?info_hash=${hash}&port=9&left=1&ip=10.1.2.3`);
    const { body } = await get(`/announce?info_hash=${hash}&port=10&left=1`);
    const dict = decode(body);
    assert.ok(dict.kind === 'dict');
    assert.deepEqual([...requiredField(dict, 'peers', 'bytes').value], [127, 0, 0, 1, 0, 9]);
  });

  it('answers a scrape with the counts of each torrent that it knows', async () => {
    const hash = escaped(HASHES[6]!);
    await get(`/announce?info_hash=${hash}&port=9&left=0`);
    const unknown = escaped(new Uint8Array(20));
    const { status, type, body } = await get(`/scrape?info_hash=${hash}&info_hash=${unknown}`);
    assert.equal(status, 200);
    assert.equal(type, 'text/plain');
    const text = Buffer.from(body).toString('latin1');
    const name = Buffer.from(HASHES[6]!).toString('latin1');
    assert.equal(text, `d5:filesd20:${name}d8:completei1e10:downloadedi0e10:incompletei0eeee`);
  });

  it('refuses an unknown torrent with a failure reason, over HTTP and UDP', async () => {
    for (const scheme of ['http', 'udp']) {
      const url = `${scheme}://127.0.0.1:${tracker.udpPort}/announce`;
      await assert.rejects(
        new TrackerClient().announce(request(url, new Uint8Array(20)), never),
        /\/announce refused: "this tracker does not serve that torrent"$/,
      );
    }
  });

  it('answers bad requests with status 400 and a reason, other paths with 404, other methods with 405', async () => {
    const hash = escaped(HASHES[5]!);
    for (const [path, status, reason] of [
      ['/announce', 400, /info_hash is not given/],
      ['/announce?info_hash=abc&port=1&left=0', 400, /info_hash is not given/],
      [`/announce?info_hash=${hash}&left=0`, 400, /port is not given/],
      [`/announce?info_hash=${hash}&port=x&left=0`, 400, /port is not given/],
      [`/announce?info_hash=${hash}&port=1`, 400, /left is not given/],
      [`/announce?info_hash=%zz`, 400, /not percent-encoded/],
      [`/announce?info_hash=${hash}&port=0&left=0`, 200, /port 0 is not/],
      [`/announce?info_hash=${hash}&port=65536&left=0`, 200, /port 65536 is not/],
      ['/scrape', 400, /info_hash is not given/],
      ['/', 404, /announce and/],
    ] as const) {
      const answer = await get(path);
      assert.equal(answer.status, status, path);
      const dict = decode(answer.body);
      assert.ok(dict.kind === 'dict');
      const words = Buffer.from(requiredField(dict, 'failure reason', 'bytes').value).toString();
      assert.match(words, reason);
    }
    const posted = await fetch(`http://127.0.0.1:${tracker.httpPort}/announce`, { method: 'POST' });
    assert.equal(posted.status, 405);
  });

  it('closes on a request of 20 KiB', async () => {
    const { status } = await get(`/announce?${'x'.repeat(20_000)}`);
    assert.equal(status, 431);
  });

  it('stays silent or refuses whatever datagram comes, and lives', async () => {
    const socket = createSocket('udp4');
    const answers: Buffer[] = [];
    socket.on('message', (answer) => answers.push(answer));
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    for (const bytes of fc.sample(fc.uint8Array({ maxLength: 200 }), 200)) {
      socket.send(bytes, tracker.udpPort, '127.0.0.1');
    }
    const forged = writeAnnounce(request('', HASHES[5]!), {
      connection: 1n,
      transaction: 77,
      key: 0,
      path: '',
    });
    socket.send(forged, tracker.udpPort, '127.0.0.1');
    socket.send(writeConnect(78), tracker.udpPort, '127.0.0.1');
    while (!answers.some((answer) => transactionOf(answer) === 78)) await once(socket, 'message');
    const refusal = answers.find((answer) => transactionOf(answer) === 77);
    assert.equal(refusal?.readUInt32BE(0), 3);
    socket.close();
  });

  it('counts what it did', () => {
    const stats = tracker.stats();
    assert.equal(stats.torrents, HASHES.length);
    assert.ok(stats.peers > 0 && stats.announces > 0 && stats.scrapes > 0 && stats.refused > 0);
  });

  it('gives a new connection id when the tracker was started anew', async () => {
    const first = await TrackerServer.start({ ...options, host: '127.0.0.1' });
    const url = `udp://127.0.0.1:${first.udpPort}`;
    const client = new TrackerClient();
    first.allow(HASHES[0]!);
    await client.announce(request(url, HASHES[0]!), never);
    await first.close();
    const second = await TrackerServer.start({ ...options, host: '127.0.0.1', port: first.udpPort });
    second.allow(HASHES[0]!);
    const reply = await client.announce(request(url, HASHES[0]!), never);
    assert.equal(reply.leechers, 1);
    assert.equal(second.stats().refused, 1);
    await second.close();
  });

  it('uses a connection id again instead of asking for another', async () => {
    let now = 0;
    const other = await TrackerServer.start({ ...options, host: '127.0.0.1', clock: () => now });
    other.allow(HASHES[0]!);
    const client = new TrackerClient();
    const announce = () => client.announce(request(`udp://127.0.0.1:${other.udpPort}`, HASHES[0]!), never);
    await announce();
    now += 60_000;
    await announce();
    assert.equal(other.stats().refused, 0);
    now += 60_000;
    await announce();
    assert.equal(other.stats().refused, 1, 'the id of two windows ago was sent and refused');
    await other.close();
  });

  it('says which port is taken', async () => {
    const taken = net.createServer();
    taken.listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as net.AddressInfo;
    await assert.rejects(TrackerServer.start({ ...options, host: '127.0.0.1', port }), (error) => {
      assert.ok(error instanceof SwarmbootError);
      assert.equal(error.code, 'network');
      assert.match(error.message, new RegExp(`port ${port}.*EADDRINUSE.*another port`));
      return true;
    });
    taken.close();
  });
});
