// The BOEL binaries: the real tools that an install needs beyond the initrd's own (the name is SystemImager's, Brian's
// Own Embedded Linux), collected from this machine with their libraries into a tree to be published. Knows which tools;
// knows nothing of archives and torrents.

import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { BuildError } from './errors.ts';
import { libraryPlaces } from './libs.ts';

/** A program and the Debian package that brings it. */
export interface Tool {
  readonly path: string;
  readonly package: string;
}

/**
 * What unpacks, describes disks, partitions, joins disks to arrays and volumes, makes and mounts file systems, restores
 * attributes, works inside the new system and starts its kernel. Boot loaders are not among them: the image's own are
 * run, inside the new system.
 */
export const TOOLS: readonly Tool[] = [
  { path: '/usr/bin/tar', package: 'tar' },
  { path: '/usr/bin/zstd', package: 'zstd' },
  { path: '/usr/bin/setfattr', package: 'attr' },
  { path: '/usr/bin/getfattr', package: 'attr' },
  { path: '/usr/bin/setfacl', package: 'acl' },
  { path: '/usr/bin/busybox', package: 'busybox-static' },
  { path: '/usr/bin/lsblk', package: 'util-linux' },
  { path: '/usr/bin/lscpu', package: 'util-linux' },
  { path: '/usr/bin/partx', package: 'util-linux' },
  { path: '/usr/sbin/blkid', package: 'util-linux' },
  { path: '/usr/sbin/blockdev', package: 'util-linux' },
  { path: '/usr/sbin/wipefs', package: 'util-linux' },
  { path: '/usr/sbin/mkswap', package: 'util-linux' },
  { path: '/usr/bin/mount', package: 'mount' },
  { path: '/usr/bin/umount', package: 'mount' },
  { path: '/usr/sbin/sfdisk', package: 'fdisk' },
  { path: '/usr/sbin/mdadm', package: 'mdadm' },
  { path: '/usr/sbin/lvm', package: 'lvm2' },
  { path: '/usr/sbin/mkfs.ext4', package: 'e2fsprogs' },
  { path: '/usr/sbin/mkfs.xfs', package: 'xfsprogs' },
  { path: '/usr/sbin/mkfs.vfat', package: 'dosfstools' },
  { path: '/usr/sbin/chroot', package: 'coreutils' },
  { path: '/usr/sbin/kexec', package: 'kexec-tools' },
];

/** Tools that come only when they are asked for, by the word that asks. */
const EXTRAS: Readonly<Record<string, readonly Tool[]>> = {
  rsync: [{ path: '/usr/bin/rsync', package: 'rsync' }],
  ssh: [{ path: '/usr/bin/ssh', package: 'openssh-client' }],
};

/** The words of `extraTools`. */
export const EXTRA_WORDS: readonly string[] = Object.keys(EXTRAS);

/** The tools that `words` ask for. Throws BuildError for an unknown word. */
export function extraTools(words: readonly string[]): Tool[] {
  return [...new Set(words)].flatMap((word) => {
    if (!EXTRA_WORDS.includes(word)) {
      throw new BuildError(`there is no extra tool "${word}"; choose from: ${EXTRA_WORDS.join(', ')}`);
    }
    return EXTRAS[word] ?? [];
  });
}

/** Throws BuildError that names every tool that is not on this machine, and the Debian packages that bring them. */
export function requireTools(tools: readonly Tool[]): void {
  const absent = tools.filter((tool) => !existsSync(tool.path));
  if (absent.length === 0) return;
  const packages = [...new Set(absent.map((tool) => tool.package))].join(' ');
  throw new BuildError(
    `not on this machine: ${absent.map((tool) => tool.path).join(', ')}; install the Debian packages: ${packages}`,
  );
}

/**
 * Copies the tools and their libraries into `into`, which must not exist: it appears whole or not at all. Files are
 * plain (no links), mode 0755, and carry the newest time of them all, so that the same packages give the same tree.
 * Returns the paths in the tree, sorted. Throws BuildError when a tool or a library is absent.
 */
export function collectBoel(tools: readonly Tool[], into: string): string[] {
  requireTools(tools);
  if (existsSync(into)) throw new BuildError(`${into} exists already; remove it or name another folder`);

  const programs = tools.map((tool) => tool.path);
  const sources = new Map([...programs.map((path) => [path, path] as const), ...libraryPlaces(programs)]);
  const places = [...sources.keys()].sort();
  const newest = new Date(Math.max(...[...sources.values()].map((path) => statSync(path).mtimeMs)));

  const unfinished = `${into}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  const folders = new Set<string>();
  for (const place of places) {
    const target = join(unfinished, place);
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(sources.get(place) ?? place, target);
    chmodSync(target, 0o755);
    utimesSync(target, newest, newest);
    for (let folder = dirname(target); folder.startsWith(unfinished); folder = dirname(folder))
      folders.add(folder);
  }
  for (const folder of folders) {
    chmodSync(folder, 0o755);
    utimesSync(folder, newest, newest);
  }
  renameSync(unfinished, into);
  return places;
}
