// Bencode (BEP 3), strictly: what is not the one canonical spelling is refused, and every limit is checked before the
// memory is spent. Decides what is well formed; what the values mean is the caller's.

import { BOUNDS } from './bounds.ts';

const DEPTH_MAX = BOUNDS.bencodeDepth;
const TOKENS_MAX = BOUNDS.bencodeValues;
/** Bytes of one document: the limit of a .torrent file. */
export const BENCODE_BYTES_MAX = BOUNDS.torrentBytes;
/** The longest int64, its sign included. */
const INTEGER_CHARS_MAX = BOUNDS.integerDigits;
/** Bytes that become text at once. */
const LATIN1_STEP = 4096;
const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);

const [COLON, MINUS, ZERO, NINE] = [0x3a, 0x2d, 0x30, 0x39];
const [LETTER_D, LETTER_E, LETTER_I, LETTER_L] = [0x64, 0x65, 0x69, 0x6c];

/** Why bytes are not what they should be, and at which byte. */
export class BencodeError extends Error {
  readonly reason: string;
  /** From the start of the document. */
  readonly offset: number;

  constructor(reason: string, offset: number) {
    super(`${reason} at byte ${offset}`);
    this.name = 'BencodeError';
    this.reason = reason;
    this.offset = offset;
  }
}

/** Where a value lies in its document: `[begin, end)`. The bytes of an info dictionary are cut out with these. */
interface Place {
  readonly begin: number;
  readonly end: number;
}
export interface BencodeInteger extends Place {
  readonly kind: 'integer';
  readonly value: bigint;
}
export interface BencodeBytes extends Place {
  readonly kind: 'bytes';
  /** A view of the document, not a copy. */
  readonly value: Uint8Array;
}
export interface BencodeList extends Place {
  readonly kind: 'list';
  readonly items: readonly BencodeNode[];
}
export interface BencodeDict extends Place {
  readonly kind: 'dict';
  /** By key, in the document's order. A key is its bytes as latin1 text, so binary keys survive. */
  readonly entries: ReadonlyMap<string, BencodeNode>;
}
export type BencodeNode = BencodeInteger | BencodeBytes | BencodeList | BencodeDict;

/** What `encode` takes. Text is written as UTF-8; the keys of a record are latin1 text, one character per byte. */
export type Bencodable =
  | number
  | bigint
  | string
  | Uint8Array
  | readonly Bencodable[]
  | { readonly [key: string]: Bencodable };

/**
 * Reads one document that fills `bytes` exactly. Throws BencodeError at the first byte that is wrong.
 * `unsortedKeys`: takes dictionaries whose keys are not sorted, which some trackers and peers send; never duplicates.
 */
export function decode(bytes: Uint8Array, options?: { unsortedKeys: boolean }): BencodeNode {
  if (bytes.length > BENCODE_BYTES_MAX) {
    throw new BencodeError(`longer than ${BENCODE_BYTES_MAX} bytes`, BENCODE_BYTES_MAX);
  }
  return new Decoder(bytes, options?.unsortedKeys ?? false).document();
}

class Decoder {
  private readonly bytes: Uint8Array;
  private readonly unsortedKeys: boolean;
  private at = 0;
  private depth = 0;
  private tokens = 0;

  constructor(bytes: Uint8Array, unsortedKeys: boolean) {
    this.bytes = bytes;
    this.unsortedKeys = unsortedKeys;
  }

  document(): BencodeNode {
    const node = this.value();
    if (this.at < this.bytes.length) throw new BencodeError('bytes after the end', this.at);
    return node;
  }

  private value(): BencodeNode {
    this.countToken();
    const begin = this.at;
    switch (this.peek()) {
      case LETTER_I:
        return { kind: 'integer', value: this.integer(), begin, end: this.at };
      case LETTER_L:
        return { kind: 'list', items: this.list(), begin, end: this.at };
      case LETTER_D:
        return { kind: 'dict', entries: this.dict(), begin, end: this.at };
      default:
        return { kind: 'bytes', value: this.string(), begin, end: this.at };
    }
  }

  private integer(): bigint {
    const begin = this.at++;
    const digits = this.number('integer', this.peek() === MINUS, LETTER_E);
    const value = BigInt(digits);
    if (value > INT64_MAX || value < INT64_MIN) throw new BencodeError('integer beyond 64 bits', begin);
    return value;
  }

  private string(): Uint8Array {
    const begin = this.at;
    const length = Number(this.number('string length', false, COLON));
    if (length > this.bytes.length - this.at) {
      throw new BencodeError(`string of ${length} bytes runs past the end`, begin);
    }
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  private list(): BencodeNode[] {
    const items: BencodeNode[] = [];
    this.enter();
    while (this.peek() !== LETTER_E) items.push(this.value());
    this.leave();
    return items;
  }

  private dict(): Map<string, BencodeNode> {
    const entries = new Map<string, BencodeNode>();
    let before = '';
    this.enter();
    while (this.peek() !== LETTER_E) {
      this.countToken();
      const begin = this.at;
      const key = latin1(this.string());
      if (entries.has(key)) throw new BencodeError('duplicate key', begin);
      if (key < before && !this.unsortedKeys) throw new BencodeError('keys are not sorted', begin);
      before = key;
      entries.set(key, this.value());
    }
    this.leave();
    return entries;
  }

  /** The decimal number up to `stop`, spelled in the one canonical way; the cursor ends behind `stop`. */
  private number(what: string, negative: boolean, stop: number): string {
    const begin = this.at;
    if (negative) this.at++;
    const first = this.at;
    let digits = negative ? '-' : '';
    for (;;) {
      const byte = this.peek();
      if (byte === stop) break;
      if (byte < ZERO || byte > NINE) {
        throw new BencodeError(first === this.at && stop === COLON ? 'no value' : `bad ${what}`, this.at);
      }
      if (digits.length === INTEGER_CHARS_MAX) throw new BencodeError(`${what} too long`, begin);
      digits += String.fromCharCode(byte);
      this.at++;
    }
    if (this.at === first) throw new BencodeError(`${what} without digits`, begin);
    if (this.bytes[first] === ZERO && (negative || this.at > first + 1)) {
      throw new BencodeError(`${what} with a leading zero`, begin);
    }
    this.at++;
    return digits;
  }

  private enter(): void {
    if (++this.depth > DEPTH_MAX) throw new BencodeError(`nested deeper than ${DEPTH_MAX}`, this.at);
    this.at++;
  }

  private leave(): void {
    this.depth--;
    this.at++;
  }

  private countToken(): void {
    if (++this.tokens > TOKENS_MAX) throw new BencodeError(`more than ${TOKENS_MAX} values`, this.at);
  }

  private peek(): number {
    const byte = this.bytes[this.at];
    if (byte === undefined) throw new BencodeError('ends too early', this.at);
    return byte;
  }
}

type Kind = BencodeNode['kind'];
type NodeOf<K extends Kind> = Extract<BencodeNode, { kind: K }>;

/** The node, which must be of `kind`; `what` names it in the error. */
export function expectKind<K extends Kind>(node: BencodeNode, kind: K, what: string): NodeOf<K> {
  if (node.kind !== kind) throw new BencodeError(`${what} is not of kind ${kind}`, node.begin);
  return node as NodeOf<K>;
}

/** The value under `key`, or null when there is none. Throws BencodeError when it is not of `kind`. */
export function optionalField<K extends Kind>(dict: BencodeDict, key: string, kind: K): NodeOf<K> | null {
  const node = dict.entries.get(key);
  return node === undefined ? null : expectKind(node, kind, `"${key}"`);
}

/** The value under `key`. Throws BencodeError when there is none, or when it is not of `kind`. */
export function requiredField<K extends Kind>(dict: BencodeDict, key: string, kind: K): NodeOf<K> {
  const node = optionalField(dict, key, kind);
  if (node === null) throw new BencodeError(`"${key}" is missing`, dict.begin);
  return node;
}

/** The integer as a number within `[min, max]`; throws BencodeError beyond. */
export function integerWithin(node: BencodeInteger, min: number, max: number, what: string): number {
  if (node.value < BigInt(min) || node.value > BigInt(max)) {
    throw new BencodeError(`${what} is ${node.value}, not within ${min} to ${max}`, node.begin);
  }
  return Number(node.value);
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const utf8 = new TextEncoder();

/** The bytes as text. Throws BencodeError when they are not UTF-8. */
export function textOf(node: BencodeBytes, what: string): string {
  try {
    return strictUtf8.decode(node.value);
  } catch {
    throw new BencodeError(`${what} is not UTF-8`, node.begin);
  }
}

/** One character per byte: how dictionary keys are written here. */
export function latin1(bytes: Uint8Array): string {
  let text = '';
  // One by one, the characters of a long text would each take as much memory as thirty.
  for (let at = 0; at < bytes.length; at += LATIN1_STEP) {
    text += String.fromCharCode(...bytes.subarray(at, at + LATIN1_STEP));
  }
  return text;
}

/** The bytes behind a key made by `latin1`. */
export function bytesOfKey(key: string): Uint8Array {
  const bytes = new Uint8Array(key.length);
  for (let i = 0; i < key.length; i++) {
    const code = key.charCodeAt(i);
    if (code > 0xff) throw new RangeError('a bencode key is latin1 text');
    bytes[i] = code;
  }
  return bytes;
}

/** The canonical encoding: keys sorted by their bytes. Numbers must be safe integers. */
export function encode(value: Bencodable): Uint8Array {
  const parts: Uint8Array[] = [];
  encodeInto(parts, value);
  let length = 0;
  for (const part of parts) length += part.length;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function encodeInto(parts: Uint8Array[], value: Bencodable): void {
  if (typeof value === 'number' || typeof value === 'bigint') {
    if (typeof value === 'number' && !Number.isSafeInteger(value)) {
      throw new RangeError(`${value} is not a safe integer`);
    }
    parts.push(utf8.encode(`i${BigInt(value)}e`));
  } else if (typeof value === 'string') {
    encodeBytes(parts, utf8.encode(value));
  } else if (value instanceof Uint8Array) {
    encodeBytes(parts, value);
  } else if (isList(value)) {
    parts.push(utf8.encode('l'));
    for (const item of value) encodeInto(parts, item);
    parts.push(utf8.encode('e'));
  } else {
    parts.push(utf8.encode('d'));
    for (const key of Object.keys(value).sort(byBytes)) {
      encodeBytes(parts, bytesOfKey(key));
      encodeInto(parts, value[key]!);
    }
    parts.push(utf8.encode('e'));
  }
}

function isList(value: Bencodable): value is readonly Bencodable[] {
  return Array.isArray(value);
}

function byBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function encodeBytes(parts: Uint8Array[], bytes: Uint8Array): void {
  parts.push(utf8.encode(`${bytes.length}:`), bytes);
}
