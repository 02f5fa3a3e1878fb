import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromBech32, toBech32 } from '../../../scripts/core/bech32.ts';

test('the words of BIP 173 are right, and those that it calls wrong are refused', () => {
  deepEqual(fromBech32('a', 'a12uel5l'), new Uint8Array());
  equal(toBech32('a', new Uint8Array()), 'a12uel5l');
  const split = '1qwerty';
  equal(fromBech32('split', `split${split}`), null);
  const all = 'abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw';
  deepEqual(
    Buffer.from(fromBech32('abcdef', all)!).toString('hex'),
    '00443214c74254b635cf84653a56d7c675be77df',
  );
  for (const wrong of [
    'a12uel5m',
    'a12UEL5L',
    'a1',
    'a12uel5',
    'b12uel5l',
    'a12uel5lq',
    'a1lqfn3a',
    'A12UEL5L',
  ])
    equal(fromBech32('a', wrong), null, wrong);
});

test('any bytes come back, and one changed letter is seen', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(), fc.nat(30), (bytes, at, by) => {
      const text = toBech32('age', bytes);
      deepEqual(fromBech32('age', text), bytes);
      const letters = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
      const place = 'age1'.length + (at % (text.length - 'age1'.length));
      const other = letters[(letters.indexOf(text[place]!) + 1 + by) % 32]!;
      equal(fromBech32('age', text.slice(0, place) + other + text.slice(place + 1)), null);
    }),
    { seed: 5 },
  );
});
