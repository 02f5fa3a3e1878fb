import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { encode } from '../../agent/core/bencode.ts';
import { SwarmbootError } from '../../agent/core/errors.ts';
import type { AnnounceRequest } from '../../agent/core/tracker.ts';
import { hex } from '../../agent/core/units.ts';
import { TrackerClient } from '../../agent/io/tracker.ts';

const HASH = Uint8Array.from({ length: 20 }, (_, i) => (i * 53 + 200) & 0xff);
const never = new AbortController().signal;
const GOOD = encode({ interval: 60, peers: Uint8Array.of(10, 0, 0, 1, 26, 225) });

function request(url: string, values: Partial<AnnounceRequest> = {}): AnnounceRequest {
  return {
    url,
    infoHash: HASH,
    event: 'started',
    peerId: Buffer.from('-SB0100-%& +=?/~.\x00\x01\xff', 'latin1'),
    port: 6881,
    uploaded: 1,
    downloaded: 2,
    left: 3,
    numWant: 4,
    ...values,
  };
}

function announce(url: string, options = {}): Promise<unknown> {
  return new TrackerClient({ timeoutMs: 300, resendMs: 100, ...options }).announce(request(url), never);
}

/** Rejects with a SwarmbootError `tracker` whose message begins with the URL and says `what`. */
async function fails(promise: Promise<unknown>, what: RegExp): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof SwarmbootError, String(error));
    assert.equal(error.code, 'tracker');
    assert.match(error.message, what);
    assert.match(error.message, /^(http|udp):\/\/127\.0\.0\.1:\d+\/announce /);
    return true;
  });
}

/** An HTTP server that lives as long as the test. */
async function httpServer(t: TestContext, answer: http.RequestListener): Promise<string> {
  const server = http.createServer(answer);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/announce`;
}

async function replies(t: TestContext, body: Uint8Array | string): Promise<string> {
  return httpServer(t, (_, response) => response.end(body));
}

/** A UDP server that answers each datagram with what `answer` makes of it, or not at all. */
async function udpServer(t: TestContext, answer: (request: Buffer) => (Buffer | null)[]): Promise<string> {
  const socket = createSocket('udp4');
  socket.on('message', (bytes, from) => {
    for (const reply of answer(bytes)) if (reply !== null) socket.send(reply, from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.after(() => socket.close());
  return `udp://127.0.0.1:${socket.address().port}/announce`;
}

/** `action`, the transaction id of the request, and more bytes. */
function udpReply(asked: Buffer, action: number, rest: Uint8Array): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(action);
  asked.copy(head, 4, 12, 16);
  return Buffer.concat([head, rest]);
}

const connected = (asked: Buffer) => udpReply(asked, 0, new Uint8Array(8));
const isConnect = (asked: Buffer) => asked.length === 16;

describe('the tracker client over HTTP', () => {
  it('sends every field, with info hash and peer id escaped byte by byte', async (t) => {
    let asked = '';
    const url = await httpServer(t, (incoming, response) => {
      asked = incoming.url ?? '';
      response.end(GOOD);
    });
    const client = new TrackerClient();
    const reply = await client.announce(request(`${url}?pass=a%26b`), never);
    assert.deepEqual(reply, {
      intervalMs: 60_000,
      minIntervalMs: null,
      seeders: null,
      leechers: null,
      peers: [{ host: '10.0.0.1', port: 6881 }],
      warning: null,
    });
    assert.ok(asked.startsWith('/announce?pass=a%26b&info_hash='), asked);
    const bytesOf = (name: string) => {
      const value = new RegExp(`[?&]${name}=([^&]*)`).exec(asked)![1]!;
      return Buffer.from(
        value.replace(/%(..)/g, (_, two) => String.fromCharCode(Number.parseInt(two, 16))),
        'latin1',
      );
    };
    assert.equal(bytesOf('info_hash').toString('hex'), hex(HASH));
    assert.equal(bytesOf('peer_id').toString('hex'), hex(request('').peerId));
    for (const field of [
      'port=6881',
      'uploaded=1',
      'downloaded=2',
      'left=3',
      'compact=1',
      'numwant=4',
      'event=started',
    ]) {
      assert.ok(asked.includes(`&${field}`), field);
    }
    const key = /&key=([0-9a-f]{8})/.exec(asked)![1]!;
    await client.announce(request(url, { event: 'update' }), never);
    assert.ok(asked.includes(key) && !asked.includes('event='));
  });

  it('gives a tracker id back to the tracker that named it', async (t) => {
    const asked: string[] = [];
    const url = await httpServer(t, (incoming, response) => {
      asked.push(/trackerid=([^&]*)/.exec(incoming.url ?? '')?.[1] ?? '');
      response.end(encode({ interval: 60, 'tracker id': Uint8Array.of(0x41, 0xff) }));
    });
    const client = new TrackerClient();
    for (const event of ['started', 'stopped', 'started'] as const)
      await client.announce(request(url, { event }), never);
    assert.deepEqual(asked, ['', 'A%ff', '']);
  });

  it('reads IPv6 peers, peers as dictionaries, counts and warnings, and drops what cannot be dialled', async (t) => {
    const url = await replies(
      t,
      encode({
        interval: 60,
        'min interval': 5,
        complete: 3,
        incomplete: 4,
        'warning message': 'old\x1b[31m client',
        peers: [
          { ip: '10.0.0.9', port: 1, 'peer id': 'x' },
          { ip: 'evil.example', port: 1 },
          { ip: '10.0.0.8', port: 0 },
        ],
        peers6: Buffer.concat([Buffer.alloc(15), Buffer.of(1, 0, 7), Buffer.alloc(18)]),
      }),
    );
    assert.deepEqual(await announce(url), {
      intervalMs: 60_000,
      minIntervalMs: 5_000,
      seeders: 3,
      leechers: 4,
      peers: [
        { host: '10.0.0.9', port: 1 },
        { host: '::1', port: 7 },
      ],
      warning: 'old\\x1b[31m client',
    });
  });

  it('hands on an interval of 0 as 0, for the schedule to clamp', async (t) => {
    const url = await replies(t, encode({ interval: 0, peers: '' }));
    assert.partialDeepStrictEqual(await announce(url), { intervalMs: 0, peers: [] });
    const negative = await replies(t, encode({ interval: -5 }));
    assert.partialDeepStrictEqual(await announce(negative), { intervalMs: 0 });
  });

  it('says that nobody listens', async () => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    await fails(announce(`http://127.0.0.1:${port}/announce`), /refused the connection$/);
    await fails(announce(`udp://127.0.0.1:${port}/announce`), /refused the connection$/);
  });

  it('says that no answer came in time, also when the answer stops half way', async (t) => {
    await fails(announce(await httpServer(t, () => {})), /did not answer within 0.3 s$/);
    const half = await httpServer(t, (_, response) => {
      response.writeHead(200, { 'content-length': GOOD.length });
      response.write(GOOD.subarray(0, 5));
    });
    await fails(announce(half), /did not answer within 0.3 s$/);
  });

  it('says that the connection was cut', async (t) => {
    const url = await httpServer(t, (_, response) => {
      response.writeHead(200, { 'content-length': GOOD.length });
      response.write(GOOD.subarray(0, 5), () => response.destroy());
    });
    await fails(announce(url), /could not be asked: aborted$/);
  });

  it('says what came instead of bencode', async (t) => {
    const html = await replies(t, '<html>\n<title>Welcome</title>');
    await fails(
      announce(html),
      /answered HTML, not bencode \(first bytes "<html>\\x0a<title>Welcome<\/title>"\)$/,
    );
    await fails(announce(await replies(t, 'Hello')), /answered no bencode \(first bytes "Hello"\)$/);
    await fails(announce(await replies(t, '')), /answered with nothing$/);
    await fails(announce(await replies(t, GOOD.subarray(0, 20))), /answered wrongly: .* at byte \d+$/);
    await fails(announce(await replies(t, 'de')), /answered wrongly: "interval" is missing at byte 0$/);
    const text = await replies(t, encode({ interval: 'soon' }));
    await fails(announce(text), /answered wrongly: "interval" is not of kind integer/);
  });

  it('says which HTTP status came, unless a failure reason came with it', async (t) => {
    const bare = await httpServer(t, (_, response) => response.writeHead(503).end('<html>'));
    await fails(announce(bare), /answered with HTTP status 503 Service Unavailable$/);
    const reason = await httpServer(t, (_, response) =>
      response.writeHead(400).end(encode({ 'failure reason': 'who\x07 are\nyou' })),
    );
    await fails(announce(reason), /refused: "who\\x07 are\\x0ayou"$/);
  });

  it('refuses a truncated compact list', async (t) => {
    const url = await replies(t, encode({ interval: 60, peers: new Uint8Array(13) }));
    await fails(
      announce(url),
      /answered wrongly: the compact peer list has 13 bytes, no multiple of 6 at byte \d+$/,
    );
  });

  it('stops reading at 1 MiB', async (t) => {
    const url = await httpServer(t, (_, response) => {
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536, 'd')));
      };
      response.on('drain', more);
      more();
    });
    await fails(announce(url, { timeoutMs: 5_000 }), /answered more than 1048576 bytes$/);
  });

  it('follows three redirects on the same host, not a fourth, and none to another host', async (t) => {
    let hops = 0;
    const url = await httpServer(t, (incoming, response) => {
      if (hops-- > 0) response.writeHead(302, { location: `${incoming.url}` }).end();
      else response.end(GOOD);
    });
    hops = 3;
    assert.partialDeepStrictEqual(await announce(url), { intervalMs: 60_000 });
    hops = 4;
    await fails(announce(url), /redirected more than 3 times$/);
    const away = await httpServer(t, (_, response) =>
      response.writeHead(301, { location: 'http://127.0.0.2/announce' }).end(),
    );
    await fails(
      announce(away),
      /redirected to "http:\/\/127\.0\.0\.2\/announce", but only redirects on the same host/,
    );
  });

  it('refuses other schemes and no URL at all', async () => {
    for (const url of ['wss://tracker.example/', 'file:///etc/passwd', 'tracker\x1b']) {
      await assert.rejects(announce(url), /is no http, https or udp URL$/);
    }
    await assert.rejects(announce('udp://127.0.0.1/announce'), /names no port$/);
  });

  it('keeps pass keys and passwords out of its messages', async (t) => {
    const url = (await replies(t, '<')).replace('http://', 'http://user:secret@');
    await fails(announce(`${url}?pass=secret`), /^(?!.*secret)/);
  });

  it('ends at once when it is told to', async (t) => {
    for (const url of [await httpServer(t, () => {}), await udpServer(t, () => [])]) {
      const controller = new AbortController();
      const promise = new TrackerClient().announce(request(url), controller.signal);
      const reason = new Error('leaving');
      setTimeout(() => controller.abort(reason), 20);
      await assert.rejects(promise, reason);
    }
  });
});

describe('the tracker client over UDP', () => {
  const good = Buffer.from('0000003c0000000200000001' + '0a0000011ae1' + '0a0000020000', 'hex');

  it('asks again when a datagram is lost, and drops port 0', async (t) => {
    let lost = 0;
    const url = await udpServer(t, (asked) => {
      if (lost++ % 2 === 0) return [null];
      return [isConnect(asked) ? connected(asked) : udpReply(asked, 1, good)];
    });
    assert.deepEqual(await announce(url, { timeoutMs: 5_000 }), {
      intervalMs: 60_000,
      minIntervalMs: null,
      seeders: 1,
      leechers: 2,
      peers: [{ host: '10.0.0.1', port: 6881 }],
      warning: null,
    });
    assert.equal(lost, 4);
  });

  it('sends the fields of BEP 15 and the path of BEP 41', async (t) => {
    let asked: Buffer = Buffer.alloc(0);
    const url = await udpServer(t, (bytes) => {
      if (isConnect(bytes)) return [connected(bytes)];
      asked = bytes;
      return [udpReply(bytes, 1, good)];
    });
    const long = 'x'.repeat(300);
    await announce(`${url}?${long}`);
    assert.equal(asked.subarray(16, 36).toString('hex'), hex(HASH));
    assert.deepEqual(
      [56, 64, 72].map((at) => asked.readBigUInt64BE(at)),
      [2n, 3n, 1n],
    );
    assert.deepEqual([asked.readUInt32BE(80), asked.readInt32BE(92), asked.readUInt16BE(96)], [2, 4, 6881]);
    assert.deepEqual([...asked.subarray(98, 100)], [2, 255]);
    assert.equal(asked.subarray(100, 110).toString(), '/announce?');
    assert.deepEqual([...asked.subarray(355, 357)], [2, 55]);
    assert.equal(asked.length, 357 + 55);
  });

  it('says that no answer came in time', async (t) => {
    await fails(announce(await udpServer(t, () => [])), /did not answer within 0.3 s$/);
  });

  it('ignores answers with a wrong transaction id', async (t) => {
    const wrong = (asked: Buffer) => {
      const reply = connected(asked);
      reply.writeUInt32BE((reply.readUInt32BE(4) + 1) >>> 0, 4);
      return reply;
    };
    const only = await udpServer(t, (asked) => [wrong(asked), Buffer.alloc(3)]);
    await fails(announce(only), /sent \d+ datagrams with a wrong transaction id and no answer$/);
    const both = await udpServer(t, (asked) =>
      isConnect(asked) ? [wrong(asked), connected(asked)] : [wrong(asked), udpReply(asked, 1, good)],
    );
    assert.partialDeepStrictEqual(await announce(both), { seeders: 1 });
  });

  it('ignores answers from another port', async (t) => {
    const stranger = createSocket('udp4');
    t.after(() => stranger.close());
    const server = createSocket('udp4');
    t.after(() => server.close());
    server.on('message', (asked, from) => stranger.send(connected(asked), from.port, from.address));
    server.bind(0, '127.0.0.1');
    await once(server, 'listening');
    await fails(
      announce(`udp://127.0.0.1:${server.address().port}/announce`),
      /did not answer within 0.3 s$/,
    );
  });

  it('quotes the error that the tracker sends', async (t) => {
    const url = await udpServer(t, (asked) => [
      isConnect(asked) ? connected(asked) : udpReply(asked, 3, Buffer.from('go\x1baway')),
    ]);
    await fails(announce(url), /refused: "go\\x1baway"$/);
  });

  it('says what is wrong with an action, a length, and a truncated list', async (t) => {
    const odd = await udpServer(t, (asked) => [udpReply(asked, 9, new Uint8Array(8))]);
    await fails(announce(odd), /answered wrongly: action 9 where connect was asked for$/);
    const short = await udpServer(t, (asked) => [udpReply(asked, 0, new Uint8Array(4))]);
    await fails(announce(short), /answered wrongly: an answer to connect of 12 bytes, shorter than 16$/);
    const cut = await udpServer(t, (asked) => [
      isConnect(asked) ? connected(asked) : udpReply(asked, 1, good.subarray(0, 20)),
    ]);
    await fails(announce(cut), /answered wrongly: the compact peer list has 8 bytes, no multiple of 6$/);
  });
});

describe("the tracker client and Debian's opentracker", () => {
  it('meet over HTTP and UDP, and agree on counts', async (t) => {
    const program = '/usr/bin/opentracker';
    const folder = await mkdtemp(path.join(os.tmpdir(), 'swarmboot-opentracker-'));
    t.after(() => rm(folder, { recursive: true }));
    await new Promise<void>((resolve, reject) =>
      execFile('/bin/chmod', ['0755', folder], (error) => (error ? reject(error) : resolve())),
    );
    await writeFile(path.join(folder, 'whitelist'), `${hex(HASH)}\n`, { mode: 0o644 });
    const port = await freePort();
    // Debian builds it in whitelist mode; started by root it changes its root folder and its user.
    const whitelist = process.getuid?.() === 0 ? '/whitelist' : path.join(folder, 'whitelist');
    const words = [
      '-i',
      '127.0.0.1',
      '-p',
      `${port}`,
      '-P',
      `${port}`,
      '-d',
      folder,
      '-u',
      'nobody',
      '-w',
      whitelist,
    ];
    const child = spawn(program, words, { stdio: 'ignore' });
    t.after(() => child.kill());
    const client = new TrackerClient();
    const [overHttp, overUdp] = [`http://127.0.0.1:${port}/announce`, `udp://127.0.0.1:${port}/announce`];
    await listening(port);

    const first = await client.announce(request(overHttp, { port: 1001, left: 0 }), never);
    assert.deepEqual([first.seeders, first.leechers], [1, 0]);
    const second = await client.announce(request(overUdp, { port: 1002 }), never);
    assert.deepEqual([second.seeders, second.leechers], [1, 1]);
    assert.ok(second.peers.some((peer) => peer.host === '127.0.0.1' && peer.port === 1001));
    const again = await client.announce(request(overUdp, { port: 1002, left: 0, event: 'completed' }), never);
    assert.equal(again.seeders, 2);
    const third = await client.announce(request(overHttp, { port: 1003 }), never);
    assert.deepEqual(
      third.peers
        .map((peer) => peer.port)
        .filter((one) => one !== 1003)
        .sort(),
      [1001, 1002],
    );
    await client.announce(request(overUdp, { port: 1002, left: 0, event: 'stopped' }), never);
    const last = await client.announce(request(overHttp, { port: 1003, event: 'update' }), never);
    assert.deepEqual([last.seeders, last.leechers], [1, 1]);
    await assert.rejects(
      client.announce(request(overHttp, { infoHash: new Uint8Array(20) }), never),
      /refused: "Requested download is not authorized/,
    );
  });
});

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Waits until something accepts connections. */
async function listening(port: number): Promise<void> {
  for (let tries = 0; ; tries++) {
    const socket = net.connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return;
    } catch (error) {
      if (tries === 100) throw error;
      await sleep(50);
    } finally {
      socket.destroy();
    }
  }
}
