// Makes the archive of a tree, the same bytes for the same tree, by GNU tar; and tells how a tarball is compressed.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { Duplex } from 'node:stream';
import { constants, createGzip, createZstdCompress } from 'node:zlib';
import type { Compression, Kind } from '../agent/core/catalog.ts';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import { KIB } from '../agent/core/units.ts';

const GNU_TAR = '/usr/bin/tar';
const CHUNK_BYTES = 128 * KIB;
const STDERR_BYTES_MAX = 64 * KIB;

/**
 * The bytes of a pax archive of the tree `folder`: sorted, owners by number, no times of reading, file capabilities and
 * ACLs as binary attributes (GNU tar's own ACL text names users, which another machine may not have).
 * `tell` gets a line for each thing passed over. Throws SwarmbootError `archive` when the tree cannot be read whole.
 */
export async function* archiveFolder(
  folder: string,
  kind: Kind,
  signal: AbortSignal,
  tell: (line: string) => void,
): AsyncGenerator<Uint8Array> {
  const child = spawn(
    GNU_TAR,
    [
      '--create',
      '--file=-',
      `--directory=${folder}`,
      '--null',
      '--verbatim-files-from',
      '--files-from=-',
      '--format=posix',
      // Without this GNU tar writes its process number into the headers.
      '--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime',
      '--sort=name',
      '--numeric-owner',
      '--xattrs',
      '--xattrs-include=*',
      '--no-acls',
      // Sparse format 0.0: the later ones write the process number too. BOEL binaries are not unpacked by GNU tar.
      ...(kind === 'boel' ? [] : ['--sparse', '--sparse-version=0.0', '--hole-detection=seek']),
    ],
    { stdio: 'pipe', env: { LC_ALL: 'C', TZ: 'UTC' }, signal },
  );
  let said = '';
  child.stderr.on('data', (text: Buffer) => {
    if (said.length < STDERR_BYTES_MAX) said += text.toString('latin1');
  });
  // A broken pipe is told by the exit, with the reason.
  child.stdin.on('error', () => {});
  child.stdin.end(
    membersOf(folder, kind)
      .map((name) => `${name}\0`)
      .join(''),
    'latin1',
  );
  const closed = once(child, 'close');
  closed.catch(() => {});
  try {
    yield* evenly(child.stdout);
    const [code] = await closed.catch((error) => {
      signal.throwIfAborted();
      throw new SwarmbootError('archive', `cannot run ${GNU_TAR} (${messageOf(error)}); install GNU tar`, {
        cause: error,
      });
    });
    const lines = said
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.replace(`${GNU_TAR}: `, ''));
    if (code !== 0) throw tarFault(folder, code, lines);
    for (const line of lines) tell(line);
  } finally {
    child.kill('SIGKILL');
  }
}

/** The same bytes in blocks of one size: what zstd makes of them depends on how they were cut. */
async function* evenly(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let block = Buffer.allocUnsafe(CHUNK_BYTES);
  let filled = 0;
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + CHUNK_BYTES - filled);
      block.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled < CHUNK_BYTES) continue;
      yield block;
      block = Buffer.allocUnsafe(CHUNK_BYTES);
      filled = 0;
    }
  }
  if (filled > 0) yield block.subarray(0, filled);
}

/**
 * What is archived: an image whole, its root's own mode and owner among it; of the others only what lies in the
 * folder, or the mode of a folder on the image server would become the mode of the node's root.
 */
function membersOf(folder: string, kind: Kind): readonly string[] {
  if (kind === 'image') return ['.'];
  return fs
    .readdirSync(folder, 'latin1')
    .sort()
    .map((name) => `./${name}`);
}

function tarFault(folder: string, code: unknown, lines: readonly string[]): SwarmbootError {
  const shown =
    lines.slice(0, 5).join(' | ') + (lines.length > 5 ? ` | and ${lines.length - 5} lines more` : '');
  // GNU tar's manual: 1 means "some files differ", as when they changed while they were read.
  const advice =
    code === 1
      ? 'stop what writes there and publish again, or publish a snapshot'
      : 'publish as a user who can read all of it (root), or remove what cannot be read';
  return new SwarmbootError('archive', `${folder} could not be archived as it is: ${shown}; ${advice}`);
}

/** About the bytes of the archive of `folder`: for a progress bar. What cannot be read counts nothing. */
export function estimateBytes(folder: string): number {
  const linked = new Set<number>();
  const folders = [folder];
  let bytes = 0;
  for (let place = folders.pop(); place !== undefined; place = folders.pop()) {
    try {
      for (const name of fs.readdirSync(place)) {
        const stat = fs.lstatSync(path.join(place, name));
        bytes += 2 * KIB;
        if (stat.isDirectory()) folders.push(path.join(place, name));
        if (!stat.isFile() || linked.has(stat.ino)) continue;
        bytes += Math.min(stat.size, stat.blocks * 512);
        if (stat.nlink > 1) linked.add(stat.ino);
      }
    } catch {
      // Unreadable, or a name that is not UTF-8: GNU tar will tell what is wrong, if anything is.
    }
  }
  return bytes;
}

/**
 * The streams that compress, none or one. Levels are fixed and one thread works, so that the same bytes come out: and
 * with workers Node 26.10 loses most of the output.
 */
export function compressors(compression: Compression): Duplex[] {
  switch (compression) {
    case 'zstd':
      return [
        createZstdCompress({ chunkSize: CHUNK_BYTES, params: { [constants.ZSTD_c_compressionLevel]: 3 } }),
      ];
    case 'gzip':
      return [createGzip({ chunkSize: CHUNK_BYTES, level: 6 })];
    case 'none':
      return [];
  }
}

const MAGICS: readonly (readonly [offset: number, bytes: string, compression: Compression])[] = [
  [0, '\x28\xb5\x2f\xfd', 'zstd'],
  [0, '\x1f\x8b', 'gzip'],
  [257, 'ustar', 'none'],
  [0, '\0'.repeat(512), 'none'],
];

/** How the tarball `file` is compressed, by its first bytes. Throws SwarmbootError `missing` or `archive`. */
export function compressionOf(file: string): Compression {
  const head = Buffer.alloc(512);
  try {
    const fd = fs.openSync(file, 'r');
    try {
      fs.readSync(fd, head);
      if (fs.fstatSync(fd).size < 2) head.fill(1);
    } finally {
      fs.closeSync(fd);
    }
  } catch (error) {
    throw new SwarmbootError(
      'missing',
      `cannot read ${file} (${messageOf(error)}); give a readable tarball`,
      { cause: error },
    );
  }
  const found = MAGICS.find(
    ([offset, bytes]) => head.toString('latin1', offset, offset + bytes.length) === bytes,
  );
  if (found !== undefined) return found[2];
  throw new SwarmbootError(
    'archive',
    `${file} is no tarball that nodes know; make it with tar, bare or by zstd or gzip`,
  );
}
