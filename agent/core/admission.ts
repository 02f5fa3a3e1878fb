// Admission to a closed swarm: before anything else is said, each side of a connection proves to the other that it knows the
// swarm's secret. It goes by BEP 3's handshake and two extension messages (BEP 10): a greeting with a nonce, then an HMAC
// over both nonces, the side, the torrent and the peer id, so that a proof is good in the one conversation that it was made
// for. Who has not been admitted gets these three messages and nothing else, and nothing that it says goes further.

import { BencodeError, decode, encode, expectKind } from './bencode.ts';
import { BOUNDS } from './bounds.ts';
import { assert } from './errors.ts';
import { HANDSHAKE_BYTES, MESSAGE, protocolFault } from './framing.ts';
import type { Admission, Link, Self } from './ports.ts';

/** Its name among the extensions, and its message's id with us; 1 and 2 are those that come after it (io/wire). */
const EXTENSION = 'sb_admission';
const EXTENSION_ID = 3;
const HANDSHAKE_ID = 0;
const NONCE_BYTES = 32;
const PROOF_BYTES = 32;
/** Length, id and extension id, which stand before what an extension message says. */
const HEADER_BYTES = 6;
/** Nobody who may come in has more to say in greeting. */
const GREETING_BYTES_MAX = BOUNDS.greetingBytes;
const LABEL = 'swarmboot admission 1';
const TORRENT_LABEL = 'swarmboot torrent 1';
const NOT_ADMITTED = 'was not admitted to this closed swarm';

type Side = 'initiator' | 'acceptor';

/** What is to be done after a step of the exchange. */
export interface Step {
  /** Bytes for the other side; may be empty. */
  readonly send: Uint8Array;
  /** Why the connection ends; null: it goes on. */
  readonly fault: string | null;
  /** The other is admitted: its handshake, and what it has said since, in pieces. Null before. */
  readonly admitted: readonly Uint8Array[] | null;
}

/** The secret of one torrent, of the secret that all who install together share. */
export function torrentSecret(
  hmacSha256: Admission['hmacSha256'],
  runSecret: Uint8Array,
  infoHash: Uint8Array,
): Uint8Array {
  return hmacSha256(runSecret, joined(ascii(TORRENT_LABEL), infoHash));
}

/** One side of the exchange: bytes in, steps out. */
export class AdmissionExchange {
  readonly #admission: Admission;
  readonly #peerId: Uint8Array;
  readonly #side: Side;
  /** What the caller wants to talk about; who was called learns it from the handshake. */
  #infoHash: Uint8Array | null;
  #secret: Uint8Array = new Uint8Array();
  #awaited: 'handshake' | 'greeting' | 'proof' | 'nothing' = 'handshake';
  /** The beginning of a message whose rest has not come yet. */
  #held: Uint8Array = new Uint8Array();
  #handshake: Uint8Array = new Uint8Array();
  #nonce: Uint8Array = new Uint8Array();
  #otherNonce: Uint8Array = new Uint8Array();
  #send: Uint8Array[] = [];

  /** `infoHash`: 20 bytes when we have called, null when we were called. */
  constructor(admission: Admission, peerId: Uint8Array, infoHash: Uint8Array | null) {
    this.#admission = admission;
    this.#peerId = peerId;
    this.#infoHash = infoHash;
    this.#side = infoHash === null ? 'acceptor' : 'initiator';
  }

  /** To be called once, first: the side that has called speaks first. */
  begin(): Step {
    const fault = this.#infoHash === null ? null : this.#enter(this.#infoHash);
    return this.#step(fault);
  }

  /** Takes the next bytes of the stream; after a fault, or once the other is admitted, there are no more. */
  take(chunk: Uint8Array): Step {
    const bytes = joined(this.#held, chunk);
    let at = 0;
    for (;;) {
      const need = this.#need(bytes.subarray(at));
      if (typeof need === 'string') return this.#step(need);
      if (bytes.length - at < need) break;
      const fault = this.#read(bytes.slice(at, at + need));
      at += need;
      if (fault !== null) return this.#step(fault);
      if (this.#awaited === 'nothing') return this.#step(null, [this.#handshake, bytes.slice(at)]);
    }
    this.#held = bytes.slice(at);
    return this.#step(null);
  }

  #step(fault: string | null, admitted: readonly Uint8Array[] | null = null): Step {
    if (fault !== null) this.#awaited = 'nothing';
    const send = fault === null ? joined(...this.#send) : new Uint8Array();
    this.#send = [];
    return { send, fault, admitted };
  }

  /** How many bytes the awaited message has, as far as can be told from its beginning; or what is wrong with that. */
  #need(bytes: Uint8Array): number | string {
    if (this.#awaited === 'handshake') return protocolFault(bytes) ?? HANDSHAKE_BYTES;
    if (bytes.length < 4) return HEADER_BYTES;
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
    const proving = this.#awaited === 'proof';
    const fits = proving ? length === 2 + PROOF_BYTES : length >= 2 && length <= GREETING_BYTES_MAX;
    const ids = [MESSAGE.extended, proving ? EXTENSION_ID : HANDSHAKE_ID];
    if (!fits || bytes.subarray(4, HEADER_BYTES).some((id, at) => id !== ids[at])) {
      return `${NOT_ADMITTED}: it says something else than admission`;
    }
    return 4 + length;
  }

  #read(message: Uint8Array): string | null {
    if (this.#awaited === 'handshake') return this.#readHandshake(message);
    if (this.#awaited === 'greeting') return this.#readGreeting(message.subarray(HEADER_BYTES));
    this.#awaited = 'nothing';
    const other = this.#side === 'initiator' ? 'acceptor' : 'initiator';
    const right = this.#proof(other, this.#handshake.subarray(48));
    return same(message.subarray(HEADER_BYTES), right) ? null : `${NOT_ADMITTED}: its proof is wrong`;
  }

  #readHandshake(handshake: Uint8Array): string | null {
    this.#handshake = handshake;
    const infoHash = handshake.subarray(28, 48);
    if (same(handshake.subarray(48), this.#peerId)) return 'is this node itself, or says so';
    if (this.#infoHash === null) {
      const fault = this.#enter(infoHash);
      if (fault !== null) return fault;
    } else if (!same(infoHash, this.#infoHash)) return 'answered for another torrent';
    this.#nonce = this.#admission.nonce();
    assert(this.#nonce.length === NONCE_BYTES, 'a nonce has 32 bytes');
    const greeting = encode({ m: { [EXTENSION]: EXTENSION_ID }, [EXTENSION]: this.#nonce });
    this.#send.push(extensionMessage(HANDSHAKE_ID, greeting));
    this.#awaited = 'greeting';
    return null;
  }

  /** Takes up the torrent, and says our handshake. */
  #enter(infoHash: Uint8Array): string | null {
    const secret = this.#admission.secretOf(infoHash);
    if (secret === null) return 'the swarm is closed, and there is no secret to be admitted by';
    this.#infoHash = infoHash;
    this.#secret = secret;
    this.#send.push(handshakeOf(infoHash, this.#peerId));
    return null;
  }

  #readGreeting(payload: Uint8Array): string | null {
    const greeting = readGreeting(payload);
    if (greeting === null) return `${NOT_ADMITTED}: it does not know admission`;
    this.#otherNonce = greeting.nonce;
    this.#send.push(extensionMessage(greeting.id, this.#proof(this.#side, this.#peerId)));
    this.#awaited = 'proof';
    return null;
  }

  #proof(side: Side, peerId: Uint8Array): Uint8Array {
    const [ours, others] = [this.#nonce, this.#otherNonce];
    const nonces = this.#side === 'initiator' ? [ours, others] : [others, ours];
    return this.#admission.hmacSha256(
      this.#secret,
      joined(ascii(`${LABEL} ${side} `), this.#infoHash!, ...nonces, peerId),
    );
  }
}

/**
 * The link as a conversation may use it in a closed swarm: nothing is heard on it before the peer is admitted, and nothing
 * goes out. `infoHash` when we have called, null when we were called.
 */
export function admittedLink(
  link: Link,
  { peerId }: Self,
  infoHash: Uint8Array | null,
  admission: Admission,
): Link {
  return new AdmittedLink(link, new AdmissionExchange(admission, peerId, infoHash));
}

class AdmittedLink implements Link {
  readonly #link: Link;
  #exchange: AdmissionExchange | null;
  #ended = false;
  /** The conversation's own handshake has been sent already. */
  #saidBytes = HANDSHAKE_BYTES;

  constructor(link: Link, exchange: AdmissionExchange) {
    this.#link = link;
    this.#exchange = exchange;
  }

  get remote() {
    return this.#link.remote;
  }

  get outgoing() {
    return this.#link.outgoing;
  }

  open(handlers: Parameters<Link['open']>[0]): void {
    const carryOut = ({ send, fault, admitted }: Step) => {
      if (send.length > 0) this.#link.write(send);
      if (fault !== null) this.close(fault);
      if (admitted === null) return;
      this.#exchange = null;
      for (const bytes of admitted) if (bytes.length > 0 && !this.#ended) handlers.data(bytes);
    };
    this.#link.open({
      data: (chunk) => {
        if (this.#exchange === null) handlers.data(chunk);
        else if (!this.#ended) carryOut(this.#exchange.take(chunk));
      },
      closed: (reason) => {
        this.#ended = true;
        handlers.closed(reason);
      },
    });
    carryOut(this.#exchange!.begin());
  }

  write(bytes: Uint8Array, done?: () => void): void {
    const said = Math.min(this.#saidBytes, bytes.length);
    this.#saidBytes -= said;
    const rest = said === 0 ? bytes : bytes.subarray(said);
    assert(rest.length === 0 || this.#exchange === null, 'nothing goes to who has not been admitted');
    if (rest.length > 0) this.#link.write(rest, done);
    else done?.();
  }

  close(reason: string): void {
    this.#ended = true;
    this.#link.close(reason);
  }
}

/** BEP 3's handshake, as io/wire says it: extension protocol (BEP 10) and fast extension (BEP 6). */
function handshakeOf(infoHash: Uint8Array, peerId: Uint8Array): Uint8Array {
  const reserved = Uint8Array.of(0, 0, 0, 0, 0, 0x10, 0, 0x04);
  return joined(ascii('\x13BitTorrent protocol'), reserved, infoHash, peerId);
}

function extensionMessage(id: number, payload: Uint8Array): Uint8Array {
  const message = new Uint8Array(HEADER_BYTES + payload.length);
  new DataView(message.buffer).setUint32(0, 2 + payload.length);
  message[4] = MESSAGE.extended;
  message[5] = id;
  message.set(payload, HEADER_BYTES);
  return message;
}

/** The nonce of a greeting, and the id under which its sender takes the proof; null when it has none. */
function readGreeting(payload: Uint8Array): { nonce: Uint8Array; id: number } | null {
  try {
    const { entries } = expectKind(decode(payload, { unsortedKeys: true }), 'dict', 'the greeting');
    const [map, nonce] = [entries.get('m'), entries.get(EXTENSION)];
    const id = map?.kind === 'dict' ? map.entries.get(EXTENSION) : undefined;
    if (nonce?.kind !== 'bytes' || nonce.value.length !== NONCE_BYTES) return null;
    if (id?.kind !== 'integer' || id.value < 1n || id.value > 255n) return null;
    return { nonce: nonce.value, id: Number(id.value) };
  } catch (error) {
    if (error instanceof BencodeError) return null;
    throw error;
  }
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Takes as long for a wrong byte at the end as for one at the beginning. */
function same(one: Uint8Array, other: Uint8Array): boolean {
  let difference = one.length ^ other.length;
  for (const [at, byte] of one.entries()) difference |= byte ^ (other[at] ?? 0);
  return difference === 0;
}
