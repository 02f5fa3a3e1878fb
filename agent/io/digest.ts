// The digests, codes and the check of signatures that the core asks for, by node:crypto.

import { createHmac, createPublicKey, hash, randomBytes, verify } from 'node:crypto';
import { torrentSecret } from '../core/admission.ts';
import { FIRST_BOOT_LABEL } from '../core/enrolment.ts';
import type { SignatureChecks } from '../core/minisign.ts';
import type { Admission } from '../core/ports.ts';
import type { Hashes } from '../core/torrent.ts';

export const digests: Hashes = {
  sha1: (data) => hash('sha1', data, 'buffer'),
  sha256: (data) => hash('sha256', data, 'buffer'),
  // A latin1 string costs less than a fresh Buffer.
  sha256Into(data, target, offset) {
    Buffer.prototype.write.call(
      target as Buffer,
      hash('sha256', data, 'latin1'),
      offset,
      NODE_BYTES,
      'latin1',
    );
  },
};

const NODE_BYTES = 32;

/** RFC 8410: what stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo. */
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');

export const signatureChecks: SignatureChecks = {
  ed25519(message, signature, publicKey) {
    const key = createPublicKey({ key: Buffer.concat([SPKI, publicKey]), format: 'der', type: 'spki' });
    return verify(null, message, key, signature);
  },
  blake2b512: (data) => hash('blake2b512', data, 'buffer'),
};

/** What the new system of a node shows once, in hex; the token cannot be had from it. */
export function firstBootProof(token: string): string {
  return createHmac('sha256', token).update(FIRST_BOOT_LABEL).digest('hex');
}

const hmacSha256: Admission['hmacSha256'] = (key, message) =>
  createHmac('sha256', key).update(message).digest();

/** Admission by the secret of the run, 32 bytes, that is the one at the time; null: there is none. */
export function admissionBy(runSecret: () => Uint8Array | null): Admission {
  return {
    secretOf: (infoHash) => {
      const secret = runSecret();
      return secret === null ? null : torrentSecret(hmacSha256, secret, infoHash);
    },
    hmacSha256,
    nonce: () => randomBytes(32),
  };
}
