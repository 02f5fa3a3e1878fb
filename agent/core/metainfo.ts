// Metainfo: .torrent files and info dictionaries, read into a Torrent and built from hashes. Decides what is believed;
// getting the bytes from anywhere is not here.

import {
  type BencodeDict,
  BencodeError,
  type BencodeNode,
  decode,
  encode,
  expectKind,
  integerWithin,
  latin1,
  optionalField,
  requiredField,
  textOf,
} from './bencode.ts';
import { BOUNDS } from './bounds.ts';
import { assert, SwarmbootError } from './errors.ts';
import { filesOfInfo, nameFault, type TreeFile, treeFiles } from './filelist.ts';
import { NODE_BYTES, rootOfLayer } from './merkle.ts';
import type { Hashes, Torrent } from './torrent.ts';
import { BLOCK_BYTES, KIB, MIB } from './units.ts';

const SHA1_BYTES = 20;
const PIECES_MAX = BOUNDS.torrentPieces;
const PIECE_BYTES_MAX = BOUNDS.pieceBytes;

/** The piece size policy: about this many pieces, within the two bounds. */
const PIECES_WANTED = 2000;
const PIECE_BYTES_WANTED_MIN = 32 * KIB;
const PIECE_BYTES_WANTED_MAX = 4 * MIB;

/** Bytes per piece for a new torrent of `sizeBytes`: a power of two, and at most PIECES_WANTED pieces where it may be. */
export function pieceLengthFor(sizeBytes: number): number {
  let length = PIECE_BYTES_WANTED_MIN;
  while (length < PIECE_BYTES_WANTED_MAX && length * PIECES_WANTED < sizeBytes) length *= 2;
  return length;
}

/**
 * Reads a .torrent file: v1, hybrid, or v2 of a single file (BEP 3, 12, 27, 47, 52). The torrent keeps views of
 * `bytes`, which must not change afterwards. Throws SwarmbootError('torrent') with the reason and, as its cause, the
 * BencodeError with the byte offset.
 */
export function parseTorrent(bytes: Uint8Array, hashes: Hashes): Torrent {
  return believing(() => {
    const root = expectKind(decode(bytes), 'dict', 'the torrent');
    const info = requiredField(root, 'info', 'dict');
    const layers = layersOf(optionalField(root, 'piece layers', 'dict'));
    const torrent = torrentOf(info, bytes.subarray(info.begin, info.end), hashes, announceOf(root), layers);
    return { ...torrent, webSeeds: webSeedsOf(root, torrent.name) };
  });
}

/**
 * Reads an info dictionary that came by ut_metadata (BEP 9), which carries no piece layers: a hybrid torrent is then
 * checked by SHA-1 unless every file fits one piece. That the bytes are the ones asked for is the caller's check.
 * Offsets in errors count from the start of `infoBytes`; otherwise as `parseTorrent`.
 */
export function parseInfo(
  infoBytes: Uint8Array,
  hashes: Hashes,
  announce: readonly (readonly string[])[],
): Torrent {
  return believing(() => {
    const info = expectKind(decode(infoBytes), 'dict', 'the info dictionary');
    return torrentOf(info, infoBytes, hashes, announce, null);
  });
}

function believing(read: () => Torrent): Torrent {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof BencodeError)) throw error;
    throw new SwarmbootError('torrent', `bad torrent: ${error.message}; get it again, or make it anew`, {
      cause: error,
    });
  }
}

/** Where the piece layers are: by `pieces root` as a bencode key; null when the source cannot carry any. */
type Layers = ((root: Uint8Array) => Uint8Array | null) | null;

function layersOf(dict: BencodeDict | null): Layers {
  return (root) => (dict === null ? null : (optionalField(dict, latin1(root), 'bytes')?.value ?? null));
}

function torrentOf(
  info: BencodeDict,
  infoBytes: Uint8Array,
  hashes: Hashes,
  announce: readonly (readonly string[])[],
  layers: Layers,
): Torrent {
  const version = versionOf(info);
  const pieces = optionalField(info, 'pieces', 'bytes');
  if (pieces === null && version !== 2) throw new BencodeError('"pieces" is missing', info.begin);
  const pieceLength = pieceLengthOf(info, version);
  const tree = version === 2 ? treeFiles(requiredField(info, 'file tree', 'dict')) : null;
  const { name, files } = filesOfInfo(info, tree, pieces !== null);
  const length = files.reduce((sum, file) => sum + file.length, 0);
  const pieceCount = Math.ceil(length / pieceLength);
  if (pieceCount === 0) throw new BencodeError('no content: every file is empty', info.begin);
  if (pieceCount > PIECES_MAX) throw new BencodeError(`more than ${PIECES_MAX} pieces`, info.begin);
  if (pieceCount > 1 && pieceLength < BLOCK_BYTES) {
    throw new BencodeError(`pieces of ${pieceLength} bytes; at least ${BLOCK_BYTES} are needed`, info.begin);
  }
  if (pieces !== null && pieces.value.length !== pieceCount * SHA1_BYTES) {
    throw new BencodeError(
      `"pieces" does not hold the ${pieceCount} hashes that the length asks for`,
      pieces.begin,
    );
  }
  const torrent = {
    name,
    length,
    pieceLength,
    pieceCount,
    files,
    private: optionalField(info, 'private', 'integer')?.value === 1n,
    announce,
    webSeeds: [],
    infoBytes,
    infoHashV1: pieces === null ? null : hashes.sha1(infoBytes),
    infoHashV2: tree === null ? null : hashes.sha256(infoBytes),
    piecesV1: pieces?.value ?? null,
  };
  return { ...torrent, piecesV2: tree === null ? null : piecesOfTree(info, torrent, tree, hashes, layers) };
}

function versionOf(info: BencodeDict): 1 | 2 {
  const field = optionalField(info, 'meta version', 'integer');
  if (field === null) return 1;
  if (field.value !== 2n) throw new BencodeError(`meta version ${field.value} is not known`, field.begin);
  return 2;
}

function pieceLengthOf(info: BencodeDict, version: 1 | 2): number {
  const field = requiredField(info, 'piece length', 'integer');
  const length = integerWithin(field, version === 2 ? BLOCK_BYTES : 1, PIECE_BYTES_MAX, '"piece length"');
  if (version === 2 && !Number.isInteger(Math.log2(length))) {
    throw new BencodeError('"piece length" is not a power of two', field.begin);
  }
  return length;
}

/** The merkle root of every piece; null when a file of many pieces has no layer and none could have come. */
function piecesOfTree(
  info: BencodeDict,
  torrent: Pick<Torrent, 'files' | 'pieceLength' | 'pieceCount' | 'infoHashV1'>,
  tree: readonly TreeFile[],
  hashes: Hashes,
  layers: Layers,
): Uint8Array | null {
  const { pieceLength, pieceCount } = torrent;
  const pieces = new Uint8Array(pieceCount * NODE_BYTES);
  const content = torrent.files.filter((file) => !file.pad);
  let filled = 0;
  for (const [i, { length, root }] of tree.entries()) {
    if (root === null) continue;
    const count = Math.ceil(length / pieceLength);
    const layer = count === 1 ? root.value : (layers?.(root.value) ?? null);
    if (layer === null) {
      if (layers === null && torrent.infoHashV1 !== null) return null;
      throw new BencodeError('the piece layer of this file is missing', root.begin);
    }
    if (layer.length !== count * NODE_BYTES) {
      throw new BencodeError(`the piece layer of this file does not hold ${count} hashes`, root.begin);
    }
    if (count > 1 && !sameBytes(rootOfLayer(hashes, layer, pieceLength), root.value)) {
      throw new BencodeError('the piece layer of this file does not hash to its root', root.begin);
    }
    if (content[i]!.offset % pieceLength !== 0) {
      throw new BencodeError('this file does not begin at a piece, as a hybrid torrent asks', root.begin);
    }
    pieces.set(layer, (content[i]!.offset / pieceLength) * NODE_BYTES);
    filled += count;
  }
  assert(filled <= pieceCount, 'files of a hybrid torrent overlap');
  if (filled < pieceCount) throw new BencodeError('a piece of padding alone', info.begin);
  return pieces;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** `announce-list` (BEP 12), else `announce`; URLs that are neither HTTP(S) nor UDP are left out. */
function announceOf(root: BencodeDict): string[][] {
  const single = optionalField(root, 'announce', 'bytes');
  const list = optionalField(root, 'announce-list', 'list');
  const tiers =
    list === null || list.items.length === 0 ? [single === null ? [] : [single]] : list.items.map(tierOf);
  return tiers
    .map((tier) =>
      tier.map((url) => textOf(expectKind(url, 'bytes', 'a tracker'), 'a tracker')).filter(isTrackerUrl),
    )
    .filter((tier) => tier.length > 0);
}

function tierOf(node: BencodeNode): readonly BencodeNode[] {
  return expectKind(node, 'list', 'a tier of "announce-list"').items;
}

/** `url-list` (BEP 19): one URL or several. One that ends with a slash is that of the folder. */
function webSeedsOf(root: BencodeDict, name: string): string[] {
  const field = root.entries.get('url-list');
  if (field === undefined) return [];
  return (field.kind === 'list' ? field.items : [field])
    .map((url) => textOf(expectKind(url, 'bytes', 'a web seed'), 'a web seed'))
    .map((url) => (url.endsWith('/') ? `${url}${encodeURIComponent(name)}` : url))
    .filter(isWebSeedUrl)
    .slice(0, BOUNDS.webSeeds);
}

/** True for an HTTP URL of a plain file: who writes torrents must not have others ask some program something. */
function isWebSeedUrl(url: string): boolean {
  return /^https?:\/\/[!-~]{1,2000}$/.test(url) && !/[?#@]/.test(url);
}

/** True for a tracker URL of a kind that we speak: `http:`, `https:` or `udp:`, without spaces or control characters. */
export function isTrackerUrl(url: string): boolean {
  return /^(https?|udp):\/\/[!-~]{1,2000}$/.test(url);
}

/** One file with its hashes, ready to become a torrent. */
export interface TorrentContent {
  readonly name: string;
  /** Bytes of the file; at least 1. */
  readonly length: number;
  /** A power of two, 16 KiB to 64 MiB. */
  readonly pieceLength: number;
  /** SHA-1 of every piece, n x 20 bytes. */
  readonly piecesV1: Uint8Array;
  /** Merkle root of every piece, n x 32 bytes, over `leavesPerPiece` leaves each. */
  readonly piecesV2: Uint8Array;
  /** Tracker URLs by tier; may be empty. */
  readonly announce: readonly (readonly string[])[];
}

/**
 * The bytes of a private (BEP 27) hybrid .torrent file of one file. The same content gives the same bytes: no date, no
 * maker's name. Throws SwarmbootError('torrent') when the name cannot be a file name.
 */
export function buildTorrent(content: TorrentContent, hashes: Hashes): Uint8Array {
  const { name, length, pieceLength, piecesV1, piecesV2, announce } = content;
  const fault = nameFault(name);
  if (fault !== null)
    throw new SwarmbootError('torrent', `cannot name a torrent "${name}": ${fault}; rename it`);
  const pieceCount = Math.ceil(length / pieceLength);
  assert(piecesV1.length === pieceCount * SHA1_BYTES, 'one SHA-1 per piece');
  assert(piecesV2.length === pieceCount * NODE_BYTES, 'one merkle root per piece');
  const root = pieceCount === 1 ? piecesV2 : rootOfLayer(hashes, piecesV2, pieceLength);
  const urls = announce.flat();
  return encode({
    ...(urls[0] === undefined ? {} : { announce: urls[0] }),
    ...(urls.length < 2 ? {} : { 'announce-list': announce }),
    info: {
      'file tree': { [latin1(new TextEncoder().encode(name))]: { '': { length, 'pieces root': root } } },
      length,
      'meta version': 2,
      name,
      'piece length': pieceLength,
      pieces: piecesV1,
      private: 1,
    },
    'piece layers': pieceCount === 1 ? {} : { [latin1(root)]: piecesV2 },
  });
}

/** A .torrent without its trackers. What else is in it stays byte for byte as it is. Throws BencodeError. */
export function withoutAnnounce(bytes: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  let kept = 0;
  for (const [key, { begin, end }] of expectKind(decode(bytes), 'dict', 'a torrent').entries) {
    if (key !== 'announce' && key !== 'announce-list') continue;
    parts.push(bytes.subarray(kept, begin - encode(key).length));
    kept = end;
  }
  parts.push(bytes.subarray(kept));
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * A .torrent that names no tracker, as `buildTorrent` makes it without `announce`, with trackers put in. What is below
 * `info` stays byte for byte as it is.
 */
export function withAnnounce(
  bytes: Uint8Array,
  announce: readonly (readonly [string, ...string[]])[],
): Uint8Array {
  const first = announce[0];
  assert(
    first !== undefined && latin1(bytes.subarray(0, 7)) === 'd4:info',
    'a torrent without trackers gets some',
  );
  const added = encode({ announce: first[0], 'announce-list': announce });
  // Both keys sort before `info`: the result is canonical.
  const whole = new Uint8Array(added.length - 1 + bytes.length - 1);
  whole.set(added.subarray(0, added.length - 1));
  whole.set(bytes.subarray(1), added.length - 1);
  return whole;
}
