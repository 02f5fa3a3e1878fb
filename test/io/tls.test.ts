// A node whose RAM disk holds an authority, and every server that is not its image server. Each time with all that an agent
// asks with: catalog, reports, questions about itself, echoes, announces.

import { deepEqual, equal, match, rejects } from 'node:assert/strict';
import { once } from 'node:events';
import http, { type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { encode } from '../../agent/core/bencode.ts';
import type { Credentials } from '../../agent/core/credentials.ts';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { openCatalog } from '../../agent/io/catalog.ts';
import { askNode, Monitor } from '../../agent/io/monitor.ts';
import { echo } from '../../agent/io/probe.ts';
import { WebClient } from '../../agent/io/web.ts';
import { listenTls, TestAuthority } from '../certificates.ts';
import { scratch } from '../content.ts';
import { message } from '../core/messages.ts';
import { announce } from './trackers.ts';

const MAC = '52:54:00:09:00:01';
const NODE = { known: true, armed: true, name: 'node001', armedSince: null };

/** Everything that a node asks of its image server. */
const QUESTIONS: [string, (server: URL, credentials: Credentials) => Promise<unknown>][] = [
  ['manifest', (server, by) => openCatalog(by).fetchManifest(server, AbortSignal.timeout(20_000))],
  ['nodes', (server, by) => askNode(server, MAC, by, AbortSignal.timeout(20_000))],
  [
    'tarball',
    (server, by) =>
      new WebClient(by).fetchRange(
        { url: new URL('tarballs/image', server).href, sizeBytes: 8, begin: 0, length: 8 },
        () => {},
        AbortSignal.timeout(20_000),
      ),
  ],
  ['echo', (server, by) => echo(server, 10, by, AbortSignal.timeout(20_000))],
];

interface Site {
  readonly authority: TestAuthority;
  readonly other: TestAuthority;
  readonly asked: string[];
  readonly answer: RequestListener;
  credentials(of?: Partial<Credentials>): Credentials;
}

function site(t: TestContext): Site {
  const folder = scratch(t);
  const authority = new TestAuthority(join(folder, 'own'));
  const asked: string[] = [];
  return {
    authority,
    other: new TestAuthority(join(folder, 'other')),
    asked,
    answer: (request, response) => {
      asked.push(`${request.method} ${request.url!.split('?')[0]} ${request.headers.authorization ?? '-'}`);
      if (request.url === '/echo') request.pipe(response);
      else if (request.url === '/tarballs/image')
        response.writeHead(206, { 'content-range': 'bytes 0-7/8' }).end('12345678');
      else if (request.url!.startsWith('/nodes/')) response.end(JSON.stringify(NODE));
      else response.end(request.url!.startsWith('/announce') ? encode({ interval: 60 }) : 'manifest');
    },
    credentials: (of = {}) => ({ authority: authority.pem, server: null, token: null, ...of }),
  };
}

/** What a node sends to that server: nothing. */
async function refuses({ asked, credentials }: Site, server: URL, reason: RegExp): Promise<void> {
  for (const [name, ask] of QUESTIONS) {
    const fault: unknown = await ask(server, credentials()).then(
      () => `${name} was answered`,
      (error: unknown) => error,
    );
    match(fault instanceof Error ? fault.message : String(fault), reason, name);
    // An echo that fails is one finding of many.
    if (name !== 'echo') equal(fault instanceof SwarmbootError && fault.code, 'signature', name);
  }
  const monitor = new Monitor([server], credentials());
  monitor.send(message());
  await monitor.flush(500);
  deepEqual(asked, []);
}

test('a node with an authority believes the server that it has certified, by address, and shows it the token', async (t) => {
  const { authority, asked, answer, credentials } = site(t);
  for (const [name, host] of [
    ['IP:127.0.0.1', '127.0.0.1'],
    ['IP:::1', '::1'],
  ] as const) {
    const server = await listenTls(t, authority.issue({ name }), answer, host);
    const own = credentials({ server: server.origin, token: 'secret' });
    for (const [, ask] of QUESTIONS) await ask(server, own);
    const monitor = new Monitor([server], own);
    monitor.send(message());
    await monitor.flush(10_000);
    await announce(`${server.origin}/announce`, { credentials: own });
    deepEqual(
      asked.splice(0),
      [
        'GET /manifest',
        `GET /nodes/${MAC}`,
        'GET /tarballs/image',
        'POST /echo',
        'POST /reports',
        'GET /announce',
      ].map((line) => `${line} Bearer secret`),
    );
  }
});

test('the token goes to no other server, though its certificate is right', async (t) => {
  const { authority, asked, answer, credentials } = site(t);
  const server = await listenTls(t, authority.issue(), answer);
  await announce(`${server.origin}/announce`, {
    credentials: credentials({ server: 'https://10.9.0.1:8443', token: 'secret' }),
  });
  deepEqual(asked, ['GET /announce -']);
});

test('wrong CA: a certificate of another authority is refused', async (t) => {
  const here = site(t);
  const server = await listenTls(t, here.other.issue(), here.answer);
  await refuses(here, server, /unable to verify|unable to get|UNABLE_TO/i);
});

test('wrong name: a certificate of the right authority for another server is refused', async (t) => {
  const here = site(t);
  const server = await listenTls(
    t,
    here.authority.issue({ name: 'IP:127.0.0.2,DNS:localhost' }),
    here.answer,
  );
  await refuses(here, server, /does not match certificate's altnames/);
});

test('expired, or not valid yet: refused, and the clock of the machine is named', async (t) => {
  const here = site(t);
  const expired = { from: '20200101000000Z', to: '20210101000000Z' };
  const server = await listenTls(t, here.authority.issue(expired), here.answer);
  await refuses(here, server, /certificate has expired/);
  const fetched = openCatalog(here.credentials()).fetchManifest(server, t.signal);
  const year = new Date().getUTCFullYear();
  await rejects(fetched, new RegExp(`CERT_HAS_EXPIRED\\); the clock of this machine says ${year}-`));
  const future = { from: '20700101000000Z', to: '20710101000000Z' };
  const early = await listenTls(t, here.authority.issue(future), here.answer);
  await refuses(here, early, /certificate is not yet valid/);
});

test('self-signed: refused', async (t) => {
  const here = site(t);
  const server = await listenTls(t, here.authority.selfSigned(), here.answer);
  await refuses(here, server, /self-signed certificate/);
});

test('plain HTTP: refused before a byte is sent', async (t) => {
  const here = site(t);
  const server = http.createServer(here.answer);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  let connections = 0;
  server.on('connection', () => connections++);
  const { port } = server.address() as AddressInfo;
  await refuses(here, new URL(`http://127.0.0.1:${port}`), /is plain HTTP, and this RAM disk believes/);
  equal(connections, 0);
  // The same port by https: it is no TLS.
  await refuses(here, new URL(`https://127.0.0.1:${port}`), /wrong version number|packet length too long/);
});

test('TLS 1.2: refused', async (t) => {
  const here = site(t);
  const server = await listenTls(t, { ...here.authority.issue(), maxVersion: 'TLSv1.2' }, here.answer);
  await refuses(here, server, /protocol version|unsupported protocol/);
});

test('a redirect to another server, or to plain HTTP, is not followed', async (t) => {
  const here = site(t);
  const certified = here.authority.issue();
  const other = await listenTls(t, certified, here.answer);
  const plain = `http://127.0.0.1:${other.port}`;
  for (const location of [`${other.origin}/manifest`, `${plain}/manifest`]) {
    const server = await listenTls(t, certified, (_, response) =>
      response.writeHead(302, { location }).end(),
    );
    const own = here.credentials({ server: server.origin, token: 'secret' });
    await rejects(openCatalog(own).fetchManifest(server, t.signal), /redirects to another server/);
    if (location.startsWith('http:'))
      await rejects(announce(`${server.origin}/announce`, { credentials: own }), /not from https to http/);
  }
  deepEqual(here.asked, []);
});

test("without an authority the system's are believed: a site's own certificate is refused", async (t) => {
  const here = site(t);
  const server = await listenTls(t, here.authority.issue(), here.answer);
  await refuses(
    { ...here, credentials: () => ({ authority: null, server: null, token: null }) },
    server,
    /UNABLE_TO|unable to/,
  );
});
