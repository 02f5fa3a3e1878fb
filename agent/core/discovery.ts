// Local service discovery (BEP 14): the datagrams by which peers of one network segment find each other without a tracker,
// and when which swarm is named in one. It sends nothing and calls nobody.

import { type PeerAddress, parseAddress } from './address.ts';
import { BOUNDS } from './bounds.ts';
import { isPlausible } from './exchange.ts';
import { LIMITS } from './limits.ts';
import type { Rng } from './rng.ts';
import type { Ms } from './units.ts';

/** Where they are sent to. */
export const DISCOVERY_GROUP: PeerAddress = { host: '239.192.152.143', port: 6771 };

const FIRST_LINE = 'BT-SEARCH * HTTP/1.1';
/** So many info hashes leave a datagram in one packet. */
const HASHES_MAX = 20;

/** What a datagram says. */
export interface Search {
  readonly port: number;
  /** 20 bytes in hex, small letters. */
  readonly infoHashes: readonly string[];
  /** Tells its sender from others; empty when it has none. */
  readonly cookie: string;
}

/** The datagrams that name these swarms. */
export function formatSearch({ port, infoHashes, cookie }: Search): Uint8Array[] {
  const datagrams: Uint8Array[] = [];
  for (let at = 0; at < infoHashes.length; at += HASHES_MAX) {
    const lines = [
      FIRST_LINE,
      `Host: ${DISCOVERY_GROUP.host}:${DISCOVERY_GROUP.port}`,
      `Port: ${port}`,
      ...infoHashes.slice(at, at + HASHES_MAX).map((hash) => `Infohash: ${hash}`),
      `cookie: ${cookie}`,
    ];
    datagrams.push(new TextEncoder().encode(`${lines.join('\r\n')}\r\n\r\n\r\n`));
  }
  return datagrams;
}

/** Null for what is no search that we could do anything with. */
export function parseSearch(datagram: Uint8Array): Search | null {
  if (datagram.length > BOUNDS.searchBytes) return null;
  const [first, ...lines] = String.fromCharCode(...datagram).split('\r\n');
  if (first !== FIRST_LINE) return null;
  const infoHashes: string[] = [];
  let [port, cookie] = [0, ''];
  for (const line of lines) {
    const [, name = '', value = ''] = /^([A-Za-z-]+): *([!-~]{0,100})$/.exec(line) ?? [];
    const key = name.toLowerCase();
    if (key === 'port' && /^[0-9]{1,5}$/.test(value)) port = Number(value);
    else if (key === 'cookie') cookie = value;
    else if (key === 'infohash' && /^[0-9a-fA-F]{40}$/.test(value)) infoHashes.push(value.toLowerCase());
  }
  return port === 0 || port > 65_535 || infoHashes.length === 0 ? null : { port, infoHashes, cookie };
}

/** One swarm of ours. */
interface Sought {
  /** It still looks for peers. */
  readonly seeks: () => boolean;
  /** When we named it; the first time does not count. */
  saidAt: Ms;
  dueAt: Ms;
  /** Nobody but us may have to answer whoever asked. */
  answers: boolean;
  /** How often others have named it since. */
  others: number;
  /** Addresses that have been told of. */
  readonly found: Set<string>;
}

/**
 * When each swarm is named: at its start, then once a minute while it looks for peers, and soon after somebody else has
 * named it, unless others answer before. Never more than once a minute beside the first time.
 */
export class Discovery {
  readonly #port: number;
  readonly #cookie: string;
  readonly #rng: Rng;
  readonly #swarms = new Map<string, Sought>();

  /**
   * @param port where we listen for peers
   * @param cookie known to nobody else
   */
  constructor(port: number, cookie: string, rng: Rng) {
    this.#port = port;
    this.#cookie = cookie;
    this.#rng = rng;
  }

  /** `seeks` tells whether it looks for peers. */
  joined(infoHash: string, seeks: () => boolean, now: Ms): void {
    const dueAt = now + this.#rng.next() * LIMITS.searchFirstMs;
    const saidAt = Number.NEGATIVE_INFINITY;
    this.#swarms.set(infoHash, { seeks, saidAt, dueAt, answers: true, others: 0, found: new Set() });
  }

  left(infoHash: string): void {
    this.#swarms.delete(infoHash);
  }

  /** A datagram came from `host`: which swarms of ours its sender is in, and where it listens. Null: of no use. */
  heard(
    datagram: Uint8Array,
    host: string,
    now: Ms,
  ): { readonly address: PeerAddress; readonly infoHashes: readonly string[] } | null {
    const search = parseSearch(datagram);
    if (search === null || search.cookie === this.#cookie) return null;
    if (parseAddress(host) === null || !isPlausible(host, host)) return null;
    const address = { host, port: search.port };
    const infoHashes = search.infoHashes.filter((hash) => this.#named(hash, `${host} ${search.port}`, now));
    return infoHashes.length === 0 ? null : { address, infoHashes };
  }

  /** When `take` next has something to do. */
  deadline(): Ms {
    let next = Number.POSITIVE_INFINITY;
    for (const { dueAt } of this.#swarms.values()) next = Math.min(next, dueAt);
    return next;
  }

  /** The datagrams that are due. */
  take(now: Ms): Uint8Array[] {
    const infoHashes: string[] = [];
    for (const [hash, swarm] of this.#swarms) {
      if (now < swarm.dueAt) continue;
      const first = swarm.saidAt === Number.NEGATIVE_INFINITY;
      const answered = swarm.others >= LIMITS.searchAnswers;
      if (first || swarm.seeks() || (swarm.answers && !answered)) infoHashes.push(hash);
      swarm.saidAt = first ? now - LIMITS.searchMs : now;
      swarm.dueAt = now + LIMITS.searchMs * (1 + this.#rng.next() / 4);
      swarm.answers = false;
    }
    return formatSearch({ port: this.#port, infoHashes, cookie: this.#cookie });
  }

  /** True when `key` is in a swarm of ours that has room for its address. */
  #named(hash: string, key: string, now: Ms): boolean {
    const swarm = this.#swarms.get(hash);
    if (swarm === undefined) return false;
    swarm.others++;
    const known = swarm.found.has(key);
    if (!known && swarm.found.size >= BOUNDS.searchAddresses) return false;
    swarm.found.add(key);
    // Who is known and heard us a moment ago only answers too, or would have to be answered for ever.
    if (known && now < swarm.saidAt + LIMITS.searchMs) return true;
    // Not all at once, so that the first ones spare the others the answer.
    const answerAt = Math.max(swarm.saidAt + LIMITS.searchMs, now + this.#rng.next() * LIMITS.searchAnswerMs);
    if (!swarm.answers && answerAt < swarm.dueAt) {
      swarm.answers = true;
      swarm.others = 0;
      swarm.dueAt = answerAt;
    }
    return true;
  }
}
