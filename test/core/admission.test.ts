// Admission by bytes: who is admitted, who is not, whatever comes first and however it is cut.

import { deepEqual, equal, match } from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { AdmissionExchange, type Step, torrentSecret } from '../../agent/core/admission.ts';
import { encode } from '../../agent/core/bencode.ts';
import type { Admission } from '../../agent/core/ports.ts';
import { hex } from '../../agent/core/units.ts';
import { admissionBy } from '../../agent/io/digest.ts';

const INFO_HASH = Buffer.alloc(20, 1);
const [CALLER, CALLED] = [Buffer.alloc(20, 2), Buffer.alloc(20, 3)];
const SITE = admissionBy(() => Buffer.alloc(32, 7));
const STRANGER = admissionBy(() => Buffer.alloc(32, 8));
const HANDSHAKE = 68;
/** Length, id and extension id. */
const HEADER = 6;

/** One side, with all that it said and what became of it. */
class Party {
  readonly exchange: AdmissionExchange;
  readonly said: Buffer[] = [];
  fault: string | null = null;
  admitted: Buffer[] | null = null;

  constructor(admission: Admission, peerId: Uint8Array, infoHash: Uint8Array | null) {
    this.exchange = new AdmissionExchange(admission, peerId, infoHash);
    this.#note(this.exchange.begin());
  }

  get over(): boolean {
    return this.fault !== null || this.admitted !== null;
  }

  hear(chunk: Uint8Array): void {
    if (!this.over) this.#note(this.exchange.take(chunk));
  }

  #note({ send, fault, admitted }: Step): void {
    if (send.length > 0) this.said.push(Buffer.from(send));
    this.fault = fault;
    this.admitted = admitted?.map((bytes) => Buffer.from(bytes)) ?? null;
  }
}

const caller = (admission = SITE, peerId: Uint8Array = CALLER) => new Party(admission, peerId, INFO_HASH);
const called = (admission = SITE, peerId: Uint8Array = CALLED) => new Party(admission, peerId, null);

/** Lets two talk until neither has anything more to say. */
function talk(one: Party, other: Party, change = (bytes: Buffer, _from: Party) => bytes): void {
  const heard = [0, 0];
  for (let quiet = 0; quiet < 2; ) {
    quiet = 0;
    for (const [at, [from, to]] of [
      [one, other],
      [other, one],
    ].entries() as IterableIterator<[number, [Party, Party]]>) {
      const next = from.said[heard[at]!];
      if (next === undefined) quiet++;
      else {
        heard[at]!++;
        to.hear(change(next, from));
      }
    }
  }
}

/** What each said of handshake, greeting and proof. */
function partsOf({ said }: Party): { handshake: Buffer; greeting: Buffer; proof: Buffer } {
  const all = Buffer.concat(said);
  const greetingEnd = HANDSHAKE + 4 + all.readUInt32BE(HANDSHAKE);
  return {
    handshake: all.subarray(0, HANDSHAKE),
    greeting: all.subarray(HANDSHAKE, greetingEnd),
    proof: all.subarray(greetingEnd),
  };
}

test('two that know the secret admit each other, and have the other’s handshake', () => {
  const [one, other] = [caller(), called()];
  talk(one, other);
  deepEqual(one.admitted, [partsOf(other).handshake, Buffer.alloc(0)]);
  deepEqual(other.admitted, [partsOf(one).handshake, Buffer.alloc(0)]);
  equal(
    hex(partsOf(one).handshake),
    `${hex(Buffer.from('\x13BitTorrent protocol'))}0000000000100004${'01'.repeat(20)}${'02'.repeat(20)}`,
  );
});

test('nobody without the secret is admitted, by either side', () => {
  for (const [one, other] of [
    [caller(STRANGER), called()],
    [caller(), called(STRANGER)],
  ] as const) {
    talk(one, other);
    deepEqual([one.admitted, other.admitted], [null, null]);
    // The first of the two to hear a proof hangs up.
    match(one.fault ?? other.fault ?? '', /^was not admitted to this closed swarm: its proof is wrong$/);
  }
});

test('the secret of one torrent is none of another, nor the secret of the run', () => {
  const run = Buffer.alloc(32, 7);
  const { hmacSha256 } = SITE;
  const secrets = [1, 2].map((byte) => hex(torrentSecret(hmacSha256, run, Buffer.alloc(20, byte))));
  equal(new Set([...secrets, hex(run)]).size, 3);
  const [one, other] = [caller(), called()];
  talk(one, other, (bytes, from) => {
    // The called one is made to believe that it is about another torrent.
    if (from === one && bytes.length === HANDSHAKE) bytes.fill(9, 28, 48);
    if (from === other && bytes.length > HANDSHAKE) bytes.fill(1, 28, 48);
    return bytes;
  });
  deepEqual([one.admitted, other.admitted], [null, null]);
});

test('without a secret of the time nobody is called, and no caller is answered', () => {
  const nobody = admissionBy(() => null);
  const [one, other] = [caller(nobody), called(nobody)];
  match(one.fault ?? '', /there is no secret to be admitted by/);
  other.hear(partsOfCaller());
  match(other.fault ?? '', /there is no secret to be admitted by/);
  deepEqual([...one.said, ...other.said], []);
});

/** The handshake of somebody who calls. */
function partsOfCaller(): Buffer {
  return caller().said[0]!;
}

/** In whatever chunks and order the bytes of both arrive. */
const course = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 80 })), { maxLength: 400 });

/** Delivers what two say in such a course, then the rest. */
function deliver(
  one: Party,
  other: Party,
  steps: readonly (readonly [boolean, number])[],
  change = (bytes: Buffer, _from: Party) => bytes,
): void {
  const said = (from: Party) => change(Buffer.concat(from.said), from);
  const heard = new Map<Party, number>([
    [one, 0],
    [other, 0],
  ]);
  const move = (from: Party, to: Party, length: number) => {
    const at = heard.get(from)!;
    const chunk = said(from).subarray(at, at + length);
    heard.set(from, at + chunk.length);
    if (chunk.length > 0) to.hear(chunk);
  };
  for (const [first, length] of steps) first ? move(one, other, length) : move(other, one, length);
  for (let round = 0; round < 8; round++) {
    move(one, other, 10_000);
    move(other, one, 10_000);
  }
}

test('in any interleaving, however cut, two with the secret admit each other and two without never do', () => {
  fc.assert(
    fc.property(course, fc.boolean(), (steps, same) => {
      const [one, other] = [caller(), called(same ? SITE : STRANGER)];
      deliver(one, other, steps);
      equal(one.admitted !== null, same);
      equal(other.admitted !== null, same);
      // Nobody says more than these three messages, and a proof only to who has greeted.
      if (same) equal(Buffer.concat(one.said).length, Buffer.concat(other.said).length);
    }),
  );
});

test('nobody admits a peer of whose nonce, torrent, peer id or proof one bit was changed on the way', () => {
  const { greeting } = partsOf(talked()[0]);
  const nonceAt = HANDSHAKE + greeting.length - 1 - 32;
  const proofAt = HANDSHAKE + greeting.length + HEADER;
  const places = [
    ...Array.from({ length: 40 }, (_, at) => 28 + at),
    ...Array.from({ length: 32 }, (_, at) => nonceAt + at),
    ...Array.from({ length: 32 }, (_, at) => proofAt + at),
  ];
  fc.assert(
    fc.property(course, fc.constantFrom(...places), fc.nat(7), fc.boolean(), (steps, at, bit, first) => {
      const [one, other] = [caller(), called()];
      const liar = first ? one : other;
      deliver(one, other, steps, (bytes, from) => {
        if (from === liar && bytes.length > at) bytes[at]! ^= 1 << bit;
        return bytes;
      });
      equal((first ? other : one).admitted, null);
    }),
  );
});

/** Two that have admitted each other. */
function talked(): [Party, Party] {
  const pair: [Party, Party] = [caller(), called()];
  talk(...pair);
  return pair;
}

test('who has recorded all and gives everything back, in any choice and order, is not admitted', () => {
  const heard = [...talked(), ...talked()].map(partsOf);
  for (const make of [caller, called]) {
    for (const handshakeOf of [0, 1, 2, 3, 'own'] as const) {
      for (const greetingOf of [0, 1, 2, 3, 'own'] as const) {
        for (const proofOf of [0, 1, 2, 3, 'own'] as const) {
          const victim = make();
          const part = (of: 0 | 1 | 2 | 3 | 'own', kind: 'handshake' | 'greeting' | 'proof') =>
            victim.over ? Buffer.alloc(0) : of === 'own' ? lastOf(victim, kind) : heard[of]![kind];
          victim.hear(part(handshakeOf, 'handshake'));
          victim.hear(part(greetingOf, 'greeting'));
          victim.hear(part(proofOf, 'proof'));
          equal(victim.admitted, null, `${handshakeOf} ${greetingOf} ${proofOf}`);
        }
      }
    }
  }
});

/** What the victim has said itself, as far as it has. */
function lastOf(victim: Party, kind: 'handshake' | 'greeting' | 'proof'): Buffer {
  const all = Buffer.concat(victim.said);
  if (all.length <= HANDSHAKE) return all.length === 0 ? partsOfCaller() : all;
  const { handshake, greeting, proof } = partsOf(victim);
  return { handshake, greeting, proof }[kind];
}

describe('reflection', () => {
  test('a called one that gives back each message of the caller is the caller itself, and is let go', () => {
    const one = caller();
    one.hear(one.said[0]!);
    equal(one.fault, 'is this node itself, or says so');
  });

  test('under another peer id, the proof given back is of the wrong side', () => {
    for (const victim of [caller(), called()]) {
      const handshake = Buffer.from(partsOfCaller());
      handshake.fill(0x55, 48);
      victim.hear(handshake);
      const { greeting } = partsOf(victim);
      victim.hear(greeting);
      victim.hear(partsOf(victim).proof);
      match(victim.fault ?? '', /its proof is wrong/);
    }
  });

  test('two conversations with one node, each fed with the other’s nonce, give no proof for either', () => {
    // Both called by the attacker: each proof is an acceptor's.
    const [left, right] = [called(), called()];
    const handshake = Buffer.from(partsOfCaller());
    handshake.fill(0x55, 48);
    left.hear(handshake);
    right.hear(handshake);
    const [fromLeft, fromRight] = [partsOf(left).greeting, partsOf(right).greeting];
    left.hear(fromRight);
    right.hear(fromLeft);
    left.hear(partsOf(right).proof);
    right.hear(partsOf(left).proof);
    deepEqual([left.admitted, right.admitted], [null, null]);
    // One called by the victim, the other calls it: the proof would fit, under the victim's own peer id.
    const outward = caller(SITE, CALLED);
    const inward = called(SITE, CALLED);
    inward.hear(outward.said[0]!);
    equal(inward.fault, 'is this node itself, or says so');
  });
});

describe('who says anything else than a greeting and a proof is let go, and gets no answer', () => {
  const message = (id: number, ...payload: number[]) => {
    const bytes = Buffer.from([0, 0, 0, 0, id, ...payload]);
    bytes.writeUInt32BE(1 + payload.length);
    return bytes;
  };
  const greeting = (fields: Parameters<typeof encode>[0]) => message(20, 0, ...encode(fields));
  const nonce = Buffer.alloc(32, 9);
  const right = { m: { sb_admission: 9 }, sb_admission: nonce };
  const first: [string, Uint8Array][] = [
    ['a keep-alive', Buffer.alloc(4)],
    ['a bitfield', message(5, 0xff)],
    ['interest', message(2)],
    ['a request', message(6, ...Buffer.alloc(12))],
    ['a block', message(7, ...Buffer.alloc(100))],
    ['have all', message(14)],
    ['a request for metadata', message(20, 1, ...Buffer.from('d8:msg_typei0e5:piecei0ee'))],
    ['a greeting of a common client', greeting({ m: { ut_metadata: 2 }, v: 'x' })],
    ['a greeting without an id', greeting({ m: {}, sb_admission: nonce })],
    ['a greeting with id 0', greeting({ ...right, m: { sb_admission: 0 } })],
    ['a greeting with id 256', greeting({ ...right, m: { sb_admission: 256 } })],
    ['a short nonce', greeting({ ...right, sb_admission: nonce.subarray(1) })],
    ['a nonce that is a number', greeting({ ...right, sb_admission: 7 })],
    ['a greeting that is no bencode', message(20, 0, 1, 2, 3)],
    ['an empty greeting', message(20, 0)],
    ['a greeting of 2 KiB', greeting({ ...right, v: 'x'.repeat(2048) })],
    ['a message of 4 GiB', Buffer.from('ffffffff1400', 'hex')],
  ];
  for (const [what, bytes] of first) {
    test(`${what} instead of a greeting`, () => {
      const victim = called();
      victim.hear(partsOfCaller());
      const before = victim.said.length;
      victim.hear(bytes);
      match(victim.fault ?? '', /^was not admitted to this closed swarm/);
      equal(victim.said.length, before, 'it gets no answer');
    });
  }
  const second: [string, Uint8Array][] = [
    ['a second greeting', greeting(right)],
    ['a request', message(6, ...Buffer.alloc(12))],
    ['a short proof', message(20, 2, ...Buffer.alloc(31))],
    ['a proof of zeros', message(20, 2, ...Buffer.alloc(32))],
    ['a proof under its own id', message(20, 9, ...Buffer.alloc(32))],
  ];
  for (const [what, bytes] of second) {
    test(`${what} instead of a proof`, () => {
      const victim = called();
      victim.hear(partsOfCaller());
      victim.hear(greeting(right));
      const before = victim.said.length;
      victim.hear(bytes);
      match(victim.fault ?? '', /^was not admitted to this closed swarm/);
      equal(victim.said.length, before);
    });
  }

  test('another protocol is known by its first byte, another torrent by its hash', () => {
    const victim = called();
    victim.hear(Buffer.from('G'));
    equal(victim.fault, 'does not speak BitTorrent in the clear');
    const one = caller();
    const other = new Party(SITE, CALLED, Buffer.alloc(20, 9));
    one.hear(other.said[0]!);
    equal(one.fault, 'answered for another torrent');
  });
});

test('no bytes at all make it throw, or admit anybody', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 30 }),
      fc.boolean(),
      (chunks, calls) => {
        const victim = calls ? caller() : called();
        if (!calls) victim.hear(partsOfCaller());
        for (const chunk of chunks) victim.hear(chunk);
        equal(victim.admitted, null);
      },
    ),
  );
});
