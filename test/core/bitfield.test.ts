import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Bitfield } from '../../agent/core/bitfield.ts';

const lengths = fc.integer({ min: 1, max: 200 });
const bits = fc.array(fc.boolean(), { minLength: 1, maxLength: 200 });

function fieldOf(flags: readonly boolean[]): Bitfield {
  const field = new Bitfield(flags.length);
  flags.forEach((flag, index) => {
    if (flag) field.set(index);
  });
  return field;
}

test('a bit is set once, and the count follows', () => {
  fc.assert(
    fc.property(bits, (flags) => {
      const field = fieldOf(flags);
      assert.equal(field.count, flags.filter(Boolean).length);
      assert.equal(field.isFull, flags.every(Boolean));
      flags.forEach((flag, index) => {
        assert.equal(field.has(index), flag);
        assert.equal(field.set(index), !flag);
      });
      assert.ok(field.isFull);
    }),
  );
});

test('what is sent is read back', () => {
  fc.assert(
    fc.property(bits, (flags) => {
      const field = fieldOf(flags);
      const read = Bitfield.parse(field.bytes, flags.length)!;
      assert.deepEqual([...read.bytes], [...field.bytes]);
      assert.equal(read.count, field.count);
    }),
  );
});

test('the first piece is the highest bit of the first byte', () => {
  const field = new Bitfield(10);
  field.set(0);
  field.set(9);
  assert.deepEqual([...field.bytes], [0x80, 0x40]);
});

test('a full field has every bit and no spare one', () => {
  fc.assert(
    fc.property(lengths, (length) => {
      const full = Bitfield.full(length);
      assert.ok(full.isFull && full.count === length);
      assert.equal(Bitfield.parse(full.bytes, length)?.count, length);
    }),
  );
});

test('any other number of bytes and any spare bit are refused', () => {
  fc.assert(
    fc.property(lengths, fc.uint8Array({ maxLength: 40 }), (length, bytes) => {
      const right = bytes.length === Math.ceil(length / 8);
      const spare = [...bytes].some((byte, at) =>
        Array.from({ length: 8 }, (_, bit) => at * 8 + bit >= length && (byte & (0x80 >> bit)) !== 0).some(
          Boolean,
        ),
      );
      assert.equal(Bitfield.parse(bytes, length) !== null, right && !spare);
    }),
  );
});

test('one lacks some of another exactly when that has a bit which this has not', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.boolean()), { minLength: 1, maxLength: 60 }), (pairs) => {
      const mine = fieldOf(pairs.map(([flag]) => flag));
      const other = fieldOf(pairs.map(([, flag]) => flag));
      assert.equal(
        mine.lacksSomeOf(other),
        pairs.some(([has, offered]) => offered && !has),
      );
    }),
  );
});
