// Makes new inputs from old ones: bits, bytes, numbers, words, and pieces of other inputs. The same chance gives the same.

import type { Rng } from '../../agent/core/rng.ts';

/** Bytes at which parsers change their mind. */
const BYTES = [
  0, 1, 9, 10, 13, 32, 34, 37, 45, 47, 48, 57, 58, 61, 92, 100, 101, 105, 108, 127, 128, 254, 255,
];
/** Lengths and numbers at which arithmetic changes its mind, as bytes of 32 bits. */
const WORDS32 = [0, 1, 4, 5, 13, 16_384, 16_393, 65_535, 65_536, 2 ** 20, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
/** The same as digits. */
const DIGITS = [
  '0',
  '-1',
  '00',
  '1',
  '7',
  '65536',
  '2147483648',
  '4294967296',
  '9007199254740991',
  '9007199254740993',
  '9223372036854775807',
  '9223372036854775808',
  '99999999999999999999',
  '1e308',
  '0.1',
];
/** Of so many inputs one has a part repeated until it is as long as inputs may be. */
const LONG_ONE_IN = 2000;
const STEPS_MAX = 6;

export interface Material {
  readonly words: readonly Uint8Array[];
  /** Another input, to be spliced in. */
  other(): Uint8Array;
  readonly bytesMax: number;
}

type Change = (bytes: Uint8Array, rng: Rng, material: Material) => Uint8Array;

/** The input after one to six changes. The given bytes stay as they are. */
export function mutated(bytes: Uint8Array, rng: Rng, material: Material): Uint8Array {
  let result: Uint8Array = bytes.slice();
  const steps = 1 + Math.floor(STEPS_MAX * rng.next() ** 3);
  for (let step = 0; step < steps; step++) {
    result = CHANGES[rng.below(CHANGES.length)]!(result, rng, material);
  }
  if (rng.below(LONG_ONE_IN) === 0) result = long(result, rng, material);
  return result.length > material.bytesMax ? result.subarray(0, material.bytesMax) : result;
}

const CHANGES: readonly Change[] = [
  flip,
  flip,
  setByte,
  setByte,
  setWord32,
  setDigits,
  setDigits,
  insertWord,
  insertWord,
  replaceByWord,
  remove,
  repeat,
  splice,
  cut,
  swap,
];

/** `bytes` with those of `[from, to)` replaced. */
function replaced(bytes: Uint8Array, from: number, to: number, by: Uint8Array): Uint8Array {
  const whole = new Uint8Array(bytes.length - (to - from) + by.length);
  whole.set(bytes.subarray(0, from));
  whole.set(by, from);
  whole.set(bytes.subarray(to), from + by.length);
  return whole;
}

/** A stretch of the input, short more often than long. */
function stretch(bytes: Uint8Array, rng: Rng): { from: number; to: number } {
  const from = rng.below(bytes.length + 1);
  const most = Math.min(bytes.length - from, 2 ** rng.below(12));
  return { from, to: from + rng.below(most + 1) };
}

function flip(bytes: Uint8Array, rng: Rng): Uint8Array {
  if (bytes.length > 0) bytes[rng.below(bytes.length)]! ^= 1 << rng.below(8);
  return bytes;
}

function setByte(bytes: Uint8Array, rng: Rng): Uint8Array {
  if (bytes.length > 0)
    bytes[rng.below(bytes.length)] = rng.next() < 0.5 ? rng.below(256) : BYTES[rng.below(BYTES.length)]!;
  return bytes;
}

function setWord32(bytes: Uint8Array, rng: Rng): Uint8Array {
  if (bytes.length < 4) return bytes;
  const at = rng.below(bytes.length - 3);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const value =
    rng.next() < 0.5 ? WORDS32[rng.below(WORDS32.length)]! : view.getUint32(at) + rng.below(17) - 8;
  view.setUint32(at, value >>> 0);
  return bytes;
}

/** Another number in the place of one that is written with digits. */
function setDigits(bytes: Uint8Array, rng: Rng): Uint8Array {
  const isDigit = (at: number) => bytes[at]! >= 0x30 && bytes[at]! <= 0x39;
  let from = rng.below(bytes.length + 1);
  while (from < bytes.length && !isDigit(from)) from++;
  let to = from;
  while (to < bytes.length && isDigit(to)) to++;
  if (from === to) return bytes;
  const near =
    Number(String.fromCharCode(...bytes.subarray(from, Math.min(to, from + 15)))) + rng.below(5) - 2;
  const text = rng.next() < 0.5 ? `${near}` : DIGITS[rng.below(DIGITS.length)]!;
  return replaced(
    bytes,
    from,
    to,
    Uint8Array.from(text, (digit) => digit.charCodeAt(0)),
  );
}

function anyWord(rng: Rng, { words }: Material): Uint8Array {
  return words[rng.below(words.length)] ?? new Uint8Array(1);
}

function insertWord(bytes: Uint8Array, rng: Rng, material: Material): Uint8Array {
  const at = rng.below(bytes.length + 1);
  return replaced(bytes, at, at, anyWord(rng, material));
}

function replaceByWord(bytes: Uint8Array, rng: Rng, material: Material): Uint8Array {
  const { from, to } = stretch(bytes, rng);
  return replaced(bytes, from, to, anyWord(rng, material));
}

function remove(bytes: Uint8Array, rng: Rng): Uint8Array {
  const { from, to } = stretch(bytes, rng);
  return replaced(bytes, from, to, new Uint8Array(0));
}

/** A part of the input once more, or a few times. */
function repeat(bytes: Uint8Array, rng: Rng): Uint8Array {
  const { from, to } = stretch(bytes, rng);
  return replaced(bytes, to, to, times(bytes.subarray(from, to), 1 + rng.below(4)));
}

function splice(bytes: Uint8Array, rng: Rng, material: Material): Uint8Array {
  const other = material.other();
  const [here, there] = [stretch(bytes, rng), stretch(other, rng)];
  return replaced(bytes, here.from, here.to, other.subarray(there.from, there.to));
}

function cut(bytes: Uint8Array, rng: Rng): Uint8Array {
  return bytes.slice(0, rng.below(bytes.length + 1));
}

/** Two parts that stand behind one another change places. */
function swap(bytes: Uint8Array, rng: Rng): Uint8Array {
  const { from, to } = stretch(bytes, rng);
  const middle = from + rng.below(to - from + 1);
  const turned = new Uint8Array(to - from);
  turned.set(bytes.subarray(middle, to));
  turned.set(bytes.subarray(from, middle), to - middle);
  return replaced(bytes, from, to, turned);
}

/** A part of the input until there is no more room: what takes more than linear time shows. */
function long(bytes: Uint8Array, rng: Rng, material: Material): Uint8Array {
  const { from, to } = stretch(bytes, rng);
  const part = rng.next() < 0.5 ? anyWord(rng, material) : bytes.subarray(from, to);
  const room = material.bytesMax - bytes.length;
  return part.length === 0 || room <= 0
    ? bytes
    : replaced(bytes, to, to, times(part, Math.max(1, Math.floor(room / part.length))));
}

function times(part: Uint8Array, count: number): Uint8Array {
  const whole = new Uint8Array(part.length * count);
  for (let index = 0; index < count; index++) whole.set(part, index * part.length);
  return whole;
}
