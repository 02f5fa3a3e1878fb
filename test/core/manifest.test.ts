// Manifests: what is read, what is refused, and whom a node with public keys believes. Each attack that TUF names is a test
// (https://theupdateframework.io, "Security"), as far as a document can carry it.

import { deepEqual, equal, throws } from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { believeManifest, joinSigned, parseManifest, splitSigned } from '../../agent/core/manifest.ts';
import {
  commentBytes,
  formatPublicKey,
  formatSignature,
  type PublicKey,
  signedBytes,
} from '../../agent/core/minisign.ts';
import type { Release } from '../../agent/core/release.ts';
import { parseTrust, type Trust } from '../../agent/core/trust.ts';
import { signatureChecks } from '../../agent/io/digest.ts';
import { RELEASE as ANY, ENTRY, FILES } from './manifests.ts';

const refusal = (reason: RegExp) => (error: unknown) =>
  error instanceof SwarmbootError && error.code === 'catalog' && reason.test(error.message);

test('a manifest is read; fields of entries that are not known are left out', () => {
  const other = {
    ...ENTRY,
    name: 'site',
    kind: 'override',
    compression: 'none',
    unpackedSize: 0,
    entryCount: 0,
  };
  const text = JSON.stringify({
    format: 1,
    release: null,
    entries: [{ ...ENTRY, colour: 'red' }, other],
    files: FILES,
  });
  deepEqual(parseManifest(text), { format: 1, release: null, entries: [ENTRY, other], files: FILES });
  const empty = { format: 1, release: ANY, entries: [], files: [] };
  deepEqual(parseManifest(JSON.stringify(empty)), empty);
  const below = JSON.stringify(empty).replace('"created":1', '"created":-0');
  equal(Object.is(parseManifest(below).release?.created, 0), true);
});

describe('a manifest is refused', () => {
  const cases: [string, string, RegExp][] = [
    ['that is HTML', '<html>', /not JSON .*; publish again/],
    ['that is a list', '[]', /the manifest is not a JSON object/],
    ['of another format', '{"format":2,"entries":[]}', /"format" is 2/],
    ['without entries', '{"format":1}', /"entries" is missing/],
    ['with fields by way of the prototype', '{"__proto__":{"format":1,"entries":[]}}', /"format" is missing/],
    [
      'with an entry that is null',
      '{"format":1,"entries":[null]}',
      /entry 1 of the manifest is not a JSON object/,
    ],
    ['without files', '{"format":1,"entries":[]}', /"files" is missing/],
    [
      'without release',
      '{"format":1,"entries":[],"files":[]}',
      /"release" of the manifest is not a JSON object/,
    ],
    [
      'with serial 0',
      JSON.stringify({ format: 1, release: { ...ANY, serial: 0 }, entries: [], files: [] }),
      /"serial" is 0/,
    ],
    [
      'with a field that is not known',
      '{"format":1,"colour":"blue"}',
      /has "colour", which this agent does not know/,
    ],
    ...[
      'layouts/../x.json',
      'layouts/.x.json',
      'scripts/10all.x',
      'scripts/post-install/all.x',
      'scripts/post-install/10all.x/y',
      'catalog/x.json',
      '/layouts/x.json',
    ].map((path): [string, string, RegExp] => [
      `with a file at ${path}`,
      JSON.stringify({ format: 1, release: null, entries: [], files: [{ ...FILES[0], path }] }),
      /in file 1 of the manifest, "path" is/,
    ]),
    [
      'with a file that is too large',
      JSON.stringify({ format: 1, release: null, entries: [], files: [{ ...FILES[0], size: 2 ** 21 }] }),
      /"size" is 2097152/,
    ],
    ['with a name twice', JSON.stringify({ format: 1, entries: [ENTRY, ENTRY] }), /"debian-12" twice/],
  ];
  for (const [name, text, reason] of cases)
    test(name, () => throws(() => parseManifest(text), refusal(reason)));
});

test('any JSON gives a manifest or a refusal, nothing else', () => {
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
      try {
        parseManifest(text);
      } catch (error) {
        return error instanceof SwarmbootError;
      }
    }),
  );
});

const NOW = 1_790_000_000;
const RELEASE: Release = { ...ANY, created: NOW - 1000, expires: NOW + 1000 };

interface Signer {
  readonly public: PublicKey;
  sign(message: Uint8Array): Uint8Array;
}

function signer(id: string): Signer {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const key = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
  return { public: { id, key }, sign: (message) => sign(null, message, privateKey) };
}

const [release, backup, stranger] = ['00000000000000A1', '00000000000000A2', '00000000000000A3'].map(
  signer,
) as [Signer, Signer, Signer];
const TRUST: Trust = {
  keys: [release.public, backup.public],
  serialMin: 5,
  sinceSec: NOW - 2000,
  authority: null,
};

/** A manifest as a server sends it. */
function signed(by: Signer, of: Partial<Release> = {}, text?: string): Uint8Array {
  const manifest = { format: 1, release: { ...RELEASE, ...of }, entries: [ENTRY], files: FILES };
  const data = Buffer.from(text ?? `${JSON.stringify(manifest, null, 2)}\n`);
  const signature = by.sign(signedBytes(data, true, signatureChecks));
  const trustedComment = 'test';
  const commentSignature = by.sign(commentBytes(signature, trustedComment));
  return joinSigned(
    formatSignature({ keyId: by.public.id, prehashed: true, signature, trustedComment, commentSignature }),
    data,
  );
}

const believe = (bytes: Uint8Array, trust: Trust | null = TRUST, nowSec = NOW) =>
  believeManifest(bytes, trust, signatureChecks, nowSec, 'the manifest of x');

function distrusted(work: () => unknown, reason: RegExp): void {
  throws(
    work,
    (error) => error instanceof SwarmbootError && error.code === 'signature' && reason.test(error.message),
  );
}

describe('a node with public keys', () => {
  test('believes what one of them has signed, release key or backup key', () => {
    for (const by of [release, backup]) deepEqual(believe(signed(by)).entries, [ENTRY]);
  });

  test('arbitrary install: refuses what nobody has signed', () => {
    const { manifest } = splitSigned(signed(release));
    distrusted(() => believe(manifest), /is not signed; sign it with swarmboot sign/);
    deepEqual(believe(manifest, null).entries, [ENTRY]);
  });

  test('wrong key: refuses what somebody else has signed, under his own name or another', () => {
    distrusted(() => believe(signed(stranger)), /only 00000000000000A1, 00000000000000A2 is believed/);
    const forger = { ...stranger, public: release.public };
    distrusted(() => believe(signed(forger)), /not what key 00000000000000A1 has signed/);
  });

  test('rollback: refuses an older manifest than the RAM disk knows', () => {
    distrusted(
      () => believe(signed(release, { serial: 4 })),
      /has serial 4, and this RAM disk wants 5 or more/,
    );
    equal(believe(signed(release, { serial: 5 })).release?.serial, 5);
  });

  test('fast-forward: a huge serial of a key that is no longer believed blocks nothing', () => {
    distrusted(() => believe(signed(stranger, { serial: Number.MAX_SAFE_INTEGER })), /is believed here/);
    equal(believe(signed(release, { serial: 8 })).release?.serial, 8);
  });

  test('freeze: refuses a manifest that has expired, by the clock or by the age of the RAM disk itself', () => {
    distrusted(() => believe(signed(release), TRUST, NOW + 1000), /serial 7, expired 0 days ago/);
    distrusted(() => believe(signed(release), TRUST, NOW + 100_000), /expired 2 days ago; sign it anew/);
    // A machine whose clock says 1970 knows at least when its RAM disk was made.
    distrusted(() => believe(signed(release), { ...TRUST, sinceSec: NOW + 1000 }, 0), /expired/);
    equal(believe(signed(release), TRUST, 0).release?.serial, 7);
  });

  test('mix-and-match: a signature of one manifest does not pass for another', () => {
    const [one, two] = [signed(release, { serial: 7 }), signed(release, { serial: 8 })];
    const mixed = joinSigned(splitSigned(one).signature!, splitSigned(two).manifest);
    distrusted(() => believe(mixed), /not what key/);
  });

  test('endless data: a signature without an end, and a manifest of zeros, are refused', () => {
    distrusted(() => believe(Buffer.from(`untrusted comment: ${'x'.repeat(100_000)}`)), /no signature/);
    distrusted(() => believe(new Uint8Array(100_000)), /is not signed/);
  });

  test('extraneous: refuses a signed manifest with fields that it does not know', () => {
    const text = JSON.stringify({ format: 1, release: RELEASE, entries: [], files: [], sudo: true });
    throws(() => believe(signed(release, {}, text)), /has "sudo", which this agent does not know/);
  });

  test('refuses what was signed without a serial', () => {
    const text = JSON.stringify({ format: 1, release: null, entries: [], files: [] });
    distrusted(() => believe(signed(release, {}, text)), /without a serial/);
  });

  test('refuses a document in which any byte is another, and reads nothing of it', () => {
    const bytes = signed(release);
    const begin = bytes.indexOf(10);
    let refused = 0;
    for (let at = 0; at < bytes.length; at++) {
      for (const flip of [1, 4, 0x80]) {
        const changed = Buffer.from(bytes);
        changed[at]! ^= flip;
        try {
          believe(changed);
          // The rest of the first line is the one thing that nobody signs, and that nothing depends on.
          equal(at < begin, true, `byte ${at} was changed`);
        } catch (error) {
          equal(error instanceof SwarmbootError && error.code === 'signature', true, `byte ${at}: ${error}`);
          refused++;
        }
      }
    }
    equal(refused > 3 * (bytes.length - begin - 1), true);
  });
});

describe('trust', () => {
  const lines = [release, backup].map((by) => formatPublicKey(by.public).split('\n')[1]);

  test('is read as it was written', () => {
    const { keys, serialMin, sinceSec } = parseTrust(
      JSON.stringify({ keys: lines, serialMin: 5, since: NOW }),
    );
    deepEqual(
      [keys.map(({ id }) => id), serialMin, sinceSec],
      [['00000000000000A1', '00000000000000A2'], 5, NOW],
    );
  });

  test('has an authority in PEM, or none', () => {
    const pem = '-----BEGIN CERTIFICATE-----\nMIIB+/=\n-----END CERTIFICATE-----\n';
    const read = (authority?: unknown) =>
      parseTrust(JSON.stringify({ keys: lines, serialMin: 5, since: NOW, authority })).authority;
    equal(read(pem), pem);
    equal(read(`${pem}${pem}`), `${pem}${pem}`);
    equal(read(null), null);
    equal(read(), null);
    for (const wrong of ['', 'x', 1, [], `x${pem}`, `${pem}x`, pem.slice(1), pem.repeat(300)])
      distrusted(() => read(wrong), /"authority" is no certificate in PEM/);
  });

  test('that cannot be read is a refusal, never belief', () => {
    const right = { keys: lines, serialMin: 5, since: NOW };
    const wrong = [
      '',
      '{',
      '[]',
      'null',
      ...[{ keys: [] }, { keys: 'x' }, { keys: ['RW'] }, { serialMin: 0 }, { since: -1 }].map((change) =>
        JSON.stringify({ ...right, ...change }),
      ),
    ];
    for (const text of wrong)
      distrusted(() => parseTrust(text), /cannot be used \(.*\); build the RAM disk anew/);
  });
});
