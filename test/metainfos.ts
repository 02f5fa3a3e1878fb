// Info dictionaries for tests, good ones to be spoilt, and the refusal to be expected.

import assert from 'node:assert/strict';
import { type Bencodable, BencodeError, encode } from '../agent/core/bencode.ts';
import { SwarmbootError } from '../agent/core/errors.ts';
import { parseTorrent } from '../agent/core/metainfo.ts';
import { KIB } from '../agent/core/units.ts';
import { digests } from '../agent/io/digest.ts';

type Fields = { [key: string]: Bencodable };

/** Bytes per piece of what is made here. */
export const PIECE = 32 * KIB;
export const sha1s = (pieces: number) => new Uint8Array(20 * pieces);

export function v1Info(changes: Fields = {}): Fields {
  return { length: 100_000, name: 'a', 'piece length': PIECE, pieces: sha1s(4), ...changes };
}

export function v1Files(...files: Fields[]): Fields {
  return { files, name: 'a', 'piece length': PIECE, pieces: sha1s(1) };
}

export function torrentWith(info: Bencodable, changes: Fields = {}): Uint8Array {
  return encode({ info, ...changes });
}

export const parse = (bytes: Uint8Array) => parseTorrent(bytes, digests);

/** Expects the refusal of a torrent, with the reason and a byte within it. */
export function refused(bytes: Uint8Array, reason: RegExp): void {
  assert.throws(
    () => parse(bytes),
    (error) => {
      assert(error instanceof SwarmbootError);
      assert.equal(error.code, 'torrent');
      assert.match(error.message, reason);
      assert.match(error.message, /^bad torrent: .* at byte \d+; get it again/s);
      assert(error.cause instanceof BencodeError);
      assert(error.cause.offset <= bytes.length);
      return true;
    },
  );
}

export const root = new Uint8Array(32).fill(1);
export const leaf = (length: number): Fields => ({
  '': length === 0 ? { length } : { length, 'pieces root': root },
});
/** Two small files with the padding between them. */
export const twoFiles = (changes: Fields): Fields => ({
  'file tree': { b: leaf(100), c: { d: leaf(7) } },
  files: [
    { length: 100, path: ['b'] },
    { attr: 'p', length: PIECE - 100, path: ['.pad', '1'] },
    { length: 7, path: ['c', 'd'] },
  ],
  'meta version': 2,
  name: 'a',
  'piece length': PIECE,
  pieces: sha1s(2),
  ...changes,
});
