import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bencodable, encode, latin1 } from '../agent/core/bencode.ts';
import { leavesPerPiece, MerkleTree, rootOfLayer } from '../agent/core/merkle.ts';
import { parseTorrent } from '../agent/core/metainfo.ts';
import type { Torrent } from '../agent/core/torrent.ts';
import { digests } from '../agent/io/digest.ts';

/** A file to be shared: its path below the torrent's name, or none for a torrent of one file. */
export interface Part {
  readonly path?: readonly string[];
  readonly bytes: Uint8Array;
}

export interface Made {
  /** The .torrent file. */
  readonly file: Uint8Array;
  readonly torrent: Torrent;
  /** All bytes of the piece space, pad files included. */
  readonly space: Buffer;
}

const folders: string[] = [];
// A program that is being stopped may write into it meanwhile.
const sweep = (folder: string) =>
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
// A program that is stopped after its folder is gone may write into it once more.
process.once('exit', () => {
  for (const folder of folders) sweep(folder);
});

/** A folder below the system's own for temporary ones; removed when the test ends. */
export function scratch(test: { after(done: () => void): void }, root = tmpdir()): string {
  const folder = mkdtempSync(join(root, 'swarmboot-test-'));
  folders.push(folder);
  test.after(() => sweep(folder));
  return folder;
}

/** Bytes that look random and are the same for the same seed. */
export function noise(length: number, seed: number): Buffer {
  const bytes = createHash('shake256', { outputLength: 65_536 }).update(String(seed)).digest();
  const content = Buffer.alloc(length);
  for (let at = 0; at < length; at += bytes.length) {
    bytes.writeUInt32BE(at / bytes.length);
    bytes.copy(content, at);
  }
  return content;
}

/** A torrent made by the letter of BEP 3, 47 and 52. Hybrid torrents put pad files between their files. */
export function makeTorrent(
  name: string,
  parts: readonly Part[],
  pieceLength: number,
  kind: 'v1' | 'hybrid',
  announce: readonly string[] = [],
  isPrivate = true,
): Made {
  const chunks: Uint8Array[] = [];
  const list: Bencodable[] = [];
  const layers: Record<string, Uint8Array> = {};
  const tree: Tree = {};
  let length = 0;
  for (const [index, { path = [name], bytes }] of parts.entries()) {
    chunks.push(bytes);
    list.push({ length: bytes.length, path });
    length += bytes.length;
    const gap = (pieceLength - (length % pieceLength)) % pieceLength;
    if (kind === 'hybrid' && gap > 0 && index < parts.length - 1) {
      chunks.push(new Uint8Array(gap));
      list.push({ attr: 'p', length: gap, path: ['.pad', String(gap)] });
      length += gap;
    }
    plant(tree, path, leafOf(bytes, pieceLength, layers));
  }
  const space = Buffer.concat(chunks);
  const single = parts.length === 1 && parts[0]!.path === undefined;
  const info = {
    ...(single ? { length } : { files: list }),
    ...(kind === 'hybrid' ? { 'file tree': tree, 'meta version': 2 } : {}),
    name,
    'piece length': pieceLength,
    pieces: Buffer.concat(cut(space, pieceLength).map((piece) => digests.sha1(piece))),
    ...(isPrivate ? { private: 1 } : {}),
  };
  const file = encode({
    ...(announce[0] === undefined
      ? {}
      : { announce: announce[0], 'announce-list': announce.map((url) => [url]) }),
    info,
    ...(kind === 'hybrid' ? { 'piece layers': layers } : {}),
  });
  return { file, torrent: parseTorrent(file, digests), space };
}

/** The entry of the file tree; puts the file's piece layer into `layers`. */
function leafOf(bytes: Uint8Array, pieceLength: number, layers: Record<string, Uint8Array>): Bencodable {
  if (bytes.length === 0) return { length: 0 };
  const leaves = leavesPerPiece(bytes.length, pieceLength);
  const merkle = new MerkleTree(digests, leaves);
  const layer = Buffer.concat(
    cut(bytes, pieceLength).map((piece) => Buffer.from(merkle.ofData(piece, leaves))),
  );
  const root = layer.length === 32 ? layer : rootOfLayer(digests, layer, pieceLength);
  if (layer.length > 32) layers[latin1(root)] = layer;
  return { length: bytes.length, 'pieces root': root };
}

type Tree = { [name: string]: Bencodable };

function plant(tree: Tree, path: readonly string[], leaf: Bencodable): void {
  let folder = tree;
  for (const part of path) {
    const name = latin1(Buffer.from(part));
    folder[name] ??= {};
    folder = folder[name] as Tree;
  }
  folder[''] = leaf;
}

function cut(bytes: Uint8Array, length: number): Uint8Array[] {
  return Array.from({ length: Math.ceil(bytes.length / length) }, (_, index) =>
    bytes.subarray(index * length, (index + 1) * length),
  );
}
