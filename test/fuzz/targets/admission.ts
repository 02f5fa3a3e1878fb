// Admission to a closed swarm: whatever comes, nobody is admitted without the proof that fits the conversation, nothing that was
// said before goes further, and nothing but our handshake, greeting and proof goes out.

import { createHmac } from 'node:crypto';
import { AdmissionExchange, admittedLink, torrentSecret } from '../../../agent/core/admission.ts';
import type { Admission } from '../../../agent/core/ports.ts';
import { KIB } from '../../../agent/core/units.ts';
import { drawn } from '../generate.ts';
import { bringAll, FakeLink, INFO_HASH, mannerOf, stream, streamSeeds } from '../streams.ts';
import { must, type Target, type Verdict } from '../target.ts';

const [OWN, OTHER] = [Buffer.alloc(20, 3), Buffer.alloc(20, 2)];
const WRITTEN_MAX = 68 + 81 + 38;
const hmacSha256 = (key: Uint8Array, message: Uint8Array) =>
  createHmac('sha256', key).update(message).digest();
const SECRET = torrentSecret(hmacSha256, Buffer.alloc(32, 7), INFO_HASH);

/** Always the same nonce: a proof of one input fits the next. */
const admissionWith = (nonce: number): Admission => ({
  secretOf: () => SECRET,
  hmacSha256,
  nonce: () => Buffer.alloc(32, nonce),
});
const OURS = admissionWith(5);

/** The proof that this stream of a peer needs, as far as it can be told. */
function rightProof(said: Uint8Array, outgoing: boolean): { proof: Uint8Array; at: number } | null {
  const bytes = Buffer.from(said);
  const nonceAt = bytes.indexOf('12:sb_admission32:') + 18;
  if (bytes.length < 72 || nonceAt === 17) return null;
  const at = 72 + bytes.readUInt32BE(68) + 6;
  const nonces = [Buffer.alloc(32, 5), bytes.subarray(nonceAt, nonceAt + 32)];
  const label = `swarmboot admission 1 ${outgoing ? 'acceptor' : 'initiator'} `;
  const ordered = outgoing ? nonces : nonces.reverse();
  const parts = [Buffer.from(label), bytes.subarray(28, 48), ...ordered, bytes.subarray(48, 68)];
  return { proof: hmacSha256(SECRET, Buffer.concat(parts)), at };
}

async function judge(bytes: Uint8Array): Promise<Verdict> {
  const { outgoing, chunks } = mannerOf(bytes);
  const said = Buffer.concat(chunks);
  const link = new FakeLink(outgoing);
  const heard: Buffer[] = [];
  const line = admittedLink(
    link,
    { peerId: OWN, port: 7000, requestsMax: 300 },
    outgoing ? INFO_HASH : null,
    OURS,
  );
  line.open({ data: (chunk) => void heard.push(Buffer.from(chunk)), closed: () => {} });
  await bringAll(link, chunks);
  must(link.writtenBytes <= WRITTEN_MAX, `${link.writtenBytes} bytes went out`);
  if (heard.length === 0) return 'refused';
  const right = rightProof(said, outgoing);
  must(right !== null, 'who is admitted has greeted');
  const { proof, at } = right!;
  must(Buffer.compare(said.subarray(at, at + 32), proof) === 0, 'who is admitted has given the proof');
  const further = Buffer.concat([said.subarray(0, 68), said.subarray(at + 32)]);
  must(further.equals(Buffer.concat(heard)), 'the handshake goes further, and what comes after the proof');
  return 'accepted';
}

/** What one that knows the secret says, in the chunks and the role that the first two bytes tell. */
function admittedStream(how: number): Uint8Array {
  const outgoing = (how & 1) !== 0;
  const peer = new AdmissionExchange(admissionWith(9), OTHER, outgoing ? null : INFO_HASH);
  const us = new AdmissionExchange(OURS, OWN, outgoing ? INFO_HASH : null);
  const said: Uint8Array[] = [];
  let mine = us.begin().send;
  let theirs = peer.begin().send;
  for (let turn = 0; turn < 4; turn++) {
    said.push(theirs);
    const answer = mine.length === 0 ? mine : peer.take(mine).send;
    mine = theirs.length === 0 ? theirs : us.take(theirs).send;
    theirs = answer;
  }
  return Buffer.concat([Buffer.from([how | 8, 30]), ...said, Buffer.from([0, 0, 0, 1, 2])]);
}

export const admission = (): Target => ({
  seeds: [0, 1, 4, 5].map(admittedStream).concat(streamSeeds().slice(0, 4)),
  words: [
    'd1:md12:sb_admissioni3ee12:sb_admission32:',
    '12:sb_admission32:',
    '\0\0\0\x22\x14\x02',
    '\0\0\0\x4d\x14\0',
    'i2e',
    'ee',
    '\u0013BitTorrent protocol',
  ],
  build: drawn(stream),
  bytesMax: 8 * KIB,
  growthMiB: 8,
  judge,
});
