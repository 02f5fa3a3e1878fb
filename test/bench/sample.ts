// The file that a benchmark sends: random, on tmpfs, with a v1 torrent and a hybrid one.

import { randomFillSync } from 'node:crypto';
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { encode } from '../../agent/core/bencode.ts';
import { leavesPerPiece, MerkleTree } from '../../agent/core/merkle.ts';
import { buildTorrent, parseTorrent } from '../../agent/core/metainfo.ts';
import { digests } from '../../agent/io/digest.ts';

export interface Sample {
  readonly folder: string;
  /** Name of the file in the folder. */
  readonly name: string;
  readonly sizeBytes: number;
  /** The .torrent files. */
  readonly v1: string;
  readonly hybrid: string;
  /** Info hash of each, 20 bytes. */
  readonly hashes: readonly Uint8Array[];
}

/** Writes `sizeBytes` (whole pieces) of noise and its torrents below `folder`. */
export function makeSample(
  folder: string,
  name: string,
  sizeBytes: number,
  pieceBytes: number,
  announce: string,
): Sample {
  const file = openSync(join(folder, name), 'wx');
  const piece = new Uint8Array(pieceBytes);
  const leaves = leavesPerPiece(sizeBytes, pieceBytes);
  const tree = new MerkleTree(digests, leaves);
  const piecesV1: Uint8Array[] = [];
  const piecesV2: Uint8Array[] = [];
  for (let at = 0; at < sizeBytes; at += pieceBytes) {
    randomFillSync(piece);
    writeSync(file, piece);
    piecesV1.push(digests.sha1(piece));
    piecesV2.push(Uint8Array.from(tree.ofData(piece, leaves)));
  }
  closeSync(file);
  const pieces = Buffer.concat(piecesV1);
  const info = { length: sizeBytes, name, 'piece length': pieceBytes, pieces, private: 1 };
  const [v1, hybrid] = [join(folder, `${name}.v1.torrent`), join(folder, `${name}.hybrid.torrent`)];
  writeFileSync(v1, encode({ announce, info }));
  const content = { name, length: sizeBytes, pieceLength: pieceBytes, announce: [[announce]] };
  const both = buildTorrent({ ...content, piecesV1: pieces, piecesV2: Buffer.concat(piecesV2) }, digests);
  writeFileSync(hybrid, both);
  const hashes = [digests.sha1(encode(info)), parseTorrent(both, digests).infoHashV1!];
  return { folder, name, sizeBytes, v1, hybrid, hashes };
}
