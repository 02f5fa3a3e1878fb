import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { EXIT_STATUS } from '../agent/core/errors.ts';
import { formatMagnet } from '../agent/core/magnet.ts';
import { KIB } from '../agent/core/units.ts';
import { agent, same, startSite } from './agentsite.ts';
import { scratch } from './content.ts';

test('a node installs image, BOEL binaries and override by a manifest, leaves, and frees its pool', async (t) => {
  const { folder, tracker, node, flags } = await startSite(t);
  const { status, out, err } = await agent({
    ...flags,
    IMAGENAME: 'the-image',
    OVERRIDES: 'the-override',
    BOEL_DIR: node.boel,
    CONSOLE: 'json',
  }).ended;
  assert.deepEqual([status, err], [0, '']);
  same(join(folder, 'boel'), node.boel);
  same(join(folder, 'override'), node.target);
  assert.deepEqual(readdirSync(node.staging), []);
  const facts = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const stages = facts.filter(({ fact }) => fact === 'stageEnded').map(({ stage }) => stage);
  assert.deepEqual(stages, [
    'parameters',
    'catalog',
    'BOEL binaries',
    'staging',
    'image',
    'extract',
    'overrides',
    'seed-wait',
    'leave',
  ]);
  assert.equal(facts.findLast(({ fact }) => fact === 'report').percent, 100);
  assert.equal(facts.find(({ fact }) => fact === 'leaving').reason, 'no leecher is left');
  // The seeders alone are left.
  assert.equal(tracker.stats().peers, 3);
});

test('a magnet link alone installs a node', async (t) => {
  const { folder, offers, node, flags } = await startSite(t);
  const { IMAGESERVER: _, ...more } = flags;
  const { status, out, err } = await agent({ ...more, TORRENT: formatMagnet(offers[0]!.torrent) }).ended;
  assert.deepEqual([status, err], [0, '']);
  assert.match(out, /image-the-image\.tar\.zst: \d+ entries, 3\.0 MiB in/);
  same(join(folder, 'image'), node.target);
});

test('an install that is interrupted leaves the swarm, frees its pool and says how to go on', async (t) => {
  const { tracker, node, flags } = await startSite(t, { uploadBytesPerSec: 200 * KIB });
  const run = agent({ ...flags, IMAGENAME: 'the-image', BOEL_DIR: node.boel });
  await run.said(/^image +\d+ %.*peers [1-9]/m);
  assert.notDeepEqual(readdirSync(node.staging), []);
  run.child.kill('SIGTERM');
  const { status, err } = await run.ended;
  assert.equal(status, EXIT_STATUS.interrupted);
  assert.match(err, /^swarmboot-agent: stopped by SIGTERM; start again/);
  assert.deepEqual(readdirSync(node.staging), []);
  assert.equal(tracker.stats().peers, 3);
});

test('a tarball with more in it than the catalog says ends the install, and the pool is freed', async (t) => {
  const { tracker, node, flags } = await startSite(t, {}, { unpackedSize: 1000 });
  const { status, err } = await agent({ ...flags, IMAGENAME: 'the-image', BOEL_DIR: node.boel }).ended;
  assert.equal(status, EXIT_STATUS.archive);
  assert.match(err, /more than the catalog's 1000 bytes/);
  assert.deepEqual(readdirSync(node.staging), []);
  assert.equal(tracker.stats().peers, 3);
});

test('an image server that is away is tried again until the install is interrupted', async () => {
  const run = agent({
    IMAGESERVER: '127.0.0.1:1',
    IMAGENAME: 'x',
    TARGET: '/tmp',
    BITTORRENT_PORT: '0',
    BIND: '127.0.0.1',
  });
  await run.said(/cannot get http:\/\/127\.0\.0\.1:1\/manifest.*\ncatalog will be tried again in 0:01/);
  run.child.kill('SIGINT');
  assert.equal((await run.ended).status, EXIT_STATUS.interrupted);
});

test('bad parameters stop before anything is written, each named', async () => {
  const { status, err } = await agent({ IMAGENAME: '../x', BITTORRENT_POLLING_TIME: '0' }).ended;
  assert.equal(status, EXIT_STATUS.parameters);
  assert.match(err, /IMAGENAME="\.\.\/x" \(flags\)/);
  assert.match(err, /BITTORRENT_POLLING_TIME="0" \(flags\)/);
});

test('what is no flag is a usage error; a parameter file that is not there is a fault', async () => {
  const usage = await agent({ IMAGNAME: 'x' }).ended;
  assert.deepEqual(
    [usage.status, usage.err],
    [2, 'swarmboot-agent: not a flag: --IMAGNAME=x; --help lists them\n'],
  );
  const file = await agent({ 'local-cfg': '/none/local.cfg' }).ended;
  assert.equal(file.status, EXIT_STATUS.parameters);
});

test('a parameter file is read, and flags win over it', async (t) => {
  const path = join(scratch(t), 'local.cfg');
  writeFileSync(path, '# site\nIMAGENAME="debian"\nIMAGESERVER=server\nTARGET=/no/such/target\n');
  const { status, err } = await agent({ 'local-cfg': path, BIND: '127.0.0.1', BITTORRENT_PORT: '0' }).ended;
  assert.equal(status, EXIT_STATUS.staging);
  assert.match(err, /TARGET=\/no\/such\/target is not a folder here/);
  const other = await agent({ 'local-cfg': path, 'si.target': '/no/other' }).ended;
  assert.match(other.err, /TARGET=\/no\/other is not a folder/);
});
