import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { parseTorrent } from '../../agent/core/metainfo.ts';
import { MIB } from '../../agent/core/units.ts';
import { digests } from '../../agent/io/digest.ts';
import { TrackerClient } from '../../agent/io/tracker.ts';
import { noise, scratch } from '../content.ts';
import { PROGRAM, published, swarmboot } from './commands.ts';
import { serveRepository } from './server.ts';

const run = promisify(execFile);

/** A repository with one image of one large file, served. */
async function served(t: TestContext) {
  const folder = scratch(t);
  const [repo, tree] = [join(folder, 'repo'), join(folder, 'tree')];
  mkdirSync(tree);
  writeFileSync(join(tree, 'noise'), noise(5 * MIB, 7));
  const publishTree = (name: string) =>
    published(name, '--kind', 'image', '--from', tree, '--repo', repo, '--compress', 'none');
  const entry = await publishTree('one');
  const server = await serveRepository(t, repo);
  await server.manifest(({ entries }) => entries.length === 1);
  return { folder, repo, tree, publishTree, entry, server };
}

async function torrentOf(url: string) {
  const response = await fetch(url);
  assert.equal(response.status, 200);
  return parseTorrent(new Uint8Array(await response.arrayBuffer()), digests);
}

test('the catalog is what was published, and the torrents name the tracker by which they were asked for', async (t) => {
  const { entry, server } = await served(t);
  const { entries } = await server.manifest(() => true);
  assert.deepEqual(entries, [entry]);
  const torrent = await torrentOf(`${server.url}/torrents/one.torrent`);
  const at = `127.0.0.1:${server.trackerPort}/announce`;
  assert.deepEqual(torrent.announce, [[`http://${at}`], [`udp://${at}`]]);
  assert.equal(Buffer.from(torrent.infoHashV1!).toString('hex'), entry.infoHash);
});

test('leechers are told of the first seeder over HTTP and UDP, and it counts as complete', async (t) => {
  const { server } = await served(t);
  const torrent = await torrentOf(`${server.url}/torrents/one.torrent`);
  const client = new TrackerClient();
  for (const url of torrent.announce.flat()) {
    const asker = {
      infoHash: torrent.infoHashV1!,
      peerId: new Uint8Array(20).fill(65),
      port: 4242,
      numWant: 50,
    };
    const counts = { uploaded: 0, downloaded: 0, left: 1 };
    const reply = await client.announce({ url, event: 'started', ...asker, ...counts }, t.signal);
    assert.deepEqual(reply.peers, [{ host: '127.0.0.1', port: server.peerPort }], url);
    assert.equal(reply.seeders, 1);
  }
});

test('a file is fetched by URL and by magnet link, and a damaged one is mended', async (t) => {
  const { folder, repo, entry, server } = await served(t);
  const original = readFileSync(join(repo, 'tarballs', entry.file));
  const url = `${server.url}/torrents/one.torrent`;
  const { stdout } = await run(process.execPath, [PROGRAM, 'inspect', url, '--json']);
  const { magnet } = JSON.parse(stdout);
  for (const [index, source] of [url, magnet].entries()) {
    const into = join(folder, `into${index}`);
    const words = [PROGRAM, 'fetch', source, '--into', into, '--host', '127.0.0.1', '--json'];
    const { path } = JSON.parse((await run(process.execPath, words)).stdout);
    assert.equal(path, join(into, entry.file));
    assert.ok(readFileSync(path).equals(original));
    const damaged = Buffer.from(original);
    damaged.fill(0, MIB, 2 * MIB);
    writeFileSync(path, damaged);
    await run(process.execPath, words);
    assert.ok(readFileSync(path).equals(original));
  }
});

test('an interrupted fetch leaves nothing that looks whole', async (t) => {
  const { folder, server, entry } = await served(t);
  const into = join(folder, 'into');
  server.child.kill('SIGSTOP');
  const magnet = `magnet:?xt=urn:btih:${entry.infoHash}&tr=http://127.0.0.1:${server.trackerPort}/announce`;
  const child = execFile(process.execPath, [PROGRAM, 'fetch', magnet, '--into', into, '--host', '127.0.0.1']);
  await once(child.stderr!, 'data');
  child.kill('SIGINT');
  const [status] = await once(child, 'close');
  server.child.kill('SIGCONT');
  assert.equal(status, 14);
  assert.throws(() => readFileSync(join(into, entry.file)), { code: 'ENOENT' });
});

test('publications that come, change and go are followed while it runs', async (t) => {
  const { tree, repo, publishTree, entry, server } = await served(t);
  await publishTree('two');
  await server.manifest(({ entries }) => entries.length === 2);
  writeFileSync(join(tree, 'more'), 'more');
  const changed = await publishTree('one');
  assert.notEqual(changed.infoHash, entry.infoHash);
  await server.manifest(({ entries }) => entries.some(({ sha256 }) => sha256 === changed.sha256));
  await swarmboot(['remove', 'two', '--repo', repo]);
  await server.manifest(({ entries }) => entries.length === 1);
  assert.equal((await fetch(`${server.url}/torrents/two.torrent`)).status, 404);
  const torrent = await torrentOf(`${server.url}/torrents/one.torrent`);
  assert.equal(Buffer.from(torrent.infoHashV1!).toString('hex'), changed.infoHash);
});

test('an entry whose tarball is gone is left out, and the others are served', async (t) => {
  const { repo, tree, publishTree, server } = await served(t);
  writeFileSync(join(tree, 'more'), 'more');
  const broken = await publishTree('two');
  await server.manifest(({ entries }) => entries.length === 2);
  truncateSync(join(repo, 'tarballs', broken.file), 10);
  const again = await serveRepository(t, repo);
  const { entries } = await again.manifest((manifest) => manifest.entries.length > 0);
  assert.deepEqual(
    entries.map(({ name }) => name),
    ['one'],
  );
  while (!/not seeded/.test(again.said())) await sleep(20);
});

test('SIGTERM ends it with status 0, and other requests get a plain answer', async (t) => {
  const { server } = await served(t);
  assert.equal((await fetch(`${server.url}/../../etc/passwd`)).status, 404);
  assert.equal((await fetch(`${server.url}/manifest`, { method: 'POST', body: 'x' })).status, 405);
  assert.equal((await fetch(`${server.url}/manifest`, { method: 'HEAD' })).status, 200);
  const sent = 'swarmboot '.repeat(3600);
  const echo = await fetch(`${server.url}/echo`, { method: 'POST', body: sent });
  assert.deepEqual([echo.status, await echo.text()], [200, sent]);
  const tooMuch = await fetch(`${server.url}/echo`, { method: 'POST', body: 'x'.repeat(300_000) });
  assert.deepEqual([tooMuch.status, /longer than 262144 bytes/.test(await tooMuch.text())], [400, true]);
  server.child.kill('SIGTERM');
  assert.deepEqual(await once(server.child, 'close'), [0, null]);
  assert.match(server.said(), /stopped\n$/);
});

test('a port that is taken ends it with the reason and what to do', async (t) => {
  const { repo, server } = await served(t);
  const port = new URL(server.url).port;
  const words = ['--http-port', port, '--tracker-port', '0', '--peer-port', '0', '--host', '127.0.0.1'];
  await assert.rejects(run(process.execPath, [PROGRAM, 'serve', '--repo', repo, ...words]), {
    code: 11,
    stderr: /cannot listen on 127\.0\.0\.1 port \d+: .*; choose another --http-port/,
  });
});
