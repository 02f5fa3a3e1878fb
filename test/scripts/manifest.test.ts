// Signed repositories: what is offered is what was signed, whoever has signed it, here or elsewhere, and nothing of it goes
// before the next manifest is signed.

import { deepEqual, equal, match, rejects } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT_STATUS } from '../../agent/core/errors.ts';
import { believeManifest, parseManifest } from '../../agent/core/manifest.ts';
import { OPEN_RULES } from '../../agent/core/release.ts';
import { signatureChecks } from '../../agent/io/digest.ts';
import { Seeder } from '../../scripts/seeder.ts';
import { readPublicKey } from '../../scripts/sign.ts';
import { scratch } from '../content.ts';
import { published, swarmboot } from './commands.ts';
import { serveRepository } from './server.ts';

/** A key pair, and a repository with one override. */
async function signing(context: TestContext) {
  const folder = scratch(context);
  const [repo, tree, key] = [join(folder, 'repo'), join(folder, 'tree'), join(folder, 'release')];
  fs.mkdirSync(tree);
  fs.writeFileSync(join(tree, 'motd'), 'first\n');
  const publish = () => published('site', '--kind', 'override', '--from', tree, '--repo', repo);
  const entry = await publish();
  await ours('keygen', key, '--unencrypted');
  const sign = (...more: readonly string[]) => ours('sign', '--repo', repo, '--key', `${key}.key`, ...more);
  const keys = [await readPublicKey(`${key}.pub`)];
  return { folder, repo, tree, key, publish, entry, sign, keys };
}

async function ours(...args: readonly string[]) {
  const outcome = await swarmboot(args);
  equal(outcome.status, 0, outcome.err);
  return outcome;
}

test('what is signed is offered with its signature, and what is published later is not before it is signed', async (context) => {
  const { repo, tree, publish, entry, sign, keys } = await signing(context);
  const server = await serveRepository(context, repo);
  equal((await server.manifest(({ entries }) => entries.length === 1)).release, null);
  await sign();
  const { release } = await server.manifest((manifest) => manifest.release !== null);
  equal(release!.serial, 1);
  equal(release!.expires - release!.created, 90 * 86_400);
  const bytes = new Uint8Array(await (await fetch(`${server.url}/manifest`)).arrayBuffer());
  const believed = believeManifest(
    bytes,
    { keys, serialMin: 1, sinceSec: 0, authority: null },
    signatureChecks,
    release!.created,
    'it',
  );
  deepEqual(believed.entries, [entry]);

  match(
    (await ours('list', '--repo', repo)).out,
    / yes\noffered is manifest 1 of 20\d\d-.*, signed, believed until 20/,
  );
  fs.writeFileSync(join(tree, 'motd'), 'second\n');
  const second = await publish();
  match((await ours('list', '--repo', repo)).out, / not yet\noffered is manifest 1 of /);
  // Long enough for the server to look at the repository again.
  await sleep(1500);
  deepEqual((await server.manifest(() => true)).entries, [entry]);
  equal(fs.existsSync(join(repo, 'tarballs', entry.file)), true, 'what is signed stays');
  equal((await fetch(`${server.url}/torrents/site.torrent`)).status, 200);

  await sign();
  const after = await server.manifest((manifest) => manifest.release?.serial === 2);
  deepEqual(after.entries, [second]);
});

test('a manifest is signed on another machine, by minisign, and offered when its signature lies beside it', async (context) => {
  const { folder, repo, key, entry } = await signing(context);
  const { out } = await ours('manifest', '--repo', repo, '--days', '7');
  const [file = ''] = out.split(' ');
  match(out, /manifest\.json is to be signed; .*manifest\.json\.minisig is its signature's place\n$/);
  const server = await serveRepository(context, repo);
  equal((await server.manifest(({ entries }) => entries.length === 1)).release, null);
  const copy = join(folder, 'manifest.json');
  fs.copyFileSync(file, copy);
  execFileSync('/usr/bin/minisign', ['-S', '-m', copy, '-s', `${key}.key`], { input: '' });
  fs.copyFileSync(`${copy}.minisig`, `${file}.minisig`);
  const { release, entries } = await server.manifest((manifest) => manifest.release !== null);
  equal(release!.expires - release!.created, 7 * 86_400);
  deepEqual(entries, [entry]);
});

test('publishing and removing write the next manifest and say that it is to be signed; three old ones are kept', async (context) => {
  const { repo, tree, publish, sign } = await signing(context);
  const serials = () =>
    fs
      .readdirSync(join(repo, 'signed'))
      .map(Number)
      .sort((left, right) => left - right);
  for (let serial = 1; serial <= 5; serial++) {
    await sign();
    equal(serials().at(-1), serial);
  }
  deepEqual(serials(), [2, 3, 4, 5]);
  fs.writeFileSync(join(tree, 'motd'), 'other\n');
  await publish();
  const removal = await ours('remove', 'site', '--repo', repo);
  match(
    removal.err,
    /nodes get this when .*signed\/6\/manifest\.json is signed: swarmboot sign --key NAME\.key\n/,
  );
  deepEqual(serials(), [3, 4, 5, 6]);
  deepEqual(JSON.parse(fs.readFileSync(join(repo, 'signed', '6', 'manifest.json'), 'utf8')).entries, []);
});

test('a manifest that cannot be offered is told, and the one before it stays', async (context) => {
  const { repo, entry, sign } = await signing(context);
  await sign();
  const server = await serveRepository(context, repo);
  await server.manifest((manifest) => manifest.release !== null);
  await ours('manifest', '--repo', repo);
  fs.writeFileSync(join(repo, 'signed', '2', 'manifest.json.minisig'), 'nonsense\n');
  while (!/2\/manifest\.json\.minisig is no signature of minisign's/.test(server.said())) await sleep(20);
  deepEqual((await server.manifest(() => true)).entries, [entry]);
});

test('a manifest that nodes would not believe is not offered', async (context) => {
  const { repo, key, entry, sign } = await signing(context);
  await sign();
  const line = fs.readFileSync(`${key}.pub`, 'utf8').split('\n')[1];
  fs.mkdirSync(join(repo, 'boot'));
  fs.writeFileSync(
    join(repo, 'boot', 'trust.json'),
    JSON.stringify({ keys: [line], serialMin: 1, since: 0 }),
  );
  const server = await serveRepository(context, repo);
  await server.manifest((manifest) => manifest.release !== null);
  // Signed elsewhere, and meanwhile written anew.
  await sign();
  const file = join(repo, 'signed', '2', 'manifest.json');
  fs.appendFileSync(file, '\n');
  const again = await serveRepository(context, repo);
  while (!/signed\/2\/manifest\.json is not what key [0-9A-F]{16} has signed/.test(again.said()))
    await sleep(20);
  equal((await fetch(`${again.url}/readyz`)).status, 503);
  await sign();
  const { release, entries } = await again.manifest((manifest) => manifest.release !== null);
  equal(release!.serial, 3);
  deepEqual(entries, [entry]);
});

/** The rules of the newest manifest in the repository, signed or not. */
function newestRules(repo: string) {
  const serial = Math.max(...fs.readdirSync(join(repo, 'signed')).map(Number));
  const text = fs.readFileSync(join(repo, 'signed', `${serial}`, 'manifest.json'), 'utf8');
  const { closed, networks, machines, agentMin, trackers } = parseManifest(text).release!;
  return { closed, networks, machines, agentMin, trackers };
}

test('rules are signed, stay from one manifest to the next, and are lifted by who says so', async (context) => {
  const { repo, tree, publish, sign } = await signing(context);
  fs.writeFileSync(
    join(repo, 'nodes.conf'),
    'n1 mac=52:54:00:09:00:01 groups=rack\nn2 mac=52:54:00:09:00:02 groups=rack\nn3 mac=52:54:00:09:00:03\n',
  );
  await sign();
  deepEqual(newestRules(repo), OPEN_RULES);
  match((await ours('list', '--repo', repo)).out, /; its swarms are open\n$/);
  const asked = [
    '--network',
    '127.0.0.0/30',
    '--network',
    'FD00::/8',
    '--machine',
    '@rack',
    '--machine',
    'n1',
  ];
  await sign('--closed', ...asked, '--agent-min', '0.1.0');
  const rules = {
    closed: true,
    networks: ['127.0.0.0/30', 'fd00::/8'],
    machines: ['52:54:00:09:00:01', '52:54:00:09:00:02'],
    agentMin: '0.1.0',
    trackers: null,
  };
  deepEqual(newestRules(repo), rules);
  match(
    (await ours('list', '--repo', repo)).out,
    /; its swarms are closed; peers in 127\.0\.0\.0\/30, fd00::\/8; for 2 machines\n$/,
  );
  fs.writeFileSync(join(tree, 'motd'), 'second\n');
  await publish();
  deepEqual(newestRules(repo), rules, 'what publishing writes has them too');
  await sign();
  deepEqual(newestRules(repo), rules);
  await sign(
    '--open',
    '--machine',
    '*',
    '--network',
    '0.0.0.0/0',
    '--network',
    '::/0',
    '--agent-min',
    '0.0.0',
  );
  deepEqual(newestRules(repo), { ...OPEN_RULES, networks: ['0.0.0.0/0', '::/0'] });
});

test('rules that are none are refused before anything is signed', async (context) => {
  const { repo, key } = await signing(context);
  for (const [words, message] of [
    [['--closed', '--open'], /opposites/],
    [['--network', '10.0.0.1/8'], /--network 10\.0\.0\.1\/8 is no network; write its first address/],
    [['--network', 'localhost'], /is no network/],
    [['--agent-min', 'latest'], /--agent-min latest is no version like 1\.2\.3/],
    [['--machine', 'n9'], /no node "n9" in nodes\.conf/],
  ] as const) {
    const { status, err } = await swarmboot(['sign', '--repo', repo, '--key', `${key}.key`, ...words]);
    equal(status === 0, false);
    match(err, message);
  }
  equal(fs.existsSync(join(repo, 'signed')), false);
});

test('the trackers that were published are signed, so that nodes ask no others', async (context) => {
  const { repo, tree, sign } = await signing(context);
  const urls = ['http://tracker.example:6969/announce', 'udp://other.example:80'];
  const announce = urls.flatMap((url) => ['--announce', url]);
  await published('other', '--kind', 'override', '--from', tree, '--repo', repo, ...announce);
  await sign();
  deepEqual(newestRules(repo).trackers, urls);
});

test('tracker and seeder of a signed manifest keep to its networks, and to those of the next one', async (context) => {
  const { repo, entry, sign } = await signing(context);
  await sign('--network', '127.0.0.0/30');
  const server = await serveRepository(context, repo);
  await server.manifest((manifest) => manifest.release !== null);
  const hash = Buffer.from(entry.infoHash, 'hex');
  /** What the tracker says to an announce from that address, and whether the seeder answers a handshake. */
  const tried = async (localAddress: string) => {
    const query = `info_hash=${escape(hash.toString('latin1'))}&port=6881&left=1`;
    const words = `GET /announce?${query} HTTP/1.1\r\nHost: x\r\n\r\n`;
    const handshake = Buffer.concat([
      Buffer.from('\x13BitTorrent protocol'),
      Buffer.alloc(8),
      hash,
      Buffer.alloc(20, 9),
    ]);
    const [announced, greeted] = await Promise.all([
      said({ port: server.trackerPort, localAddress }, words),
      said({ port: server.peerPort, localAddress }, handshake),
    ]);
    return { refused: /lies outside the networks of this swarm/.test(announced), silent: greeted === '' };
  };
  while (!/seeding override site/.test(server.said())) await sleep(20);
  deepEqual(await tried('127.0.0.2'), { refused: false, silent: false });
  deepEqual(await tried('127.0.0.9'), { refused: true, silent: true });
  await sign('--network', '127.0.0.8/30');
  while (!/manifest 2 is signed/.test(server.said())) await sleep(20);
  deepEqual(await tried('127.0.0.9'), { refused: false, silent: false });
  deepEqual(await tried('127.0.0.2'), { refused: true, silent: true });
});

/** All that comes back for these bytes within a moment, or until the other side hangs up. */
async function said(to: { port: number; localAddress: string }, bytes: string | Buffer): Promise<string> {
  const socket = connect({ ...to, host: '127.0.0.1' });
  let text = '';
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    // Peers stay on the line.
    if (text.startsWith('\x13')) socket.destroy();
  });
  socket.write(bytes);
  await new Promise((resolve) => socket.once('close', resolve));
  return text;
}

test('closed swarms are not seeded by a server that enrols nobody', async (context) => {
  const { repo, entry } = await signing(context);
  const options = {
    repo,
    host: '127.0.0.1',
    port: 0,
    uploadBytesPerSec: 0,
    log: () => {},
    announce: [],
    admission: null,
  };
  const seeder = await Seeder.start(options);
  context.after(() => seeder.stop());
  await seeder.follow([entry], OPEN_RULES);
  await rejects(
    seeder.follow([entry], { closed: true, networks: null }),
    /closes its swarms, and this server/,
  );
  equal(seeder.seeded.size, 1);
});

test('a RAM disk with keys is not built before something is signed', async (context) => {
  const { folder, repo, key } = await signing(context);
  const args = ['initrd', 'build', '--repo', repo, '--out', join(folder, 'boot'), '--trust', `${key}.pub`];
  const { status, err } = await swarmboot(args);
  equal(status, EXIT_STATUS.usage);
  match(err, /nothing is signed in .*, and nodes would believe nothing of it; sign first: swarmboot sign/);
});
