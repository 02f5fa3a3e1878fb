import { deepEqual, equal, match } from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readTrust } from '../../scripts/manifest.ts';
import { scratch } from '../content.ts';
import { kernelPackage } from '../initrd-builder/kernels.ts';
import { swarmboot } from './commands.ts';

const build = (...args: string[]) => swarmboot(['initrd', 'build', ...args]);

test('what is no option of a build is refused before anything is written', async (t) => {
  const out = join(scratch(t), 'out');
  const refusals: readonly (readonly [string[], RegExp])[] = [
    [['--level', '20'], /--level wants a whole number from 1 to 19, not 20/],
    [['--level', '1.5'], /--level wants a whole number from 1 to 19, not 1\.5/],
    [['--add', 'motd'], /--add wants FILE:PATH with an absolute path in the RAM disk, not "motd"/],
    [['--add', ':/etc/motd'], /--add wants FILE:PATH/],
    [['extra'], /too many words: "extra"/],
  ];
  for (const [args, why] of refusals) {
    const { status, err } = await build('--out', out, ...args);
    equal(status, 2, err);
    match(err, why);
  }
  deepEqual(readdirSync(join(out, '..')), []);
});

test('the cloud kernel is refused with the reason, as a fault of the build', async (t) => {
  const folder = scratch(t);
  const kernel = kernelPackage(join(folder, 'cloud'), '6.1.0-9-cloud-amd64', []);
  const { status, err } = await build('--kernel', kernel, '--out', join(folder, 'out'));
  equal(status, 21);
  match(err, /^swarmboot initrd build: .* is the cloud kernel, .* \(no e1000\); take linux-image-amd64\n$/);
  deepEqual(readdirSync(folder), ['cloud']);
});

test('a folder without a kernel is a fault of the build that names it', async (t) => {
  const { status, err } = await build('--kernel', `${scratch(t)}/absent`);
  equal(status, 21);
  match(err, /absent\/boot has no kernel; install linux-image-amd64, or unpack that package/);
});

test('a RAM disk gets the authority of swarmboot init beside its keys, and never without them', async (t) => {
  const repo = scratch(t);
  const name = join(repo, 'release');
  const ran = async (...args: string[]) => {
    const { status, err } = await swarmboot(args);
    equal(status, 0, err);
  };
  await ran('init', '--repo', repo, '--name', '10.9.0.1');
  const bare = await build('--repo', repo, '--kernel', '/absent');
  equal(bare.status, 2);
  match(bare.err, /has an authority, and the RAM disk would not know it: give --trust NAME\.pub/);
  await ran('keygen', name, '--unencrypted');
  await ran('sign', '--key', `${name}.key`, '--repo', repo);
  // What nodes believe by is written before the kernel is looked for.
  equal((await build('--repo', repo, '--kernel', '/absent', '--trust', `${name}.pub`)).status, 21);
  const authority = readFileSync(join(repo, 'tls', 'authority.pem'), 'utf8');
  const trust = await readTrust(repo);
  equal(trust?.authority, authority);
  equal(trust.sinceSec * 1000 >= Date.parse(new X509Certificate(authority).validFrom), true);
  // In the form that /init reads.
  match(readFileSync(join(repo, 'boot', 'trust.json'), 'utf8'), /^ {2}"since": \d+,$/m);
});
