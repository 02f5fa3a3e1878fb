// Signatures and public keys in minisign's format (https://jedisct1.github.io/minisign/): Ed25519, over the bytes of a file
// or over their BLAKE2b-512. Decides what a right signature is; the two primitives are given by the caller.

import { BOUNDS } from './bounds.ts';
import { SwarmbootError } from './errors.ts';
import { hex } from './units.ts';

/** The primitives that a signature needs. */
export interface SignatureChecks {
  /** Ed25519 (RFC 8032): a public key of 32 bytes, a signature of 64. */
  ed25519(message: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean;
  /** 64 bytes (RFC 7693). */
  blake2b512(data: Uint8Array): Uint8Array;
}

export interface PublicKey {
  /** 16 upper-case hex digits, as minisign prints it. */
  readonly id: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
}

export interface Signature {
  readonly keyId: string;
  /** Over the BLAKE2b-512 of the file, as minisign makes them now; else over the file itself. */
  readonly prehashed: boolean;
  /** 64 bytes. */
  readonly signature: Uint8Array;
  readonly trustedComment: string;
  /** 64 bytes, over the signature and the trusted comment. */
  readonly commentSignature: Uint8Array;
}

/** Bytes of a signature file, and of a file with a public key, at most. */
export const SIGNATURE_BYTES_MAX = BOUNDS.signatureBytes;

const UNTRUSTED = 'untrusted comment: ';
const TRUSTED = 'trusted comment: ';
const KEY_ID_BYTES = 8;
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;

/** Reads the text of a public key file, or its one line of base64. Throws SwarmbootError('signature'). */
export function parsePublicKey(text: string, where: string): PublicKey {
  const lines = linesOf(text);
  const bytes = fromBase64(lines.at(-1) ?? '', 2 + KEY_ID_BYTES + KEY_BYTES);
  const rightComment = lines.length === 1 || (lines.length === 2 && lines[0]!.startsWith(UNTRUSTED));
  if (bytes === null || !rightComment || ascii(bytes.subarray(0, 2)) !== 'Ed') {
    throw fault(`${where} is no public key of minisign's; make one with swarmboot keygen`);
  }
  return { id: keyIdOf(bytes.subarray(2, 2 + KEY_ID_BYTES)), key: bytes.slice(2 + KEY_ID_BYTES) };
}

/** The text of a public key file. */
export function formatPublicKey({ id, key }: PublicKey): string {
  return `${UNTRUSTED}minisign public key ${id}\n${toBase64([bytesOf('Ed'), keyIdBytes(id), key])}\n`;
}

/** Reads the text of a signature file. Throws SwarmbootError('signature'). */
export function parseSignature(text: string, where: string): Signature {
  const lines = linesOf(text);
  const [untrusted = '', first = '', trusted = '', second = ''] = lines;
  const bytes = fromBase64(first, 2 + KEY_ID_BYTES + SIGNATURE_BYTES);
  const commentSignature = fromBase64(second, SIGNATURE_BYTES);
  const algorithm = bytes === null ? '' : ascii(bytes.subarray(0, 2));
  const known = algorithm === 'Ed' || algorithm === 'ED';
  const rightLines = lines.length === 4 && untrusted.startsWith(UNTRUSTED) && trusted.startsWith(TRUSTED);
  if (bytes === null || commentSignature === null || !known || !rightLines) {
    throw fault(`${where} is no signature of minisign's; sign again`);
  }
  return {
    keyId: keyIdOf(bytes.subarray(2, 2 + KEY_ID_BYTES)),
    prehashed: algorithm === 'ED',
    signature: bytes.slice(2 + KEY_ID_BYTES),
    trustedComment: trusted.slice(TRUSTED.length),
    commentSignature,
  };
}

/** The text of a signature file. */
export function formatSignature(signature: Signature): string {
  const { keyId, prehashed, trustedComment, commentSignature } = signature;
  const algorithm = bytesOf(prehashed ? 'ED' : 'Ed');
  return [
    `${UNTRUSTED}signature by swarmboot, key ${keyId}`,
    toBase64([algorithm, keyIdBytes(keyId), signature.signature]),
    `${TRUSTED}${trustedComment}`,
    toBase64([commentSignature]),
    '',
  ].join('\n');
}

/** What the signature of a file is made over. */
export function signedBytes(data: Uint8Array, prehashed: boolean, checks: SignatureChecks): Uint8Array {
  return prehashed ? checks.blake2b512(data) : data;
}

/** What the signature of a trusted comment is made over. */
export function commentBytes(signature: Uint8Array, trustedComment: string): Uint8Array {
  const comment = new TextEncoder().encode(trustedComment);
  const bytes = new Uint8Array(signature.length + comment.length);
  bytes.set(signature);
  bytes.set(comment, signature.length);
  return bytes;
}

/**
 * Which of the keys has signed `data`. Throws SwarmbootError('signature') when none has, or when file or comment is not
 * what was signed. `where` names the file in messages.
 */
export function verifySignature(
  data: Uint8Array,
  signature: Signature,
  keys: readonly PublicKey[],
  checks: SignatureChecks,
  where: string,
): PublicKey {
  const known = keys.map(({ id }) => id).join(', ');
  const key = keys.find(({ id }) => id === signature.keyId);
  if (key === undefined) {
    throw fault(
      `${where} is signed by key ${signature.keyId}, and only ${known || 'no key'} is believed here`,
    );
  }
  const over = signedBytes(data, signature.prehashed, checks);
  if (!checks.ed25519(over, signature.signature, key.key)) {
    throw fault(`${where} is not what key ${key.id} has signed; publish and sign it again`);
  }
  const comment = commentBytes(signature.signature, signature.trustedComment);
  if (!checks.ed25519(comment, signature.commentSignature, key.key)) {
    throw fault(`the trusted comment of ${where} is not what key ${key.id} has signed; sign again`);
  }
  return key;
}

/** The id that 8 bytes of a key stand for, which minisign prints as a little-endian number. */
export function keyIdOf(bytes: Uint8Array): string {
  return hex(bytes.slice().reverse()).toUpperCase();
}

/** The 8 bytes of a key's id. */
export function keyIdBytes(id: string): Uint8Array {
  const pairs = id.match(/../g) ?? [];
  return Uint8Array.from(pairs.reverse(), (pair) => Number.parseInt(pair, 16));
}

function linesOf(text: string): string[] {
  const lines = text.split('\n').map((line) => line.replace(/\r$/, ''));
  while (lines.at(-1) === '') lines.pop();
  return lines;
}

/** The bytes of canonical base64 of that length; null for anything else. */
function fromBase64(text: string, length: number): Uint8Array | null {
  try {
    const bytes = Uint8Array.fromBase64(text, { lastChunkHandling: 'strict' });
    return bytes.length === length && bytes.toBase64() === text ? bytes : null;
  } catch {
    return null;
  }
}

function toBase64(parts: readonly Uint8Array[]): string {
  return Uint8Array.from(parts.flatMap((part) => [...part])).toBase64();
}

function ascii(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

function fault(message: string): SwarmbootError {
  return new SwarmbootError('signature', message);
}
