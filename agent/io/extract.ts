// From the bytes of a tarball to a writer: decompress, read by tar-stream, judge every header before a byte of its
// member goes on. Who writes the tree is tree.ts.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { extract as createReader, type ExtractEvents, type Header } from 'tar-stream';
import { BOUNDS } from '../core/bounds.ts';
import type { Compression } from '../core/catalog.ts';
import { messageOf, SwarmbootError } from '../core/errors.ts';
import { type FileSink, Judge, type MemberSink, type TreeWriter } from '../core/judge.ts';
import { StoredMap } from '../core/sparsemap.ts';
import { HEADERS_BYTES_MAX, type Member, quoted, RECORD_BYTES, readMember } from '../core/tarhead.ts';
import { KIB } from '../core/units.ts';

/** What the catalog says of a tarball; the agent refuses what does not match. */
export interface ExpectedTarball {
  readonly size: number;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly unpackedSize: number;
  readonly entryCount: number;
}

export interface Tarball {
  /** The compressed bytes in order, perhaps while they still arrive. The chunks are not to be used again. */
  readonly source: AsyncIterable<Uint8Array>;
  readonly compression: Compression;
  /** What opens an encrypted tarball, in front of everything else. */
  readonly decrypt?: (source: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>;
  /** Null when nothing is known: then only the archive's own form is checked. */
  readonly expected: ExpectedTarball | null;
  /** Called now and then with the bytes of the tarball used so far, and what came out of them and was written. */
  readonly onProgress?: (sourceBytes: number, writtenBytes: number) => void;
}

export interface JudgeResult {
  readonly entries: number;
  readonly unpackedBytes: number;
  /** Of the tarball, lower-case hex. */
  readonly sha256: string;
}

export interface ExtractResult extends JudgeResult {
  /** What could not be kept, one line each. */
  readonly notes: readonly string[];
}

/** Node's own default of 16 KiB costs a turn of the event loop far too often. */
const CHUNK_BYTES = 128 * KIB;
/** What may follow the end-of-archive records: the rest of the largest tape record, and no bomb of zeros. */
const PADDING_BYTES_MAX = BOUNDS.paddingBytes;

/**
 * Unpacks a tarball by `writer`, which this call starts and ends. Throws SwarmbootError `archive` when the tarball is
 * at fault, `extract` when writing is, and the signal's reason; what was written until then stays, and is not whole.
 */
export async function extract(
  tarball: Tarball,
  writer: TreeWriter,
  signal: AbortSignal,
): Promise<ExtractResult> {
  try {
    const result = await run(tarball, writer, signal);
    return { ...result, notes: await writer.finish() };
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

/** Reads a whole tarball as `extract` would into an empty target, and writes nothing. Throws as `extract` does. */
export async function judgeTarball(tarball: Tarball, signal: AbortSignal): Promise<JudgeResult> {
  const nowhere: MemberSink = {
    readlink: () => null,
    isFolder: () => false,
    take: () => true,
    write: async () => {},
  };
  return run(tarball, nowhere, signal);
}

async function run(tarball: Tarball, writer: MemberSink, signal: AbortSignal): Promise<JudgeResult> {
  const { expected } = tarball;
  const judge = new Judge(writer, {
    entries: expected?.entryCount ?? Number.POSITIVE_INFINITY,
    unpackedBytes: expected?.unpackedSize ?? Number.POSITIVE_INFINITY,
  });
  const hash = createHash('sha256');
  const gate = new Gate(judge, writer);
  let [takenBytes, writtenBytes] = [0, 0];
  const source = counted(tarball, hash, (bytes) => {
    takenBytes = bytes;
    tarball.onProgress?.(takenBytes, writtenBytes);
  });
  try {
    const packed = tarball.decrypt?.(source) ?? source;
    for await (const chunk of decompressed(packed, tarball.compression, signal)) {
      for (const part of await gate.feed(chunk)) {
        await writer.write(part);
        writtenBytes += part.length;
      }
      signal.throwIfAborted();
    }
    tarball.onProgress?.(takenBytes, writtenBytes);
    gate.finish();
  } finally {
    gate.close();
  }
  const sha256 = hash.digest('hex');
  if (expected !== null && sha256 !== expected.sha256) {
    throw fault(`the tarball's SHA-256 is ${sha256}, the catalog says ${expected.sha256}`);
  }
  judge.finish();
  return { entries: judge.entries, unpackedBytes: judge.unpackedBytes, sha256 };
}

function fault(what: string, cause?: unknown): SwarmbootError {
  return new SwarmbootError('archive', `${what}; publish the archive again`, { cause });
}

/** Passes the source on, hashed, and holds it to the size that the catalog says. */
async function* counted(
  tarball: Tarball,
  hash: ReturnType<typeof createHash>,
  onTaken: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  const size = tarball.expected?.size;
  let bytes = 0;
  for await (const chunk of tarball.source) {
    bytes += chunk.length;
    if (size !== undefined && bytes > size)
      throw fault(`the tarball is longer than the catalog's ${size} bytes`);
    hash.update(chunk);
    yield chunk;
    onTaken(bytes);
  }
  if (size !== undefined && bytes < size) throw fault(`the tarball ends after ${bytes} of ${size} bytes`);
}

/** Decompresses the whole source; bytes that belong to no frame are refused, where zlib would ignore them. */
async function* decompressed(
  source: AsyncIterable<Uint8Array>,
  compression: Compression,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  if (compression === 'none') return yield* source;
  const inflater =
    compression === 'zstd'
      ? createZstdDecompress({ chunkSize: CHUNK_BYTES })
      : createGunzip({ chunkSize: CHUNK_BYTES });
  let fed = 0;
  const feeding = pipeline(
    source,
    async function* (chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        fed += chunk.length;
        yield chunk;
      }
    },
    inflater,
    { signal },
  );
  // Handled where it is awaited below; reading the inflater throws the same error first.
  feeding.catch(() => {});
  try {
    yield* inflater as AsyncIterable<Uint8Array>;
    await feeding;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof SwarmbootError) throw error;
    // The inflater closed its input early: the case below.
    if (!inflater.readableEnded)
      throw fault(`the ${compression} data are damaged: ${messageOf(error)}`, error);
  }
  if (inflater.bytesWritten !== fed) throw fault(`garbage follows the ${compression} data`);
}

/** A high water mark of zero answers every write by a drain, once the chunk has been used up. */
const READER_OPTIONS = { highWaterMark: 0, filenameEncoding: 'latin1' };

/**
 * Stands before the writer: tar-stream reads every chunk first, and only bytes of members that were read the same by
 * tarhead.ts and admitted by the judge come out.
 */
class Gate {
  readonly #judge: Judge;
  readonly #writer: MemberSink;
  readonly #reader = createReader(READER_OPTIONS);
  /** Bytes fed so far. */
  #position = 0;
  /** Where the content of the last member ends, padding included: the next headers start there. */
  #memberEnd = 0;
  /** Where the content of the last member starts, and the sparse map that it starts with, if there is one. */
  #contentStart = 0;
  #map: StoredMap | null = null;
  #wanted = true;
  /** The chunk in work, with what was held in front of it; it starts at `#base` of the archive. */
  #window: Uint8Array = new Uint8Array(0);
  #base = 0;
  /** Start of a member's headers whose rest is still to come. */
  #held: Uint8Array = new Uint8Array(0);
  /** Up to here the window has been sorted into `#parts` or dropped. */
  #sorted = 0;
  #parts: Uint8Array[] = [];
  #ended = false;
  #failure: unknown = null;

  constructor(judge: Judge, writer: MemberSink) {
    this.#judge = judge;
    this.#writer = writer;
    this.#reader.on('error', (error) => {
      this.#failure = error;
    });
    this.#reader.on('entry', (header: Header, content: Source, next) => {
      // A refusal ends the member's own stream too; it is the reader's error that is heard.
      content.on('error', () => {});
      try {
        const taken = this.#admit(header as PlacedHeaders);
        if (typeof taken === 'boolean') {
          this.#wanted = taken;
          content.resume();
          next();
        } else {
          pour(content, taken, next);
        }
      } catch (error) {
        next(asError(error));
      }
    });
  }

  /** Judges what is whole in `held + chunk` and returns the bytes that may go on. */
  async feed(chunk: Uint8Array): Promise<readonly Uint8Array[]> {
    this.#base = this.#sorted = this.#position - this.#held.length;
    this.#window = this.#held.length > 0 ? Buffer.concat([this.#held, chunk]) : chunk;
    this.#position += chunk.length;
    this.#parts = [];
    if (!this.#ended) await this.#read(chunk);
    this.#sortUntil(Math.min(this.#memberEnd, this.#position));
    const rest = this.#rest();
    if (this.#ended || this.#atEnd()) {
      this.#end(rest);
    } else {
      if (rest.length > HEADERS_BYTES_MAX + 8 * RECORD_BYTES) throw this.#fault('headers of more than 1 MiB');
      this.#held = new Uint8Array(rest);
    }
    return this.#parts;
  }

  /** What follows the last member in the window. */
  #rest(): Uint8Array {
    return this.#window.subarray(Math.max(this.#memberEnd - this.#base, 0));
  }

  /** True when a zero record follows the last member. */
  #atEnd(): boolean {
    const record = this.#rest().subarray(0, RECORD_BYTES);
    return record.length === RECORD_BYTES && isZero(record);
  }

  /** Throws unless the archive is whole: members to their last byte, then the two zero records of POSIX. */
  finish(): void {
    const paddingBytes = this.#position - this.#memberEnd;
    if (!this.#ended || paddingBytes < 2 * RECORD_BYTES) throw this.#fault('the archive ends too early');
    if (paddingBytes % RECORD_BYTES !== 0) throw this.#fault('a broken record follows the archive');
  }

  close(): void {
    this.#reader.destroy();
  }

  async #read(chunk: Uint8Array): Promise<void> {
    try {
      if (this.#failure !== null) throw this.#failure;
      const drained = once(this.#reader, 'drain');
      this.#reader.write(chunk);
      await drained;
    } catch (error) {
      if (error instanceof SwarmbootError) throw error;
      if (this.#atEnd()) throw this.#fault('garbage follows the end of the archive', error);
      if (/unknown format/.test(messageOf(error)))
        throw this.#fault(
          'a header of neither POSIX nor GNU tar (format v7, or the label of a volume?)',
          error,
        );
      throw this.#fault(`no tar header is where one should be (${messageOf(error)})`, error);
    }
  }

  /** Called by tar-stream for each member, while it reads the chunk. */
  #admit(header: PlacedHeaders): boolean | FileSink {
    const start = this.#memberEnd;
    const member = readMember(this.#window.subarray(start - this.#base, header.byteOffset - this.#base));
    if (!sameReading(member, header)) {
      throw this.#fault(`the headers of ${quoted(member.name)} can be read in two ways`);
    }
    this.#judge.admit(member);
    this.#sortUntil(start);
    this.#contentStart = header.byteOffset;
    this.#memberEnd = header.byteOffset + Math.ceil(member.storedBytes / RECORD_BYTES) * RECORD_BYTES;
    this.#map = member.mapStored
      ? new StoredMap(member.storedBytes, member.fileBytes, HEADERS_BYTES_MAX, (what) =>
          this.#fault(`member ${quoted(member.name)}: ${what}`),
        )
      : null;
    return this.#writer.take(member);
  }

  /** Sorts the window up to `end` into the parts, when the member that it belongs to is wanted. */
  #sortUntil(end: number): void {
    if (end <= this.#sorted) return;
    this.#readMap(end);
    if (this.#wanted) this.#pass(this.#window.subarray(this.#sorted - this.#base, end - this.#base));
    this.#sorted = end;
  }

  /** Reads what the window holds of the map up to `end`, before any of it goes on. */
  #readMap(end: number): void {
    if (this.#map === null) return;
    const from = Math.max(this.#sorted, this.#contentStart);
    if (end > from) this.#map.take(this.#window.subarray(from - this.#base, end - this.#base));
    if (end >= this.#memberEnd) this.#map.end();
  }

  /** Bytes that follow those before them go on with them: one write for many small members. */
  #pass(bytes: Uint8Array): void {
    const last = this.#parts.at(-1);
    if (last === undefined || last.byteOffset + last.length !== bytes.byteOffset) this.#parts.push(bytes);
    else {
      const from = last.byteOffset - this.#window.byteOffset;
      this.#parts.splice(-1, 1, this.#window.subarray(from, from + last.length + bytes.length));
    }
  }

  #end(rest: Uint8Array): void {
    if (!isZero(rest)) throw this.#fault('garbage follows the end of the archive');
    if (this.#position - this.#memberEnd > PADDING_BYTES_MAX)
      throw this.#fault('zeros without end follow the archive');
    this.#ended = true;
    this.#held = new Uint8Array(0);
    // No more than ends the archive: GNU tar reads no further, and is gone when more is written.
    const passed = this.#sorted - this.#memberEnd;
    this.#pass(rest.subarray(0, Math.max(2 * RECORD_BYTES - passed, 0)));
  }

  #fault(what: string, cause?: unknown): SwarmbootError {
    return fault(`${what}, near byte ${this.#memberEnd} of the archive`, cause);
  }
}

type Source = ExtractEvents['entry'][1];
type Next = ExtractEvents['entry'][2];

/** The header as tar-stream gives it; its types leave out where in the archive the content starts. */
type PlacedHeaders = Header & { readonly byteOffset: number };

/** Gives a member's content to its sink; tar-stream goes on when the last byte is there. */
function pour(content: Source, sink: FileSink, next: Next): void {
  content.on('data', (bytes) => {
    try {
      sink.data(bytes as Uint8Array);
    } catch (error) {
      next(asError(error));
    }
  });
  content.on('end', () => {
    try {
      sink.end();
      next();
    } catch (error) {
      next(asError(error));
    }
  });
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/** True when tar-stream's view of a member is ours. It decodes names in pax headers as UTF-8, whatever they hold. */
function sameReading(member: Member, header: Header): boolean {
  const same = (ours: string, theirs: string) =>
    ours === theirs || Buffer.from(ours, 'latin1').toString() === theirs;
  const types: Readonly<Record<string, string>> = { link: 'hardlink', 'contiguous-file': 'file' };
  return (
    member.type === (types[header.type ?? ''] ?? header.type) &&
    member.storedBytes === header.size &&
    same(member.plainName, header.name) &&
    (member.linkName === '' || same(member.linkName, header.linkname ?? ''))
  );
}
