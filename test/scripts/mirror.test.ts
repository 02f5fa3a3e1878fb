// A mirror of an image server: it has all that the server offers, follows what changes there, and goes on by itself.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT_STATUS } from '../../agent/core/errors.ts';
import { encodeMessage, type Message } from '../../agent/core/monitor.ts';
import type { NodeDetail } from '../../scripts/core/cluster.ts';
import { arm, armedSince, disarm } from '../../scripts/nodes.ts';
import { noise, scratch } from '../content.ts';
import { lines, message } from '../core/messages.ts';
import { published, snapshot, swarmboot } from './commands.ts';
import { type Served, serveRepository } from './server.ts';

const MAC = '52:54:00:09:00:01';
const OTHER = '52:54:00:09:00:02';
const LAYOUT = JSON.stringify({ disks: [] });

/** A repository with an image, an override, a layout, nodes and boot files, and the folder of its mirror. */
async function arena(t: TestContext) {
  const folder = scratch(t);
  const [repo, copy, tree] = ['repo', 'copy', 'tree'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  for (const place of [tree, join(repo, 'layouts'), join(repo, 'boot')])
    fs.mkdirSync(place, { recursive: true });
  fs.writeFileSync(join(tree, 'noise'), noise(2_000_000, 5));
  const publish = (name: string, kind = 'image') =>
    published(name, '--kind', kind, '--from', tree, '--repo', repo, '--compress', 'none');
  fs.writeFileSync(join(repo, 'layouts', 'web.json'), LAYOUT);
  fs.writeFileSync(
    join(repo, 'nodes.conf'),
    `node001 mac=${MAC} image=web\nnode002 mac=${OTHER} image=web\n`,
  );
  fs.writeFileSync(join(repo, 'boot', 'kernel'), noise(100_000, 1));
  fs.writeFileSync(join(repo, 'boot', 'initrd.img'), noise(300_000, 2));
  await publish('site', 'override');
  await publish('web');
  const server = await serveRepository(t, repo);
  await server.manifest((manifest) => manifest.entries.length === 2);
  const mirror = () => serveRepository(t, copy, {}, ['--mirror', server.url]);
  return { folder, repo, copy, tree, publish, server, mirror };
}

async function until(what: () => boolean | Promise<boolean>, signal: AbortSignal): Promise<void> {
  while (!(await what())) await sleep(20, undefined, { signal });
}

async function stop(server: Served, how: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  server.child.kill(how);
  await once(server.child, 'close');
}

/** Tarballs, torrents and catalog are the same, byte for byte. */
function assertSame(repo: string, copy: string): void {
  for (const name of ['catalog', 'tarballs', 'torrents'])
    assert.deepEqual(snapshot(join(copy, name)), snapshot(join(repo, name)));
}

const bytesOf = async ({ url }: Served, path: string) =>
  Buffer.from(await (await fetch(`${url}/${path}`)).arrayBuffer());

test('a mirror offers what its server offers, and by itself when that is dead', async (t) => {
  const { repo, copy, server, mirror } = await arena(t);
  await arm(repo, MAC);
  const first = await mirror();
  const manifest = await first.manifest((found) => found.entries.length === 2 && found.files.length === 1);
  assert.deepEqual(manifest, await server.manifest(() => true));
  assertSame(repo, copy);
  const has = (name: string) => fs.existsSync(join(copy, 'boot', name));
  await until(() => has('kernel') && has('initrd.img'), t.signal);
  await until(async () => (await armedSince(copy, MAC)) !== null, t.signal);
  await stop(server);
  await stop(first);
  const again = await mirror();
  assert.deepEqual(await again.manifest((found) => found.entries.length === 2), manifest);
  for (const name of ['boot/kernel', 'boot/initrd.img', 'files/layouts/web.json'])
    assert.deepEqual(await bytesOf(again, name), fs.readFileSync(join(repo, name.replace('files/', ''))));
  const entry = (await bytesOf(again, `boot/ipxe/${MAC}`)).toString();
  assert.match(entry, /node001 is armed and will be installed/);
  assert.match(entry, new RegExp(`IMAGESERVER=${again.url} `));
  assert.deepEqual(await armedSince(copy, MAC), await armedSince(repo, MAC));
  assert.match(again.said(), /cannot get .*\/readyz: .*ECONNREFUSED.*; until it is back, this mirror serves/);
});

test('a mirror follows what changes', async (t) => {
  const { repo, copy, tree, publish, mirror } = await arena(t);
  await arm(repo, MAC);
  const copied = await mirror();
  await copied.manifest(({ entries }) => entries.length === 2);
  await until(async () => (await armedSince(copy, MAC)) !== null, t.signal);
  fs.writeFileSync(join(tree, 'noise'), noise(2_000_000, 6));
  const web = await publish('web');
  await copied.manifest(({ entries }) => entries.find(({ name }) => name === 'web')?.sha256 === web.sha256);
  await swarmboot(['remove', 'site', '--repo', repo]);
  fs.rmSync(join(repo, 'layouts', 'web.json'));
  fs.rmSync(join(repo, 'boot', 'kernel'));
  fs.writeFileSync(join(repo, 'boot', 'initrd.img'), noise(200_000, 3));
  fs.writeFileSync(join(repo, 'nodes.conf'), `node001 mac=${MAC} image=web\n`);
  await disarm(repo, MAC);
  await arm(repo, OTHER);
  await copied.manifest(({ entries, files }) => entries.length === 1 && files.length === 0);
  await until(() => !fs.existsSync(join(copy, 'boot', 'kernel')), t.signal);
  assert.deepEqual(await bytesOf(copied, 'boot/initrd.img'), noise(200_000, 3));
  await until(async () => (await armedSince(copy, MAC)) === null, t.signal);
  await until(async () => (await armedSince(copy, OTHER)) !== null, t.signal);
  assert.equal(fs.readFileSync(join(copy, 'nodes.conf'), 'utf8'), `node001 mac=${MAC} image=web\n`);
  assertSame(repo, copy);
});

test('a signed manifest is offered as it was signed, and none that the key of the mirror did not sign', async (t) => {
  const { folder, repo, copy, publish, tree, server, mirror } = await arena(t);
  const ours = async (...args: readonly string[]) => {
    const { status, err } = await swarmboot(args);
    assert.equal(status, 0, err);
  };
  const keys = ['right', 'wrong'].map((name) => join(folder, name));
  for (const key of keys) await ours('keygen', key, '--unencrypted');
  const sign = (key: string) => ours('sign', '--repo', repo, '--key', `${key}.key`);
  await sign(keys[0]!);
  await server.manifest(({ release }) => release !== null);
  const trust = { format: 1, keys: [publicKeyOf(keys[0]!)], serialMin: 1, since: 0, authority: null };
  fs.mkdirSync(join(copy, 'boot'), { recursive: true });
  fs.writeFileSync(join(copy, 'boot', 'trust.json'), JSON.stringify(trust));
  const copied = await mirror();
  await copied.manifest(({ release }) => release?.serial === 1);
  assert.deepEqual(await bytesOf(copied, 'manifest'), await bytesOf(server, 'manifest'));
  assert.equal(fs.existsSync(join(copy, 'boot', 'trust.json')), true, 'what it believes by is its own');
  fs.writeFileSync(join(tree, 'noise'), noise(1_000_000, 8));
  await publish('web');
  await sign(keys[1]!);
  await server.manifest(({ release }) => release?.serial === 2);
  await until(() => /manifest of http.* is signed by key/.test(copied.said()), t.signal);
  assert.equal((await copied.manifest(() => true)).release!.serial, 1);
});

function publicKeyOf(place: string): string {
  return fs.readFileSync(`${place}.pub`, 'utf8').trim().split('\n').at(-1)!;
}

test('what a mirror hears while its server is away arrives there later, and nobody is installed twice', async (t) => {
  const { repo, copy, server, mirror } = await arena(t);
  for (const mac of [MAC, OTHER]) await arm(repo, mac);
  const copied = await mirror();
  await until(async () => (await armedSince(copy, OTHER)) !== null, t.signal);
  const report = async (more: Partial<Message>) => {
    const body = encodeMessage(message({ mac: MAC, install: 'i1', ...more }));
    assert.equal((await fetch(`${copied.url}/reports`, { method: 'POST', body })).status, 204);
  };
  const there = async (url: string) =>
    (await (await fetch(`${url}/nodes/525400090001.json`)).json()) as NodeDetail;
  await report({ status: 5, log: lines('one') });
  await until(async () => (await there(server.url)).record?.message.status === 5, t.signal);
  await stop(server);
  await report({ status: 6, log: lines('two'), logFrom: 1 });
  await report({ status: 104, stage: 'leave', log: lines('three'), logFrom: 2 });
  assert.equal(await armedSince(copy, MAC), null);
  // Long enough for more than one attempt.
  await sleep(1500);
  const port = Number(new URL(server.url).port);
  const back = await serveRepository(t, repo, { http: port });
  await until(async () => (await armedSince(repo, MAC)) === null, t.signal);
  const { record, log } = await there(back.url);
  assert.equal(record!.message.status, 104);
  assert.deepEqual(
    log.map(({ text }) => text),
    ['one', 'two', 'three'],
  );
  await until(() => /is followed again/.test(copied.said()), t.signal);
  assert.equal(await armedSince(copy, MAC), null);
  assert.notEqual(await armedSince(copy, OTHER), null);
});

test('a mirror has a folder of its own, of one server', async (t) => {
  const { repo, copy, server } = await arena(t);
  const refused = async (code: keyof typeof EXIT_STATUS, reason: RegExp, ...args: readonly string[]) => {
    const { status, err } = await swarmboot(['serve', '--host', '127.0.0.1', ...args]);
    assert.match(err, reason);
    assert.equal(status, EXIT_STATUS[code]);
  };
  await refused(
    'repository',
    /of its own, which a mirror would remove/,
    '--repo',
    repo,
    '--mirror',
    'http://a',
  );
  fs.mkdirSync(copy);
  fs.writeFileSync(join(copy, 'mirror'), 'http://a:8080/\n');
  const other = ['--repo', copy, '--mirror', server.url];
  await refused('repository', /is the mirror of http:\/\/a:8080\//, ...other);
  await refused('usage', /wants http:/, '--repo', copy, '--mirror', 'https://127.0.0.1:8443');
});
