// Which shared libraries a program needs, found as the loader finds them but without running anything: the ELF headers
// are read (System V ABI, gABI chapters 4 and 5). Libraries that a program opens by name while it runs are not seen.

import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { BuildError } from './errors.ts';

/** What the loader reads from one ELF file. */
export interface ElfFacts {
  /** Absolute path of the loader; null for a static program or a library. */
  readonly interpreter: string | null;
  /** Names of the libraries asked for (DT_NEEDED), in order. */
  readonly needed: readonly string[];
  /** Folders to search first (DT_RUNPATH, else DT_RPATH), `$ORIGIN` filled in. */
  readonly folders: readonly string[];
  /** True when `folders` also hold for what this file's libraries need (DT_RPATH without DT_RUNPATH). */
  readonly inherited: boolean;
}

// Built into Debian's loader for x86-64: found without /etc/ld.so.cache, which an initrd lacks.
const SYSTEM_FOLDERS = ['/lib/x86_64-linux-gnu', '/usr/lib/x86_64-linux-gnu', '/lib', '/usr/lib'];

const MAGIC = 0x7f454c46;
const CLASS_64_LITTLE_ENDIAN = 0x0201;
const MACHINE_X86_64 = 62;
const SEGMENT = { load: 1, dynamic: 2, interpreter: 3 } as const;
const DYNAMIC = { end: 0n, needed: 1n, stringTable: 5n, rpath: 15n, runpath: 29n } as const;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly size: number;
}

/** Reads the headers of one file. Null when it is no ELF file (a script). Throws for an ELF file of another machine. */
export function readElf(path: string): ElfFacts | null {
  const bytes = readFileSync(path);
  if (bytes.length < 64 || bytes.readUInt32BE(0) !== MAGIC) return null;
  if (bytes.readUInt16BE(4) !== CLASS_64_LITTLE_ENDIAN || bytes.readUInt16LE(18) !== MACHINE_X86_64) {
    throw new BuildError(
      `${path} is an ELF file, but not for 64-bit x86; take the tools of an x86-64 Debian`,
    );
  }
  try {
    return readHeaders(path, bytes);
  } catch (error) {
    throw new BuildError(`${path} is a damaged ELF file; install its package again`, { cause: error });
  }
}

function readHeaders(path: string, bytes: Buffer): ElfFacts {
  const segments = readSegments(bytes);
  const interpreter = segments.find((segment) => segment.type === SEGMENT.interpreter);
  const dynamic = segments.find((segment) => segment.type === SEGMENT.dynamic);
  const entries = dynamic === undefined ? [] : readDynamic(bytes, dynamic);
  const table = entries.find(([tag]) => tag === DYNAMIC.stringTable);
  const strings = table === undefined ? 0 : fileOffset(segments, Number(table[1]));
  const texts = (wanted: bigint) =>
    entries.filter(([tag]) => tag === wanted).map(([, value]) => cString(bytes, strings + Number(value)));
  const runpath = texts(DYNAMIC.runpath);
  const origin = dirname(path);
  return {
    interpreter: interpreter === undefined ? null : cString(bytes, interpreter.offset),
    needed: texts(DYNAMIC.needed),
    folders: (runpath.length > 0 ? runpath : texts(DYNAMIC.rpath))
      .flatMap((value) => value.split(':'))
      .filter((folder) => folder !== '')
      .map((folder) => folder.replace(/\$ORIGIN|\$\{ORIGIN\}/g, origin)),
    inherited: runpath.length === 0,
  };
}

function readSegments(bytes: Buffer): Segment[] {
  const start = Number(bytes.readBigUInt64LE(32));
  const entrySize = bytes.readUInt16LE(54);
  return Array.from({ length: bytes.readUInt16LE(56) }, (_, index) => {
    const at = start + index * entrySize;
    return {
      type: bytes.readUInt32LE(at),
      offset: Number(bytes.readBigUInt64LE(at + 8)),
      address: Number(bytes.readBigUInt64LE(at + 16)),
      size: Number(bytes.readBigUInt64LE(at + 32)),
    };
  });
}

function readDynamic(bytes: Buffer, segment: Segment): (readonly [tag: bigint, value: bigint])[] {
  const entries: (readonly [bigint, bigint])[] = [];
  for (let at = segment.offset; at < segment.offset + segment.size; at += 16) {
    const tag = bytes.readBigUInt64LE(at);
    if (tag === DYNAMIC.end) break;
    entries.push([tag, bytes.readBigUInt64LE(at + 8)]);
  }
  return entries;
}

/** The dynamic section names addresses in memory; the file has the same bytes elsewhere. */
function fileOffset(segments: readonly Segment[], address: number): number {
  const holder = segments.find(
    (segment) =>
      segment.type === SEGMENT.load && address >= segment.address && address < segment.address + segment.size,
  );
  if (holder === undefined) throw new Error(`no segment holds address ${address}`);
  return address - holder.address + holder.offset;
}

function cString(bytes: Buffer, start: number): string {
  const end = bytes.indexOf(0, start);
  if (end < 0) throw new Error(`no end of the text at ${start}`);
  return bytes.toString('utf8', start, end);
}

/**
 * Absolute paths of the loader and of every library that `program` needs, directly or through another, in the order of
 * finding; empty for a static program or a script. Throws when a library is nowhere to be found.
 */
export function librariesOf(program: string): string[] {
  const first = readElf(program);
  if (first === null) return [];
  const found = new Map<string, string>();
  if (first.interpreter !== null) found.set(basename(first.interpreter), first.interpreter);
  const visit = (path: string, elf: ElfFacts, inherited: readonly string[]): void => {
    const passedOn = elf.inherited ? [...elf.folders, ...inherited] : inherited;
    const folders = elf.inherited ? passedOn : elf.folders;
    for (const name of elf.needed) {
      if (found.has(name)) continue;
      const library = [...folders, ...SYSTEM_FOLDERS]
        .map((folder) => join(folder, name))
        .find((candidate) => existsSync(candidate));
      if (library === undefined)
        throw new BuildError(
          `${path} needs the library ${name}, which is in none of ${[...folders, ...SYSTEM_FOLDERS].join(', ')}`,
        );
      found.set(name, library);
      const next = readElf(library);
      if (next !== null) visit(library, next, passedOn);
    }
  };
  visit(program, first, []);
  return [...found.values()];
}

/**
 * The libraries of all these programs: where each must lie in a tree with no links, and where it is on this machine. A
 * loader stays where programs name it; the rest goes where it really lies, because on Debian /lib is a link to /usr/lib.
 */
export function libraryPlaces(programs: readonly string[]): Map<string, string> {
  const libraries = new Set(programs.flatMap((program) => librariesOf(program)));
  return new Map(
    [...libraries].map((library): [string, string] => [
      basename(library).startsWith('ld-linux')
        ? library
        : join(realpathSync(dirname(library)), basename(library)),
      library,
    ]),
  );
}
