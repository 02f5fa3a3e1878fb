// Decides where the tarballs are staged: which of the pools that the machine has, and why not the others. Finding the
// pools is io/host's, reserving the room is io/store's.

import { SwarmbootError } from './errors.ts';
import { formatBytes, MIB } from './units.ts';

/** A folder on a mounted file system where staging files could lie. */
export interface Pool {
  readonly folder: string;
  /** As mountinfo calls it: `tmpfs`, `ext4`. */
  readonly fileSystem: string;
  /** Equal for two pools when they share their free bytes. */
  readonly device: string;
  /** True when its content lies in memory. */
  readonly inMemory: boolean;
  /** What this user may still write. */
  readonly freeBytes: number;
  /** Of `freeBytes`, what tarballs hold that an install has left which was cut off, and this one takes over. */
  readonly heldBytes: number;
  /** Why it cannot be used at all (`read-only`); null when it can. */
  readonly unusable: string | null;
}

/** A file in a folder that an install has left. */
export interface LeftFile {
  readonly name: string;
  readonly bytes: number;
  /** What it takes of its file system; less where nothing was written yet. */
  readonly allocatedBytes: number;
}

/** A staging folder whose install was killed, or lost power. */
export interface LeftFolder {
  readonly folder: string;
  readonly files: readonly LeftFile[];
}

export interface StagingDemand {
  /** Sum of the tarballs that are kept there to be seeded. */
  readonly keptBytes: number;
  /** What the extracted trees take on the target. */
  readonly unpackedBytes: number;
  /** The file system that they are extracted to, as a pool. */
  readonly target: Pool;
}

export interface StagingChoice {
  readonly pool: Pool;
  /** What the pool had to have. */
  readonly needBytes: number;
  /** One line for each of the others: why not. */
  readonly others: readonly string[];
}

/** Breathing room beside the tarballs; SystemImager's value, found by trial (Finley et al. 2007). */
export const SLACK_BYTES = 100 * MIB;

/**
 * Chooses among `pools`, or takes `forced` if that fits: first where tarballs lie already, then tmpfs, then /tmp on disk,
 * then the one with most room.
 * Throws SwarmbootError 'staging' that says what each of them lacked.
 */
export function chooseStaging(
  pools: readonly Pool[],
  forced: Pool | null,
  demand: StagingDemand,
  memoryAvailableBytes: number,
): StagingChoice {
  const candidates = forced === null ? [...pools].sort(byPreference) : [forced];
  const lacks = candidates.map((pool) => lackOf(pool, demand, memoryAvailableBytes));
  const chosen = lacks.indexOf(null);
  const pool = candidates[chosen];
  if (pool === undefined) {
    const list = candidates.map((candidate, i) => `\n  ${describe(candidate)}: ${lacks[i]}`).join('');
    throw new SwarmbootError(
      'staging',
      `no staging pool fits the ${formatBytes(demand.keptBytes)} to be staged:${list}\n` +
        '  Mount a file system with room, or name one by BITTORRENT_STAGING.',
    );
  }
  const others = candidates.flatMap((candidate, i) =>
    i === chosen ? [] : [`${describe(candidate)}: ${lacks[i] ?? `fits, but ${pool.folder} goes first`}`],
  );
  if (forced !== null) others.push(...pools.filter(({ device }) => device !== forced.device).map(notForced));
  return { pool, needBytes: needOf(pool, demand), others };
}

/** `/tmp (tmpfs)`. */
export function describe(pool: Pool): string {
  return `${pool.folder} (${pool.fileSystem})`;
}

function notForced(pool: Pool): string {
  return `${describe(pool)}: BITTORRENT_STAGING names another`;
}

function byPreference(a: Pool, b: Pool): number {
  return rank(a) - rank(b) || b.freeBytes - a.freeBytes || (a.folder < b.folder ? -1 : 1);
}

function rank(pool: Pool): number {
  if (pool.heldBytes > 0) return -1;
  const tmp = pool.folder === '/tmp';
  if (pool.inMemory) return tmp ? 0 : 1;
  return tmp ? 2 : 3;
}

function needOf(pool: Pool, demand: StagingDemand): number {
  const shared = pool.device === demand.target.device ? demand.unpackedBytes : 0;
  return demand.keptBytes + SLACK_BYTES + shared;
}

function lackOf(pool: Pool, demand: StagingDemand, memoryAvailableBytes: number): string | null {
  if (pool.unusable !== null) return pool.unusable;
  const need = needOf(pool, demand);
  if (pool.freeBytes < need) return `needs ${formatBytes(need)}, has ${formatBytes(pool.freeBytes)} free`;
  if (!pool.inMemory) return null;
  // A tmpfs promises its size, not memory; and a target in memory takes from the same memory, whatever its mount.
  const memoryNeed = demand.keptBytes + SLACK_BYTES + (demand.target.inMemory ? demand.unpackedBytes : 0);
  const memoryBytes = memoryAvailableBytes + pool.heldBytes;
  if (memoryBytes >= memoryNeed) return null;
  return `needs ${formatBytes(memoryNeed)} of memory, has ${formatBytes(memoryBytes)} available`;
}
