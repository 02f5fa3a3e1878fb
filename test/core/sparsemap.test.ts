import { doesNotThrow, equal, throws } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checkMap, decimal, StoredMap } from '../../agent/core/sparsemap.ts';
import { bytesOf, storedMap } from './archives.ts';

const refuse = (what: string) => new Error(what);

/** Maps as GNU tar writes them: whole records with holes between them, and a last stretch that ends with the file. */
const maps = fc
  .tuple(
    fc.array(fc.tuple(fc.nat(9), fc.integer({ min: 1, max: 9 })), { maxLength: 20 }),
    fc.nat(9),
    fc.nat(5000),
  )
  .map(([stretches, gap, tail]) => {
    const map: [number, number][] = [];
    let end = 0;
    for (const [hole, records] of stretches) {
      map.push([end + hole * 512, records * 512]);
      end += (hole + records) * 512;
    }
    map.push([end + gap * 512, tail]);
    return { map, fileBytes: end + gap * 512 + tail };
  });

function dataBytes(map: readonly (readonly [number, number])[]): number {
  return map.reduce((sum, [, length]) => sum + length, 0);
}

test('maps of whole records are taken, and none whose lengths are others', () => {
  fc.assert(
    fc.property(maps, fc.nat(), fc.integer({ min: 1, max: 2000 }), ({ map, fileBytes }, which, more) => {
      checkMap(map.flat(), dataBytes(map), fileBytes, refuse);
      const numbers = map.flat();
      const index = 2 * (which % map.length) + 1;
      numbers[index] = (numbers[index] ?? 0) + more;
      throws(() => checkMap(numbers, dataBytes(map), fileBytes, refuse));
      throws(() => checkMap(map.flat(), dataBytes(map) + more, fileBytes, refuse));
      throws(() => checkMap(map.flat(), dataBytes(map), fileBytes + more, refuse));
    }),
  );
});

test('a stored map is read in pieces of any size', () => {
  fc.assert(
    fc.property(maps, fc.integer({ min: 1, max: 700 }), ({ map, fileBytes }, size) => {
      const text = bytesOf(storedMap(map));
      const reader = new StoredMap(text.length + dataBytes(map), fileBytes, 100_000, refuse);
      throws(() => reader.end(), /longer than its member/);
      for (let at = 0; at < text.length; at += size) reader.take(text.subarray(at, at + size));
      reader.take(bytesOf('content'));
      reader.end();
    }),
  );
});

test('a stored map of a map that is not the member is refused before its last byte is taken', () => {
  const text = bytesOf(
    storedMap([
      [0, 512],
      [4096, 512],
    ]),
  );
  const reader = (storedBytes: number, bytesMax = 1000) => new StoredMap(storedBytes, 4608, bytesMax, refuse);
  doesNotThrow(() => reader(1536).take(text));
  throws(() => reader(1535).take(text), /a sparse map of 1024 bytes where 1023 are stored/);
  throws(() => reader(512).take(text), /where 0 are stored/);
  throws(() => reader(0).take(text), /where -512 are stored/);
  throws(() => reader(1536, 8).take(text), /more than 8 bytes/);
  throws(() => reader(1536).take(bytesOf('251\n')), /more than 1000 bytes/);
  for (const wrong of ['', '-1', '+1', '0x1', ' 1', '1 ', '12345678901234567', '9999999999999999'])
    throws(() => reader(1536).take(bytesOf(`${wrong}\n`)), /holds no number where one should be/);
});

test('numbers are plain and safe', () => {
  equal(decimal('9007199254740991'), Number.MAX_SAFE_INTEGER);
  for (const text of ['', '9007199254740992', '1.', '1e3', '-0', '\u0663']) equal(decimal(text), null);
});
