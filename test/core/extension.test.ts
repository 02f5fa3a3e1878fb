import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encode } from '../../agent/core/bencode.ts';
import { screenExtension } from '../../agent/core/extension.ts';

const bytes = (text: string) => Buffer.from(text, 'latin1');
const screened = (id: number, text: string) => {
  const safe = screenExtension(id, bytes(text));
  return safe && Buffer.from(safe).toString('latin1');
};

test('of a handshake only the numbers that we know are left', () => {
  const said =
    'd12:complete_agoi-1e1:md11:ut_metadatai3e6:ut_pexi1ee13:metadata_sizei9e1:pi6881e4:reqqi500e1:v3:abce';
  assert.equal(
    screened(0, said),
    'd1:md11:ut_metadatai3e6:ut_pexi1ee13:metadata_sizei9e1:pi6881e4:reqqi500ee',
  );
});

test('a handshake may have its keys in any order', () => {
  assert.equal(screened(0, 'd1:pi6881e1:md11:ut_metadatai3eee'), 'd1:md11:ut_metadatai3ee1:pi6881ee');
});

test('wrong kinds and numbers out of range are left out of a handshake', () => {
  assert.equal(screened(0, 'd1:mi7e4:reqq2:ab1:pi-1ee'), 'd1:mdee');
  assert.equal(screened(0, 'd1:md11:ut_metadatai256eee'), 'd1:mdee');
  assert.equal(screened(0, 'd1:md1:ad8:toString1:xeee'), 'd1:mdee');
  assert.equal(screened(0, 'd4:reqqi99999999999ee'), 'd1:mdee');
});

test('garbage is nothing', () => {
  for (const text of ['', 'l-3:', 'd-3:i0ee', 'le', 'i5e', 'd1:m', 'd1:md']) {
    assert.equal(screened(0, text), null, text);
    assert.equal(screened(1, text), null, text);
  }
});

test('a metadata message is a dictionary with a kind and a piece, then any bytes', () => {
  const data = 'd8:msg_typei1e5:piecei610e10:total_sizei9eed1:ai1ee';
  assert.equal(screened(1, data), data);
  assert.equal(screened(1, 'd8:msg_typei1e5:piecei611ee'), null);
  assert.equal(screened(1, 'd8:msg_typei1e5:piecei-1ee'), null);
  assert.equal(screened(1, 'd8:msg_typei1e5:piece1:aee'), null);
  assert.equal(screened(1, 'd5:piecei0ee'), null);
});

test('of a metadata message the numbers are left, for the library would read other bytes than we do', () => {
  const more = 'd6:\xff\xff-12:i0e8:msg_typei0e5:piecei0eexyz';
  assert.equal(screened(1, more), 'd8:msg_typei0e5:piecei0eexyz');
  assert.equal(screened(1, 'd8:msg_typei0e5:piecei0e10:total_size1:xe'), 'd8:msg_typei0e5:piecei0ee');
  assert.equal(screened(1, 'd8:msg_typei0e5:piecei0e10:total_sizei-1ee'), 'd8:msg_typei0e5:piecei0ee');
});

test('an extension that we did not offer is nothing', () => {
  assert.equal(screened(2, 'd8:msg_typei0e5:piecei0ee'), null);
});

test('any handshake comes out small, and comes out the same a second time', () => {
  const value = fc.oneof(
    fc.integer(),
    fc.string(),
    fc.dictionary(fc.constantFrom('ut_metadata', 'a'), fc.integer()),
  );
  const names = fc.constantFrom(
    'm',
    'p',
    'reqq',
    'v',
    'upload_only',
    'metadata_size',
    'toString',
    '__proto__',
  );
  fc.assert(
    fc.property(fc.dictionary(names, value), (handshake) => {
      const safe = screenExtension(0, encode(handshake));
      assert.ok(safe !== null && safe.length < 120);
      assert.deepEqual(screenExtension(0, safe), safe);
    }),
  );
});

test('no bytes at all make it throw', () => {
  fc.assert(
    fc.property(fc.nat(3), fc.uint8Array({ maxLength: 60 }), (id, payload) => {
      screenExtension(id, payload);
    }),
  );
});
