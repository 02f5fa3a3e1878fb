// Builds what a node boots: `kernel`, `initrd.img` and `initrd.json`, which says what takes how much. An initrd is one
// archive per part, each compressed by itself and padded to a multiple of 4: the kernel unpacks one after another. So a
// part that is as it was is taken over from the initrd before, and the same inputs give the same bytes.

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress } from 'node:zlib';
import { cpioArchive, type Member } from './cpio.ts';
import { BuildError } from './errors.ts';
import { chooseModules, findKernel } from './modules.ts';
import { assembleTree, PARTS, type Part, type TreeOptions } from './tree.ts';

/** zstd's level for nodes: each of them downloads the initrd from one server. It takes a minute or two. */
export const RELEASE_LEVEL = 19;

const SKELETON = join(import.meta.dirname, 'skel');
const CHUNK_BYTES = 1024 * 1024;
/** What changes the packed bytes of the same archive; another packer's are not taken over. */
const PACKER = `zstd ${process.versions.zstd}`;

export interface BuildOptions extends Omit<TreeOptions, 'skeleton' | 'kernelVersion' | 'modules'> {
  /** As for `findKernel`. */
  readonly kernel: string | null;
  /** As for `chooseModules`. */
  readonly modules: readonly string[];
  /** zstd's, 1 to 19. */
  readonly level: number;
  /** The folder where the three files appear, each whole. */
  readonly out: string;
}

/** One part of an initrd, and what it takes. */
export interface PartReport {
  readonly name: Part;
  readonly files: number;
  readonly bytes: number;
  readonly packedBytes: number;
  /** Of the archive before it was compressed. */
  readonly sha256: string;
  /** Of the compressed bytes, with their padding. */
  readonly packedSha256: string;
}

/** What `initrd.json` holds. */
export interface BuildReport {
  readonly kernel: { readonly version: string; readonly bytes: number };
  readonly initrd: { readonly bytes: number; readonly sha256: string };
  readonly packer: string;
  readonly level: number;
  /** In the order in which they lie in the initrd; parts with nothing in them are left out. */
  readonly parts: readonly PartReport[];
}

interface PackedPart {
  readonly report: PartReport;
  readonly packed: Uint8Array;
}

/**
 * Builds kernel and initrd. `tell` hears which parts are compressed. Throws BuildError when something is absent,
 * unusable, or wanted in one place by two, and what node:fs throws when `out` cannot be written; then `out` is as it was.
 */
export async function buildInitrd(
  options: BuildOptions,
  tell: (line: string) => void,
  signal: AbortSignal,
): Promise<BuildReport> {
  const { level, out } = options;
  const kernel = findKernel(options.kernel);
  if (!existsSync(options.agent)) {
    throw new BuildError(`${options.agent} is not there; make it with: make agent`);
  }
  await mkdir(out, { recursive: true });
  const work = await mkdtemp(join(out, '.unfinished-'));
  try {
    const modules = await chooseModules(kernel, options.modules, work);
    const tree = await assembleTree({
      ...options,
      skeleton: SKELETON,
      kernelVersion: kernel.version,
      modules,
    });
    const before = await readBefore(out, level);
    const parts = await packParts(tree.members(), before, level, tell, signal);
    const image = await readFile(kernel.image);
    const initrd = Buffer.concat(parts.map(({ packed }) => packed));
    const report: BuildReport = {
      kernel: { version: kernel.version, bytes: image.length },
      initrd: { bytes: initrd.length, sha256: sha256(initrd) },
      packer: PACKER,
      level,
      parts: parts.map((part) => part.report),
    };
    signal.throwIfAborted();
    await settle(work, out, [
      ['kernel', image],
      ['initrd.img', initrd],
      ['initrd.json', Buffer.from(`${JSON.stringify(report, null, 2)}\n`)],
    ]);
    return report;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** The packed parts of the initrd in `out` that this packer made at this level, by the SHA-256 of their archives. */
async function readBefore(out: string, level: number): Promise<Map<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>();
  try {
    const report: BuildReport = JSON.parse(await readFile(join(out, 'initrd.json'), 'utf8'));
    if (report.packer !== PACKER || report.level !== level) return found;
    const initrd = await readFile(join(out, 'initrd.img'));
    let at = 0;
    for (const part of report.parts) {
      const packed = initrd.subarray(at, at + part.packedBytes);
      if (sha256(packed) === part.packedSha256) found.set(part.sha256, packed);
      at += part.packedBytes;
    }
  } catch {
    // None there, or not what we write: every part is compressed anew.
  }
  return found;
}

/** Packs as many parts at a time as there are processors, for zstd works on one with one thread. */
async function packParts(
  members: ReadonlyMap<Part, readonly Member[]>,
  before: ReadonlyMap<string, Uint8Array>,
  level: number,
  tell: (line: string) => void,
  signal: AbortSignal,
): Promise<PackedPart[]> {
  const done = new Map<Part, PackedPart>();
  const names = PARTS.filter((name) => (members.get(name) ?? []).length > 0);
  // The agent takes the longest: first.
  const waiting = [...names].sort((left, right) => Number(right === 'agent') - Number(left === 'agent'));
  const work = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      done.set(name, await packPart(name, members.get(name) ?? [], before, level, tell, signal));
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return names.flatMap((name) => done.get(name) ?? []);
}

async function packPart(
  name: Part,
  members: readonly Member[],
  before: ReadonlyMap<string, Uint8Array>,
  level: number,
  tell: (line: string) => void,
  signal: AbortSignal,
): Promise<PackedPart> {
  const archive = cpioArchive(members);
  const hash = sha256(archive);
  let packed = before.get(hash);
  if (packed === undefined) {
    tell(`compressing ${name}`);
    packed = await pack(archive, level, signal);
  }
  const report = {
    name,
    files: members.filter(({ content }) => content.type === 'file' || content.type === 'bytes').length,
    bytes: archive.length,
    packedBytes: packed.length,
    sha256: hash,
    packedSha256: sha256(packed),
  };
  return { report, packed };
}

/** One zstd frame and its padding. Input blocks are even, for what zstd makes of them depends on how they were cut. */
async function pack(archive: Uint8Array, level: number, signal: AbortSignal): Promise<Uint8Array> {
  const blocks = Array.from({ length: Math.ceil(archive.length / CHUNK_BYTES) }, (_, index) =>
    archive.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES),
  );
  const compressor = createZstdCompress({
    params: { [constants.ZSTD_c_compressionLevel]: level },
    pledgedSrcSize: archive.length,
    chunkSize: CHUNK_BYTES,
  });
  const packed: Uint8Array[] = [];
  await pipeline(
    Readable.from(blocks, { objectMode: false }),
    compressor,
    async (source: AsyncIterable<Uint8Array>) => {
      for await (const chunk of source) packed.push(chunk);
    },
    { signal },
  );
  const length = packed.reduce((sum, chunk) => sum + chunk.length, 0);
  return Buffer.concat([...packed, new Uint8Array(-length & 3)]);
}

/** Puts whole files in their places, the report last: a power cut leaves each as it was or as it shall be. */
async function settle(
  work: string,
  out: string,
  files: readonly (readonly [name: string, bytes: Uint8Array])[],
): Promise<void> {
  for (const [name, bytes] of files) {
    await writeFile(join(work, name), bytes);
    await syncPath(join(work, name));
  }
  for (const [name] of files) await rename(join(work, name), join(out, name));
  await syncPath(out);
}

async function syncPath(path: string): Promise<void> {
  const handle = await open(path);
  await handle.sync().finally(() => handle.close());
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
