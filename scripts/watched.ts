// A tarball that is seeded, watched: what is read of it counts only while the file is what it was when it was found whole; and
// the first seeder remembers, from one start to the next, of which files it knows that.

import * as fs from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import type { Frame, StorePort } from '../agent/core/ports.ts';
import type { Torrent } from '../agent/core/torrent.ts';
import { digests } from '../agent/io/digest.ts';
import { openStore, type Store } from '../agent/io/store.ts';
import { verified } from '../agent/verified.ts';

/** Two states that are equal are of the same content, unless somebody has taken pains. */
interface FileState {
  readonly size: number;
  readonly mtimeMs: number;
  readonly inode: number;
}

function stateOf(fd: number): FileState {
  const { size, mtimeMs, ino } = fs.fstatSync(fd);
  return { size, mtimeMs, inode: ino };
}

/** The finished content of one torrent of one file, for peers. */
export class WatchedStore implements StorePort {
  readonly store: Store;
  readonly state: FileState;
  readonly #path: string;
  readonly #fd: number;

  private constructor(store: Store, path: string, fd: number) {
    this.store = store;
    this.#path = path;
    this.#fd = fd;
    this.state = stateOf(fd);
  }

  /** Throws SwarmbootError 'staging' when there is no such file, or it has another size. */
  static async open(torrent: Torrent, path: string): Promise<WatchedStore> {
    const store = await openStore(torrent, { path, mode: 'seed', hashes: digests });
    try {
      return new WatchedStore(store, path, fs.openSync(path, 'r'));
    } catch (cause) {
      await store.close();
      const message = `cannot read ${path} (${messageOf(cause)}); look whether too many files are open`;
      throw new SwarmbootError('staging', message, { cause });
    }
  }

  /** Throws SwarmbootError 'repository' when the file is not what it was when it was opened. */
  watch(): void {
    if (isDeepStrictEqual(stateOf(this.#fd), this.state)) return;
    throw new SwarmbootError(
      'repository',
      `${this.#path} was changed beneath the seeder; put it back as it was, or publish it again`,
    );
  }

  /** Reads all of it. Throws SwarmbootError 'staging' with the first piece that is not what the torrent says, or cannot be read. */
  async check(): Promise<void> {
    const { store } = this;
    const chunks = store.source(async () => {}, new AbortController().signal);
    for await (const _ of verified(chunks, store.torrent, (piece, bytes) => store.verify(piece, bytes)));
  }

  read(piece: number, begin: number, length: number): Frame | null {
    const frame = this.store.read(piece, begin, length);
    if (frame === null) return null;
    try {
      // Afterwards: a write sets the time first, so that no byte of it can have been read unseen.
      this.watch();
      return frame;
    } catch (error) {
      frame.release();
      throw error;
    }
  }

  write(piece: number, bytes: Uint8Array, done: (error: Error | null) => void): void {
    this.store.write(piece, bytes, done);
  }

  verify(piece: number, bytes: Uint8Array): boolean {
    return this.store.verify(piece, bytes);
  }

  async close(): Promise<void> {
    await this.store.close();
    fs.closeSync(this.#fd);
  }
}

/** The states in which tarballs were last known to be whole, in a file of the repository. */
export class KnownStates {
  readonly #path: string;
  readonly #states: Map<string, unknown>;

  constructor(repo: string) {
    this.#path = join(repo, 'known.json');
    this.#states = new Map(Object.entries(readObject(this.#path)));
  }

  /** `same`: whole when it was last looked at, and not touched since; `other`: touched since; null: never looked at. */
  compare(file: string, state: FileState): 'same' | 'other' | null {
    const known = this.#states.get(file);
    if (known === undefined) return null;
    return isDeepStrictEqual(known, state) ? 'same' : 'other';
  }

  /** Keeps what `files` are now, and forgets all others. Throws SwarmbootError 'repository'. */
  async keep(files: ReadonlyMap<string, FileState>): Promise<void> {
    if (isDeepStrictEqual(new Map<string, unknown>(files), this.#states)) return;
    const draft = `${this.#path}.draft`;
    try {
      await writeFile(draft, `${JSON.stringify(Object.fromEntries(files), null, 2)}\n`);
      await rename(draft, this.#path);
    } catch (error) {
      throw new SwarmbootError(
        'repository',
        `cannot write ${this.#path} (${messageOf(error)}); give the folder to the user who serves`,
        { cause: error },
      );
    }
    this.#states.clear();
    for (const [file, state] of files) this.#states.set(file, state);
  }
}

/** What a JSON file holds; nothing when it is not there, or was cut off: then all is looked at as if for the first time. */
function readObject(path: string): object {
  try {
    const value: unknown = JSON.parse(fs.readFileSync(path, 'utf8'));
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}
