// Opens encrypted tarballs (C2SP age v1) while they come: the header's MAC first, then chunk after chunk, each let out when it
// has been found genuine. What is sealed, swapped, cut off or added otherwise ends in a refusal.

import { createDecipheriv, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import {
  AGE_CHUNK_BYTES,
  AGE_INFO,
  AGE_NONCE_BYTES,
  AGE_TAG_BYTES,
  type AgeHeader,
  ageFault,
  chunkNonce,
  type FileKey,
  readAgeHeader,
} from '../core/age.ts';

const CIPHER = 'chacha20-poly1305';
const SEALED_BYTES = AGE_CHUNK_BYTES + AGE_TAG_BYTES;
/** What came out stays untouched until so many later chunks have been asked for, as with the store's own. */
const CHUNK_LIFETIME = 3;

/**
 * The content of an encrypted tarball. Every byte that comes out is genuine; that all of them have come is known only when
 * the source is at its end. A chunk of the source is used until the next one has been asked for; one that comes out stays
 * untouched until three later ones have been. Throws SwarmbootError('archive') for a file that is not whole, not genuine, or
 * of another key.
 */
export async function* decrypted(
  source: AsyncIterable<Uint8Array>,
  key: FileKey,
): AsyncGenerator<Uint8Array> {
  let head = Buffer.alloc(0);
  let payload: Payload | null = null;
  const room = new Room();
  try {
    for await (const chunk of source) {
      if (payload === null) {
        head = Buffer.concat([head, chunk]);
        const header = readAgeHeader(head);
        if (header === null || head.length < header.length + AGE_NONCE_BYTES) continue;
        payload = openHeader(head, header, key);
      } else payload.take(chunk);
      yield* room.together(payload.opened(false));
    }
    if (payload === null) throw ageFault('the encrypted file ends in its header');
    yield* room.together(payload.opened(true));
  } finally {
    payload?.close();
  }
}

/** Buffers that are used again in turn: fresh ones, a mebibyte each, cost an install more than the deciphering. */
class Room {
  readonly #buffers: Buffer[] = Array.from({ length: CHUNK_LIFETIME + 1 }, () => Buffer.alloc(0));

  /** What is opened at once goes on as one chunk, also in front of a fault: who takes it pays for each. */
  *together(parts: Iterable<Uint8Array>): Generator<Uint8Array> {
    let buffer = this.#buffers.shift()!;
    let length = 0;
    try {
      for (const part of parts) {
        if (length + part.length > buffer.length) {
          const larger = Buffer.allocUnsafeSlow(2 * (length + part.length));
          larger.set(buffer.subarray(0, length));
          buffer = larger;
        }
        buffer.set(part, length);
        length += part.length;
      }
    } finally {
      this.#buffers.push(buffer);
      if (length > 0) yield buffer.subarray(0, length);
    }
  }
}

/** The payload behind a header that this key has made; `head` holds header, nonce, and what has come of the payload. */
function openHeader(head: Buffer, header: AgeHeader, key: FileKey): Payload {
  const mac = headerMac(head.subarray(0, header.macAt), key);
  if (!timingSafeEqual(mac, header.mac))
    throw ageFault("the encrypted file has another key than the image server's, or its header was changed");
  const begin = header.length + AGE_NONCE_BYTES;
  const payload = new Payload(payloadKey(key, head.subarray(header.length, begin)));
  payload.take(head.subarray(begin));
  return payload;
}

/** The MAC of a header, over its bytes up to the three dashes. */
export function headerMac(bytes: Uint8Array, key: FileKey): Buffer {
  const macKey = derived(key.reveal(), '', AGE_INFO.header);
  try {
    return createHmac('sha256', macKey).update(bytes).digest();
  } finally {
    macKey.fill(0);
  }
}

/** The key by which the chunks of a payload are sealed. */
export function payloadKey(key: FileKey, nonce: Uint8Array): Buffer {
  return derived(key.reveal(), nonce, AGE_INFO.payload);
}

/** HKDF with SHA-256 (RFC 5869), as age uses it everywhere: 32 bytes. */
export function derived(secret: Uint8Array, salt: Uint8Array | string, info: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, salt, info, 32));
}

/** The chunks of a payload, in whatever parts they come. */
class Payload {
  readonly #key: Buffer;
  /** What has come and is not opened yet. */
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #index = 0;

  constructor(key: Buffer) {
    this.#key = key;
  }

  take(part: Uint8Array): void {
    this.#parts.push(part);
    this.#bytes += part.length;
  }

  /** Opens what can be opened: a chunk is not the last when a byte follows it, and is when the file is at its end. */
  *opened(ended: boolean): Generator<Uint8Array> {
    while (this.#bytes > SEALED_BYTES) yield* this.#open(SEALED_BYTES, false);
    if (!ended) return;
    if (this.#bytes < AGE_TAG_BYTES) throw ageFault('the encrypted file ends too early');
    // Only a file with nothing in it has a chunk with nothing in it.
    if (this.#bytes === AGE_TAG_BYTES && this.#index > 0)
      throw ageFault('an empty chunk follows the encrypted file');
    yield* this.#open(this.#bytes, true);
  }

  /** Zeros in the place of the key. */
  close(): void {
    this.#key.fill(0);
  }

  /** The plain bytes of the next chunk, when all of it has been found genuine. Parts are not joined before. */
  #open(length: number, last: boolean): readonly Uint8Array[] {
    const decipher = createDecipheriv(CIPHER, this.#key, chunkNonce(this.#index, last), {
      authTagLength: AGE_TAG_BYTES,
    });
    const plain = this.#cut(length - AGE_TAG_BYTES).map((part) => decipher.update(part));
    decipher.setAuthTag(Buffer.concat(this.#cut(AGE_TAG_BYTES)));
    try {
      decipher.final();
    } catch (error) {
      throw ageFault(`chunk ${this.#index} of the encrypted file was changed, or is not its last`, error);
    }
    this.#index++;
    return plain;
  }

  /** The next `length` bytes of what has come. */
  #cut(length: number): Uint8Array[] {
    const taken: Uint8Array[] = [];
    this.#bytes -= length;
    for (let left = length; left > 0; ) {
      const part = this.#parts[0]!;
      if (part.length > left) {
        taken.push(part.subarray(0, left));
        this.#parts[0] = part.subarray(left);
        break;
      }
      left -= part.length;
      taken.push(part);
      this.#parts.shift();
    }
    return taken;
  }
}
