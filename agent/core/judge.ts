// Decides whether one archive member may be written below the target, before any byte of it is: its name, its type,
// where links lead, and how much there may be in all. Reading headers is tarhead.ts; writing is not here.

import { BOUNDS } from './bounds.ts';
import { SwarmbootError } from './errors.ts';
import { type Member, quoted } from './tarhead.ts';

/** What lies in the target already. Paths are relative to it, with one character per byte. */
export interface TargetView {
  /** Where the symbolic link at `path` points; null when there is none. Asked without following any link. */
  readlink(path: string): string | null;
  /** True when there is a folder at `path`, and no link to one. */
  isFolder(path: string): boolean;
}

/** Where judged members go: something that writes, or only counts. */
export interface MemberSink extends TargetView {
  /** False to leave the member out, a sink to get the bytes of its content, true to get it whole by `write`. */
  take(member: Member): boolean | FileSink;
  /** Takes bytes of the archive: members whole, without those that were left out. */
  write(bytes: Uint8Array): Promise<void>;
}

export interface FileSink {
  data(bytes: Uint8Array): void;
  end(): void;
}

/** A sink that writes a tree of files. Its faults are SwarmbootErrors `extract`. */
export interface TreeWriter extends MemberSink {
  /** Resolves when all is on its way to the disk, with what could not be kept, one line each. */
  finish(): Promise<readonly string[]>;
  /** Stops at once; what was written stays. */
  abort(): Promise<void>;
}

/** What the catalog said; Infinity where nothing was said. */
export interface ArchiveLimits {
  readonly entries: number;
  readonly unpackedBytes: number;
}

const PATH_BYTES_MAX = BOUNDS.pathBytes;
/** As long as Linux lets the name of one file or folder be. */
const NAME_BYTES_MAX = BOUNDS.fileNameBytes;
const DEPTH_MAX = BOUNDS.pathDepth;
/** As many links as Linux follows in one path. */
const HOPS_MAX = BOUNDS.linkHops;
/** Parts of one path and of all links on its way: each costs a look at everything before it. */
const STEPS_MAX = BOUNDS.linkSteps;

/**
 * Judges the members of one archive in order. Symbolic links may point anywhere, for they are only stored; but no
 * later member may be written through one unless the whole chain stays inside the target.
 */
export class Judge {
  /** Members admitted so far. */
  entries = 0;
  /** Sum of the sizes of the files admitted so far, holes counted as data. */
  unpackedBytes = 0;
  readonly #target: TargetView;
  readonly #limits: ArchiveLimits;
  /** Links of this archive by physical path. One that is replaced later stays: too strict is safe. */
  readonly #links = new Map<string, string>();
  /** Those of them that would replace a folder of the target: if it is not empty it stays, and what it holds counts. */
  readonly #doubtful = new Set<string>();
  readonly #linkable = new PathSet();
  /** The last parent directory and what it resolved to: archives keep the members of a directory together. */
  #parent: { readonly name: string; readonly path: string } | null = null;

  constructor(target: TargetView, limits: ArchiveLimits) {
    this.#target = target;
    this.#limits = limits;
  }

  /** Throws SwarmbootError `archive` when the member must not be written. */
  admit(member: Member): void {
    const parts = partsOf(member.name, member.name);
    if (parts.length === 0 && member.type !== 'directory') throw refusal(member.name, 'it has an empty name');
    // The kernel follows a link in front of a dot, and what follows it is judged as a folder only.
    if (member.name.endsWith('/.') && member.type !== 'directory')
      throw refusal(member.name, `a ${member.type} whose name ends with a dot`);
    this.#count(member);
    const path = this.#pathOf(parts, member.name);
    switch (member.type) {
      case 'directory':
        // An existing link to a directory is kept, and its directory gets the mode and owner: so it must be ours.
        this.#physical(parts, member.name);
        return;
      case 'symlink':
        checkText(member.linkName, member.name);
        this.#link(path, member.linkName);
        break;
      case 'hardlink': {
        const source = this.#pathOf(partsOf(member.linkName, member.name), member.name);
        if (!this.#linkable.has(source)) {
          throw refusal(
            member.name,
            `it is a hard link to ${quoted(member.linkName)}, no earlier file of the archive`,
          );
        }
        // A link of the target is still there when the file that should have replaced it was left out, or not written.
        const text = this.#links.get(source) ?? this.#target.readlink(source);
        if (text !== null) this.#link(path, text);
        break;
      }
      case 'file':
      case 'character-device':
      case 'block-device':
      case 'fifo':
        break;
      default:
        member.type satisfies never;
    }
    this.#linkable.add(path);
  }

  /** Throws unless exactly as much was admitted as the limits said. */
  finish(): void {
    const { entries, unpackedBytes } = this.#limits;
    const fewer = Number.isFinite(entries) && this.entries !== entries;
    const less = Number.isFinite(unpackedBytes) && this.unpackedBytes !== unpackedBytes;
    if (!fewer && !less) return;
    throw new SwarmbootError(
      'archive',
      `the archive holds ${this.entries} members of ${this.unpackedBytes} bytes where the catalog says ${entries} of ${unpackedBytes}; publish it again`,
    );
  }

  #count(member: Member): void {
    this.entries++;
    this.unpackedBytes += member.fileBytes;
    if (this.entries > this.#limits.entries) {
      throw refusal(
        member.name,
        `the archive holds more than the ${this.#limits.entries} members of the catalog`,
      );
    }
    if (this.unpackedBytes > this.#limits.unpackedBytes) {
      throw refusal(
        member.name,
        `the archive unpacks to more than the catalog's ${this.#limits.unpackedBytes} bytes`,
      );
    }
  }

  #link(path: string, text: string): void {
    if (this.#target.isFolder(path)) this.#doubtful.add(path);
    this.#links.set(path, text);
    this.#parent = null;
  }

  /** The physical path of a member: links in front of its last part are followed, the last part is not. */
  #pathOf(parts: readonly string[], name: string): string {
    const above = parts.slice(0, -1);
    const key = above.join('/');
    if (this.#parent?.name !== key) this.#parent = { name: key, path: this.#physical(above, name) };
    return joined(this.#parent.path, parts.at(-1) ?? '');
  }

  /** Follows every link on the way; throws when the way leaves the target. */
  #physical(parts: readonly string[], name: string): string {
    const ahead = [...parts].reverse();
    const walked: string[] = [];
    let [hops, steps] = [0, 0];
    for (let part = ahead.pop(); part !== undefined; part = ahead.pop()) {
      if (++steps > STEPS_MAX) throw refusal(name, 'its way through links is too long');
      if (part === '' || part === '.') continue;
      if (part === '..') {
        if (walked.pop() === undefined)
          throw refusal(name, 'it would be written through a link that leaves the target');
        continue;
      }
      walked.push(part);
      const path = walked.join('/');
      const text = this.#links.get(path) ?? this.#target.readlink(path);
      if (text === null) continue;
      if (this.#doubtful.has(path))
        throw refusal(name, `it would be written through the link ${quoted(path)} in the place of a folder`);
      if (text.startsWith('/')) {
        throw refusal(name, `it would be written through the link ${quoted(path)} to ${quoted(text)}`);
      }
      if (++hops > HOPS_MAX) throw refusal(name, `the link ${quoted(path)} leads in a circle`);
      walked.pop();
      ahead.push(...text.split('/').reverse());
    }
    return walked.join('/');
  }
}

function refusal(name: string, what: string): SwarmbootError {
  return new SwarmbootError('archive', `member ${quoted(name)}: ${what}; make the archive again without it`);
}

function joined(parent: string, last: string): string {
  return parent === '' ? last : `${parent}/${last}`;
}

function checkText(text: string, name: string): void {
  if (text === '') throw refusal(name, 'an empty name');
  if (text.length > PATH_BYTES_MAX) throw refusal(name, `a name of more than ${PATH_BYTES_MAX} bytes`);
  if (text.includes('\0')) throw refusal(name, 'a name with a NUL byte');
}

/** The parts of a path inside the archive; `name` is the member that is blamed. */
function partsOf(path: string, name: string): readonly string[] {
  checkText(path, name);
  if (path.startsWith('/')) throw refusal(name, `${quoted(path)} is an absolute path`);
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw refusal(name, `${quoted(path)} climbs with ".."`);
  if (parts.length > DEPTH_MAX) throw refusal(name, `deeper than ${DEPTH_MAX} directories`);
  if (parts.some((part) => part.length > NAME_BYTES_MAX))
    throw refusal(name, `a part of its name of more than ${NAME_BYTES_MAX} bytes`);
  return parts;
}

/**
 * Remembers paths by 53-bit hashes in a typed array: 8 to 16 bytes for each of a million paths, outside the heap.
 * Two paths that share a hash could let a hard link name a file that is no member; it would still be inside.
 */
class PathSet {
  #slots = new Float64Array(1024);
  #used = 0;

  has(path: string): boolean {
    return this.#slots[this.#slotOf(hashOf(path))] !== 0;
  }

  add(path: string): void {
    this.#put(hashOf(path));
    if (this.#used * 2 < this.#slots.length) return;
    const before = this.#slots;
    this.#slots = new Float64Array(before.length * 2);
    this.#used = 0;
    for (const hash of before) if (hash !== 0) this.#put(hash);
  }

  #put(hash: number): void {
    const slot = this.#slotOf(hash);
    if (this.#slots[slot] === 0) this.#used++;
    this.#slots[slot] = hash;
  }

  /** Where `hash` is, or where it would go. */
  #slotOf(hash: number): number {
    let slot = hash % this.#slots.length;
    while (this.#slots[slot] !== 0 && this.#slots[slot] !== hash) slot = (slot + 1) % this.#slots.length;
    return slot;
  }
}

/** Two FNV-1a sums of 32 bits with different starts, folded to 53 bits; never zero. */
function hashOf(path: string): number {
  let low = 0x811c9dc5;
  let high = 0x9e3779b9;
  for (let index = 0; index < path.length; index++) {
    low = Math.imul(low ^ path.charCodeAt(index), 0x01000193);
    high = Math.imul(high ^ path.charCodeAt(index), 0x01000193) ^ (high >>> 15);
  }
  return (low >>> 0) + (high & 0x1fffff) * 2 ** 32 + 1;
}
