import { deepEqual, doesNotMatch, equal, ok, throws } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import {
  AGE_HEADER_BYTES_MAX,
  chunkNonce,
  FileKey,
  formatAgeHeader,
  formatAgeMac,
  fromBase64,
  readAgeHeader,
  toBase64,
} from '../../agent/core/age.ts';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { header, STANZA } from '../agefiles.ts';

const refusal = (error: unknown) => error instanceof SwarmbootError && error.code === 'archive';
const read = (text: string) => readAgeHeader(Buffer.from(text, 'latin1'));

const word = fc.string({
  unit: fc.integer({ min: 33, max: 126 }).map((code) => String.fromCharCode(code)),
  minLength: 1,
  maxLength: 20,
});
const stanza = fc.record(
  {
    words: fc.array(word, { minLength: 1, maxLength: 4 }),
    body: fc.uint8Array({ maxLength: 200 }),
  },
  { noNullPrototype: true },
);

test('a header is read as it was written, and nothing behind it matters', () => {
  fc.assert(
    fc.property(
      fc.array(stanza, { minLength: 1, maxLength: 5 }),
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      fc.uint8Array({ maxLength: 50 }),
      (stanzas, mac, rest) => {
        const text = formatAgeHeader(stanzas);
        const whole = Buffer.from(text + formatAgeMac(mac));
        const found = readAgeHeader(Buffer.concat([whole, rest]));
        deepEqual(found, { stanzas, mac, macAt: text.length, length: whole.length });
      },
    ),
    { seed: 7 },
  );
});

test('a header that has not come whole is waited for, at every byte', () => {
  const whole = header(`-> a b c\n${'A'.repeat(64)}\n\n${STANZA}`);
  for (let length = 0; length < whole.length; length++) equal(readAgeHeader(whole.subarray(0, length)), null);
  ok(readAgeHeader(whole));
});

test('a body of whole lines ends in an empty one', () => {
  const found = readAgeHeader(header(`-> x\n${'A'.repeat(64)}\n\n`));
  equal(found?.stanzas[0]?.body.length, 48);
  throws(() => readAgeHeader(header(`-> x\n${'A'.repeat(64)}\n`)), refusal);
});

describe('a header is refused', () => {
  const good = header().toString('latin1');
  const mac = good.slice(good.indexOf('--- ') + 4, -1);
  const cases: Record<string, string> = {
    'of another version': good.replace('/v1', '/v2'),
    'of something else': 'PK\x03\x04',
    'with a carriage return': good.replaceAll('\n', '\r\n'),
    'in armour': '-----BEGIN AGE ENCRYPTED FILE-----\n',
    'without a stanza': `age-encryption.org/v1\n--- ${mac}\n`,
    'with an empty line between stanzas': good.replace('---', '\n---'),
    'with a stanza of no kind': header('->\n\n').toString('latin1'),
    'with an empty word': header('-> x  y\n\n').toString('latin1'),
    'with a space at the end of a line': header('-> x \n\n').toString('latin1'),
    'with a word that is no ASCII': header('-> \xe9\n\n').toString('latin1'),
    'with a control character': header('-> x\x7f\n\n').toString('latin1'),
    'with another arrow': header('=> x\n\n').toString('latin1'),
    'with a body in too long lines': header(`-> x\n${'A'.repeat(65)}\n`).toString('latin1'),
    'with a body in too short lines': header(`-> x\n${'A'.repeat(60)}\nAAAA\n`).toString('latin1'),
    'with padding': header('-> x\nAA==\n').toString('latin1'),
    'with bits left over in base64': header('-> x\nAB\n').toString('latin1'),
    'with base64 of an impossible length': header('-> x\nAAAAA\n').toString('latin1'),
    "with base64 of the web's alphabet": header('-> x\n-_-_\n').toString('latin1'),
    'with a space in base64': header('-> x\nAA AA\n').toString('latin1'),
    'without a MAC': good.replace(` ${mac}`, ''),
    'with an empty MAC': good.replace(mac, ''),
    'with a MAC that is too short': good.replace(mac, mac.slice(0, -2)),
    'with a MAC that is too long': good.replace(mac, `${mac}AA`),
    'with a MAC with padding': good.replace(mac, `${mac}=`),
    'with bits left over in its MAC': good.replace(/.\n$/, 'B\n'),
    'with more behind its MAC': good.replace(/\n$/, ' x\n'),
    'with four dashes': good.replace('--- ', '---- '),
  };
  for (const [title, text] of Object.entries(cases)) {
    test(title, () => throws(() => read(text), refusal));
  }

  test('that has no end', () => {
    const endless = `age-encryption.org/v1\n${`-> x\n${'A'.repeat(64)}\n`.repeat(1)}${`${'A'.repeat(64)}\n`.repeat(400)}`;
    equal(endless.length > AGE_HEADER_BYTES_MAX, true);
    throws(() => read(endless), refusal);
    throws(() => read(`age-encryption.org/v1\n-> ${'x'.repeat(AGE_HEADER_BYTES_MAX)}`), refusal);
  });
});

test('no bytes at all make the reader throw anything else', () => {
  const part = fc.oneof(
    fc.constantFrom('-> ', '---', '--- ', '\n', ' ', 'X25519', 'A'.repeat(64), '='),
    fc.string({ maxLength: 8 }),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 30 }), (parts) => {
      try {
        read(`age-encryption.org/v1\n${parts.join('')}`);
      } catch (error) {
        ok(refusal(error));
      }
    }),
    { seed: 8 },
  );
});

test('base64 has one text for each bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
      const text = toBase64(bytes);
      ok(!text.includes('='));
      deepEqual(fromBase64(text), bytes);
    }),
    { seed: 9 },
  );
});

test('nonces count the chunks in eleven bytes, and know the last', () => {
  const hex = (index: number, last: boolean) => Buffer.from(chunkNonce(index, last)).toString('hex');
  equal(hex(0, false), '000000000000000000000000');
  equal(hex(258, true), '000000000000000000010201');
  equal(hex(2 ** 32 + 5, false), '000000000000010000000500');
});

test('a file key shows itself to neither JSON nor a log, and is zeros when it is erased', () => {
  const bytes = Buffer.from('YELLOW SUBMARINE');
  const key = new FileKey(bytes);
  deepEqual(bytes, Buffer.alloc(16));
  const own = key.reveal();
  equal(Buffer.from(own).toString(), 'YELLOW SUBMARINE');
  const shown = `${JSON.stringify({ key })} ${inspect({ key }, { depth: null, showHidden: true, getters: true })} ${key}`;
  doesNotMatch(shown, /YELLOW|59|89,/);
  key.erase();
  deepEqual(own, new Uint8Array(16));
});
