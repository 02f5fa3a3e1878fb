// What a node and the image server say when it enrols, and what the server keeps of it: what is accepted names one node, and
// is read the same once more.

import { macOfToken, parseEnrolled, parseEnrolRequest, proofIn } from '../../../agent/core/enrolment.ts';
import { KIB } from '../../../agent/core/units.ts';
import { parseStanding } from '../../../scripts/core/enrolment.ts';
import { oddJson } from '../generate.ts';
import { bytesOf, must, refusedWith, type Target, textOf, type Verdict } from '../target.ts';

const MAC = '52:54:00:09:00:01';
const DIGEST = '0123456789abcdef'.repeat(4);
const SECRET = 'A'.repeat(43);

const REQUEST = { mac: MAC, serial: 'S 1' };
const ENROLLED = { token: `525400090001.${SECRET}`, secret: SECRET };
const STANDING = {
  enrolment: { serial: 'S1', armedMs: 1, sinceMs: 2, token: DIGEST, proof: DIGEST, booted: false },
  alarm: { atMs: 3, text: 'somebody' },
};
const MESSAGE = { mac: MAC, proof: DIGEST };

/** One of the four readers; true when it has taken the text. */
function taken(read: (text: string) => unknown, text: string): boolean {
  try {
    const written = JSON.stringify(read(text));
    must(JSON.stringify(read(written)) === written, 'it is read the same once more');
    return true;
  } catch (error) {
    refusedWith(error, 'report');
    return false;
  }
}

function judge(bytes: Uint8Array): Verdict {
  const text = textOf(bytes);
  const readers: readonly ((text: string) => unknown)[] = [
    (text) => {
      const request = parseEnrolRequest(text);
      must(/^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/.test(request.mac), 'it names one machine');
      must(!/\s/.test(request.serial), 'a serial number is one word');
      return request;
    },
    (text) => {
      const enrolled = parseEnrolled(text);
      must(macOfToken(enrolled.token) !== null, 'a token says whose it is');
      return enrolled;
    },
    parseStanding,
    (text) => {
      const proof = proofIn(text);
      must(proof === null || /^[0-9a-f]{64}$/.test(proof), 'a proof is a digest');
      return proof === null ? {} : { proof };
    },
  ];
  return readers.filter((read) => taken(read, text)).length > 0 ? 'accepted' : 'refused';
}

export const enrolments = (): Target => ({
  seeds: [REQUEST, ENROLLED, STANDING, MESSAGE].map((value) => bytesOf(JSON.stringify(value))),
  words: ['{', '}', '"', ',', ':', 'null', 'true', '"__proto__":', '\\u0000', '\u2028', '1e308', MAC, SECRET],
  build: (rng) => oddJson([REQUEST, ENROLLED, STANDING, MESSAGE][rng.below(4)]!, rng),
  bytesMax: 4 * KIB,
  growthMiB: 8,
  judge,
});
