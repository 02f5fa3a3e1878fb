// The manifest of an image server, with a signature in front of it or without: what is accepted has safe names and is read the
// same once more, and what is believed is what was signed.

import { isDeepStrictEqual } from 'node:util';
import { believeManifest, joinSigned, parseManifest, splitSigned } from '../../../agent/core/manifest.ts';
import { KIB } from '../../../agent/core/units.ts';
import { signatureChecks } from '../../../agent/io/digest.ts';
import { signatureOf } from '../../../scripts/secretkey.ts';
import { ENTRY, FILES, RELEASE } from '../../core/manifests.ts';
import { oddJson } from '../generate.ts';
import { bytesOf, must, refusedWith, type Target, textOf, type Verdict } from '../target.ts';

const MANIFEST = {
  format: 1,
  release: { ...RELEASE, networks: ['10.0.0.0/8', 'fd00::/8'], machines: ['52:54:00:09:00:01'] },
  entries: [ENTRY, { ...ENTRY, name: 'site', kind: 'override', compression: 'none' }],
  files: FILES,
};

/** Of RFC 8032, test 1: the same in every run. */
const KEY = {
  public: {
    id: '00000000000000F1',
    key: Buffer.from('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', 'hex'),
  },
  seed: Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex'),
};
const TRUST = { keys: [KEY.public], serialMin: 1, sinceSec: 0, authority: null };
const SIGNED = Buffer.from(JSON.stringify(MANIFEST));

function judge(bytes: Uint8Array): Verdict {
  try {
    const { signature, manifest: data } = splitSigned(bytes);
    if (signature !== null) {
      believeManifest(bytes, TRUST, signatureChecks, 0, 'the manifest');
      must(Buffer.from(data).equals(SIGNED), 'what is believed was signed');
    }
    const read = parseManifest(textOf(data));
    const paths = [
      ...read.entries.flatMap(({ name, file }) => [name, file]),
      ...read.files.map(({ path }) => path),
    ];
    must(
      paths.every((path) => !/(?:^|\/)\.|[^ -~]|^\//.test(path)),
      'no name leads elsewhere',
    );
    must(isDeepStrictEqual(parseManifest(JSON.stringify(read)), read), 'it is read the same once more');
    return 'accepted';
  } catch (error) {
    return refusedWith(error, 'catalog', 'signature');
  }
}

export const manifest = (): Target => ({
  seeds: [
    bytesOf(JSON.stringify(MANIFEST)),
    bytesOf('{"format":1,"release":null,"entries":[],"files":[]}'),
    joinSigned(signatureOf(SIGNED, KEY, 'fuzz'), SIGNED),
  ],
  words: [
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '\\u0000',
    '"format":1',
    '"entries":[',
    '"__proto__":',
    'null',
    '1e308',
    '../',
    '\\',
  ],
  build: (rng) => oddJson(MANIFEST, rng),
  bytesMax: 64 * KIB,
  growthMiB: 8,
  judge,
});
