// Tarballs by HTTP, as the image server gives them to nodes that nobody else gives anything.

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import http, { type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MIB } from '../../agent/core/units.ts';
import { SERVER_BOUNDS } from '../../scripts/core/bounds.ts';
import { Tarballs } from '../../scripts/tarballs.ts';
import { closedSite, MAC } from './closedsite.ts';
import { noiseRepository } from './commands.ts';
import { serveRepository } from './server.ts';

test('a tarball is given whole, in parts, and by its head; nothing else below its folder is', async (t) => {
  const { repo, entry, tarball } = await noiseRepository(t, MIB);
  const server = await serveRepository(t, repo);
  await server.manifest(({ entries }) => entries.length === 1);
  const bytes = readFileSync(tarball);
  const url = `${server.url}/tarballs/${entry.file}`;
  const ask = async (range?: string, method = 'GET') => {
    const response = await fetch(url, { method, headers: range === undefined ? {} : { range } });
    const { status, headers } = response;
    return {
      status,
      range: headers.get('content-range'),
      body: Buffer.from(await response.arrayBuffer()),
      headers,
    };
  };
  const whole = await ask();
  deepEqual([whole.status, whole.body.equals(bytes)], [200, true]);
  equal(whole.headers.get('accept-ranges'), 'bytes');
  const part = await ask('bytes=1000-1999');
  deepEqual([part.status, part.range], [206, `bytes 1000-1999/${bytes.length}`]);
  ok(part.body.equals(bytes.subarray(1000, 2000)));
  const end = await ask('bytes=-10');
  ok(end.body.equals(bytes.subarray(-10)));
  const beyond = await ask(`bytes=${bytes.length}-`);
  deepEqual([beyond.status, beyond.range], [416, `bytes */${bytes.length}`]);
  const head = await ask('bytes=0-9', 'HEAD');
  deepEqual([head.status, head.headers.get('content-length'), head.body.length], [206, '10', 0]);
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  match(metrics, new RegExp(`^swarmboot_tarballs_sent_bytes_total ${bytes.length + 1010}$`, 'm'));
  writeFileSync(join(repo, 'tarballs', 'other'), 'secret');
  for (const name of ['other', '', '../nodes.conf', '..%2Fnodes.conf', `${entry.file}/`])
    equal((await fetch(`${server.url}/tarballs/${name}`)).status, 404, name);
});

test('in a closed site a tarball is given over TLS and with a token alone', async (t) => {
  const site = await closedSite(t);
  await site.run('node', 'arm', 'node001');
  const { token } = await site.enrol(MAC);
  const { file } = site.image;
  equal((await site.ask(`/tarballs/${file}`, { plain: true })).status, 403);
  equal((await site.ask(`/tarballs/${file}`)).status, 401);
  equal((await site.ask(`/tarballs/${file}`, { token: `${MAC}.${'A'.repeat(43)}` })).status, 401);
  equal((await site.ask(`/tarballs/${file}`, { token })).status, 200);
});

/** A server that holds back every answer that it has a place for. */
async function holding(t: TestContext) {
  const tarballs = new Tarballs();
  const held: ServerResponse[] = [];
  const server = http.createServer((request, response) => {
    const { status, headers } = tarballs.answer(request, response, { path: '/none', sizeBytes: 100 });
    if (status === 206) held.push(response.writeHead(status, headers));
    else response.writeHead(status, headers).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const ask = async () => {
    const request = http.get({ host: '127.0.0.1', port, agent: false, headers: { range: 'bytes=0-9' } });
    request.on('error', () => {});
    const asked = held.length;
    const answer = once(request, 'response').then(([response]) => response as http.IncomingMessage);
    const first = await Promise.race([answer, waitFor(() => held.length > asked)]);
    return { request, refusal: first ?? null };
  };
  return { tarballs, held, ask };
}

async function waitFor(condition: () => boolean): Promise<undefined> {
  while (!condition()) await sleep(2);
  return undefined;
}

test('so many answers at once go to one address; whoever comes later is told to come back, and gets the place of one that is done or gone', async (t) => {
  const { tarballs, held, ask } = await holding(t);
  for (let count = 0; count < SERVER_BOUNDS.tarballAnswersPerAddress; count++)
    equal((await ask()).refusal, null);
  const { refusal } = await ask();
  deepEqual([refusal?.statusCode, refusal?.headers['retry-after']], [503, '2']);
  held[0]!.end('0123456789');
  await waitFor(() => tarballs.sentBytes === 10);
  const { request, refusal: none } = await ask();
  equal(none, null);
  equal((await ask()).refusal?.statusCode, 503);
  request.destroy();
  await once(held.at(-1)!, 'close');
  equal((await ask()).refusal, null);
  equal(tarballs.sentBytes, 10);
});

test('whoever does not take what he asked for loses his place', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const tarballs = new Tarballs();
  const server = http.createServer((request, response) => {
    tarballs.answer(request, response, { path: '/none', sizeBytes: 100 });
    response.once('close', () => server.emit('lost'));
    t.mock.timers.tick(10_002);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const request = http.get({ host: '127.0.0.1', port, agent: false });
  const gone = once(request, 'error');
  await once(server, 'lost');
  match(String((await gone)[0]), /hang up|ECONNRESET/);
});
