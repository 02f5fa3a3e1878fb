// Secret keys in minisign's format: made, written with a password or without one, read again, and signed with. What is
// public about signatures is agent/core/minisign.ts.

import {
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  scryptSync,
  sign,
} from 'node:crypto';
import { blake2b } from '@noble/hashes/blake2.js';
import { SwarmbootError } from '../agent/core/errors.ts';
import {
  commentBytes,
  formatSignature,
  keyIdBytes,
  keyIdOf,
  type PublicKey,
  signedBytes,
} from '../agent/core/minisign.ts';
import { MIB } from '../agent/core/units.ts';
import { signatureChecks } from '../agent/io/digest.ts';

export interface SecretKey {
  readonly public: PublicKey;
  /** 32 bytes: RFC 8032's private key. */
  readonly seed: Uint8Array;
}

/** Bytes of a secret key file, at most. */
export const SECRET_KEY_BYTES_MAX = 4096;

const COMMENT = 'untrusted comment: ';
const ED25519 = Buffer.from('Ed');
const SCRYPT = Buffer.from('Sc');
const NO_KDF = Buffer.from([0, 0]);
const BLAKE2B = Buffer.from('B2');
const SALT_BYTES = 32;
/** Two letters of each of three algorithms, the salt, two limits, then what the password hides. */
const HEAD_BYTES = 6 + SALT_BYTES + 16;
/** Key id, seed, public key, checksum. */
const HIDDEN_BYTES = 8 + 64 + 32;
/** minisign's own: libsodium's SENSITIVE. They stand for N = 2^20, r = 8, p = 1. */
const OPERATIONS = 33_554_432n;
const MEMORY_BYTES = 1_073_741_824n;
/** More would not be asked for by anybody's good will. */
const MEMORY_BYTES_MAX = 4_294_967_296n;
const BLOCK_SIZE = 8;
/** RFC 8410: what stands before the 32 bytes of an Ed25519 key in PKCS #8. */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');

/** A new key pair. */
export function makeSecretKey(): SecretKey {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const seed = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(PKCS8.length);
  const key = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
  return { public: { id: keyIdOf(randomBytes(8)), key }, seed };
}

/** The text of a secret key file; with an empty password it is hidden from nobody. */
export function formatSecretKey(key: SecretKey, password: string): string {
  const salt = randomBytes(SALT_BYTES);
  const kdf = password === '' ? NO_KDF : SCRYPT;
  const limits = Buffer.alloc(16);
  if (password !== '') {
    limits.writeBigUInt64LE(OPERATIONS, 0);
    limits.writeBigUInt64LE(MEMORY_BYTES, 8);
  }
  const id = keyIdBytes(key.public.id);
  const pair = Buffer.concat([key.seed, key.public.key]);
  const hidden = Buffer.concat([id, pair, checksum(id, pair)]);
  if (password !== '') mask(hidden, password, salt, OPERATIONS, MEMORY_BYTES);
  const bytes = Buffer.concat([ED25519, kdf, BLAKE2B, salt, limits, hidden]);
  const kind = password === '' ? 'unencrypted' : 'encrypted';
  return `${COMMENT}minisign ${kind} secret key ${key.public.id}\n${bytes.toString('base64')}\n`;
}

/** True when the file wants a password. Throws as `parseSecretKey` does. */
export function wantsPassword(text: string, where: string): boolean {
  return !partsOf(text, where).kdf.equals(NO_KDF);
}

/** Reads the text of a secret key file. Throws SwarmbootError('signature'): no such file, or another password. */
export function parseSecretKey(text: string, password: string, where: string): SecretKey {
  const { kdf, salt, operations, memoryBytes, hidden } = partsOf(text, where);
  const isHidden = !kdf.equals(NO_KDF);
  if (isHidden) {
    if (password === '') throw fault(`${where} wants a password; give it by --password-file`);
    mask(hidden, password, salt, operations, memoryBytes);
  }
  const id = hidden.subarray(0, 8);
  const pair = hidden.subarray(8, 72);
  if (!hidden.subarray(72).equals(checksum(id, pair))) {
    throw fault(
      isHidden
        ? `${where} does not open with that password; try another`
        : `${where} is damaged; take its copy`,
    );
  }
  return { public: { id: keyIdOf(id), key: pair.subarray(32) }, seed: pair.subarray(0, 32) };
}

/** The text of a signature file over `data`, which minisign verifies too. */
export function signatureOf(data: Uint8Array, key: SecretKey, trustedComment: string): string {
  const secret = keyObject(key);
  const signature = sign(null, signedBytes(data, true, signatureChecks), secret);
  return formatSignature({
    keyId: key.public.id,
    prehashed: true,
    signature,
    trustedComment,
    commentSignature: sign(null, commentBytes(signature, trustedComment), secret),
  });
}

function partsOf(text: string, where: string) {
  const lines = text.trimEnd().split(/\r?\n/);
  const bytes = Buffer.from(lines[1] ?? '', 'base64');
  const right =
    lines.length === 2 &&
    lines[0]!.startsWith(COMMENT) &&
    bytes.length === HEAD_BYTES + HIDDEN_BYTES &&
    bytes.subarray(0, 2).equals(ED25519) &&
    [SCRYPT, NO_KDF].some((kdf) => bytes.subarray(2, 4).equals(kdf)) &&
    bytes.subarray(4, 6).equals(BLAKE2B);
  if (!right) throw fault(`${where} is no secret key of minisign's; make one with swarmboot keygen`);
  const limitsAt = 6 + SALT_BYTES;
  return {
    kdf: bytes.subarray(2, 4),
    salt: bytes.subarray(6, limitsAt),
    operations: bytes.readBigUInt64LE(limitsAt),
    memoryBytes: bytes.readBigUInt64LE(limitsAt + 8),
    hidden: bytes.subarray(HEAD_BYTES),
  };
}

/** Hides, or shows again, by scrypt's bytes; the limits become its numbers as in libsodium. */
function mask(hidden: Buffer, password: string, salt: Buffer, operations: bigint, memoryBytes: bigint): void {
  if (memoryBytes > MEMORY_BYTES_MAX) {
    throw fault(`the key wants ${memoryBytes / BigInt(MIB)} MiB of memory to be opened; make another`);
  }
  const blocks = BigInt(BLOCK_SIZE);
  const few = operations < memoryBytes / 32n;
  const costMax = few ? operations / (blocks * 4n) : memoryBytes / (blocks * 128n);
  let log = 1;
  while (log < 63 && 1n << BigInt(log) <= costMax / 2n) log++;
  const rounds = few ? 1n : operations / 4n / (1n << BigInt(log));
  const parallelization = few ? 1 : Math.max(1, Number(rounds / blocks));
  const cost = 2 ** log;
  const stream = scryptSync(password, salt, hidden.length, {
    cost,
    blockSize: BLOCK_SIZE,
    parallelization,
    maxmem: 2 * 128 * BLOCK_SIZE * cost + MIB,
  });
  for (const [index, byte] of stream.entries()) hidden[index]! ^= byte;
}

function checksum(id: Uint8Array, pair: Uint8Array): Buffer {
  return Buffer.from(blake2b(Buffer.concat([ED25519, id, pair]), { dkLen: 32 }));
}

function keyObject({ seed }: SecretKey): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' });
}

function fault(message: string): SwarmbootError {
  return new SwarmbootError('signature', message);
}
