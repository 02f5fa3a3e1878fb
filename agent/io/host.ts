// Facts of this machine: kernel command line, parameter file, memory, mounted file systems with their room, addresses.
// node:fs where one file or call is the whole answer, systeminformation where it spares us a table of the kernel's.

import {
  accessSync,
  constants,
  existsSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statfsSync,
  statSync,
} from 'node:fs';
import { availableParallelism, cpus, networkInterfaces } from 'node:os';
import { bios, cpu, mem, system } from 'systeminformation';
import { messageOf, SwarmbootError } from '../core/errors.ts';
import type { DiskSight, Inventory, LinkSight } from '../core/inventory.ts';
import { parseMac } from '../core/mac.ts';
import type { Pool } from '../core/staging.ts';

/** One line of /proc/self/mountinfo, as far as it matters here. */
export interface Mount {
  readonly folder: string;
  readonly fileSystem: string;
}

const IN_MEMORY = new Set([0x01021994 /* tmpfs */, 0x858458f6 /* ramfs */]);
const REMOTE = /^(nfs4?|cifs|smb3|ceph|glusterfs|lustre|9p|afs|fuse\.sshfs|fuse\.glusterfs)$/;
/** Places of the kernel, where a staging file would be in the way. */
const KERNELS = /^\/(proc|sys|dev)(\/|$)(?!shm$)/;

/** The kernel's command line; empty where there is no /proc. */
export function kernelCommandLine(): string {
  return readIfThere('/proc/cmdline') ?? '';
}

/** The text of a file; null when it is not there. Throws SwarmbootError 'parameters' when it cannot be read. */
export function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw new SwarmbootError('parameters', `cannot read ${path} (${messageOf(error)}); make it readable`, {
      cause: error,
    });
  }
}

/** Memory that programs and tmpfs may still take, in bytes. */
export async function memoryAvailableBytes(): Promise<number> {
  return (await mem()).available;
}

/** Begins to watch all processors together. Returns what tells how busy they have been since, in percent. */
export function watchProcessors(): () => number {
  const look = () => {
    let [busyMs, allMs] = [0, 0];
    for (const { times } of cpus()) {
      const sum = times.user + times.nice + times.sys + times.idle + times.irq;
      busyMs += sum - times.idle;
      allMs += sum;
    }
    return { busyMs, allMs };
  };
  const begun = look();
  return () => {
    const { busyMs, allMs } = look();
    // The kernel counts in ticks: in the first moment there may be none.
    if (allMs <= begun.allMs) return 0;
    const percent = Math.round((100 * (busyMs - begun.busyMs)) / (allMs - begun.allMs));
    return Math.max(0, Math.min(100, percent));
  };
}

/** One pool for each file system that is mounted here, in `/tmp` if that lies on it, else where it is mounted. Throws as `readMounts`. */
export function pools(): Pool[] {
  const mounts = readMounts();
  const folders = mounts.map(({ folder }) => folder).filter((folder) => !KERNELS.test(folder));
  const byDevice = new Map<string, Pool>();
  for (const folder of ['/tmp', ...folders.sort((a, b) => a.length - b.length)]) {
    const pool = look(folder, mounts);
    if (pool !== null && !byDevice.has(pool.device)) byDevice.set(pool.device, pool);
  }
  return [...byDevice.values()];
}

/** `folder` as a pool. Throws SwarmbootError 'staging' when it is no folder; `parameter` is who named it. */
export function poolAt(folder: string, parameter: string): Pool {
  const pool = look(folder, readMounts());
  if (pool !== null) return pool;
  throw new SwarmbootError(
    'staging',
    `${parameter}=${folder} is not a folder here; make it, or mount it, before the install`,
  );
}

/** What this machine is made of, with the disks that somebody else has found. */
export async function machine(disks: readonly DiskSight[]): Promise<Inventory> {
  const [board, firmware, processor, memory] = await Promise.all([system(), bios(), cpu(), mem()]);
  return {
    vendor: told(board.manufacturer),
    model: told(board.model),
    serial: told(board.serial),
    uuid: told(board.uuid),
    firmware: [firmware.vendor, firmware.version, firmware.releaseDate].filter(Boolean).join(' '),
    // Without lscpu there is no brand to be had there.
    cpu: processor.brand || (cpus()[0]?.model ?? ''),
    cores: availableParallelism(),
    memoryBytes: memory.total,
    disks,
    links: networkLinks(),
  };
}

/** systeminformation says `-` for what is not told. */
function told(text: string): string {
  return text === '-' ? '' : text;
}

/** The network interfaces that are devices, configured or not. */
export function networkLinks(): LinkSight[] {
  const folder = '/sys/class/net';
  const read = (name: string, fact: string) => {
    try {
      return readFileSync(`${folder}/${name}/${fact}`, 'utf8').trim();
    } catch {
      // A link that is down does not tell its carrier or its speed.
      return '';
    }
  };
  const addresses = networkInterfaces();
  return readdirSync(folder)
    .sort()
    .filter((name) => existsSync(`${folder}/${name}/device`))
    .flatMap((name) => {
      const mac = parseMac(read(name, 'address'));
      if (mac === null) return [];
      const speed = Number(read(name, 'speed') || -1);
      const duplex = read(name, 'duplex');
      return {
        name,
        mac,
        up: read(name, 'carrier') === '1',
        megabitPerSec: speed > 0 ? speed : null,
        fullDuplex: duplex === 'full' ? true : duplex === 'half' ? false : null,
        mtu: Number(read(name, 'mtu')),
        addresses: (addresses[name] ?? []).map(({ address }) => address),
      };
    });
}

/** The mounts of this process. Throws SwarmbootError 'staging' when the kernel does not tell them. */
function readMounts(): Mount[] {
  const path = '/proc/self/mountinfo';
  try {
    return parseMountinfo(readFileSync(path, 'utf8'));
  } catch (cause) {
    const message = `cannot read ${path} (${messageOf(cause)}), so no place for tarballs can be chosen; start again`;
    throw new SwarmbootError('staging', message, { cause });
  }
}

/** Every mount, a later one at the same place hiding the earlier (proc(5)). */
export function parseMountinfo(text: string): Mount[] {
  const byFolder = new Map<string, Mount>();
  for (const line of text.split('\n')) {
    const [places, file] = line.split(' - ');
    const folder = places?.split(' ')[4];
    const fileSystem = file?.split(' ')[0];
    if (folder === undefined || fileSystem === undefined) continue;
    const path = folder.replace(/\\([0-7]{3})/g, (_, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    );
    byFolder.set(path, { folder: path, fileSystem });
  }
  return [...byFolder.values()];
}

/** Null when it is no folder, or a file system without room of its own (proc, cgroup and the like). */
function look(folder: string, mounts: readonly Mount[]): Pool | null {
  try {
    const path = realpathSync(folder);
    const stat = statSync(path);
    const { type, bsize, bavail, blocks } = statfsSync(path);
    const inMemory = IN_MEMORY.has(type);
    if (!stat.isDirectory() || (blocks === 0 && !inMemory)) return null;
    const fileSystem = mountOf(path, mounts)?.fileSystem ?? 'unknown';
    // Zero blocks in memory: ramfs, or a tmpfs without a size. The memory available is then the only limit.
    const freeBytes = blocks === 0 ? Number.MAX_SAFE_INTEGER : bavail * bsize;
    return {
      folder,
      fileSystem,
      device: String(stat.dev),
      inMemory,
      freeBytes,
      heldBytes: 0,
      unusable: faultOf(path, fileSystem),
    };
  } catch {
    return null;
  }
}

function mountOf(path: string, mounts: readonly Mount[]): Mount | undefined {
  const around = mounts.filter(
    ({ folder }) => path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`),
  );
  return around.sort((a, b) => b.folder.length - a.folder.length)[0];
}

function faultOf(path: string, fileSystem: string): string | null {
  if (REMOTE.test(fileSystem)) return 'lies on another machine';
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return null;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EROFS'
      ? 'read-only'
      : 'not writable by this user';
  }
}
