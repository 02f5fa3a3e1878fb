// Publishes a folder or a tarball: archive, judge, hash, torrent, catalog entry. The repository's own file puts them in
// place; what a node would refuse is refused here.

import { createReadStream, createWriteStream } from 'node:fs';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { type Duplex, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  type CatalogEntry,
  COMPRESSIONS,
  type Compression,
  ENTRY_NAME,
  KINDS,
  type Kind,
} from '../agent/core/catalog.ts';
import { assert, messageOf, SwarmbootError } from '../agent/core/errors.ts';
import { leavesPerPiece, MerkleTree } from '../agent/core/merkle.ts';
import { buildTorrent, isTrackerUrl, parseTorrent, pieceLengthFor } from '../agent/core/metainfo.ts';
import { formatBytes, hex, MIB } from '../agent/core/units.ts';
import { decrypted } from '../agent/io/decrypt.ts';
import { digests } from '../agent/io/digest.ts';
import { judgeTarball } from '../agent/io/extract.ts';
import { encrypted, Identity } from './agefile.ts';
import { archiveFolder, compressionOf, compressors, estimateBytes } from './archive.ts';
import { type Arguments, type Command, expectWords, type Terminal, usage } from './command.ts';
import { changed } from './manifest.ts';
import { Progress } from './progress.ts';
import { commitEntry, REPO_OPTION, readEntry, versionName, withRepository } from './repository.ts';

export const publish: Command = {
  name: 'publish',
  synopsis: 'NAME --from DIR|TARBALL --kind image|boel|override [options]',
  summary:
    'Makes an image, BOEL binaries or an override available to the nodes, or replaces what has that name.',
  options: [
    {
      name: 'from',
      kind: 'text',
      value: 'DIR|TARBALL',
      help: 'the tree, or a tarball that is taken as it is',
    },
    { name: 'kind', kind: 'text', value: KINDS.join('|'), help: 'what it is' },
    { name: 'compress', kind: 'text', value: COMPRESSIONS.join('|'), help: 'for a tree (default zstd)' },
    {
      name: 'announce',
      kind: 'list',
      value: 'URL',
      help: 'a tracker; the next ones are its stand-ins (default: the one of swarmboot serve)',
    },
    {
      name: 'encrypt',
      kind: 'flag',
      help: 'seal the tarball with a key of its own, which nodes get over TLS alone',
    },
    { name: 'json', kind: 'flag', help: 'print the catalog entry' },
    REPO_OPTION,
  ],
  run: async (args, terminal) => {
    const entry = await publishJob(await jobOf(args), terminal);
    terminal.out.write(args.flag('json') ? `${JSON.stringify(entry, null, 2)}\n` : factsOf(entry));
  },
};

/** What is to be published, and where. */
export interface Job {
  readonly repo: string;
  readonly name: string;
  readonly kind: Kind;
  readonly from: string;
  /** True when `from` is a tree. */
  readonly folder: boolean;
  readonly compression: Compression;
  readonly encrypt: boolean;
  /** Tracker URLs by tier. */
  readonly announce: readonly (readonly string[])[];
}

/**
 * Publishes it, in place of what had its name. Throws SwarmbootError 'usage' for a name that is none or is of another
 * kind, and what archiving, judging and the repository throw; then nothing has changed.
 */
export async function publishJob(job: Job, terminal: Terminal): Promise<CatalogEntry> {
  const { repo, name, kind } = job;
  if (!ENTRY_NAME.test(name)) {
    throw usage(
      `"${name}" is no name; use letters, digits and ". _ -", 128 at most, a letter or digit first`,
    );
  }
  const before = await readEntry(repo, name);
  if (before !== null && before.kind !== kind) {
    throw usage(`"${name}" is published as ${before.kind}; remove it first, or choose another name`);
  }
  const entry = await withRepository(repo, (folder) => publishIn(folder, job, terminal));
  await changed(repo, (line) => terminal.err.write(`${line}\n`));
  return entry;
}

async function jobOf(args: Arguments): Promise<Job> {
  const [name] = expectWords(args, 'NAME');
  const from = args.text('from');
  if (from === undefined) throw usage('--from DIR|TARBALL is missing');
  const kind = KINDS.find((word) => word === args.text('kind'));
  if (kind === undefined) throw usage(`--kind must be one of: ${KINDS.join(', ')}`);
  const asked = args.text('compress');
  const compression = COMPRESSIONS.find((word) => word === (asked ?? 'zstd'));
  if (compression === undefined) throw usage(`--compress must be one of: ${COMPRESSIONS.join(', ')}`);
  for (const url of args.list('announce')) {
    if (!isTrackerUrl(url))
      throw usage(`--announce ${url} is no tracker URL; write http://HOST:6969/announce or udp://...`);
  }
  const repo = path.resolve(args.text('repo')!);
  const stat = await fs.stat(from).catch((error) => {
    throw new SwarmbootError(
      'missing',
      `cannot read ${from} (${messageOf(error)}); give an existing --from`,
      { cause: error },
    );
  });
  const folder = stat.isDirectory();
  if (!folder && asked !== undefined)
    throw usage('--compress is for a tree; a tarball is published as it is');
  if (folder && isWithin(repo, await fs.realpath(from))) {
    throw usage(`the repository ${repo} lies inside ${from}; choose another --repo`);
  }
  return {
    repo,
    name,
    kind,
    from,
    folder,
    compression: folder ? compression : compressionOf(from),
    encrypt: args.flag('encrypt'),
    announce: args.list('announce').map((url) => [url]),
  };
}

function isWithin(inner: string, outer: string): boolean {
  return inner === outer || inner.startsWith(outer.endsWith('/') ? outer : `${outer}/`);
}

/** What was published, in a line for people. */
export function factsOf(entry: CatalogEntry): string {
  const { kind, name, entryCount, unpackedSize, size, compression, encryption } = entry;
  const sealed = encryption === null ? '' : ', encrypted,';
  return `published ${kind} ${name}: ${entryCount} members, ${formatBytes(unpackedSize)} unpacked, ${formatBytes(size)} ${compression}${sealed} to distribute\n`;
}

async function publishIn(folder: string, job: Job, terminal: Terminal): Promise<CatalogEntry> {
  const tarball = path.join(folder, 'tarball');
  const identity = job.encrypt ? Identity.make() : null;
  const sealed = identity?.begin() ?? null;
  const stages: Stage[] = sealed === null ? [] : [(plain) => encrypted(plain, sealed)];
  await (job.folder ? archiveInto(tarball, job, stages, terminal) : copyInto(tarball, job, stages, terminal));
  const { name, kind, compression } = job;
  const { size } = await fs.stat(tarball);
  const pieceLength = pieceLengthFor(size);
  const pieces = new PieceHashes(size, pieceLength);
  const progress = new Progress(terminal.err, `checking ${name}`, size);
  // One reading opens and judges as a node will, and hashes what travels.
  const { sha256, entries, unpackedBytes } = await judgeTarball(
    {
      source: pieces.of(tarball),
      compression,
      expected: null,
      ...(sealed !== null && { decrypt: (source) => decrypted(source, sealed.key) }),
      onProgress: (bytes) => progress.update(bytes),
    },
    terminal.signal,
  ).finally(() => sealed?.key.erase());
  progress.end();
  const suffix = { zstd: '.zst', gzip: '.gz', none: '' }[compression];
  const file = `${versionName({ kind, name, sha256 })}.tar${suffix}${sealed === null ? '' : '.age'}`;
  const torrent = buildTorrent(
    {
      name: file,
      length: size,
      pieceLength,
      piecesV1: pieces.v1,
      piecesV2: pieces.v2,
      announce: job.announce,
    },
    digests,
  );
  const { infoHashV1, infoHashV2 } = parseTorrent(torrent, digests);
  const entry: CatalogEntry = {
    name,
    kind,
    file,
    compression,
    encryption: sealed === null ? null : 'age',
    size,
    unpackedSize: unpackedBytes,
    entryCount: entries,
    sha256,
    pieceLength,
    infoHash: hex(infoHashV1!),
    infoHashV2: hex(infoHashV2!),
  };
  await commitEntry(job.repo, folder, entry, tarball, torrent, identity?.format() ?? null);
  return entry;
}

/** What the bytes of a tarball go through on their way into the file. */
type Stage = (source: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>;

async function archiveInto(
  tarball: string,
  job: Job,
  stages: readonly Stage[],
  { err, signal }: Terminal,
): Promise<void> {
  const progress = new Progress(err, `archiving ${job.name}`, estimateBytes(job.from));
  const archive = archiveFolder(job.from, job.kind, signal, (line) => err.write(`${line}\n`));
  await fill(tarball, archive, progress, [...compressors(job.compression), ...stages], signal);
}

async function copyInto(
  tarball: string,
  job: Job,
  stages: readonly Stage[],
  { err, signal }: Terminal,
): Promise<void> {
  const progress = new Progress(err, `copying ${job.name}`, (await fs.stat(job.from)).size);
  await fill(tarball, createReadStream(job.from, { highWaterMark: MIB }), progress, stages, signal);
}

async function fill(
  file: string,
  source: AsyncIterable<Uint8Array>,
  progress: Progress,
  stages: readonly (Duplex | Stage)[],
  signal: AbortSignal,
): Promise<void> {
  const counted = async function* () {
    let bytes = 0;
    for await (const chunk of source) {
      bytes += chunk.length;
      progress.update(bytes);
      yield chunk;
    }
  };
  try {
    await pipeline([Readable.from(counted(), { objectMode: false }), ...stages, createWriteStream(file)], {
      signal,
    });
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof SwarmbootError) throw error;
    const what = `cannot fill ${file} (${messageOf(error)}); check --from and the space left`;
    throw new SwarmbootError('repository', what, { cause: error });
  }
  progress.end();
}

/** The hashes of both torrent versions (BEP 3, BEP 52), taken while a file is read. */
class PieceHashes {
  readonly v1: Uint8Array;
  readonly v2: Uint8Array;
  readonly #size: number;
  readonly #pieceLength: number;

  constructor(size: number, pieceLength: number) {
    this.#size = size;
    this.#pieceLength = pieceLength;
    this.v1 = new Uint8Array(Math.ceil(size / pieceLength) * 20);
    this.v2 = new Uint8Array(Math.ceil(size / pieceLength) * 32);
  }

  /** The bytes of `file`, piece by piece. */
  async *of(file: string): AsyncGenerator<Uint8Array> {
    const leaves = leavesPerPiece(this.#size, this.#pieceLength);
    const tree = new MerkleTree(digests, leaves);
    const handle = await fs.open(file);
    try {
      for (let piece = 0, at = 0; at < this.#size; piece++) {
        const bytes = Buffer.allocUnsafe(Math.min(this.#pieceLength, this.#size - at));
        for (let filled = 0; filled < bytes.length; ) {
          const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, at + filled);
          assert(bytesRead > 0, 'nobody else writes to a tarball in the making');
          filled += bytesRead;
        }
        this.v1.set(digests.sha1(bytes), piece * 20);
        this.v2.set(tree.ofData(bytes, leaves), piece * 32);
        at += bytes.length;
        yield bytes;
      }
    } finally {
      await handle.close();
    }
  }
}
