// Where the tarballs of an install are kept while it runs: the machine's pools, weighed by core/staging, with what an install
// before this one has left in them.

import { join } from 'node:path';
import type { Command } from './core/command.ts';
import { messageOf, SwarmbootError } from './core/errors.ts';
import type { Params } from './core/params.ts';
import type { HostRoom, Rooms, StoreRoom } from './core/rooms.ts';
import { chooseStaging, describe, type LeftFile, type LeftFolder, type Pool } from './core/staging.ts';
import type { Tarball } from './plan.ts';
import { peersPath } from './remembering.ts';

/** The staging of one install, from the choice of the pools until the last of them is free again. */
export class Staging {
  readonly #params: Params;
  readonly #rooms: Pick<Rooms, 'host' | 'openStore' | 'tell'>;
  readonly #folders: string[] = [];
  readonly #stores: StoreRoom[] = [];
  /** What is still to be staged. */
  #expected: readonly Tarball[] = [];
  #pool: string | null = null;

  constructor(params: Params, rooms: Pick<Rooms, 'host' | 'openStore' | 'tell'>) {
    this.#params = params;
    this.#rooms = rooms;
  }

  /** The pool of the tarballs that were staged last. */
  get pool(): string | null {
    return this.#pool;
  }

  /** What this install is going to stage, all of it: of what others have left, nothing else is kept. */
  expect(tarballs: readonly Tarball[]): void {
    this.#expected = tarballs;
  }

  /** The pools that may be chosen, the room among what can be taken over in each; what nobody wants of it is removed. */
  async pools(): Promise<readonly Pool[]> {
    const { host } = this.#rooms;
    const { stagingPool } = this.#params;
    const look = () =>
      stagingPool === null ? host.pools() : [host.poolAt(stagingPool, 'BITTORRENT_STAGING')];
    for (const pool of look()) await this.#leftIn(pool);
    const found: Pool[] = [];
    // Anew: what was removed is free by now.
    for (const pool of look()) {
      let heldBytes = 0;
      for (const left of await this.#leftIn(pool)) {
        for (const file of left.files) if (this.#isExpected(file)) heldBytes += file.allocatedBytes;
      }
      found.push({ ...pool, freeBytes: pool.freeBytes + heldBytes, heldBytes });
    }
    return found;
  }

  /**
   * Chooses a pool for `tarballs` together, whose trees go to `target`, and reserves their room, in the same order. Throws
   * SwarmbootError 'staging' when there is none.
   */
  async stage(
    tarballs: readonly Tarball[],
    target: Pool,
    signal: AbortSignal,
  ): Promise<readonly StoreRoom[]> {
    const { host, tell } = this.#rooms;
    const sum = (pick: (tarball: Tarball) => number) =>
      tarballs.reduce((total, next) => total + pick(next), 0);
    const pools = await this.pools();
    const { pool, needBytes, others } = chooseStaging(
      this.#params.stagingPool === null ? pools : host.pools(),
      this.#params.stagingPool === null ? null : pools[0]!,
      {
        keptBytes: sum(({ torrent }) => torrent.length),
        unpackedBytes: sum(({ unpackedBytes }) => unpackedBytes),
        target,
      },
      await host.memoryAvailableBytes(),
    );
    tell({ fact: 'poolChosen', pool: describe(pool), needBytes, others });
    this.#pool = pool.folder;
    const folder = await host.makeFolder(pool.folder);
    this.#folders.push(folder);
    const stores: StoreRoom[] = [];
    for (const tarball of tarballs) {
      stores.push(await this.#open(tarball, pool, folder, signal));
      this.#stores.push(stores.at(-1)!);
    }
    this.#expected = this.#expected.filter((tarball) => !tarballs.includes(tarball));
    // What lies elsewhere, or was not taken, is of no use any more.
    await this.pools();
    return stores;
  }

  /** Frees the pools. Every step is handed to `attempt`, which does not reject. */
  async free(attempt: (work: Promise<unknown>) => Promise<void>): Promise<void> {
    for (const store of this.#stores) await attempt(store.discard());
    for (const folder of this.#folders) await attempt(this.#rooms.host.removeFolder(folder));
  }

  async #open(tarball: Tarball, pool: Pool, folder: string, signal: AbortSignal): Promise<StoreRoom> {
    const { host, openStore, tell } = this.#rooms;
    const { torrent } = tarball;
    const path = join(folder, torrent.name);
    if (await this.#takeOver(tarball, pool, path)) {
      try {
        const store = await openStore(torrent, path, 'resume', signal);
        const text = `${torrent.name} was left by an install that was cut off: ${store.have.count} of its ${torrent.pieceCount} pieces are good, the others are fetched`;
        tell({ fact: 'note', text });
        return store;
      } catch (error) {
        if (signal.aborted || !(error instanceof SwarmbootError)) throw error;
        tell({ fact: 'note', text: `what was left of ${torrent.name} is of no use: ${messageOf(error)}` });
        await host.removeFolder(path);
      }
    }
    return openStore(torrent, path, 'create', signal);
  }

  /** Has the file at `path` if one was left in `pool`. */
  async #takeOver({ torrent }: Tarball, pool: Pool, path: string): Promise<boolean> {
    for (const { folder, files } of await this.#leftIn(pool)) {
      const whole = files.some(({ name, bytes }) => name === torrent.name && bytes === torrent.length);
      const from = join(folder, torrent.name);
      if (!whole || !this.#rooms.host.takeOver(from, path)) continue;
      this.#rooms.host.takeOver(peersPath(from), peersPath(path));
      return true;
    }
    return false;
  }

  /** What was left in `pool` and holds something that is still expected; the rest is removed. */
  async #leftIn(pool: Pool): Promise<readonly LeftFolder[]> {
    const { host, tell } = this.#rooms;
    const kept: LeftFolder[] = [];
    // Of another machine's nobody here knows whether they are held.
    if (pool.unusable !== null) return kept;
    for (const left of await host.leftIn(pool.folder)) {
      if (left.files.some((file) => this.#isExpected(file))) {
        kept.push(left);
        continue;
      }
      // A folder that cannot be removed is in nobody's way but the admin's.
      await host.removeFolder(left.folder).catch((error: unknown) => {
        tell({ fact: 'note', text: `${left.folder}, left by an install, stays: ${messageOf(error)}` });
      });
    }
    return kept;
  }

  #isExpected({ name, bytes }: LeftFile): boolean {
    return this.#expected.some(({ torrent }) => torrent.name === name && torrent.length === bytes);
  }
}

/** The pool at `folder`, which `parameter` names. Throws SwarmbootError('extract') when nothing can be written there. */
export function usablePool(host: HostRoom, folder: string, parameter: string): Pool {
  const pool = host.poolAt(folder, parameter);
  if (pool.unusable === null) return pool;
  throw new SwarmbootError(
    'extract',
    `${parameter}=${folder} ${pool.unusable}; name another, or become root`,
  );
}

/** Waits until the file system of `folder` has on its disk what was written to it; what could not be written is a fault. */
export function flushFolder(folder: string): Command {
  return { argv: ['/usr/bin/sync', '-f', folder], why: 'write everything to the disk' };
}
