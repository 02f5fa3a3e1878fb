import { deepEqual, equal, match, notEqual, ok, rejects } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { on, once } from 'node:events';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import tls from 'node:tls';
import type { Credentials } from '../../agent/core/credentials.ts';
import { openCatalog } from '../../agent/io/catalog.ts';
import { askNode, Monitor } from '../../agent/io/monitor.ts';
import { echo } from '../../agent/io/probe.ts';
import { REQUESTS_AT_ONCE_MAX } from '../../scripts/core/httplimits.ts';
import { arm } from '../../scripts/nodes.ts';
import { readServerCertificate } from '../../scripts/tls.ts';
import { scratch } from '../content.ts';
import { message } from '../core/messages.ts';
import { swarmboot } from './commands.ts';
import { type Served, serveRepository } from './server.ts';

const MAC = '52:54:00:09:00:01';

const made = (repo: string, name: string) => readFileSync(join(repo, 'tls', name), 'utf8');

async function init(repo: string, ...names: string[]): Promise<string> {
  const { status, out, err } = await swarmboot([
    'init',
    '--repo',
    repo,
    ...names.flatMap((name) => ['--name', name]),
  ]);
  equal(status, 0, err);
  return out;
}

interface TlsSite extends Served {
  readonly repo: string;
  readonly secured: URL;
  readonly credentials: Credentials;
}

async function tlsSite(t: TestContext, ...names: string[]): Promise<TlsSite> {
  const repo = scratch(t);
  writeFileSync(join(repo, 'nodes.conf'), `node001 mac=${MAC} image=web\n`);
  await init(repo, '127.0.0.1', ...names);
  const server = await serveRepository(t, repo);
  const port = /over TLS: https port (\d+)/.exec(server.said())?.[1];
  const secured = new URL(`https://127.0.0.1:${port}`);
  const credentials = { authority: made(repo, 'authority.pem'), server: secured.origin, token: null };
  return { ...server, repo, secured, credentials };
}

/** The status of a GET to `url` with this Host header, from `from`. */
async function statusOf(url: string, host: string, from = '127.0.0.1'): Promise<number> {
  const request = http.get(url, { headers: { host }, localAddress: from, agent: false });
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  response.resume();
  return response.statusCode!;
}

test('init makes an authority and a certificate for every name, with keys for their owner alone', async (t) => {
  const repo = scratch(t);
  match(
    await init(repo, 'images.example', '10.9.0.1', 'fd09::1'),
    /for images\.example, 10\.9\.0\.1, fd09::1\n/,
  );
  const [authority, server] = ['authority.pem', 'server.pem'].map(
    (name) => new X509Certificate(made(repo, name)),
  );
  equal(authority!.ca, true);
  equal(server!.ca, false);
  ok(server!.verify(authority!.publicKey));
  equal(server!.subjectAltName, 'DNS:images.example, IP Address:10.9.0.1, IP Address:FD09:0:0:0:0:0:0:1');
  deepEqual(server!.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  const files = ['-x509_strict', '-purpose', 'sslserver', '-CAfile', join(repo, 'tls/authority.pem')];
  execFileSync('/usr/bin/openssl', ['verify', ...files, join(repo, 'tls/server.pem')]);
  const days = (certificate: X509Certificate) =>
    Math.round((Date.parse(certificate.validTo) - Date.parse(certificate.validFrom)) / 86_400_000);
  deepEqual([authority!, server!].map(days), [3650, 730]);
  for (const name of ['authority.key', 'server.key'])
    equal(statSync(join(repo, 'tls', name)).mode & 0o007, 0, `${name} is not for others`);
  equal(statSync(join(repo, 'tls', 'authority.key')).mode & 0o777, 0o600);
});

test('init once more keeps the authority and makes another server certificate, as old as the authority', async (t) => {
  const repo = scratch(t);
  await init(repo, '10.9.0.1');
  const before = ['authority.pem', 'authority.key', 'server.pem', 'server.key'].map((name) =>
    made(repo, name),
  );
  match(await init(repo, '10.9.0.2'), /for 10\.9\.0\.2\nstart swarmboot serve anew\n/);
  const after = ['authority.pem', 'authority.key', 'server.pem', 'server.key'].map((name) =>
    made(repo, name),
  );
  deepEqual(after.slice(0, 2), before.slice(0, 2));
  notEqual(after[2], before[2]);
  notEqual(after[3], before[3]);
  const [authority, server] = [after[0]!, after[2]!].map((text) => new X509Certificate(text));
  // A node whose clock stands at the age of its RAM disk takes this one as well.
  equal(server!.validFrom, authority!.validFrom);
  equal(server!.checkIP('10.9.0.1'), undefined);
});

test('init without names takes those of this machine; what is no name is refused', async (t) => {
  const repo = scratch(t);
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const own = addresses.find(({ internal, address }) => !internal && !address.startsWith('fe80'));
  const { status: ended, err: said } = await swarmboot(['init', '--repo', repo]);
  if (own === undefined) match(said, /this machine has no address on a network that is up; give --name/);
  else equal(new X509Certificate(made(repo, 'server.pem')).checkIP(own.address), own.address);
  equal(ended, own === undefined ? 2 : 0);
  for (const name of ['a b', 'x,DNS:evil', 'a\nb', '-x', '10.9.0.1/24', 'a..b', '*.example']) {
    const { status, err } = await swarmboot(['init', '--repo', repo, `--name=${name}`]);
    deepEqual([status, /wants a host name or an address/.test(err)], [2, true], name);
  }
});

test('nodes are told an address that the certificate has, else its first name', async (t) => {
  const repo = scratch(t);
  equal(await readServerCertificate(repo), null);
  await init(repo, '10.9.0.1', 'images.example', 'fd09::1');
  const certificate = (await readServerCertificate(repo))!;
  deepEqual(
    ['10.9.0.1', 'fd09::1', '10.9.0.2', '::1'].map((address) => certificate.hostFor(address)),
    ['10.9.0.1', 'fd09::1', 'images.example', 'images.example'],
  );
  rmSync(join(repo, 'tls', 'server.key'));
  await rejects(
    readServerCertificate(repo),
    /server\.pem cannot be used \(server\.key is not beside it\); run swarmboot init/,
  );
  writeFileSync(join(repo, 'tls', 'server.pem'), 'x');
  await rejects(readServerCertificate(repo), /server\.pem cannot be used \(.*\); run swarmboot init/);
});

test('serve answers the same by TLS 1.3 as by plain HTTP, and boots nodes into it', async (t) => {
  const { repo, url, secured, credentials, said } = await tlsSite(t);
  const { fetchManifest } = openCatalog(credentials);
  const plain = await (await fetch(`${url}/manifest`)).text();
  equal(Buffer.from(await fetchManifest(secured, t.signal)).toString(), plain);
  equal(await echo(secured, 6000, credentials, t.signal), true);
  equal((await askNode(secured, MAC, credentials, t.signal)).name, 'node001');
  const monitor = new Monitor([secured], credentials);
  monitor.send(message({ mac: MAC }));
  await monitor.flush(10_000);
  match(await (await fetch(`${url}/metrics`)).text(), /^swarmboot_messages_total\{result="kept"\} 1$/m);
  await arm(repo, MAC);
  const entry = await (await fetch(`${url}/boot/ipxe/${MAC}`)).text();
  match(
    entry,
    new RegExp(
      `\nkernel ${url}/boot/kernel initrd=initrd\\.img quiet IMAGESERVER=${secured.origin} FIRST_BOOT_SERVER=${url} `,
    ),
  );
  match(said(), /the RAM disk of this repository knows another authority, or none: swarmboot initrd build\n/);
  const old = tls.connect({ port: Number(secured.port), ca: credentials.authority!, maxVersion: 'TLSv1.2' });
  await rejects(once(old, 'secureConnect'), /protocol version/);
  const wild = await openCatalog({ ...credentials, authority: null })
    .fetchManifest(secured, t.signal)
    .catch((error: Error) => error.message);
  match(String(wild), /is not believed/);
});

test('a request under a name of somebody else is refused: DNS rebinding', async (t) => {
  const { url } = await tlsSite(t, 'images.example');
  for (const host of ['127.0.0.1', 'localhost:8080', 'images.example', '10.9.0.1:8080', '[::1]:8080'])
    equal(await statusOf(`${url}/healthz`, host), 200, host);
  for (const path of ['/healthz', '/cluster.json', '/events', '/manifest', '/'])
    equal(await statusOf(`${url}${path}`, 'attacker.example:8080'), 421, path);
});

test('who asks without end is told 429 and hung up on, and its neighbours are answered meanwhile', async (t) => {
  const { url } = await serveRepository(t, scratch(t));
  const { port } = new URL(url);
  const flood = connect({ host: '127.0.0.1', port: Number(port), localAddress: '127.0.0.66' });
  const answers = on(flood, 'data', { close: ['close'], signal: t.signal });
  let neighbour = 0;
  const going = new AbortController();
  const asking = (async () => {
    while (!going.signal.aborted) {
      equal(await statusOf(`${url}/healthz`, '127.0.0.1', '127.0.0.1'), 200);
      neighbour++;
    }
  })();
  const batch = 'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'.repeat(50);
  let [text, granted] = ['', 0];
  flood.write(batch);
  for await (const [chunk] of answers) {
    text += chunk;
    const whole = text.split('ok\n');
    if (whole.length < 51) continue;
    granted += 50;
    text = '';
    flood.write(batch);
  }
  going.abort();
  await asking;
  match(text, /HTTP\/1\.1 429 .*[\s\S]*too many requests of this address; wait a second\n/);
  ok(neighbour > 0);
  ok(granted >= REQUESTS_AT_ONCE_MAX - 50, `${granted} were granted`);
});
