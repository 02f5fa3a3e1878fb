// Bencode: what is accepted is spelled in the one canonical way.

import fc from 'fast-check';
import {
  type Bencodable,
  BencodeError,
  type BencodeNode,
  decode,
  encode,
} from '../../../agent/core/bencode.ts';
import { KIB } from '../../../agent/core/units.ts';
import { drawn } from '../generate.ts';
import { bytesOf, must, type Target, type Verdict } from '../target.ts';

const SEEDS = [
  'de',
  'le',
  'i0e',
  'i-9223372036854775808e',
  '0:',
  '3:abc',
  'd3:bar4:spam3:fooi42ee',
  'd4:infod6:lengthi100000e4:name1:a12:piece lengthi32768e6:pieces0:ee',
  'll1:ad1:bi7eeee',
  'd8:intervali1800e5:peers6:abcdef6:peers60:e',
  `${'l'.repeat(32)}${'e'.repeat(32)}`,
];

/** Keys are latin1 text. */
const key = fc.string({
  unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
  maxLength: 6,
});
const { value } = fc.letrec<{ value: Bencodable }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 6, withCrossShrink: true },
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.uint8Array({ maxLength: 20 }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.oneof(key, fc.constant('__proto__')), tie('value'), { maxKeys: 4 }),
  ),
}));

/** What `encode` takes to write the node again. */
function plain(node: BencodeNode): Bencodable {
  if (node.kind === 'list') return node.items.map(plain);
  if (node.kind === 'dict')
    return Object.fromEntries([...node.entries].map(([name, one]) => [name, plain(one)]));
  return node.value;
}

function read(bytes: Uint8Array, unsortedKeys: boolean): BencodeNode | null {
  try {
    return decode(bytes, { unsortedKeys });
  } catch (error) {
    if (!(error instanceof BencodeError)) throw error;
    must(error.offset >= 0 && error.offset <= bytes.length, 'a fault lies within the document');
    return null;
  }
}

function judge(bytes: Uint8Array): Verdict {
  const strict = read(bytes, false);
  const loose = strict ?? read(bytes, true);
  if (loose === null) return 'refused';
  must(loose.begin === 0 && loose.end === bytes.length, 'a document fills its bytes');
  if (strict !== null)
    must(Buffer.compare(encode(plain(strict)), bytes) === 0, 'it is written as it was read');
  return 'accepted';
}

export const bencode = (): Target => ({
  seeds: SEEDS.map(bytesOf),
  words: [
    'i',
    'e',
    'l',
    'd',
    ':',
    '-',
    '0:',
    '1:a',
    'i0e',
    'i-1e',
    'le',
    'de',
    '99999:',
    '4:info',
    '9:__proto__',
  ],
  build: drawn(value.map(encode)),
  bytesMax: 16 * KIB,
  growthMiB: 8,
  judge,
});
