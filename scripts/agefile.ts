// Makes encrypted tarballs and the keys that open them (C2SP age v1, with X25519). Debian's age opens what is made here, and
// here is opened what it makes; what nodes do of it, with the file key alone, is agent/io/decrypt.

import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import {
  AGE_CHUNK_BYTES,
  AGE_INFO,
  AGE_NONCE_BYTES,
  AGE_TAG_BYTES,
  type AgeHeader,
  type AgeStanza,
  ageFault,
  chunkNonce,
  FILE_KEY_BYTES,
  FileKey,
  formatAgeHeader,
  formatAgeMac,
  fromBase64,
  toBase64,
} from '../agent/core/age.ts';
import { derived, headerMac, payloadKey } from '../agent/io/decrypt.ts';
import { fromBech32, toBech32 } from './core/bech32.ts';

const CIPHER = 'chacha20-poly1305';
const SECRET_PREFIX = 'age-secret-key-';
const POINT_BYTES = 32;
/** RFC 8410: what stands before the 32 bytes of an X25519 key in a SubjectPublicKeyInfo, and in a PKCS #8. */
const SPKI = Buffer.from('302a300506032b656e032100', 'hex');
const PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex');
/** A file key is wrapped with a key that is used once. */
const WRAP_NONCE = new Uint8Array(12);

/** A secret key of age, with its public half. */
export class Identity {
  readonly #secret: KeyObject;
  readonly #public: Buffer;

  private constructor(secret: KeyObject) {
    this.#secret = secret;
    this.#public = pointOf(createPublicKey(secret));
  }

  static make(): Identity {
    return new Identity(generateKeyPairSync('x25519').privateKey);
  }

  /** Reads a line like AGE-SECRET-KEY-1...; null when it is none. */
  static parse(line: string): Identity | null {
    const bytes = line === line.toUpperCase() ? fromBech32(SECRET_PREFIX, line.toLowerCase()) : null;
    if (bytes?.length !== POINT_BYTES) return null;
    const der = Buffer.concat([PKCS8, bytes]);
    return new Identity(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
  }

  /** As `age -i` reads it from a file. */
  format(): string {
    const bytes = this.#secret.export({ format: 'der', type: 'pkcs8' }).subarray(PKCS8.length);
    const secret = toBech32(SECRET_PREFIX, bytes).toUpperCase();
    return `# public key: ${toBech32('age', this.#public)}\n${secret}\n`;
  }

  /** The header and nonce of a new file that this identity opens, and the file's key. */
  begin(): { readonly head: Buffer; readonly nonce: Buffer; readonly key: FileKey } {
    const key = new FileKey(randomBytes(FILE_KEY_BYTES));
    const text = formatAgeHeader([this.#wrap(key)]);
    const mac = headerMac(Buffer.from(text), key);
    const nonce = randomBytes(AGE_NONCE_BYTES);
    return { head: Buffer.concat([Buffer.from(text + formatAgeMac(mac)), nonce]), nonce, key };
  }

  /**
   * The key of a file by its header, whose MAC is checked with it by whoever decrypts; null when the file is for others.
   * Throws SwarmbootError('archive') for a wrapped key that nobody can have made so.
   */
  open({ stanzas }: AgeHeader): FileKey | null {
    for (const { words, body } of stanzas) {
      const key = words[0] === 'X25519' ? this.#unwrap(words, body) : null;
      if (key !== null) return key;
    }
    return null;
  }

  #wrap(key: FileKey): AgeStanza {
    const once = generateKeyPairSync('x25519');
    const share = pointOf(once.publicKey);
    const shared = diffieHellman({ privateKey: once.privateKey, publicKey: createPublicKey(this.#secret) });
    const cipher = createCipheriv(CIPHER, this.#wrapKey(shared, share), WRAP_NONCE, {
      authTagLength: AGE_TAG_BYTES,
    });
    const body = Buffer.concat([cipher.update(key.reveal()), cipher.final(), cipher.getAuthTag()]);
    return { words: ['X25519', toBase64(share)], body };
  }

  #unwrap(words: readonly string[], body: Uint8Array): FileKey | null {
    const share = words.length === 2 ? fromBase64(words[1]!) : null;
    if (share?.length !== POINT_BYTES || body.length !== FILE_KEY_BYTES + AGE_TAG_BYTES)
      throw ageFault('the header of age has an X25519 key of another form');
    const shared = this.#agree(share);
    const decipher = createDecipheriv(CIPHER, this.#wrapKey(shared, share), WRAP_NONCE, {
      authTagLength: AGE_TAG_BYTES,
    });
    decipher.setAuthTag(body.subarray(FILE_KEY_BYTES));
    const key = new FileKey(decipher.update(body.subarray(0, FILE_KEY_BYTES)));
    try {
      decipher.final();
    } catch {
      return null;
    }
    return key;
  }

  /** X25519 (RFC 7748); OpenSSL refuses points of small order, which give a secret of zeros to everybody. */
  #agree(share: Uint8Array): Buffer {
    const publicKey = createPublicKey({ key: Buffer.concat([SPKI, share]), format: 'der', type: 'spki' });
    try {
      return diffieHellman({ privateKey: this.#secret, publicKey });
    } catch (error) {
      throw ageFault('the header of age has an X25519 key of small order', error);
    }
  }

  #wrapKey(shared: Uint8Array, share: Uint8Array): Buffer {
    return derived(shared, Buffer.concat([share, this.#public]), AGE_INFO.x25519);
  }
}

function pointOf(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'spki' }).subarray(SPKI.length);
}

/** The bytes of a whole file: `head` and nonce of `Identity.begin`, and the source sealed in chunks. */
export async function* encrypted(
  source: AsyncIterable<Uint8Array>,
  { head, nonce, key }: ReturnType<Identity['begin']>,
): AsyncGenerator<Uint8Array> {
  const sealer = payloadKey(key, nonce);
  const seal = (index: number, plain: Uint8Array, last: boolean): Buffer => {
    const cipher = createCipheriv(CIPHER, sealer, chunkNonce(index, last), { authTagLength: AGE_TAG_BYTES });
    return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  };
  const chunk = Buffer.alloc(AGE_CHUNK_BYTES);
  let [filled, index] = [0, 0];
  try {
    yield head;
    for await (const bytes of source) {
      for (let at = 0; at < bytes.length; ) {
        // Only a byte that follows tells that a full chunk is not the last.
        if (filled === AGE_CHUNK_BYTES) {
          yield seal(index++, chunk, false);
          filled = 0;
        }
        const part = bytes.subarray(at, at + AGE_CHUNK_BYTES - filled);
        chunk.set(part, filled);
        filled += part.length;
        at += part.length;
      }
    }
    yield seal(index, chunk.subarray(0, filled), true);
  } finally {
    sealer.fill(0);
  }
}
