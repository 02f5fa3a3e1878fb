import { deepEqual, equal, rejects } from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { parseCatalogEntry } from '../../agent/core/catalog.ts';
import { NO_CREDENTIALS } from '../../agent/core/credentials.ts';
import { type ErrorCode, SwarmbootError } from '../../agent/core/errors.ts';
import { formatMagnet } from '../../agent/core/magnet.ts';
import { hex } from '../../agent/core/units.ts';
import { openCatalog, readMagnet } from '../../agent/io/catalog.ts';
import { makeTorrent, noise, scratch } from '../content.ts';

const ENTRY = parseCatalogEntry({
  name: 'debian',
  kind: 'image',
  file: 'image-debian.tar',
  compression: 'none',
  encryption: null,
  size: 1,
  unpackedSize: 1,
  entryCount: 1,
  sha256: '00'.repeat(32),
  pieceLength: 16_384,
  infoHash: '00'.repeat(20),
  infoHashV2: '00'.repeat(32),
});
const MANIFEST = JSON.stringify({ format: 1, entries: [ENTRY], files: [] });
const never = new AbortController().signal;
const { fetchFile, fetchKey, fetchManifest, fetchTorrent, readTorrentSource } = openCatalog(NO_CREDENTIALS);

const refusal = (code: ErrorCode, reason: RegExp) => (error: unknown) =>
  error instanceof SwarmbootError && error.code === code && reason.test(error.message);

/** A server on a free port of loopback, closed when the test ends. */
async function serve(context: TestContext, answer: RequestListener): Promise<URL> {
  const server = createServer(answer);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

describe('over HTTP', () => {
  test('manifest and torrent come from below the address of the server', async (context) => {
    const asked: (string | undefined)[] = [];
    const server = await serve(context, (request, response) => {
      asked.push(request.url);
      response.end(request.url === '/manifest' ? MANIFEST : 'torrent');
    });
    equal(Buffer.from(await fetchManifest(server, never)).toString(), MANIFEST);
    equal(String(await fetchTorrent(new URL('/site', server), ENTRY, never)), 'torrent');
    equal(String(await fetchTorrent(new URL('/site/', server), ENTRY, never)), 'torrent');
    deepEqual(asked, ['/manifest', '/site/torrents/debian.torrent', '/site/torrents/debian.torrent']);
  });

  test('a site file is believed by its size and hash', async (context) => {
    const server = await serve(context, (request, response) => {
      response.end(request.url === '/files/layouts/default.json' ? '{}' : '{');
    });
    const sha256 = '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a';
    equal(String(await fetchFile(server, { path: 'layouts/default.json', size: 2, sha256 }, never)), '{}');
    for (const wrong of [
      { path: 'layouts/other.json', size: 2, sha256 },
      { path: 'layouts/default.json', size: 3, sha256 },
      { path: 'layouts/default.json', size: 2, sha256: '00'.repeat(32) },
    ]) {
      await rejects(fetchFile(server, wrong, never), refusal('catalog', /is not what the manifest promises/));
    }
  });

  test('a file key is 16 bytes, and nothing else', async (context) => {
    const server = await serve(context, (request, response) => {
      response.end(Buffer.alloc(Number(/\d+/.exec(request.url!)), 7));
    });
    const keyOf = (size: number) => fetchKey(server, { ...ENTRY, name: `k${size}` }, never);
    deepEqual((await keyOf(16)).reveal(), new Uint8Array(16).fill(7));
    await rejects(keyOf(15), refusal('catalog', /the key of "k15" is none/));
    await rejects(keyOf(17), refusal('catalog', /the answer is longer than 16 bytes/));
  });

  test('a redirect within the server is followed', async (context) => {
    const server = await serve(context, (request, response) => {
      if (request.url === '/manifest') response.writeHead(302, { location: 'other/place' }).end();
      else response.end(request.url === '/other/place' ? MANIFEST : '');
    });
    equal(Buffer.from(await fetchManifest(server, never)).toString(), MANIFEST);
  });

  const faults: [string, RequestListener, RegExp][] = [
    [
      'a redirect to another server',
      (_, response) => response.writeHead(301, { location: 'http://127.0.0.1:1/manifest' }).end(),
      /redirects to another server, http:\/\/127\.0\.0\.1:1;/,
    ],
    [
      'a redirect to another kind of server',
      (_, response) => response.writeHead(301, { location: 'file:///etc/passwd' }).end(),
      /redirects to another server/,
    ],
    [
      'redirects without end',
      (_, response) => response.writeHead(307, { location: '/' }).end(),
      /more than 3 times/,
    ],
    [
      'a redirect to nowhere',
      (_, response) => response.writeHead(302, { location: 'http://' }).end(),
      /to nowhere/,
    ],
    [
      'no such page',
      (_, response) => response.writeHead(404).end('no'),
      /manifest: the server answered 404; check/,
    ],
    [
      'an answer cut short',
      (_, response) => void response.writeHead(200, { 'content-length': 9 }).end('x'),
      /cannot get/,
    ],
    ['an answer without end', (_, response) => pour(response), /longer than 4194304 bytes/],
  ];
  for (const [name, answer, reason] of faults) {
    test(`refused: ${name}`, async (context) => {
      await rejects(fetchManifest(await serve(context, answer), never), refusal('catalog', reason));
    });
  }

  test('refused: a server that is not there, or speaks something else', async (context) => {
    const sockets: Socket[] = [];
    const server = createTcpServer((socket) => sockets.push(socket.end('SSH-2.0-x\r\n')));
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    context.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    await rejects(
      fetchManifest(new URL(`http://127.0.0.1:${port}`), never),
      refusal('catalog', /cannot get http/),
    );
    await rejects(
      fetchManifest(new URL(`https://127.0.0.1:${port}`), never),
      refusal(
        'signature',
        /^https:.* is not believed: wrong version number \(EPROTO\); is it the image server\?/,
      ),
    );
    server.close();
    await rejects(
      fetchManifest(new URL(`http://127.0.0.1:${port}`), never),
      refusal('catalog', /ECONNREFUSED/),
    );
  });

  test('a silent server is left as soon as the caller says so', async (context) => {
    const ending = new AbortController();
    const server = await serve(context, () => ending.abort(new SwarmbootError('interrupted', 'stopped')));
    await rejects(fetchManifest(server, ending.signal), refusal('interrupted', /^stopped$/));
  });
});

/** Writes until the other end has had enough. */
function pour(response: Parameters<RequestListener>[1]): void {
  const more = () => {
    while (!response.destroyed && response.write(Buffer.alloc(65_536, 'x')));
  };
  response.on('drain', more);
  more();
}

describe('magnet links', () => {
  const { torrent } = makeTorrent('a b', [{ bytes: noise(9, 1) }], 16_384, 'hybrid', [
    'udp://192.0.2.1:6969/announce',
  ]);
  const hash = hex(torrent.infoHashV1!);

  test('what formatMagnet writes is read back', async () => {
    const magnet = await readMagnet(formatMagnet(torrent));
    equal(hex(magnet.infoHashV1), hash);
    equal(hex(magnet.infoHashV2!), hex(torrent.infoHashV2!));
    equal(magnet.name, 'a b');
    deepEqual(magnet.trackers, torrent.announce.flat());
    deepEqual(magnet.peers, []);
  });

  test('base 32, peers and many trackers are read; what is unusable is left out', async () => {
    const link = [
      'magnet:?xt=urn:btih:AAAQEAYEAUDAOCAJBIFQYDIOB4IBCEQT',
      'dn=..',
      'tr=http%3A%2F%2Fa%2Fannounce',
      'tr=wss%3A%2F%2Fb',
      'tr=udp%3A%2F%2Fc%3A1',
      'x.pe=192.0.2.1:6881',
      'x.pe=[2001:db8::1]:6882',
      'x.pe=some.host:6881',
      'x.pe=192.0.2.1:0',
      'x.pe=192.0.2.300:1',
    ];
    const magnet = await readMagnet(link.join('&'));
    equal(hex(magnet.infoHashV1), '000102030405060708090a0b0c0d0e0f10111213');
    equal(magnet.name, null);
    deepEqual(magnet.trackers, ['http://a/announce', 'udp://c:1']);
    deepEqual(magnet.peers, [
      { host: '192.0.2.1', port: 6881 },
      { host: '2001:db8::1', port: 6882 },
    ]);
  });

  test('fields that we do not read cannot stand for others, nor fill the memory', async () => {
    const more = 'so=0-4294967294&infoHashV2=zz&peerAddresses=x&__proto__=x&dn=a&kt=b';
    const magnet = await readMagnet(`magnet:?xt=urn:btih:${hash}&${more}`);
    deepEqual([hex(magnet.infoHashV1), magnet.infoHashV2, magnet.name], [hash, null, 'a']);
  });

  const bad: [string, string, RegExp][] = [
    ['with a hash under another name', `magnet:?infoHash=${'zz'.repeat(20)}`, /bad magnet link: Invalid/],
    ['without a hash', 'magnet:?dn=x', /bad magnet link: Invalid torrent identifier/],
    [
      'with a v2 hash alone',
      `magnet:?xt=urn:btmh:1220${'ab'.repeat(32)}`,
      /v2 info hash alone; use the \.torrent file/,
    ],
    ['with a hash that is no hex', `magnet:?xt=urn:btih:${'xy'.repeat(20)}`, /not 40 hex digits/],
    ['with a hash too long', `magnet:?xt=urn:btih:${hash}00`, /not 40 hex digits/],
    ['with a hash too short', `magnet:?xt=urn:btih:${hash.slice(1)}`, /not 40 hex digits/],
    [
      'with a bad v2 hash',
      `magnet:?xt=urn:btih:${hash}&xt=urn:btmh:1220${'zz'.repeat(32)}`,
      /not 64 hex digits/,
    ],
    ['with a broken escape', `magnet:?xt=urn:btih:${hash}&dn=%E0%A4`, /URI malformed/],
  ];
  for (const [name, link, reason] of bad) {
    test(`refused: ${name}`, () => rejects(readMagnet(link), refusal('torrent', reason)));
  }
});

describe('a source of a torrent', () => {
  test('is a magnet link, a URL or a path', async (context) => {
    const path = join(scratch(context), 'x.torrent');
    writeFileSync(path, 'from disk');
    const server = await serve(context, (_, response) => response.end('from afar'));
    const texts = [];
    for (const source of [path, new URL('/x.torrent', server).href]) {
      const read = await readTorrentSource(source, never);
      texts.push(read.kind === 'torrent' ? String(read.bytes) : read.kind);
    }
    deepEqual(texts, ['from disk', 'from afar']);
    const read = await readTorrentSource(`magnet:?xt=urn:btih:${'ab'.repeat(20)}`, never);
    equal(read.kind, 'magnet');
  });

  test('is refused when it is not there, no file, too long or no URL', async (context) => {
    const folder = scratch(context);
    const long = join(folder, 'long');
    writeFileSync(long, Buffer.alloc(10_000_001));
    await rejects(readTorrentSource(long, never), refusal('torrent', /longer than 10000000 bytes/));
    await rejects(readTorrentSource(folder, never), refusal('missing', /it is not a file/));
    await rejects(readTorrentSource(join(folder, 'none'), never), refusal('missing', /ENOENT/));
    await rejects(readTorrentSource('http://', never), refusal('torrent', /is not a URL/));
  });
});
