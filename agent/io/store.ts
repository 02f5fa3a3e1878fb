// The content of one torrent on disk: made and reserved, or opened; written by piece, checked, read as framed blocks for
// peers, and read from the front for extraction, through the same descriptors from the first byte to the last.

import {
  closeSync,
  constants,
  fstatSync,
  fsync,
  ftruncateSync,
  mkdirSync,
  openSync,
  read as readAsync,
  readSync,
  readvSync,
  renameSync,
  rmSync,
  statfsSync,
  write as writeAsync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { Bitfield } from '../core/bitfield.ts';
import { assert, messageOf, SwarmbootError } from '../core/errors.ts';
import { FramePool } from '../core/frames.ts';
import { isOneFile, pieceTree, type Span, spansOf } from '../core/layout.ts';
import { leavesPerPiece, MerkleTree } from '../core/merkle.ts';
import type { Frame, StorePort } from '../core/ports.ts';
import { type Hashes, pieceSize, type Torrent } from '../core/torrent.ts';
import { BLOCK_BYTES, formatBytes, MIB } from '../core/units.ts';

type Mode = 'create' | 'resume' | 'seed';

export interface StoreOptions {
  /** The file of a torrent of one file; else the folder that holds its files. */
  readonly path: string;
  /**
   * `create`: new content, readable by its owner alone; fails when `path` is there already.
   * `resume`: keeps what is there, makes what is not; every piece found is checked.
   * `seed`: finished content, read only and taken at its word.
   */
  readonly mode: Mode;
  readonly hashes: Hashes;
}

const CHUNK_BYTES = MIB;
/** A chunk of `source` stays untouched until this many later ones have been asked for. */
const CHUNK_LIFETIME = 3;
/** File systems whose writes only copy to memory, by statfs type: there the call itself is cheaper than a thread. */
const MEMORY_FILE_SYSTEMS = new Set([0x01021994 /* tmpfs */, 0x858458f6 /* ramfs */]);

const CUT_SHORT = 'the file has become shorter';

const readInto = promisify(readAsync);
const writeFrom = promisify(writeAsync);
const flush = promisify(fsync);

/**
 * Opens the content of `torrent`. For `resume`, `have` of the result names the pieces that are good.
 * Throws SwarmbootError('staging') when the place is taken, too small, or not readable; what it made is removed again.
 */
export async function openStore(
  torrent: Torrent,
  options: StoreOptions,
  signal?: AbortSignal,
): Promise<Store> {
  const { path, mode } = options;
  let store: Store | null = null;
  try {
    if (mode !== 'seed') {
      mkdirSync(dirname(path), { recursive: true, mode: mode === 'create' ? 0o700 : 0o777 });
    }
    const files = openFiles(torrent, path, mode);
    store = new Store(torrent, options, files);
    reserve(torrent, path, files, mode);
    if (mode === 'resume' && files.some((file) => !file.fresh)) await store.check(signal);
    return store;
  } catch (error) {
    if (mode === 'create') await store?.discard();
    else await store?.close();
    throw error instanceof SwarmbootError || signal?.aborted ? error : placeError(torrent, path, error);
  }
}

export class Store implements StorePort {
  readonly torrent: Torrent;
  /** The pieces that were good when the store was opened. */
  readonly have: Bitfield;
  /** True when writes are done at once, before `write` returns. */
  readonly inMemory: boolean;
  /** Where its content is; `finish` moves it. */
  path: string;
  /** Descriptor by index of `torrent.files`; -1 for pad files and empty ones. */
  readonly #fds: number[];
  /** The one descriptor when all content lies in one file, so that no span has to be looked up; else -1. */
  readonly #onlyFd: number;
  readonly #hashes: Hashes;
  readonly #tree: MerkleTree;
  readonly #frames = new FramePool();
  #underWay = 0;
  #whenIdle: (() => void) | null = null;

  /** For `openStore` alone. */
  constructor(torrent: Torrent, { path, mode, hashes }: StoreOptions, files: readonly ContentFile[]) {
    this.torrent = torrent;
    this.have = mode === 'seed' ? Bitfield.full(torrent.pieceCount) : new Bitfield(torrent.pieceCount);
    this.inMemory = MEMORY_FILE_SYSTEMS.has(statfsSync(path).type);
    this.path = path;
    this.#fds = files.map((file) => file.fd);
    this.#onlyFd = torrent.files.length === 1 ? this.#fds[0]! : -1;
    this.#hashes = hashes;
    this.#tree = new MerkleTree(hashes, leavesPerPiece(torrent.pieceLength, torrent.pieceLength));
  }

  write(piece: number, bytes: Uint8Array, done: (error: Error | null) => void): void {
    assert(bytes.length === pieceSize(this.torrent, piece), 'a whole piece is written');
    const spans = spansOf(this.torrent, piece * this.torrent.pieceLength, bytes.length);
    if (this.inMemory) done(this.#writeNow(spans, bytes));
    else void this.#writeLater(spans, bytes).then(done);
  }

  verify(piece: number, bytes: Uint8Array): boolean {
    const { piecesV1, piecesV2 } = this.torrent;
    if (piecesV2 !== null) {
      const { bytes: length, leaves } = pieceTree(this.torrent, piece);
      const root = this.#tree.ofData(bytes.subarray(0, length), leaves);
      return Buffer.compare(root, piecesV2.subarray(piece * 32, piece * 32 + 32)) === 0;
    }
    assert(piecesV1 !== null, 'a torrent that is downloaded has piece hashes');
    return Buffer.compare(this.#hashes.sha1(bytes), piecesV1.subarray(piece * 20, piece * 20 + 20)) === 0;
  }

  read(piece: number, begin: number, length: number): Frame | null {
    assert(begin % BLOCK_BYTES === 0 && begin + length <= pieceSize(this.torrent, piece), 'blocks are read');
    const frame = this.#frames.take(length);
    if (frame === null) return null;
    try {
      this.#fill(frame.lay(piece, begin, length), piece * this.torrent.pieceLength + begin, length);
      return frame;
    } catch (error) {
      frame.release();
      throw this.#readError(error);
    }
  }

  /**
   * The content of a torrent of one file from byte 0 to the end, in chunks of 1 MiB (the last one shorter), each read
   * once `front` says that its bytes are verified and written. A chunk stays untouched until three later ones have
   * been asked for: a consumer may hold as many in its pipe, or must copy. Throws SwarmbootError('staging') when the
   * file cannot be read, and what `front` throws.
   */
  async *source(
    front: (bytes: number, signal: AbortSignal) => Promise<void>,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    assert(isOneFile(this.torrent), 'the source of a torrent of one file is read');
    const buffers = Array.from({ length: CHUNK_LIFETIME + 1 }, () => Buffer.allocUnsafeSlow(CHUNK_BYTES));
    for (let at = 0, turn = 0; at < this.torrent.length; turn++) {
      const length = Math.min(CHUNK_BYTES, this.torrent.length - at);
      await front(at + length, signal);
      signal.throwIfAborted();
      const chunk = buffers[turn % buffers.length]!.subarray(0, length);
      await this.#readAll(this.#onlyFd, chunk, at);
      yield chunk;
      at += length;
    }
  }

  /** Makes finished content last: flushed to the device and moved to `path` as a whole. The store goes on serving it. */
  async finish(path: string): Promise<void> {
    try {
      for (const fd of this.#fds) if (fd >= 0) await flush(fd);
      renameSync(this.path, path);
      this.path = path;
      const folder = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
      await flush(folder).finally(() => closeSync(folder));
    } catch (error) {
      throw placeError(this.torrent, path, error);
    }
  }

  /** Waits for reads and writes under way, then closes the files. */
  async close(): Promise<void> {
    if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    for (const [index, fd] of this.#fds.entries()) {
      if (fd >= 0) closeSync(fd);
      this.#fds[index] = -1;
    }
  }

  /** Closes, and removes the content: for what `create` made, which is nobody else's. */
  async discard(): Promise<void> {
    await this.close();
    rmSync(this.path, { recursive: true, force: true });
  }

  /** Reads and hashes every piece, and sets those that are good in `have`. For `openStore`. */
  async check(signal?: AbortSignal): Promise<void> {
    const { torrent } = this;
    const buffer = Buffer.allocUnsafeSlow(torrent.pieceLength);
    for (let piece = 0; piece < torrent.pieceCount; piece++) {
      signal?.throwIfAborted();
      const bytes = buffer.subarray(0, pieceSize(torrent, piece));
      let at = 0;
      for (const span of spansOf(torrent, piece * torrent.pieceLength, bytes.length)) {
        const part = bytes.subarray(at, at + span.length);
        if (span.file < 0) part.fill(0);
        else await this.#readAll(this.#fds[span.file]!, part, span.position);
        at += span.length;
      }
      if (this.verify(piece, bytes)) this.have.set(piece);
    }
  }

  /** Reads `length` bytes of the piece space from `offset` into block slots that lie apart. */
  #fill(slots: readonly Uint8Array[], offset: number, length: number): void {
    if (this.#onlyFd >= 0) {
      if (readvSync(this.#onlyFd, slots, offset) !== length) throw new Error(CUT_SHORT);
      return;
    }
    for (let index = 0, at = offset; index < slots.length; index++) {
      const slot = slots[index]!;
      let filled = 0;
      for (const span of spansOf(this.torrent, at, slot.length)) {
        if (span.file < 0) slot.fill(0, filled, filled + span.length);
        else if (readSync(this.#fds[span.file]!, slot, filled, span.length, span.position) !== span.length) {
          throw new Error(CUT_SHORT);
        }
        filled += span.length;
      }
      at += slot.length;
    }
  }

  #writeNow(spans: readonly Span[], bytes: Uint8Array): SwarmbootError | null {
    try {
      let at = 0;
      for (const { file, position, length } of spans) {
        for (let done = 0; file >= 0 && done < length; ) {
          done += writeSync(this.#fds[file]!, bytes, at + done, length - done, position + done);
        }
        at += length;
      }
      return null;
    } catch (error) {
      return this.#writeError(error);
    }
  }

  /** The same on Node's threads, so that a slow disk does not stall the loop. */
  async #writeLater(spans: readonly Span[], bytes: Uint8Array): Promise<SwarmbootError | null> {
    this.#underWay++;
    try {
      let at = 0;
      for (const { file, position, length } of spans) {
        for (let done = 0; file >= 0 && done < length; ) {
          done += (await writeFrom(this.#fds[file]!, bytes, at + done, length - done, position + done))
            .bytesWritten;
        }
        at += length;
      }
      return null;
    } catch (error) {
      return this.#writeError(error);
    } finally {
      this.#end();
    }
  }

  /** Fills `target` from `position` on without stalling the loop. */
  async #readAll(fd: number, target: Uint8Array, position: number): Promise<void> {
    this.#underWay++;
    try {
      for (let at = 0; at < target.length; ) {
        const { bytesRead } = await readInto(fd, target, at, target.length - at, position + at);
        if (bytesRead === 0) throw new Error(CUT_SHORT);
        at += bytesRead;
      }
    } catch (error) {
      throw this.#readError(error);
    } finally {
      this.#end();
    }
  }

  #end(): void {
    if (--this.#underWay === 0) this.#whenIdle?.();
  }

  #writeError(cause: unknown): SwarmbootError {
    const reason = hasCode(cause, 'ENOSPC', 'EDQUOT') ? 'is full' : `cannot be written (${messageOf(cause)})`;
    const message = `${dirname(this.path)} ${reason}, so "${this.torrent.name}" cannot be completed there; `;
    return new SwarmbootError('staging', `${message}free room or choose another place`, { cause });
  }

  #readError(cause: unknown): SwarmbootError {
    const message = `cannot read ${this.path} (${messageOf(cause)}); start again with a sound copy`;
    return new SwarmbootError('staging', message, { cause });
  }
}

interface ContentFile {
  readonly fd: number;
  /** Made just now, so that nothing in it needs a check. */
  readonly fresh: boolean;
}

/** Opens or makes every file that holds bytes, and makes the empty ones. Closes and removes what it made on failure. */
function openFiles(torrent: Torrent, path: string, mode: Mode): ContentFile[] {
  if (isOneFile(torrent)) return [openFile(path, mode)];
  if (mode !== 'seed')
    mkdirSync(path, { recursive: mode === 'resume', mode: mode === 'create' ? 0o700 : 0o777 });
  const root = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  const files: ContentFile[] = [];
  try {
    for (const { path: names, length, pad } of torrent.files) {
      if (pad) files.push({ fd: -1, fresh: true });
      else files.push(openBelow(root, names, length, mode));
    }
    return files;
  } catch (error) {
    for (const { fd } of files) if (fd >= 0) closeSync(fd);
    if (mode === 'create') rmSync(path, { recursive: true, force: true });
    throw error;
  } finally {
    closeSync(root);
  }
}

/** Opens the file `names` below the folder `root`, one folder at a time: a link in the way is an error, not a way out. */
function openBelow(root: number, names: readonly string[], length: number, mode: Mode): ContentFile {
  let folder = root;
  try {
    for (const name of names.slice(0, -1)) {
      const path = `/proc/self/fd/${folder}/${name}`;
      if (mode !== 'seed') mkdirSync(path, { recursive: true });
      const next = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
      if (folder !== root) closeSync(folder);
      folder = next;
    }
    const file = openFile(`/proc/self/fd/${folder}/${names.at(-1)}`, mode);
    if (length > 0) return file;
    closeSync(file.fd);
    return { fd: -1, fresh: true };
  } catch (error) {
    throw new Error(`"${names.join('/')}": ${messageOf(error)}`, { cause: error });
  } finally {
    if (folder !== root) closeSync(folder);
  }
}

function openFile(path: string, mode: Mode): ContentFile {
  const access = mode === 'seed' ? constants.O_RDONLY | constants.O_NONBLOCK : constants.O_RDWR;
  if (mode !== 'seed') {
    try {
      const flags = access | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
      return { fd: openSync(path, flags, mode === 'create' ? 0o600 : 0o666), fresh: true };
    } catch (error) {
      if (mode === 'create' || !hasCode(error, 'EEXIST')) throw error;
    }
  }
  const fd = openSync(path, access | constants.O_NOFOLLOW);
  if (fstatSync(fd).isFile()) return { fd, fresh: false };
  closeSync(fd);
  throw new Error('it is not a regular file');
}

/** Gives every file its full size, if the file system has room for what is not there yet. For `seed` only compares. */
function reserve(torrent: Torrent, path: string, files: readonly ContentFile[], mode: Mode): void {
  let missing = 0;
  for (const [index, { fd }] of files.entries()) {
    if (fd < 0) continue;
    const { size, blocks } = fstatSync(fd);
    const { length, path: names } = torrent.files[index]!;
    if (mode === 'seed' ? size !== length : size > length) {
      throw new Error(`"${names.join('/')}" has ${size} bytes there, and ${length} in the torrent`);
    }
    missing += Math.max(0, length - blocks * 512);
  }
  if (mode === 'seed') return;
  const room = statfsSync(path);
  // ramfs counts nothing: its only bound is memory, which the choice of the staging pool has looked at.
  const free = room.blocks === 0 ? Infinity : room.bavail * room.bsize;
  if (free < missing) {
    const lack = formatBytes(missing - free);
    throw new Error(`${formatBytes(missing)} are needed and ${formatBytes(free)} are free, ${lack} too few`);
  }
  for (const [index, { fd }] of files.entries()) if (fd >= 0) ftruncateSync(fd, torrent.files[index]!.length);
}

function hasCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.some((code) => code === error.code);
}

function placeError(torrent: Torrent, path: string, cause: unknown): SwarmbootError {
  const message = `no place for "${torrent.name}" at ${path}: ${messageOf(cause)}; free it, or choose another place`;
  return new SwarmbootError('staging', message, { cause });
}
