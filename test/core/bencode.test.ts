import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  BENCODE_BYTES_MAX,
  type Bencodable,
  BencodeError,
  type BencodeNode,
  bytesOfKey,
  decode,
  encode,
  latin1,
} from '../../agent/core/bencode.ts';

const bytes = (text: string) => Buffer.from(text, 'latin1');
const refusal = (reason: RegExp, offset: number) => (error: unknown) => {
  assert(error instanceof BencodeError);
  assert.match(error.reason, reason);
  assert.equal(error.offset, offset);
  return true;
};

/** The value that `encode` would take to write the node again. */
function plain(node: BencodeNode): Bencodable {
  if (node.kind === 'list') return node.items.map(plain);
  if (node.kind === 'dict') return Object.fromEntries([...node.entries].map(([k, v]) => [k, plain(v)]));
  return node.value;
}

describe('what is canonical is read', () => {
  test('values know where they lie', () => {
    const node = decode(bytes('d4:infod1:ai-7ee4:spaml0:3:xyzee'));
    assert(node.kind === 'dict');
    const info = node.entries.get('info');
    assert(info?.kind === 'dict');
    assert.deepEqual([info.begin, info.end], [7, 16]);
    assert.deepEqual(plain(node), {
      info: { a: -7n },
      spam: [bytes(''), bytes('xyz')].map((b) => b.subarray()),
    });
  });

  test('integers are exact over the whole of int64', () => {
    for (const value of [0n, -1n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)]) {
      assert.equal(plain(decode(bytes(`i${value}e`))), value);
    }
  });

  test('a key of any bytes survives, __proto__ among them', () => {
    const node = decode(bytes('d9:__proto__i1e4:\xff\x00\x80ai2ee'));
    assert(node.kind === 'dict');
    assert.deepEqual([...node.entries.keys()], ['__proto__', '\xff\x00\x80a']);
  });

  test('strings are views of the document', () => {
    const document = bytes('3:abc');
    const node = decode(document);
    assert(node.kind === 'bytes');
    assert.equal(node.value.buffer, document.buffer);
  });

  test('unsorted keys are read where the caller allows them', () => {
    const node = decode(bytes('d1:bi1e1:ai2ee'), { unsortedKeys: true });
    assert.deepEqual(plain(node), { b: 1n, a: 2n });
  });

  test('nesting of 32 is the deepest', () => {
    decode(bytes('l'.repeat(32) + 'e'.repeat(32)));
    assert.throws(() => decode(bytes('l'.repeat(33) + 'e'.repeat(33))), refusal(/deeper/, 32));
  });
});

describe('what is not canonical is refused, with the byte', () => {
  const cases: [string, string, RegExp, number][] = [
    ['nothing', '', /too early/, 0],
    ['an unknown letter', 'x', /no value/, 0],
    ['bytes after the end', 'i1ei2e', /after the end/, 3],
    ['an integer without digits', 'ie', /without digits/, 1],
    ['a bare minus', 'i-e', /without digits/, 1],
    ['minus zero', 'i-0e', /leading zero/, 1],
    ['a leading zero', 'i007e', /leading zero/, 1],
    ['a negative leading zero', 'i-01e', /leading zero/, 1],
    ['a plus sign', 'i+1e', /bad integer/, 1],
    ['a fraction', 'i1.5e', /bad integer/, 2],
    ['an integer that never ends', 'i12', /too early/, 3],
    ['an integer beyond int64', 'i9223372036854775808e', /64 bits/, 0],
    ['an integer below int64', 'i-9223372036854775809e', /64 bits/, 0],
    ['an integer of a thousand digits', `i${'9'.repeat(1000)}e`, /too long/, 1],
    ['a string that runs past the end', '5:abc', /past the end/, 0],
    ['a string of a huge length', '99999999999999999999:a', /past the end/, 0],
    ['a string length of a thousand digits', `${'9'.repeat(1000)}:a`, /too long/, 0],
    ['a string length with a leading zero', '03:abc', /leading zero/, 0],
    ['a negative string length', '-1:a', /no value/, 0],
    ['a string length without its colon', '3', /too early/, 1],
    ['a list that never ends', 'li1e', /too early/, 4],
    ['a key that is no string', 'di1ei2ee', /no value/, 1],
    ['a key without a value', 'd1:ae', /no value/, 4],
    ['a duplicate key', 'd1:ai1e1:ai2ee', /duplicate/, 7],
    ['unsorted keys', 'd1:bi1e1:ai2ee', /not sorted/, 7],
    ['a shorter key after the longer', 'd2:aai1e1:ai2ee', /not sorted/, 8],
  ];
  for (const [name, text, reason, offset] of cases) {
    test(name, () => assert.throws(() => decode(bytes(text)), refusal(reason, offset)));
  }

  test('a duplicate key, even where unsorted keys are allowed', () => {
    const document = bytes('d1:ai1e1:bi1e1:ai2ee');
    assert.throws(() => decode(document, { unsortedKeys: true }), refusal(/duplicate/, 13));
  });

  test('a million lists inside one another', () => {
    assert.throws(() => decode(Buffer.alloc(1_000_000, 'l')), refusal(/deeper/, 32));
  });

  test('more than 100,000 values', () => {
    assert.throws(() => decode(bytes(`l${'0:'.repeat(100_000)}e`)), refusal(/more than/, 1 + 2 * 99_999));
  });

  test('a document beyond the limit', () => {
    assert.throws(
      () => decode(new Uint8Array(BENCODE_BYTES_MAX + 1)),
      refusal(/longer than/, BENCODE_BYTES_MAX),
    );
  });
});

describe('encoding', () => {
  test('keys are sorted by their bytes, text is UTF-8', () => {
    const encoded = encode({ b: [1, -2n], '\xff': 'ä', B: bytes('x'), '': {} });
    assert.deepEqual(Buffer.from(encoded), Buffer.from('d0:de1:B1:x1:bli1ei-2ee1:\xff2:\xc3\xa4e', 'latin1'));
  });

  test('a number that is not exact, or a key that is not bytes, is our own fault', () => {
    assert.throws(() => encode(2 ** 53), RangeError);
    assert.throws(() => encode(0.5), RangeError);
    assert.throws(() => encode({ ā: 1 }), RangeError);
  });

  const { value } = fc.letrec<{ value: Bencodable }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 6 },
      fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
      fc.uint8Array({ maxLength: 40 }),
      fc.array(tie('value'), { maxLength: 5 }),
      fc.dictionary(fc.uint8Array({ maxLength: 8 }).map(latin1), tie('value'), {
        maxKeys: 5,
        noNullPrototype: true,
      }),
    ),
  }));

  test('what is encoded is decoded to the same', () => {
    fc.assert(fc.property(value, (v) => assert.deepEqual(plain(decode(encode(v))), v)));
  });

  test('what is decoded was the one spelling of its value', () => {
    const mutated = fc.tuple(value, fc.nat(), fc.nat(255)).map(([v, at, byte]) => {
      const encoded = encode(v);
      encoded[at % encoded.length] = byte;
      return encoded;
    });
    fc.assert(
      fc.property(mutated, (document) => {
        let node: BencodeNode;
        try {
          node = decode(document);
        } catch (error) {
          assert(error instanceof BencodeError);
          assert(error.offset >= 0 && error.offset <= document.length);
          return;
        }
        assert.deepEqual(encode(plain(node)), document);
      }),
      { numRuns: 2000 },
    );
  });

  test('random bytes give a BencodeError or a value, nothing else', () => {
    const letters = fc.constantFrom(...bytes('0123456789:dlie-'));
    const document = fc.array(letters, { maxLength: 200 }).map((list) => Uint8Array.from(list));
    fc.assert(
      fc.property(fc.oneof(document, fc.uint8Array({ maxLength: 200 })), (random) => {
        try {
          decode(random);
        } catch (error) {
          assert(error instanceof BencodeError);
        }
      }),
      { numRuns: 5000 },
    );
  });

  test('a key and its bytes are each other', () => {
    fc.assert(fc.property(fc.uint8Array(), (raw) => assert.deepEqual(bytesOfKey(latin1(raw)), raw)));
  });
});

test('long keys become text as short ones do', () => {
  const long = Uint8Array.from({ length: 10_000 }, (_, index) => (index * 7) & 0xff);
  assert.equal(latin1(long), Buffer.from(long).toString('latin1'));
  assert.deepEqual(bytesOfKey(latin1(long)), long);
});

test('a key of ten million bytes takes little more memory than its text', () => {
  const document = Buffer.concat([bytes('d9999900:'), Buffer.alloc(9_999_900, 'k'), bytes('0:e')]);
  const before = process.memoryUsage().heapUsed;
  const node = decode(document);
  assert(process.memoryUsage().heapUsed - before < 100_000_000);
  assert.equal(node.kind, 'dict');
});
