// Staging folders in a pool: made and held, and found again when whoever held them was killed or lost power. Each holds a
// Unix socket that its owner listens on: the kernel closes that with the process, in whatever namespaces it lived.

import * as fs from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { messageOf, SwarmbootError } from '../core/errors.ts';
import type { LeftFile, LeftFolder } from '../core/staging.ts';

const PREFIX = 'swarmboot-staging-';
const SOCKET = 'held';

/** What makes and removes the folders of this process. */
export function stagingFolders() {
  const held = new Map<string, { readonly server: Server; readonly fd: number }>();
  return {
    /**
     * A new folder in `pool`, for its owner alone, held by this process until it is removed. Throws SwarmbootError 'staging'
     * when it cannot be made.
     */
    async makeFolder(pool: string): Promise<string> {
      let folder: string | null = null;
      try {
        folder = await mkdtemp(join(pool, PREFIX));
        const holding = await hold(folder);
        if (holding !== null) held.set(folder, holding);
        return folder;
      } catch (cause) {
        if (folder !== null) fs.rmSync(folder, { recursive: true, force: true });
        const message = `cannot make a folder in ${pool} (${messageOf(cause)}); free it, or choose another place`;
        throw new SwarmbootError('staging', message, { cause });
      }
    },

    /** A file as well as a folder, whoever made it. */
    async removeFolder(folder: string): Promise<void> {
      await rm(folder, { recursive: true, force: true });
      const holding = held.get(folder);
      if (holding === undefined) return;
      held.delete(folder);
      await new Promise<void>((resolve) => holding.server.close(() => resolve()));
      fs.closeSync(holding.fd);
    },
  };
}

/** Null where no socket can be made, as on FAT: the folder is as good, and is not found again. */
async function hold(folder: string) {
  const fd = fs.openSync(folder, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  const server = createServer((connection) => connection.destroy());
  const listening = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false));
    // By descriptor: a path to a socket may have 107 characters (unix(7)).
    server.listen({ path: socketBy(fd) }, () => resolve(true));
  });
  server.unref();
  if (listening) return { server, fd };
  fs.closeSync(fd);
  return null;
}

/**
 * The staging folders in `pool` that this user made and no process holds. None where the pool cannot be read. A folder
 * without a socket was left in its first moment, empty, or belongs to somebody who is about to hold it: it is not among them.
 */
export async function leftIn(pool: string): Promise<readonly LeftFolder[]> {
  const left: LeftFolder[] = [];
  for (const name of namesIn(pool).filter((candidate) => candidate.startsWith(PREFIX))) {
    const folder = join(pool, name);
    if (isOurs(folder) && (await isAbandoned(folder))) left.push({ folder, files: filesIn(folder) });
  }
  return left;
}

/** Moves a file of a left folder into a held one of the same pool. False: somebody else has taken it, or it cannot be had. */
export function takeOver(from: string, to: string): boolean {
  try {
    fs.renameSync(from, to);
    return true;
  } catch {
    return false;
  }
}

function socketBy(fd: number): string {
  return `/proc/self/fd/${fd}/${SOCKET}`;
}

function namesIn(folder: string): readonly string[] {
  try {
    return fs.readdirSync(folder);
  } catch {
    return [];
  }
}

function lookAt(path: string): fs.Stats | null {
  try {
    return fs.lstatSync(path);
  } catch {
    return null;
  }
}

/** Pools may be folders of everybody: nothing of another user's is taken, nor what another could have written to. */
function isOurs(folder: string): boolean {
  const stat = lookAt(folder);
  if (stat === null) return false;
  return stat.isDirectory() && stat.uid === process.geteuid?.() && (stat.mode & 0o077) === 0;
}

async function isAbandoned(folder: string): Promise<boolean> {
  if (lookAt(join(folder, SOCKET))?.isSocket() !== true) return false;
  let fd = -1;
  try {
    fd = fs.openSync(folder, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY | fs.constants.O_NOFOLLOW);
    const socket = connect({ path: socketBy(fd) });
    const error = await new Promise<unknown>((resolve) => {
      socket.once('connect', () => resolve(null));
      socket.once('error', resolve);
    });
    socket.destroy();
    return error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED';
  } catch {
    // It went away meanwhile.
    return false;
  } finally {
    if (fd >= 0) fs.closeSync(fd);
  }
}

function filesIn(folder: string): readonly LeftFile[] {
  return namesIn(folder).flatMap((name) => {
    const stat = lookAt(join(folder, name));
    return stat?.isFile() ? [{ name, bytes: stat.size, allocatedBytes: stat.blocks * 512 }] : [];
  });
}
