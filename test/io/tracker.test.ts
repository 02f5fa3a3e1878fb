import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { encode } from '../../agent/core/bencode.ts';
import { hex } from '../../agent/core/units.ts';
import { TrackerClient } from '../../agent/io/tracker.ts';
import { announce, fails, HASH, httpServer, never, replies, request, SOON, udpServer } from './trackers.ts';

const GOOD = encode({ interval: 60, peers: Uint8Array.of(10, 0, 0, 1, 26, 225) });

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
    await fails(announce(await httpServer(t, () => {}), SOON), /did not answer within 0.3 s$/);
    const half = await httpServer(t, (_, response) => {
      response.writeHead(200, { 'content-length': GOOD.length });
      response.write(GOOD.subarray(0, 5));
    });
    await fails(announce(half, SOON), /did not answer within 0.3 s$/);
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
    await fails(announce(url), /answered more than 1048576 bytes$/);
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
      /redirected to "http:\/\/127\.0\.0\.2\/announce", but is followed only on the same host/,
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
