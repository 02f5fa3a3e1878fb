// The form of an encrypted tarball: age v1 (C2SP age). Its header is read here, strictly, and the nonces of its payload are
// counted here; keys are tried and bytes opened in io/decrypt. https://c2sp.org/age

import { BOUNDS } from './bounds.ts';
import { assert, SwarmbootError } from './errors.ts';
import { KIB } from './units.ts';

/** The first line of every such file. */
export const AGE_MAGIC = 'age-encryption.org/v1\n';
/** Plain bytes of every chunk but the last. */
export const AGE_CHUNK_BYTES = 64 * KIB;
/** What a chunk is longer by when it is sealed. */
export const AGE_TAG_BYTES = 16;
/** What stands between header and payload: of it and the file key the payload's key is made. */
export const AGE_NONCE_BYTES = 16;
export const FILE_KEY_BYTES = 16;
/** Ours have 200 bytes; a file of another maker may be for some dozens of people. */
export const AGE_HEADER_BYTES_MAX = BOUNDS.ageHeaderBytes;
const MAC_BYTES = 32;
const LINE_FEED = 10;
const LINE_CHARACTERS = 64;

/** Which use a key is made for, by HKDF. */
export const AGE_INFO = {
  header: 'header',
  payload: 'payload',
  x25519: 'age-encryption.org/v1/X25519',
} as const;

/** The file key, wrapped for somebody: how, and the wrapped bytes. */
export interface AgeStanza {
  /** The kind first. */
  readonly words: readonly string[];
  readonly body: Uint8Array;
}

export interface AgeHeader {
  readonly stanzas: readonly AgeStanza[];
  /** HMAC-SHA-256 over the first `macAt` bytes of the file. */
  readonly mac: Uint8Array;
  readonly macAt: number;
  /** Bytes of the header with its last line feed. */
  readonly length: number;
}

/** The 16 bytes that open one encrypted tarball, for as long as they are needed. Neither JSON nor a log shows them. */
export class FileKey {
  // An array of so few bytes would lie in the heap otherwise, where the collector leaves copies of what it moves.
  readonly #bytes = new Uint8Array(new ArrayBuffer(FILE_KEY_BYTES));

  /** Moves the key here: zeros are in its place then. */
  constructor(bytes: Uint8Array) {
    assert(bytes.length === FILE_KEY_BYTES, 'a file key has 16 bytes');
    this.#bytes.set(bytes);
    bytes.fill(0);
  }

  reveal(): Uint8Array {
    return this.#bytes;
  }

  /** Puts zeros in the place of the key: it opens nothing any more. */
  erase(): void {
    this.#bytes.fill(0);
  }
}

/** The fault of an encrypted tarball. */
export function ageFault(what: string, cause?: unknown): SwarmbootError {
  return new SwarmbootError('archive', `${what}; publish the archive again`, { cause });
}

/**
 * The header at the start of a file of which `bytes` are there; null when its end is not among them. Throws
 * SwarmbootError('archive') as soon as they cannot be the start of one.
 */
export function readAgeHeader(bytes: Uint8Array): AgeHeader | null {
  const start = bytes.subarray(0, AGE_HEADER_BYTES_MAX);
  const magic = ascii(start.subarray(0, AGE_MAGIC.length));
  if (!AGE_MAGIC.startsWith(magic)) throw ageFault('it is no file of age, version 1');
  const lines = new Lines(start, AGE_MAGIC.length);
  const stanzas: AgeStanza[] = [];
  for (let at = lines.at; ; at = lines.at) {
    const line = lines.next();
    if (line === null) {
      if (start.length < AGE_HEADER_BYTES_MAX) return null;
      throw ageFault(`the header of age is longer than ${AGE_HEADER_BYTES_MAX} bytes`);
    }
    if (!line.startsWith('---')) {
      const stanza = readStanza(line, lines);
      if (stanza !== null) stanzas.push(stanza);
      continue;
    }
    const mac = line.startsWith('--- ') ? fromBase64(line.slice(4)) : null;
    if (mac?.length !== MAC_BYTES || stanzas.length === 0)
      throw ageFault('the header of age ends as none does');
    return { stanzas, mac, macAt: at + '---'.length, length: lines.at };
  }
}

/** The stanza that begins with `line`; null when its last line has not come yet. */
function readStanza(line: string, lines: Lines): AgeStanza | null {
  const [arrow, ...words] = line.split(' ');
  if (arrow !== '->' || words.length === 0 || !words.every((word) => /^[!-~]+$/.test(word)))
    throw ageFault('the header of age has a line that nobody knows');
  let text = '';
  for (;;) {
    const part = lines.next();
    if (part === null) return null;
    if (part.length > LINE_CHARACTERS) throw ageFault('the header of age has a line that is too long');
    text += part;
    if (part.length < LINE_CHARACTERS) break;
  }
  const body = fromBase64(text);
  if (body === null) throw ageFault('the header of age has a wrapped key that is no base64');
  return { words, body };
}

/** The lines of a header, without their line feeds. */
class Lines {
  readonly #bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  /** Null when the next one has not come to its end. */
  next(): string | null {
    const end = this.#bytes.indexOf(LINE_FEED, this.at);
    if (end === -1) return null;
    const line = ascii(this.#bytes.subarray(this.at, end));
    this.at = end + 1;
    return line;
  }
}

/** The header without its MAC, as `readAgeHeader` reads it: up to the three dashes over which the MAC is made. */
export function formatAgeHeader(stanzas: readonly AgeStanza[]): string {
  const parts = stanzas.map(({ words, body }) => {
    const text = toBase64(body);
    const lines = Array.from({ length: Math.floor(text.length / LINE_CHARACTERS) + 1 }, (_, index) =>
      text.slice(index * LINE_CHARACTERS, (index + 1) * LINE_CHARACTERS),
    );
    return `-> ${words.join(' ')}\n${lines.join('\n')}\n`;
  });
  return `${AGE_MAGIC}${parts.join('')}---`;
}

/** The end of a header, which `formatAgeHeader` has begun. */
export function formatAgeMac(mac: Uint8Array): string {
  return ` ${toBase64(mac)}\n`;
}

/** The nonce of chunk `index` of the payload: its number in 11 bytes, the big end first, and whether it is the last. */
export function chunkNonce(index: number, last: boolean): Uint8Array {
  const nonce = new Uint8Array(12);
  const view = new DataView(nonce.buffer);
  // 2^53 chunks are more than any file has.
  view.setUint32(3, Math.floor(index / 2 ** 32));
  view.setUint32(7, index % 2 ** 32);
  nonce[11] = last ? 1 : 0;
  return nonce;
}

/** Base64 as age has it: without padding, one text for each bytes. Null for anything else. */
export function fromBase64(text: string): Uint8Array | null {
  if (!/^[A-Za-z0-9+/]*$/.test(text)) return null;
  try {
    const padding = '='.repeat((4 - (text.length % 4)) % 4);
    return Uint8Array.fromBase64(text + padding, { lastChunkHandling: 'strict' });
  } catch {
    return null;
  }
}

export function toBase64(bytes: Uint8Array): string {
  return bytes.toBase64({ omitPadding: true });
}

/** One character for each byte; what is no ASCII fits no line of a header. */
function ascii(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
