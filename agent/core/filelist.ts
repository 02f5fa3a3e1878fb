// The files that an info dictionary names, by BEP 3's list and by BEP 52's tree, and whether the two agree. Decides
// which names may ever become paths on disk; knows nothing of hashes.

import {
  type BencodeBytes,
  type BencodeDict,
  BencodeError,
  type BencodeNode,
  bytesOfKey,
  expectKind,
  integerWithin,
  optionalField,
  requiredField,
  textOf,
} from './bencode.ts';
import { BOUNDS } from './bounds.ts';
import { NODE_BYTES } from './merkle.ts';
import type { TorrentFile } from './torrent.ts';

/** Limits of Linux file systems, in bytes of UTF-8. */
const NAME_BYTES_MAX = BOUNDS.fileNameBytes;
const PATH_BYTES_MAX = BOUNDS.torrentPathBytes;
/** Keeps every sum of lengths exact. */
const FILE_BYTES_MAX = BOUNDS.torrentFileBytes;

/** A file as BEP 52's tree names it. */
export interface TreeFile {
  readonly path: readonly string[];
  readonly length: number;
  /** The `pieces root` of 32 bytes; null for an empty file. */
  readonly root: BencodeBytes | null;
}

/** Why `name` cannot be one component of a path, or null when it can. */
export function nameFault(name: string): string | null {
  if (name === '') return 'the name is empty';
  if (name === '.' || name === '..') return `the name is "${name}"`;
  if (name.includes('/')) return 'the name holds a slash';
  // Control characters would reach terminals and logs.
  if (/\p{Cc}/u.test(name)) return 'the name holds a control character';
  if (new TextEncoder().encode(name).length > NAME_BYTES_MAX) {
    return `the name is longer than ${NAME_BYTES_MAX} bytes`;
  }
  return null;
}

/**
 * Name and files of the info dictionary, placed in the piece space. `tree`: the files of BEP 52, null for a v1 torrent;
 * `listed`: whether it carries BEP 3's names too, which must then agree. Throws BencodeError.
 */
export function filesOfInfo(
  info: BencodeDict,
  tree: readonly TreeFile[] | null,
  listed: boolean,
): { name: string; files: TorrentFile[] } {
  const name = textOfName(info, 'name');
  if (!listed) return { name, files: [onlyFile(info, name, tree!)] };
  const files = listedFiles(info, name);
  if (tree !== null && !agree(files, tree)) {
    throw new BencodeError(
      'the v1 files and the v2 file tree differ',
      requiredField(info, 'file tree', 'dict').begin,
    );
  }
  return { name, files };
}

function onlyFile(info: BencodeDict, name: string, tree: readonly TreeFile[]): TorrentFile {
  const [file] = tree;
  if (file === undefined || tree.length > 1 || file.path.length > 1 || file.path[0] !== name) {
    throw new BencodeError('a v2 torrent of many files and without v1 parts is not supported', info.begin);
  }
  return { path: file.path, offset: 0, length: file.length, pad: false };
}

function listedFiles(info: BencodeDict, name: string): TorrentFile[] {
  refuseLink(info);
  const list = optionalField(info, 'files', 'list');
  if (list === null) return [{ path: [name], offset: 0, length: lengthOf(info), pad: false }];
  if (info.entries.has('length')) throw new BencodeError('both "length" and "files"', info.begin);
  const paths = new PathSet();
  let offset = 0;
  return list.items.map((item) => {
    const entry = expectKind(item, 'dict', 'a file');
    const path = pathOf(entry);
    const pad = refuseLink(entry).includes('p');
    // Pad files are never written, and share names in the field.
    if (!pad) paths.add(path, entry.begin);
    const file = { path, offset, length: lengthOf(entry), pad };
    offset += file.length;
    return file;
  });
}

/** The `attr` letters of BEP 47; a symbolic link is refused. */
function refuseLink(entry: BencodeDict): string {
  const attr = optionalField(entry, 'attr', 'bytes');
  const letters = attr === null ? '' : textOf(attr, '"attr"');
  if (letters.includes('l')) throw new BencodeError('a symbolic link (BEP 47) is not supported', entry.begin);
  return letters;
}

function pathOf(entry: BencodeDict): string[] {
  const list = optionalField(entry, 'path.utf-8', 'list') ?? requiredField(entry, 'path', 'list');
  if (list.items.length === 0) throw new BencodeError('an empty path', list.begin);
  const path = list.items.map((item) => checkedName(expectKind(item, 'bytes', 'a part of "path"')));
  checkPathLength(path, list.begin);
  return path;
}

function lengthOf(dict: BencodeDict): number {
  return integerWithin(requiredField(dict, 'length', 'integer'), 0, FILE_BYTES_MAX, '"length"');
}

function textOfName(info: BencodeDict, key: string): string {
  return checkedName(optionalField(info, `${key}.utf-8`, 'bytes') ?? requiredField(info, key, 'bytes'));
}

function checkedName(node: BencodeBytes): string {
  const name = textOf(node, 'a name');
  const fault = nameFault(name);
  if (fault !== null) throw new BencodeError(fault, node.begin);
  return name;
}

function checkPathLength(path: readonly string[], offset: number): void {
  if (new TextEncoder().encode(path.join('/')).length > PATH_BYTES_MAX) {
    throw new BencodeError(`a path longer than ${PATH_BYTES_MAX} bytes`, offset);
  }
}

/** The files of BEP 52's `file tree`, in its order. Throws BencodeError. */
export function treeFiles(tree: BencodeDict): TreeFile[] {
  const files: TreeFile[] = [];
  walk(tree, [], files);
  return files;
}

function walk(folder: BencodeDict, path: readonly string[], files: TreeFile[]): void {
  if (folder.entries.size === 0) throw new BencodeError('an empty folder in the file tree', folder.begin);
  for (const [key, node] of folder.entries) {
    const child = expectKind(node, 'dict', 'an entry of the file tree');
    const place = { kind: 'bytes', value: bytesOfKey(key), begin: child.begin, end: child.begin } as const;
    const childPath = [...path, checkedName(place)];
    const leaf = child.entries.get('');
    if (leaf === undefined) {
      walk(child, childPath, files);
    } else if (child.entries.size > 1) {
      throw new BencodeError('a file that is a folder too', child.begin);
    } else {
      checkPathLength(childPath, child.begin);
      files.push(treeFile(leaf, childPath));
    }
  }
}

function treeFile(leaf: BencodeNode, path: readonly string[]): TreeFile {
  const entry = expectKind(leaf, 'dict', 'a file of the file tree');
  refuseLink(entry);
  const length = lengthOf(entry);
  const root = optionalField(entry, 'pieces root', 'bytes');
  if ((root === null) !== (length === 0))
    throw new BencodeError('"pieces root" does not fit the length', entry.begin);
  if (root !== null && root.value.length !== NODE_BYTES) {
    throw new BencodeError(`"pieces root" is not ${NODE_BYTES} bytes`, root.begin);
  }
  return { path, length, root };
}

/** A hybrid torrent names the same files in the same order twice; pad files stand in v1 alone. */
function agree(files: readonly TorrentFile[], tree: readonly TreeFile[]): boolean {
  const content = files.filter((file) => !file.pad);
  return (
    content.length === tree.length &&
    content.every((file, i) => {
      const other = tree[i]!;
      return file.length === other.length && file.path.join('/') === other.path.join('/');
    })
  );
}

/** The paths seen so far; refuses one that is there already, as a file or as a folder. */
class PathSet {
  private readonly top: Folder = new Map();

  add(path: readonly string[], offset: number): void {
    let folder = this.top;
    for (const part of path.slice(0, -1)) {
      const below: Folder | 'file' = folder.get(part) ?? new Map();
      if (below === 'file') throw clash(path, offset);
      folder.set(part, below);
      folder = below;
    }
    const last = path.at(-1)!;
    if (folder.has(last)) throw clash(path, offset);
    folder.set(last, 'file');
  }
}

/** Part by part: deep paths take no more memory than the torrent that names them. */
type Folder = Map<string, Folder | 'file'>;

function clash(path: readonly string[], offset: number): BencodeError {
  return new BencodeError(`two files at "${path.join('/')}"`, offset);
}
