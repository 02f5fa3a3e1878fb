import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { leavesPerPiece, MerkleTree, rootOfLayer } from '../../agent/core/merkle.ts';
import { BLOCK_BYTES, KIB } from '../../agent/core/units.ts';
import { digests } from '../../agent/io/digest.ts';

const sha256 = (...parts: Uint8Array[]) => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** BEP 52 in words: split in halves until a leaf is left; a leaf without bytes is zero. */
function rootByRecursion(data: Uint8Array, leaves: number): Buffer {
  if (leaves === 1) return data.length === 0 ? Buffer.alloc(32) : sha256(data);
  const half = (leaves / 2) * BLOCK_BYTES;
  return sha256(
    rootByRecursion(data.subarray(0, half), leaves / 2),
    rootByRecursion(data.subarray(half), leaves / 2),
  );
}

test('leaves: of a whole piece, or of the blocks of a file shorter than one, as a power of two', () => {
  assert.equal(leavesPerPiece(1, 64 * KIB), 1);
  assert.equal(leavesPerPiece(16 * KIB, 64 * KIB), 1);
  assert.equal(leavesPerPiece(16 * KIB + 1, 64 * KIB), 2);
  assert.equal(leavesPerPiece(33 * KIB, 256 * KIB), 4);
  assert.equal(leavesPerPiece(10 ** 9, 64 * KIB), 4);
});

test('the root of a piece is the one of BEP 52, whatever was hashed before', () => {
  const tree = new MerkleTree(digests, 8);
  const piece = fc.record({
    data: fc.nat(8 * BLOCK_BYTES).map((length) => Buffer.alloc(length, length.toString(36))),
    level: fc.integer({ min: 0, max: 3 }),
  });
  fc.assert(
    fc.property(piece, ({ data, level }) => {
      const leaves = 2 ** level;
      const part = data.subarray(0, leaves * BLOCK_BYTES);
      assert.deepEqual(Buffer.from(tree.ofData(part, leaves)), rootByRecursion(part, leaves));
    }),
  );
});

test('the layer of piece roots hashes up to the root of the file', () => {
  const tree = new MerkleTree(digests, 2);
  for (const length of [1, 2, 3, 5, 8, 9].map((pieces) => pieces * 2 * BLOCK_BYTES - 100)) {
    const data = Buffer.alloc(length, `${length}`);
    const layer: Buffer[] = [];
    for (let at = 0; at < length; at += 2 * BLOCK_BYTES) {
      layer.push(Buffer.from(tree.ofData(data.subarray(at, at + 2 * BLOCK_BYTES), 2)));
    }
    const leaves = 2 ** Math.ceil(Math.log2(length / BLOCK_BYTES));
    const root = rootOfLayer(digests, Buffer.concat(layer), 2 * BLOCK_BYTES);
    assert.deepEqual(Buffer.from(root), rootByRecursion(data, leaves));
  }
});

test('a width that is no power of two, or wider than the tree, is our own fault', () => {
  const tree = new MerkleTree(digests, 4);
  assert.throws(() => tree.ofData(new Uint8Array(1), 3), /broken assumption/);
  assert.throws(() => tree.ofData(new Uint8Array(1), 8), /broken assumption/);
});

test('places behind the last piece hold the root of zeros, whatever the length of a piece', () => {
  for (const leaves of [1, 2, 64, 4096]) {
    const padding = Buffer.from(new MerkleTree(digests, leaves).ofData(new Uint8Array(0), leaves));
    const pieces = [1, 2, 3].map((value) => Buffer.alloc(32, value));
    const root = rootOfLayer(digests, Buffer.concat(pieces), leaves * BLOCK_BYTES);
    const expected = sha256(sha256(pieces[0]!, pieces[1]!), sha256(pieces[2]!, padding));
    assert.deepEqual(Buffer.from(root), expected);
  }
});
