// Signed repositories: what is offered is what was signed, whoever has signed it, here or elsewhere, and nothing of it goes
// before the next manifest is signed.

import { deepEqual, equal, match } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT_STATUS } from '../../agent/core/errors.ts';
import { believeManifest } from '../../agent/core/manifest.ts';
import { signatureChecks } from '../../agent/io/digest.ts';
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

test('a RAM disk with keys is not built before something is signed', async (context) => {
  const { folder, repo, key } = await signing(context);
  const args = ['initrd', 'build', '--repo', repo, '--out', join(folder, 'boot'), '--trust', `${key}.pub`];
  const { status, err } = await swarmboot(args);
  equal(status, EXIT_STATUS.usage);
  match(err, /nothing is signed in .*, and nodes would believe nothing of it; sign first: swarmboot sign/);
});
