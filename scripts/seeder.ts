// The first seeder: one engine that seeds every publication of a repository and follows its changes.

import { readFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import type { CatalogEntry } from '../agent/core/catalog.ts';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import { parseTorrent } from '../agent/core/metainfo.ts';
import type { Admission, LogFact } from '../agent/core/ports.ts';
import type { Rules } from '../agent/core/release.ts';
import { swarmHash, type Torrent } from '../agent/core/torrent.ts';
import { formatBytes, hex } from '../agent/core/units.ts';
import type { Engine } from '../agent/engine.ts';
import { digests } from '../agent/io/digest.ts';
import { startPeer } from '../agent/peer.ts';
import type { Transfer } from '../agent/transfer.ts';
import { tarballPath, torrentPath } from './repository.ts';
import { KnownStates, WatchedStore } from './watched.ts';

/** A first seeder meets every node of a cluster; each costs a socket and a little memory. */
export const SEEDER_LIMITS = { peersMax: 400 };

export interface SeederOptions {
  readonly repo: string;
  readonly host: string;
  readonly port: number;
  /** 0 for no cap. */
  readonly uploadBytesPerSec: number;
  readonly log: LogFact;
  /** Trackers at which torrents that name none are announced. */
  readonly announce: readonly (readonly string[])[];
  /** By what nodes are admitted to closed swarms; null: none can be seeded. */
  readonly admission: Admission | null;
}

/** With whom publications are shared. */
export type Sharing = Pick<Rules, 'closed' | 'networks'>;

/** One publication being seeded. */
export interface Seeded {
  readonly entry: CatalogEntry;
  readonly torrent: Torrent;
  /** The .torrent file as it lies in the repository. */
  readonly torrentBytes: Uint8Array;
  readonly transfer: Transfer;
  readonly store: WatchedStore;
}

export class Seeder {
  readonly #options: SeederOptions;
  readonly #engine: Engine;
  readonly #seeded = new Map<string, Seeded>();
  readonly #known: KnownStates;
  /** Tarballs that are not what their torrents say, each as it was when that was found. */
  readonly #damaged = new Map<string, { readonly state: WatchedStore['state']; readonly error: unknown }>();
  /** Why a publication is not seeded, as it was last told. */
  readonly #refused = new Map<string, string>();
  #sharing: Sharing = { closed: false, networks: null };

  private constructor(options: SeederOptions, engine: Engine) {
    this.#options = options;
    this.#engine = engine;
    this.#known = new KnownStates(options.repo);
  }

  /** Listens for peers. Throws SwarmbootError('network') when the port is taken. */
  static async start(options: SeederOptions): Promise<Seeder> {
    const { host, port, uploadBytesPerSec, log } = options;
    const limits = SEEDER_LIMITS;
    const engine = await startPeer({ host, port, uploadBytesPerSec, log, limits });
    return new Seeder(options, engine);
  }

  get port(): number {
    return this.#engine.port;
  }

  /** What is seeded now, by name of publication. */
  get seeded(): ReadonlyMap<string, Seeded> {
    return this.#seeded;
  }

  /** What it does for each publication, in numbers. */
  sights(): readonly {
    readonly name: string;
    readonly uploadedBytes: number;
    readonly connections: number;
  }[] {
    return [...this.#seeded].map(([name, { transfer }]) => {
      const { uploadedBytes, peers } = transfer.view();
      return { name, uploadedBytes, connections: peers };
    });
  }

  /**
   * Seeds exactly these entries from now on; one that has not changed is not touched, unless it is to be shared with others
   * than before. Returns what came and what went. An entry whose files are not as it says, or were changed while they were
   * seeded, is left out and logged; the others go on. Throws SwarmbootError('repository') when closed swarms cannot be seeded; then nothing has changed.
   */
  async follow(
    entries: readonly CatalogEntry[],
    { closed, networks }: Sharing,
  ): Promise<{ came: Seeded[]; went: Seeded[] }> {
    const { admission } = this.#options;
    if (closed && admission === null) {
      throw new SwarmbootError(
        'repository',
        'the signed manifest closes its swarms, and this server enrols no nodes; make it an authority by swarmboot init, or sign with --open',
      );
    }
    const changed = !isDeepStrictEqual(this.#sharing, { closed, networks });
    const came: Seeded[] = [];
    const went: Seeded[] = [];
    const wanted = new Map(entries.map((entry) => [entry.name, entry]));
    for (const [name, seeded] of this.#seeded) {
      const same = !changed && wanted.get(name)?.sha256 === seeded.entry.sha256;
      if (same && !this.#isChanged(name, seeded)) continue;
      this.#seeded.delete(name);
      went.push(seeded);
      await seeded.transfer.leave();
      await seeded.store.close();
    }
    if (changed) this.#engine.keepTo({ networks, admission: closed ? admission : null });
    this.#sharing = { closed, networks };
    for (const [name, entry] of wanted) {
      if (this.#seeded.has(name)) continue;
      try {
        const seeded = await this.#seed(entry);
        this.#seeded.set(name, seeded);
        this.#refused.delete(name);
        came.push(seeded);
      } catch (error) {
        if (!(error instanceof SwarmbootError)) throw error;
        this.#refuse(name, error);
      }
    }
    if (came.length + went.length > 0) await this.#remember();
    return { came, went };
  }

  async stop(): Promise<void> {
    await this.#engine.stop();
    for (const { store } of this.#seeded.values()) await store.close();
    this.#seeded.clear();
  }

  #isChanged(name: string, { store }: Seeded): boolean {
    try {
      store.watch();
      return false;
    } catch (error) {
      if (!(error instanceof SwarmbootError)) throw error;
      this.#refuse(name, error);
      return true;
    }
  }

  #refuse(name: string, { message }: SwarmbootError): void {
    if (this.#refused.get(name) !== message) this.#options.log('not seeded', { name, reason: message });
    this.#refused.set(name, message);
  }

  /** What cannot be kept costs the next start some reading, and nothing else. */
  async #remember(): Promise<void> {
    const states = [...this.#seeded.values()].map(({ entry, store }) => [entry.file, store.state] as const);
    await this.#known.keep(new Map(states)).catch((error: unknown) => {
      if (!(error instanceof SwarmbootError)) throw error;
      this.#options.log('not remembered', { reason: error.message });
    });
  }

  /** A tarball that was touched since it was last known to be whole is read before anybody else does. */
  async #open(entry: CatalogEntry, torrent: Torrent): Promise<WatchedStore> {
    const store = await WatchedStore.open(torrent, tarballPath(this.#options.repo, entry));
    const damaged = this.#damaged.get(entry.file);
    try {
      if (isDeepStrictEqual(damaged?.state, store.state)) throw damaged?.error;
      this.#damaged.delete(entry.file);
      // `publish` has read what was never looked at.
      if (damaged !== undefined || this.#known.compare(entry.file, store.state) === 'other') {
        this.#options.log('checked', { name: entry.name, reason: 'its tarball was touched' });
        await store.check();
      }
      return store;
    } catch (cause) {
      await store.close();
      const reason = `${tarballPath(this.#options.repo, entry)} is not what its torrent says: ${messageOf(cause)}`;
      const error = new SwarmbootError('repository', `${reason}; publish ${entry.name} again`, { cause });
      this.#damaged.set(entry.file, { state: store.state, error: cause });
      throw error;
    }
  }

  async #seed(entry: CatalogEntry): Promise<Seeded> {
    const { repo } = this.#options;
    const place = torrentPath(repo, entry);
    const torrentBytes = await readFile(place).catch((error: unknown) => {
      throw new SwarmbootError('repository', `cannot read ${place}; publish ${entry.name} again`, {
        cause: error,
      });
    });
    const torrent = parseTorrent(torrentBytes, digests);
    if (hex(swarmHash(torrent)) !== entry.infoHash || torrent.length !== entry.size) {
      throw new SwarmbootError(
        'repository',
        `${place} is not the torrent of ${entry.name}; publish it again`,
      );
    }
    const { announce } = torrent.announce.length > 0 ? torrent : this.#options;
    const store = await this.#open(entry, torrent);
    const transfer = this.#engine.join({ ...torrent, announce }, store, store.store.have);
    return { entry, torrent, torrentBytes, transfer, store };
  }
}

/** `image debian, 146.2 MiB in 585 pieces`. */
export function describeSeeded({ entry, torrent }: Seeded): string {
  return `${entry.kind} ${entry.name}, ${formatBytes(entry.size)} in ${torrent.pieceCount} pieces`;
}
