// Signatures as minisign makes them: what is read, what is refused, and that no changed bit passes.

import { deepEqual, equal, throws } from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, it } from 'node:test';
import { SwarmbootError } from '../../agent/core/errors.ts';
import {
  commentBytes,
  formatPublicKey,
  formatSignature,
  type PublicKey,
  parsePublicKey,
  parseSignature,
  type Signature,
  signedBytes,
  verifySignature,
} from '../../agent/core/minisign.ts';
import { signatureChecks } from '../../agent/io/digest.ts';

const { publicKey, privateKey } = generateKeyPairSync('ed25519');
const KEY: PublicKey = {
  id: '0123456789ABCDEF',
  key: publicKey.export({ format: 'der', type: 'spki' }).subarray(-32),
};
const OTHER: PublicKey = { id: 'FEDCBA9876543210', key: new Uint8Array(32).fill(7) };
const DATA = Buffer.from('{"format":1}\n');

function signed(data: Uint8Array, prehashed: boolean, trustedComment = 'made today'): Signature {
  const signature = sign(null, signedBytes(data, prehashed, signatureChecks), privateKey);
  const commentSignature = sign(null, commentBytes(signature, trustedComment), privateKey);
  return { keyId: KEY.id, prehashed, signature, trustedComment, commentSignature };
}

const check = (data: Uint8Array, signature: Signature, keys: readonly PublicKey[] = [OTHER, KEY]) =>
  verifySignature(data, signature, keys, signatureChecks, 'manifest.json');

function refused(work: () => unknown, message: RegExp): void {
  throws(
    work,
    (error) => error instanceof SwarmbootError && error.code === 'signature' && message.test(error.message),
  );
}

describe('a signature', () => {
  it('is right for its file, over the file itself or over its hash, and names its key', () => {
    for (const prehashed of [false, true]) {
      const text = formatSignature(signed(DATA, prehashed));
      equal(check(DATA, parseSignature(text, 'x')), KEY);
    }
  });

  it('is wrong for a file in which any bit is another', () => {
    const signature = signed(DATA, true);
    for (let bit = 0; bit < DATA.length * 8; bit++) {
      const data = Buffer.from(DATA);
      data[bit >> 3]! ^= 1 << (bit & 7);
      refused(() => check(data, signature), /not what key 0123456789ABCDEF has signed/);
    }
  });

  it('is wrong when any byte of its own text is another', () => {
    const text = Buffer.from(formatSignature(signed(DATA, true)));
    const freeBytes = text.indexOf('\n');
    for (let at = freeBytes; at < text.length; at++) {
      for (const flip of [1, 0x20, 0x80]) {
        const changed = Buffer.from(text);
        changed[at]! ^= flip;
        refused(() => check(DATA, parseSignature(changed.toString('latin1'), 'x')), /./);
      }
    }
  });

  it('of a key that is not believed is refused, and the believed ones are named', () => {
    refused(() => check(DATA, signed(DATA, true), [OTHER]), /only FEDCBA9876543210 is believed/);
    refused(() => check(DATA, signed(DATA, true), []), /only no key is believed/);
  });

  it('of one kind does not pass for one of the other', () => {
    refused(() => check(DATA, { ...signed(DATA, true), prehashed: false }), /not what key/);
    refused(() => check(DATA, { ...signed(DATA, false), prehashed: true }), /not what key/);
  });

  it('with another trusted comment is refused', () => {
    refused(() => check(DATA, { ...signed(DATA, true), trustedComment: 'made tomorrow' }), /trusted comment/);
  });
});

describe('a text', () => {
  it('of a public key is read as a file and as its one line', () => {
    const text = formatPublicKey(KEY);
    for (const form of [text, text.split('\n')[1]!, text.replaceAll('\n', '\r\n')]) {
      deepEqual(parsePublicKey(form, 'x'), { id: KEY.id, key: Uint8Array.from(KEY.key) });
    }
  });

  it('that is no public key is refused', () => {
    const [comment, line] = formatPublicKey(KEY).split('\n') as [string, string];
    const wrong = [
      '',
      'RW',
      line.slice(0, -4),
      `${line}AAAA`,
      `${comment}\n${comment}\n${line}`,
      `comment\n${line}`,
    ];
    for (const text of [...wrong, line.replace(/^../, 'AA')]) {
      refused(() => parsePublicKey(text, 'a.pub'), /^a\.pub is no public key/);
    }
  });

  it('of a signature wants its four lines', () => {
    const lines = formatSignature(signed(DATA, true)).split('\n');
    for (let without = 0; without < 4; without++) {
      const text = lines.filter((_, at) => at !== without).join('\n');
      refused(() => parseSignature(text, 'a.minisig'), /^a\.minisig is no signature/);
    }
    refused(() => parseSignature(`${lines.join('\n')}more\n`, 'a.minisig'), /no signature/);
  });
});
