// Encrypted tarballs: headers alone, and whole files whose header has a right MAC whatever was changed in it, so that what
// follows is reached. What is accepted can be written again in one way only, and came out of what it says.

import { createHmac, hkdfSync } from 'node:crypto';
import fc from 'fast-check';
import { formatAgeHeader, formatAgeMac, readAgeHeader } from '../../../agent/core/age.ts';
import { SwarmbootError } from '../../../agent/core/errors.ts';
import { CHUNK, chunk, chunksOf, fileOf, header, KEY, opened, STANZA } from '../../agefiles.ts';
import { noise } from '../../content.ts';
import { drawn } from '../generate.ts';
import { must, refusedWith, type Target, type Verdict } from '../target.ts';

const word = fc.constantFrom('X25519', 'scrypt', 'x', '', 'A'.repeat(43), '\x7f', '18');
const line = fc.constantFrom('', 'AA', 'AB', 'AA==', 'A'.repeat(42), 'A'.repeat(64), 'A'.repeat(65), 'A A');
const stanza = fc
  .tuple(fc.array(word, { maxLength: 3 }), fc.array(line, { minLength: 1, maxLength: 3 }))
  .map(([words, lines]) => `-> ${words.join(' ')}\n${lines.join('\n')}\n`);
const stanzas = fc.array(fc.oneof(fc.constant(STANZA), stanza), { maxLength: 3 }).map((all) => all.join(''));
const size = fc.constantFrom(0, 1, 15, 16, 17, 100, CHUNK - 1, CHUNK, CHUNK + 1);
const sealed = fc.oneof(
  size.map((length) => chunksOf(noise(length, length))),
  fc
    .array(fc.tuple(size, fc.nat(2), fc.boolean()), { maxLength: 3 })
    .map((all) => all.map(([length, index, last]) => chunk(noise(length, 1), index, last))),
);
/** One byte that says in which parts the file comes, and whether its MAC is made anew; then the file. */
const file = fc
  .tuple(fc.nat(255), stanzas, sealed)
  .map(([how, head, chunks]) => Buffer.concat([Buffer.from([how]), fileOf(chunks, header(head))]));

function seeds(): Uint8Array[] {
  const plain = noise(CHUNK + 300, 1);
  const whole = [0, 1, 7, 130, 200].map((how) =>
    Buffer.concat([Buffer.from([how]), fileOf(chunksOf(plain.subarray(0, 100 * how)))]),
  );
  const several = header(`-> grease x\n${'A'.repeat(64)}\n\n${STANZA}`);
  return [...whole, Buffer.concat([Buffer.from([1]), fileOf(chunksOf(plain), several)])];
}

/** The file with the MAC that its header would have. */
function mended(bytes: Uint8Array): Uint8Array {
  const at = Buffer.from(bytes).indexOf('\n---');
  if (at === -1) return bytes;
  const end = bytes.indexOf(10, at + 1);
  const macKey = Buffer.from(hkdfSync('sha256', KEY, '', 'header', 32));
  const begin = bytes.subarray(0, at + 4);
  const mac = createHmac('sha256', macKey).update(begin).digest();
  return Buffer.concat([
    begin,
    Buffer.from(formatAgeMac(mac)),
    bytes.subarray(end === -1 ? bytes.length : end + 1),
  ]);
}

function headerLength(bytes: Uint8Array): number | null {
  try {
    const found = readAgeHeader(bytes);
    if (found === null) return null;
    const again = Buffer.from(formatAgeHeader(found.stanzas) + formatAgeMac(found.mac), 'latin1');
    must(again.equals(bytes.subarray(0, found.length)), 'a header has one form');
    return found.length;
  } catch (error) {
    refusedWith(error, 'archive');
    return null;
  }
}

async function judge(input: Uint8Array): Promise<Verdict> {
  const how = input[0] ?? 0;
  const bytes = how >= 128 ? input.subarray(1) : mended(input.subarray(1));
  const begin = headerLength(bytes);
  const { plain, error } = await opened(bytes, how % 8 === 0 ? bytes.length + 1 : 1 + 512 * (how % 8));
  if (error !== null) {
    must(begin !== null || plain.length === 0, 'nothing comes out behind a header that is refused');
    must(error instanceof SwarmbootError, `it throws what it declares, not ${error}`);
    return refusedWith(error, 'archive');
  }
  must(begin !== null, 'a file has a header');
  const nonce = bytes.subarray(begin!, begin! + 16);
  const again = Buffer.concat([bytes.subarray(0, begin!), nonce, ...chunksOf(plain, nonce)]);
  must(again.equals(bytes), 'what is accepted is sealed in one way');
  return 'accepted';
}

export const age = (): Target => ({
  seeds: seeds(),
  words: ['age-encryption.org/v1\n', '-> ', '--- ', '\n---', '\n', 'X25519 ', 'A'.repeat(64), '=', ' '],
  build: drawn(file),
  bytesMax: 192 * 1024,
  growthMiB: 12,
  judge,
});
