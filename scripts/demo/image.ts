// What the demo publishes: a Debian root made by mmdebstrap (kept between runs), or a folder of the user's, and two
// small overrides that carry what archives tend to lose: a capability, an ACL, a hard link, a hole.

import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import {
  chmod,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { messageOf, SwarmbootError } from '../../agent/core/errors.ts';
import { MIB } from '../../agent/core/units.ts';

const run = promisify(execFile);

/** What the image is to be. */
export interface ImageWish {
  /** A folder that is the image; null: a Debian is made. */
  readonly image: string | null;
  /** Bytes of an incompressible file that is added to a Debian; 0: none. */
  readonly extraBytes: number;
  /** mmdebstrap's name for how much of a Debian. */
  readonly variant: 'minbase' | 'standard';
}

/** True when this process may set owners and make devices. */
export const IS_ROOT = process.getuid?.() === 0;

/** The folder that is published as the image. `say` is told what takes long. */
export async function makeImage(
  wish: ImageWish,
  folder: string,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<string> {
  if (wish.image !== null) {
    const given = await stat(wish.image).catch(() => null);
    if (given === null || !given.isDirectory())
      throw new SwarmbootError(
        'missing',
        `IMAGE=${wish.image} is no folder; name the top of a file system tree`,
      );
    return resolve(wish.image);
  }
  const suite = await debianSuite();
  const archive = join(folder, `debian-${suite}-${wish.variant}.tar`);
  if (!existsSync(archive)) {
    say(`making a Debian ${suite} root with mmdebstrap; it is kept for the next run`);
    await bootstrap(suite, wish.variant, archive, signal);
  }
  const image = join(folder, 'image');
  await mkdir(image, { recursive: true });
  // Only root may make devices; without them, and with owners of its own, the image of any other user is still an image.
  const asUser = IS_ROOT ? [] : ['--exclude=./dev/*', '--no-same-owner'];
  await run(
    '/usr/bin/tar',
    [
      '--extract',
      '--numeric-owner',
      '--preserve-permissions',
      '--xattrs',
      '--xattrs-include=*',
      '--acls',
      ...asUser,
      '-C',
      image,
      '-f',
      archive,
    ],
    { signal },
  );
  if (wish.extraBytes > 0) await writeNoise(join(image, 'srv', 'noise.bin'), wish.extraBytes);
  return image;
}

/** The code name of this machine's own Debian. Throws SwarmbootError 'missing' when it is none. */
export async function debianSuite(): Promise<string> {
  const release = await readFile('/etc/os-release', 'utf8').catch(() => '');
  const suite = /^VERSION_CODENAME=(\w+)$/m.exec(release)?.[1];
  if (suite === undefined || !/^ID=debian$/m.test(release)) {
    throw new SwarmbootError(
      'missing',
      'this machine is not a released Debian, so the demo cannot make one; give IMAGE=/some/dir',
    );
  }
  return suite;
}

async function bootstrap(
  suite: string,
  variant: string,
  archive: string,
  signal: AbortSignal,
): Promise<void> {
  const logPath = `${archive}.log`;
  const unfinished = `${archive}.unfinished`;
  const sources = await debianSources();
  const log = await open(logPath, 'w');
  const child = spawn(
    '/usr/bin/mmdebstrap',
    ['--format=tar', `--variant=${variant}`, suite, unfinished, ...sources],
    {
      stdio: ['ignore', log.fd, log.fd],
      signal,
    },
  );
  const status = await new Promise<number | null>((done, failed) =>
    child.once('error', failed).once('close', done),
  ).finally(() => log.close());
  if (status !== 0) {
    await rm(unfinished, { force: true });
    const last = (await readFile(logPath, 'utf8')).trimEnd().split('\n').slice(-6).join('\n  ');
    const hint = IS_ROOT
      ? ''
      : ' Not being root, mmdebstrap needs user namespaces and a line of yours in /etc/subuid and /etc/subgid.';
    throw new SwarmbootError(
      'missing',
      `mmdebstrap could not make a Debian root:\n  ${last}\n${logPath} has the rest.${hint} Or give IMAGE=/some/dir.`,
    );
  }
  await rename(unfinished, archive);
}

/** The Debian archives that this machine itself uses, one line each; none when it has no lists of them. */
export async function debianSources(): Promise<string[]> {
  const format = '$(ORIGIN)|deb $(REPO_URI) $(RELEASE)|$(COMPONENT)';
  const { stdout } = await run('/usr/bin/apt-get', [
    'indextargets',
    '--format',
    format,
    'Created-By: Packages',
  ]);
  const lines = stdout.split('\n').map((line) => line.split('|'));
  return lines.flatMap(([origin, source, component]) =>
    origin === 'Debian' && component === 'main' ? [`${source} main`] : [],
  );
}

async function writeNoise(path: string, bytes: number): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true });
  const file = await open(path, 'w');
  try {
    const block = new Uint8Array(MIB);
    for (let left = bytes; left > 0; left -= block.length) {
      for (let at = 0; at < block.length; at += 65_536)
        crypto.getRandomValues(block.subarray(at, at + 65_536));
      await file.write(block, 0, Math.min(block.length, left));
    }
  } finally {
    await file.close();
  }
}

/** Makes two overrides below `folder`; returns them by name, in the order in which they are laid over the image. */
export async function makeOverrides(folder: string): Promise<ReadonlyMap<string, string>> {
  const site = join(folder, 'override-site');
  await mkdir(join(site, 'etc'), { recursive: true });
  await writeFile(join(site, 'etc', 'hostname'), 'node\n');
  await writeFile(join(site, 'etc', 'motd'), 'Installed by Swarmboot.\n');

  const extras = join(folder, 'override-extras');
  const opt = join(extras, 'opt', 'extras');
  await mkdir(opt, { recursive: true });
  const probe = join(opt, 'probe');
  await writeFile(probe, '#!/bin/sh\necho probe\n');
  await chmod(probe, 0o755);
  await link(probe, join(opt, 'probe-again'));
  await symlink('probe', join(opt, 'probe-link'));
  const sparse = await open(join(opt, 'sparse.img'), 'w');
  await sparse.truncate(8 * MIB);
  await sparse.write('end', 8 * MIB - 3);
  await sparse.close();
  // cap_net_raw+ep as the kernel stores it (capability.h, revision 2, little-endian); other users may set only user.*.
  const attribute = IS_ROOT
    ? ['-n', 'security.capability', '-v', `0x${'0100000200200000'.padEnd(40, '0')}`]
    : ['-n', 'user.origin', '-v', 'demo'];
  try {
    await run('/usr/bin/setfattr', [...attribute, probe]);
    await run('/usr/bin/setfacl', ['-m', 'u:1:r,g:2:rx', probe]);
  } catch (error) {
    throw new SwarmbootError(
      'missing',
      `the file system of ${folder} cannot hold extended attributes or ACLs: ${messageOf(error)}; clone to a disk that can`,
      { cause: error },
    );
  }
  return new Map([
    ['site', site],
    ['extras', extras],
  ]);
}

/**
 * What every node must end up with: the image with the overrides laid over it, in `folder`, made by cp alone. An override
 * says nothing of the top folder itself.
 */
export async function makeReference(
  folder: string,
  image: string,
  overrides: Iterable<string>,
  signal: AbortSignal,
): Promise<void> {
  const copy = (words: readonly string[]) =>
    run('/usr/bin/cp', ['--archive', '--reflink=auto', ...words], { signal });
  await copy(['--no-target-directory', image, folder]);
  for (const layer of overrides) {
    await copy(['--target-directory', folder, ...(await readdir(layer)).map((name) => join(layer, name))]);
  }
}
