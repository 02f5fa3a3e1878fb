// What becomes of nodes whose swarm gives them nothing: the image server gives by HTTP (BEP 19), once, and they share.

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { KIB, MIB } from '../agent/core/units.ts';
import type { Engine } from '../agent/engine.ts';
import { makeTorrent, noise, scratch } from './content.ts';
import { startLeecher, startSeeder } from './nodes.ts';
import { type Misdeed, startWebServer } from './webserver.ts';

const PIECE = 64 * KIB;
const BYTES = 9 * MIB + 12_345;
const { torrent, space } = makeTorrent('image', [{ bytes: noise(BYTES, 1) }], PIECE, 'hybrid');
/** Nobody waits long here. */
const HASTY = { limits: { starvedMs: 200, webRetryMs: 20 } };

const at = ({ port }: Engine) => ({ host: '127.0.0.1', port });

test('a node that knows nobody gets everything by HTTP, in whole pieces, from the front, two requests at a time', async (t) => {
  const web = await startWebServer(t, space, { waitMs: 5 });
  const node = await startLeecher(t, scratch(t), torrent, HASTY);
  node.transfer.addWebSeeds([web.url]);
  await node.transfer.complete;
  ok(readFileSync(node.path).equals(space));
  equal(web.sentBytes, BYTES);
  equal(web.atOnceMost, 2);
  ok(web.asked.every(({ begin, length }) => begin % PIECE === 0 && length <= 512 * KIB));
  deepEqual(
    web.asked.map(({ begin }) => begin),
    web.asked.map(({ begin }) => begin).sort((a, b) => a - b),
  );
  const { webSeedBytes, downloadedBytes, webSeedReason } = node.transfer.view();
  deepEqual([webSeedBytes, downloadedBytes, webSeedReason], [BYTES, BYTES, 'no peer is connected']);
});

test('eight nodes of which none has anything: each byte leaves the server about once, and they give each other the rest', async (t) => {
  const folder = scratch(t);
  const web = await startWebServer(t, space, { waitMs: 100 });
  // What is on its way at any time is a tenth of the whole.
  const limits = { ...HASTY.limits, webRequestBytes: PIECE };
  const nodes = await Promise.all(
    Array.from({ length: 8 }, () => startLeecher(t, folder, torrent, { limits })),
  );
  for (const { transfer } of nodes) {
    transfer.addPeers(nodes.map(({ engine }) => at(engine)));
    transfer.addWebSeeds([web.url]);
  }
  await Promise.all(nodes.map(({ transfer }) => transfer.complete));
  for (const { path } of nodes) ok(readFileSync(path).equals(space));
  t.diagnostic(`${(web.sentBytes / BYTES).toFixed(2)} copies left the server`);
  ok(web.sentBytes < 1.6 * BYTES, `${web.sentBytes / BYTES} copies`);
});

test('a web seed is not asked while peers give, however slowly, and without any tracker', async (t) => {
  const folder = scratch(t);
  const web = await startWebServer(t, space);
  const seeder = await startSeeder(t, folder, torrent, space, { uploadBytesPerSec: 4 * MIB });
  const node = await startLeecher(t, folder, torrent, { limits: { starvedMs: 1000 } });
  node.transfer.addWebSeeds([web.url]);
  node.transfer.addPeers([at(seeder.engine)]);
  await node.transfer.complete;
  deepEqual(web.asked, []);
  equal(node.transfer.view().webSeedBytes, 0);
});

test('when peers give again, nothing more is asked of the web seed', async (t) => {
  const folder = scratch(t);
  const web = await startWebServer(t, space, { waitMs: 300 });
  const limits = { ...HASTY.limits, webRequestBytes: PIECE };
  const node = await startLeecher(t, folder, torrent, { limits });
  node.transfer.addWebSeeds([web.url]);
  while (web.asked.length < 4) await sleep(5);
  match(node.transfer.view().webSeedReason ?? '', /^no peer is connected$/);
  const seeder = await startSeeder(t, folder, torrent, space, { uploadBytesPerSec: 2 * MIB });
  node.transfer.addPeers([at(seeder.engine)]);
  while (node.transfer.view().webSeedReason !== null) await sleep(5);
  const asked = web.asked.length;
  ok(node.transfer.view().bytesLeft > 0);
  await node.transfer.complete;
  equal(web.asked.length, asked);
  ok(seeder.transfer.view().uploadedBytes > BYTES / 2);
  ok(readFileSync(node.path).equals(space));
});

test('peers that are connected and give nothing do not keep a node from the web seed', async (t) => {
  const folder = scratch(t);
  const web = await startWebServer(t, space);
  const miser = await startSeeder(t, folder, torrent, space, { uploadBytesPerSec: 1 });
  const node = await startLeecher(t, folder, torrent, { limits: { ...HASTY.limits, stallMs: 300 } });
  node.transfer.addPeers([at(miser.engine)]);
  while (node.transfer.view().peers === 0) await sleep(5);
  node.transfer.addWebSeeds([web.url]);
  await node.transfer.complete;
  ok(node.transfer.view().webSeedBytes > BYTES - MIB);
});

test('a server that has no place is asked again later, and what was asked of it is lost to nobody', async (t) => {
  let refusals = 20;
  const web = await startWebServer(t, space, {
    misdeed: (_, response) => {
      if (refusals-- <= 0) return false;
      response.writeHead(503, { 'Retry-After': '0' }).end('too many\n');
      return true;
    },
  });
  const node = await startLeecher(t, scratch(t), torrent, { limits: { ...HASTY.limits, webRetryMs: 1 } });
  node.transfer.addWebSeeds([web.url]);
  await node.transfer.complete;
  ok(refusals < 0);
  ok(readFileSync(node.path).equals(space));
});

test('a web seed that gives wrong bytes is not asked again, and its pieces come from the next', async (t) => {
  const wrong = Buffer.from(space);
  wrong[3 * PIECE + 7]! ^= 1;
  const liar = await startWebServer(t, wrong);
  const honest = await startWebServer(t, space);
  const facts: string[] = [];
  const log = (fact: string) => void facts.push(fact);
  const node = await startLeecher(t, scratch(t), torrent, { ...HASTY, log });
  node.transfer.addWebSeeds([liar.url, honest.url]);
  await node.transfer.complete;
  ok(readFileSync(node.path).equals(space));
  equal(node.transfer.view().hashFailures, 1);
  ok(liar.asked.length <= 4, `${liar.asked.length} times`);
  ok(facts.includes('peer banned'));
});

const MISDEEDS: Record<string, Misdeed> = {
  'knows no ranges': (_, response) => void response.writeHead(200).end(space) === undefined,
  'has no such file': (_, response) => void response.writeHead(404).end() === undefined,
  'hangs up': ({ socket }) => socket.destroy() !== undefined,
  'gives another range': (_, response) => {
    response.writeHead(206, { 'Content-Range': `bytes 0-99/${BYTES}` }).end(space.subarray(0, 100));
    return true;
  },
  'gives less than it says': ({ headers, socket }, response) => {
    const [, begin, end] = /bytes=(\d+)-(\d+)/.exec(headers.range!)!;
    response.writeHead(206, { 'Content-Range': `bytes ${begin}-${end}/${BYTES}` });
    response.write(space.subarray(Number(begin), Number(begin) + 20 * KIB), () => socket.destroy());
    return true;
  },
  'gives more than was asked for': ({ headers }, response) => {
    const [, begin, end] = /bytes=(\d+)-(\d+)/.exec(headers.range!)!;
    response.writeHead(206, { 'Content-Range': `bytes ${begin}-${end}/${BYTES}` });
    response.end(space.subarray(Number(begin)));
    return true;
  },
};

for (const [name, misdeed] of Object.entries(MISDEEDS)) {
  test(`a web seed that ${name} makes room for the next`, async (t) => {
    const bad = await startWebServer(t, space, { misdeed });
    const good = await startWebServer(t, space);
    const node = await startLeecher(t, scratch(t), torrent, HASTY);
    node.transfer.addWebSeeds([bad.url, good.url]);
    await node.transfer.complete;
    ok(bad.asked.length > 0);
    ok(readFileSync(node.path).equals(space));
  });
}
