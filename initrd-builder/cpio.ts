// What goes into an initrd, path by path, and its archives in cpio's "newc" format, which the kernel unpacks (Linux,
// Documentation/driver-api/early-userspace/buffer-format.rst). The same members give the same bytes: sorted, all owned
// by root, all of the time 0. Knows nothing of what the members are for.

import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { BuildError } from './errors.ts';

export type Content =
  | { readonly type: 'folder' }
  /** A file on this machine. */
  | { readonly type: 'file'; readonly file: string }
  | { readonly type: 'bytes'; readonly bytes: Uint8Array }
  /** A symbolic link. */
  | { readonly type: 'link'; readonly target: string };

export interface Member {
  /** Absolute and plain: `/usr/bin/tar`. */
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
  readonly content: Content;
  /** Who wants it there; two such are named when they want the same path. */
  readonly source: string;
}

const PLAIN_PATH = /^(?:\/(?!\.{1,2}(?:\/|$))[^/\0]+)+$/;
const FOLDER_MODE = 0o755;
const LINK_MODE = 0o777;
const TYPE_BITS = { folder: 0o040000, file: 0o100000, bytes: 0o100000, link: 0o120000 } as const;
const MAGIC = '070701';
const LAST_NAME = 'TRAILER!!!';
const FIELD_MAX = 0xffffffff;

/** The members of an initrd in named parts, which are unpacked one after another. */
export class Tree<Part extends string> {
  readonly #parts: readonly Part[];
  readonly #members = new Map<string, Member & { readonly part: Part }>();

  /** `parts`: in the order of unpacking. */
  constructor(parts: readonly Part[]) {
    this.#parts = parts;
  }

  /** Throws BuildError when the path is not plain, or is taken: then both sources are named. */
  add(part: Part, member: Member): void {
    const { path, source } = member;
    if (!PLAIN_PATH.test(path)) {
      throw new BuildError(`${source}: "${path}" is no plain absolute path; write it as /folder/name`);
    }
    const other = this.#members.get(path);
    if (other !== undefined) {
      throw new BuildError(`${path} is wanted by ${other.source} and by ${source}; leave one of them out`);
    }
    this.#members.set(path, { ...member, part });
  }

  has(path: string): boolean {
    return this.#members.has(path);
  }

  /**
   * The members of each part, sorted. A folder that nobody added is made by the first part that has something in it.
   * Throws BuildError when a member lies below what is no folder.
   */
  members(): Map<Part, Member[]> {
    const made = new Map<string, Member>();
    const result = new Map<Part, Member[]>();
    for (const part of this.#parts) {
      const members = [...this.#members.values()].filter((member) => member.part === part);
      const folders = members.flatMap((member) => this.#foldersOf(member, made));
      result.set(
        part,
        [...members, ...folders].sort((left, right) => (left.path < right.path ? -1 : 1)),
      );
    }
    return result;
  }

  /** The folders above `member` that nobody made yet; they are put into `made`. */
  #foldersOf(member: Member, made: Map<string, Member>): Member[] {
    const folders: Member[] = [];
    for (let path = dirname(member.path); path !== '/'; path = dirname(path)) {
      const above = this.#members.get(path) ?? made.get(path);
      if (above === undefined) {
        const folder: Member = {
          path,
          mode: FOLDER_MODE,
          content: { type: 'folder' },
          source: member.source,
        };
        made.set(path, folder);
        folders.push(folder);
      } else if (above.content.type !== 'folder') {
        throw new BuildError(
          `${member.path} of ${member.source} lies below ${path}, which is a ${above.content.type} of ${above.source}; name its true place`,
        );
      }
    }
    return folders;
  }
}

/** One archive of these members. Throws when a file cannot be read. */
export function cpioArchive(members: readonly Member[]): Uint8Array {
  const chunks = members.flatMap((member, index) => {
    const { type } = member.content;
    const mode = TYPE_BITS[type] | (type === 'link' ? LINK_MODE : member.mode);
    return record(member.path.slice(1), mode, index + 1, bytesOf(member.content));
  });
  return Buffer.concat([...chunks, ...record(LAST_NAME, 0, 0, new Uint8Array())]);
}

function bytesOf(content: Content): Uint8Array {
  switch (content.type) {
    case 'folder':
      return new Uint8Array();
    case 'file':
      return readFileSync(content.file);
    case 'bytes':
      return content.bytes;
    case 'link':
      return Buffer.from(content.target);
  }
}

/** A header of 6 + 13 × 8 characters, the name, the bytes; what follows begins at a multiple of 4. */
function record(path: string, mode: number, inode: number, bytes: Uint8Array): Uint8Array[] {
  const name = Buffer.from(`${path}\0`);
  if (bytes.length > FIELD_MAX) throw new BuildError(`/${path} is too large for an initrd; leave it out`);
  const fields = {
    inode,
    mode,
    owner: 0,
    group: 0,
    links: 1,
    time: 0,
    size: bytes.length,
    deviceMajor: 0,
    deviceMinor: 0,
    ofDeviceMajor: 0,
    ofDeviceMinor: 0,
    nameSize: name.length,
    check: 0,
  };
  const header = MAGIC + Object.values(fields).map(field).join('');
  return [Buffer.from(header), name, padding(header.length + name.length), bytes, padding(bytes.length)];
}

const field = (value: number) => value.toString(16).toUpperCase().padStart(8, '0');

const padding = (length: number) => new Uint8Array(-length & 3);
