// Web seeds (BEP 19) with programs of other makers on the other side.

import { equal, ok } from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { parseTorrent } from '../../agent/core/metainfo.ts';
import { MIB } from '../../agent/core/units.ts';
import { digests } from '../../agent/io/digest.ts';
import { noise, scratch } from '../content.ts';
import { freePort, Program } from '../foreign/process.ts';
import { startLeecher } from '../nodes.ts';
import { published } from '../scripts/commands.ts';
import { serveRepository } from '../scripts/server.ts';

const run = promisify(execFile);
const content = noise(5 * MIB + 77, 3);

test("our node takes all from busybox httpd, as mktorrent's torrent names it", async (t) => {
  const folder = scratch(t);
  writeFileSync(join(folder, 'image'), content);
  const port = await freePort();
  const httpd = new Program('/usr/bin/busybox', ['httpd', '-f', '-p', `127.0.0.1:${port}`, '-h', folder]);
  t.after(() => httpd.stop());
  const path = join(folder, 'image.torrent');
  const url = `http://127.0.0.1:${port}/image`;
  await run('/usr/bin/mktorrent', ['-l', '16', '-w', url, '-o', path, join(folder, 'image')]);
  const torrent = parseTorrent(readFileSync(path), digests);
  equal(torrent.webSeeds[0], url);
  const node = await startLeecher(t, folder, torrent, { limits: { starvedMs: 100, webRetryMs: 20 } });
  node.transfer.addWebSeeds(torrent.webSeeds);
  await node.transfer.complete;
  ok(readFileSync(node.path).equals(content));
  equal(node.transfer.view().webSeedBytes, content.length);
});

test('aria2 takes a published tarball from our server, without tracker or peers', async (t) => {
  const folder = scratch(t);
  const [repo, tree, out] = [join(folder, 'repo'), join(folder, 'tree'), join(folder, 'out')];
  mkdirSync(tree);
  writeFileSync(join(tree, 'noise'), content);
  const entry = await published('one', '--kind', 'image', '--from', tree, '--repo', repo);
  const server = await serveRepository(t, repo);
  await server.manifest(({ entries }) => entries.length === 1);
  const [torrent] = readdirSync(join(repo, 'torrents'));
  const aria2 = new Program('/usr/bin/aria2c', [
    ...['--no-conf', '--enable-dht=false', '--bt-enable-lpd=false', '--seed-time=0', '--dir', out],
    ...['--torrent-file', join(repo, 'torrents', torrent!), `${server.url}/tarballs/${entry.file}`],
  ]);
  t.after(() => aria2.stop());
  await aria2.success(30_000);
  const [got, kept] = [join(out, entry.file), join(repo, 'tarballs', entry.file)];
  ok(readFileSync(got).equals(readFileSync(kept)));
});
