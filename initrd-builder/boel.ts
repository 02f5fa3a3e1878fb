// The BOEL binaries: the real tools that an install needs beyond the initrd's own (the name is SystemImager's, Brian's
// Own Embedded Linux), collected from this machine with their libraries into a tree that `swarmboot publish --kind boel`
// packs. Knows which tools; knows nothing of archives and torrents.
//
//   node initrd-builder/boel.ts --into DIR

import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { librariesOf } from './libs.ts';

/** A program and the Debian package that brings it. */
export interface Tool {
  readonly path: string;
  readonly package: string;
}

/** What unpacks, describes disks, partitions, makes file systems and restores attributes. */
export const TOOLS: readonly Tool[] = [
  { path: '/usr/bin/tar', package: 'tar' },
  { path: '/usr/bin/zstd', package: 'zstd' },
  { path: '/usr/bin/setfattr', package: 'attr' },
  { path: '/usr/bin/getfattr', package: 'attr' },
  { path: '/usr/bin/setfacl', package: 'acl' },
  { path: '/usr/bin/busybox', package: 'busybox-static' },
  { path: '/usr/bin/lsblk', package: 'util-linux' },
  { path: '/usr/bin/lscpu', package: 'util-linux' },
  { path: '/usr/sbin/blkid', package: 'util-linux' },
  { path: '/usr/sbin/wipefs', package: 'util-linux' },
  { path: '/usr/sbin/mkswap', package: 'util-linux' },
  { path: '/usr/sbin/sfdisk', package: 'fdisk' },
  { path: '/usr/sbin/mkfs.ext4', package: 'e2fsprogs' },
  { path: '/usr/sbin/mkfs.vfat', package: 'dosfstools' },
];

/**
 * Copies the tools and their libraries into `into`, which must not exist: it appears whole or not at all. Files are
 * plain (no links), mode 0755, and carry the newest time of them all, so that the same packages give the same tree.
 * Returns the paths in the tree, sorted. Throws when a tool or a library is absent.
 */
export function collectBoel(tools: readonly Tool[], into: string): string[] {
  const absent = tools.filter((tool) => !existsSync(tool.path));
  if (absent.length > 0) {
    const packages = [...new Set(absent.map((tool) => tool.package))].join(' ');
    throw new Error(
      `not on this machine: ${absent.map((tool) => tool.path).join(', ')}; install the Debian packages: ${packages}`,
    );
  }
  if (existsSync(into)) throw new Error(`${into} exists already; remove it or name another folder`);

  const sources = new Map<string, string>();
  for (const tool of tools) {
    sources.set(tool.path, tool.path);
    for (const library of librariesOf(tool.path)) sources.set(placeOf(library), library);
  }
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

/**
 * Where a library goes: a loader stays where programs name it; the rest goes where it really lies, because on Debian
 * /lib is a link to /usr/lib, and the tree holds no links.
 */
function placeOf(library: string): string {
  return basename(library).startsWith('ld-linux')
    ? library
    : join(realpathSync(dirname(library)), basename(library));
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { into: { type: 'string' } } });
  if (values.into === undefined) {
    console.error('usage: node initrd-builder/boel.ts --into DIR');
    process.exit(2);
  }
  try {
    const places = collectBoel(TOOLS, values.into);
    console.log(`${values.into}: ${TOOLS.length} tools and ${places.length - TOOLS.length} libraries`);
  } catch (error) {
    console.error(`boel: ${error instanceof Error ? error.message : error}`);
    process.exit(1);
  }
}
