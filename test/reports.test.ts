// The image server's ear fails while a node installs: reports are refused, never answered, or nobody listens. The install
// goes on as if nothing were, and what matters of it arrives once the server is back.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { NodeDetail } from '../scripts/core/cluster.ts';
import { noise, scratch } from './content.ts';
import { published } from './scripts/commands.ts';
import { serveRepository } from './scripts/server.ts';

const AGENT = fileURLToPath(new URL('../agent/main.ts', import.meta.url));
const MAC = '02:00:00:00:00:01';
/** Long enough for several reports. */
const UPLOAD_MAX = ['--upload-max', '700'];

/** What becomes of a report on its way to the server; all else passes. */
type Ear = 'hears' | 'refuses' | 'never answers' | 'cuts off';

/** An image server behind an ear that can be closed. */
async function deafServer(t: TestContext) {
  const repo = scratch(t);
  const tree = join(repo, 'tree');
  mkdirSync(tree);
  writeFileSync(join(tree, 'noise'), noise(3_000_000, 3));
  await published('web', '--kind', 'image', '--from', tree, '--repo', repo, '--compress', 'none');
  const server = await serveRepository(t, repo, {}, UPLOAD_MAX);
  await server.manifest(({ entries }) => entries.length === 1);
  const ear: { now: Ear; heard: number } = { now: 'hears', heard: 0 };
  const front = http.createServer((request, response) => {
    if (request.method === 'POST') {
      ear.heard++;
      if (ear.now === 'refuses') return void response.writeHead(500).end();
      if (ear.now === 'never answers') return;
      if (ear.now === 'cuts off') return void request.socket.destroy();
    }
    const { method = 'GET', headers } = request;
    const onward = http.request(server.url + request.url, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  front.listen(0, '127.0.0.1');
  await once(front, 'listening');
  t.after(() => {
    front.closeAllConnections();
    front.close();
  });
  return { repo, server, ear, address: `127.0.0.1:${(front.address() as AddressInfo).port}` };
}

/** Installs into a folder; `installed` is called as soon as the image is on its target. Returns when that was, in ms. */
async function install(
  t: TestContext,
  repo: string,
  address: string,
  installed: () => void,
): Promise<number> {
  const [target, staging] = [join(repo, 'target'), join(repo, 'staging')];
  for (const path of [target, staging]) mkdirSync(path, { recursive: true });
  const flags = {
    IMAGESERVER: address,
    IMAGENAME: 'web',
    BOOTIF: MAC,
    HOSTNAME: 'node1',
    TARGET: target,
    BITTORRENT_STAGING: staging,
    BITTORRENT_PORT: '0',
    BITTORRENT_SEED_WAIT: 'n',
    BIND: '127.0.0.1',
  };
  const words = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  const child = spawn(process.execPath, [AGENT, ...words], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => void child.kill('SIGKILL'));
  const beganMs = performance.now();
  let tookMs = 0;
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString();
    if (tookMs > 0 || !/^installed in /m.test(said)) return;
    tookMs = performance.now() - beganMs;
    installed();
  });
  assert.deepEqual(await once(child, 'close'), [0, null], said);
  return tookMs;
}

for (const failing of ['hears', 'refuses', 'never answers', 'cuts off'] as const) {
  test(`a server that ${failing} delays no install, and has all of it in the end`, async (t) => {
    const { repo, server, ear, address } = await deafServer(t);
    ear.now = failing;
    const tookMs = await install(t, repo, address, () => {
      ear.now = 'hears';
    });
    t.diagnostic(`installed after ${Math.round(tookMs)} ms, ${ear.heard} messages tried`);
    const detail = (await (await fetch(`${server.url}/nodes/020000000001.json`)).json()) as NodeDetail;
    assert.equal(detail.node.state, 'imaged');
    assert.deepEqual(
      detail.record!.message.stages.map(({ stage }) => stage),
      [
        'parameters',
        'catalog',
        'BOEL binaries',
        'staging',
        'image',
        'extract',
        'overrides',
        'seed-wait',
        'leave',
      ],
    );
    const texts = detail.log.map(({ text }) => text);
    assert.ok(!texts.some((text) => text.includes('lines missing')), texts.join('\n'));
    assert.equal(texts[0], 'parameters ...');
    assert.ok(
      texts.some((text) => text.startsWith('installed in')),
      texts.join('\n'),
    );
  });
}

test('a server that is killed and started again in the middle of an install has all of it', async (t) => {
  const { repo, server, ear, address } = await deafServer(t);
  const ports = {
    http: Number(new URL(server.url).port),
    tracker: server.trackerPort,
    peer: server.peerPort,
  };
  const ended = install(t, repo, address, () => {});
  while (ear.heard < 4) await new Promise((resolve) => setTimeout(resolve, 10));
  server.child.kill('SIGKILL');
  await once(server.child, 'close');
  const again = await serveRepository(t, repo, ports, UPLOAD_MAX);
  await ended;
  const detail = (await (await fetch(`${again.url}/nodes/020000000001.json`)).json()) as NodeDetail;
  assert.equal(detail.node.state, 'imaged');
  const texts = detail.log.map(({ text }) => text);
  assert.ok(!texts.some((text) => text.includes('lines missing')), texts.join('\n'));
  assert.equal(texts.filter((text) => text === 'image ...').length, 1);
});
