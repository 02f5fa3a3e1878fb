// The merkle trees of BEP 52: SHA-256, two branches, leaves of 16 KiB blocks, missing leaves all zero. Decides how
// hashes hang together; computes none itself, and does not know which file a piece belongs to.

import { assert } from './errors.ts';
import type { Hashes } from './torrent.ts';
import { BLOCK_BYTES } from './units.ts';

/** Bytes of a node of the tree. */
export const NODE_BYTES = 32;

/**
 * Leaves of each piece's tree, a power of two: a whole piece's, but in a file shorter than a piece just what its blocks
 * need. Pieces at a file's end have the same, with zeros for the leaves that they lack.
 */
export function leavesPerPiece(fileLength: number, pieceLength: number): number {
  return ceilPowerOfTwo(Math.ceil(Math.min(fileLength, pieceLength) / BLOCK_BYTES));
}

/** The root of the tree over up to `leavesMax` leaves. Keeps its nodes from call to call, so that a call costs hashing alone. */
export class MerkleTree {
  private readonly hashes: Hashes;
  private readonly nodes: Uint8Array;
  /** The two children of each inner node, side by side. */
  private readonly pairs: Uint8Array[];

  /** `leavesMax`: a power of two. */
  constructor(hashes: Hashes, leavesMax: number) {
    this.hashes = hashes;
    this.nodes = new Uint8Array(leavesMax * NODE_BYTES);
    this.pairs = [];
    for (let at = 0; at + 2 * NODE_BYTES <= this.nodes.length; at += 2 * NODE_BYTES) {
      this.pairs.push(this.nodes.subarray(at, at + 2 * NODE_BYTES));
    }
  }

  /** The root over the 16 KiB blocks of `data`, padded to `leaves` (a power of two). The view is good until the next call. */
  ofData(data: Uint8Array, leaves: number): Uint8Array {
    let present = 0;
    for (let at = 0; at < data.length; at += BLOCK_BYTES) {
      this.hashes.sha256Into(data.subarray(at, at + BLOCK_BYTES), this.nodes, present++ * NODE_BYTES);
    }
    this.nodes.fill(0, present * NODE_BYTES, leaves * NODE_BYTES);
    return this.fold(leaves);
  }

  /** Each round halves the nodes in place; a parent never lies behind its children. */
  private fold(width: number): Uint8Array {
    assert(Number.isInteger(Math.log2(width)) && width <= this.nodes.length / NODE_BYTES, `tree of ${width}`);
    for (let count = width / 2; count >= 1; count /= 2) {
      for (let i = 0; i < count; i++) this.hashes.sha256Into(this.pairs[i]!, this.nodes, i * NODE_BYTES);
    }
    return this.nodes.subarray(0, NODE_BYTES);
  }
}

/**
 * The `pieces root` of a file from its piece layer (BEP 52): one root per piece, n x 32 bytes, n at least 1; places
 * beyond the last piece hold the root of a piece of zero leaves.
 */
export function rootOfLayer(hashes: Hashes, layer: Uint8Array, pieceLength: number): Uint8Array {
  const leaves = pieceLength / BLOCK_BYTES;
  const padding = rootOfZeros(hashes, leaves);
  const width = ceilPowerOfTwo(layer.length / NODE_BYTES);
  const nodes = new Uint8Array(width * NODE_BYTES);
  nodes.set(layer);
  for (let at = layer.length; at < nodes.length; at += NODE_BYTES) nodes.set(padding, at);
  for (let count = width / 2; count >= 1; count /= 2) {
    for (let i = 0; i < count; i++) {
      hashes.sha256Into(nodes.subarray(2 * i * NODE_BYTES, 2 * (i + 1) * NODE_BYTES), nodes, i * NODE_BYTES);
    }
  }
  return nodes.subarray(0, NODE_BYTES);
}

/** The root over so many leaves of zeros. All nodes of a level are alike: a hash for each level. */
function rootOfZeros(hashes: Hashes, leaves: number): Uint8Array {
  const pair = new Uint8Array(2 * NODE_BYTES);
  for (let width = leaves; width > 1; width /= 2) {
    hashes.sha256Into(pair, pair, 0);
    pair.copyWithin(NODE_BYTES, 0, NODE_BYTES);
  }
  return pair.subarray(0, NODE_BYTES);
}

function ceilPowerOfTwo(value: number): number {
  return 2 ** Math.ceil(Math.log2(value));
}
