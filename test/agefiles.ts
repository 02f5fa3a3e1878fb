// Encrypted files made by the letter of C2SP age v1, in parts, so that a test can put them together as nobody should.

import { createCipheriv, createHmac, hkdfSync } from 'node:crypto';
import { FileKey } from '../agent/core/age.ts';
import { decrypted } from '../agent/io/decrypt.ts';

export const CHUNK = 65_536;
/** Of a chunk when it is sealed. */
export const SEALED = CHUNK + 16;
/** Of all files here. */
export const KEY = Buffer.from('YELLOW SUBMARINE');
const NONCE = Buffer.alloc(16, 9);
export const STANZA = `-> X25519 ${'A'.repeat(43)}\n${'B'.repeat(42)}A\n`;

/** The same, a new copy each time. */
export function fileKey(): FileKey {
  return new FileKey(Uint8Array.from(KEY));
}

function derived(secret: Uint8Array, salt: Uint8Array, info: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, salt, info, 32));
}

/** A header with these stanzas, and whatever stands before its MAC, which is right. */
export function header(stanzas: string = STANZA, magic = 'age-encryption.org/v1\n'): Buffer {
  const text = Buffer.from(`${magic}${stanzas}---`, 'latin1');
  const mac = createHmac('sha256', derived(KEY, Buffer.alloc(0), 'header'))
    .update(text)
    .digest();
  return Buffer.concat([text, Buffer.from(` ${mac.toString('base64').replace('=', '')}\n`)]);
}

export function chunk(plain: Uint8Array, index: number, last: boolean, nonce: Uint8Array = NONCE): Buffer {
  const place = Buffer.alloc(12);
  place.writeUInt32BE(index, 7);
  place[11] = last ? 1 : 0;
  const cipher = createCipheriv('chacha20-poly1305', derived(KEY, nonce, 'payload'), place, {
    authTagLength: 16,
  });
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** The sealed chunks of a payload; `nonce` is what stands in front of it. */
export function chunksOf(plain: Uint8Array, nonce: Uint8Array = NONCE): Buffer[] {
  const count = Math.max(1, Math.ceil(plain.length / CHUNK));
  return Array.from({ length: count }, (_, index) =>
    chunk(plain.subarray(index * CHUNK, (index + 1) * CHUNK), index, index === count - 1, nonce),
  );
}

export function fileOf(chunks: readonly Uint8Array[], head: Uint8Array = header()): Buffer {
  return Buffer.concat([head, NONCE, ...chunks]);
}

/** What comes out of a file that comes in parts of `size`, however it ends. */
export async function opened(
  file: Uint8Array,
  size = file.length,
  key = fileKey(),
): Promise<{ plain: Buffer; error: unknown }> {
  async function* parts(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < file.length; at += size) yield file.slice(at, at + size);
  }
  const plain: Uint8Array[] = [];
  try {
    // A part is another's room as soon as three later ones have come.
    for await (const part of decrypted(parts(), key)) plain.push(Buffer.from(part));
  } catch (error) {
    return { plain: Buffer.concat(plain), error };
  }
  return { plain: Buffer.concat(plain), error: null };
}
