// What a RAM disk was given to believe by: public keys, the least that a manifest must be, and the authority of the site's
// certificates. It holds no secret, for whoever can boot can read it.

import { count, fieldsOf } from './catalog.ts';
import { messageOf, SwarmbootError } from './errors.ts';
import { type PublicKey, parsePublicKey } from './minisign.ts';
import { KIB } from './units.ts';

/** Where it lies in the RAM disk. */
export const TRUST_PATH = '/etc/swarmboot/trust.json';
/** A release key and its stand-in, and both anew while they are changed. */
const KEYS_MAX = 8;
/** One certificate takes about 1 KiB. */
const AUTHORITY_MAX = 16 * KIB;
const CERTIFICATES = /^(?:-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+\n-----END CERTIFICATE-----\n)+$/;

export interface Trust {
  /** One at least. */
  readonly keys: readonly PublicKey[];
  /** Manifests with a smaller serial are older than the RAM disk. */
  readonly serialMin: number;
  /** Unix time, s: a clock that is behind it is wrong. */
  readonly sinceSec: number;
  /** Certificates in PEM: the image server must show one that they have signed. Null: it may speak plain HTTP. */
  readonly authority: string | null;
}

/** Reads TRUST_PATH. Throws SwarmbootError('signature'): an unreadable one must not make a node believe everything. */
export function parseTrust(text: string): Trust {
  try {
    const fields = fieldsOf(JSON.parse(text), TRUST_PATH);
    const { keys, authority = null } = fields;
    if (!Array.isArray(keys) || keys.length === 0 || keys.length > KEYS_MAX) {
      throw new Error(`"keys" is no list of 1 to ${KEYS_MAX} public keys`);
    }
    if (authority !== null && !isAuthority(authority))
      throw new Error('"authority" is no certificate in PEM');
    return {
      keys: keys.map((key: unknown) => parsePublicKey(String(key), `a key of ${TRUST_PATH}`)),
      serialMin: count(fields, 'serialMin', TRUST_PATH, 1),
      sinceSec: count(fields, 'since', TRUST_PATH, 0),
      authority,
    };
  } catch (error) {
    throw new SwarmbootError(
      'signature',
      `${TRUST_PATH} cannot be used (${messageOf(error)}); build the RAM disk anew`,
      { cause: error },
    );
  }
}

function isAuthority(value: unknown): value is string {
  return typeof value === 'string' && value.length <= AUTHORITY_MAX && CERTIFICATES.test(value);
}
