import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hex } from '../../agent/core/units.ts';
import { digests } from '../../agent/io/digest.ts';

const abc = new TextEncoder().encode('abc');
const ABC_SHA256 = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';

test('the digests are those of FIPS 180', () => {
  assert.equal(hex(digests.sha1(abc)), 'a9993e364706816aba3e25717850c26c9cd0d89d');
  assert.equal(hex(digests.sha256(abc)), ABC_SHA256);
});

test('a digest is written where it is wanted, over its own input too', () => {
  const target = new Uint8Array(40).fill(9);
  target.set(abc, 3);
  digests.sha256Into(target.subarray(3, 6), target, 4);
  assert.equal(hex(target), `${'09'.repeat(3)}61${ABC_SHA256}${'09'.repeat(4)}`);
});
