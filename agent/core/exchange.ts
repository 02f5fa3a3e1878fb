// Peer exchange (BEP 11): who is told of whom and how often, and whom we believe about whom. So a swarm whose trackers are
// gone stays one: who knows one peer comes to know the others. It sends nothing and calls nobody.

import type { PeerAddress } from './address.ts';
import { BOUNDS } from './bounds.ts';
import type { SwarmCommand } from './events.ts';
import type { Limits } from './limits.ts';
import { insideOf } from './networks.ts';
import type { Peer } from './peer.ts';
import type { Contact } from './pex.ts';
import type { Rng } from './rng.ts';
import type { Ms } from './units.ts';

/** What we have said to one peer, and heard of it. */
interface Talk {
  /** Whom it knows by us, by `host port`. */
  readonly told: Map<string, PeerAddress>;
  dueAt: Ms;
  heardAt: Ms;
}

/** Addresses that only have a meaning on the machine of who says them. */
const isLoopback = insideOf(['127.0.0.0/8', '::1/128']);
/** None of a machine that could be called: this network, multicast and reserved, link-local. */
const isNobody = insideOf(['0.0.0.0/8', '224.0.0.0/3', '::/128', 'ff00::/8', 'fe80::/10']);

/** What an address may be told as, by somebody at `teller`: a machine that is not the teller's own loopback. */
export function isPlausible(host: string, teller: string): boolean {
  return !isNobody(host) && (!isLoopback(host) || isLoopback(teller));
}

export class Exchange {
  readonly #limits: Limits;
  readonly #rng: Rng;
  readonly #talks = new Map<Peer, Talk>();
  /** How many addresses came from each host, and from all of them. */
  readonly #heardFrom = new Map<string, Set<string>>();
  #heard = 0;
  #nextAt: Ms = Number.POSITIVE_INFINITY;

  constructor(limits: Limits, rng: Rng) {
    this.#limits = limits;
    this.#rng = rng;
  }

  /** A peer said whether it takes part. It may say so again. */
  met(peer: Peer, exchanges: boolean, now: Ms): void {
    if (!exchanges) return this.gone(peer);
    if (this.#talks.has(peer)) return;
    // Not at once: others come with it.
    const dueAt = now + this.#limits.exchangeFirstMs;
    this.#talks.set(peer, { told: new Map(), dueAt, heardAt: Number.NEGATIVE_INFINITY });
    this.#nextAt = Math.min(this.#nextAt, dueAt);
  }

  gone(peer: Peer): void {
    this.#talks.delete(peer);
  }

  /** When `tell` may next have something to say; Infinity for never. */
  deadline(): Ms {
    return this.#nextAt;
  }

  /** Orders messages to those of `members` that are to hear of the others by now. */
  tell(members: Iterable<Peer>, now: Ms, commands: SwarmCommand[]): void {
    if (now < this.#nextAt) return;
    const { exchangeMs, exchangeLookMs } = this.#limits;
    const here = contactsOf(members);
    this.#nextAt = Number.POSITIVE_INFINITY;
    for (const [peer, talk] of this.#talks) {
      if (now >= talk.dueAt) {
        // Who has everything calls nobody.
        const said = !peer.isSeeder && !peer.uploadOnly && this.#say(peer, talk, here, commands);
        talk.dueAt = now + (said || talk.told.size > 0 ? exchangeMs : exchangeLookMs);
      }
      this.#nextAt = Math.min(this.#nextAt, talk.dueAt);
    }
  }

  /**
   * Of the addresses that a peer told us, those to be tried: not its own, none that it could not mean, and neither too
   * often nor too many from one machine, or from all.
   */
  heard(peer: Peer, addresses: readonly PeerAddress[], now: Ms): PeerAddress[] {
    const talk = this.#talks.get(peer);
    // Twice as often as it may: clocks and networks are not even.
    if (talk === undefined || now < talk.heardAt + this.#limits.exchangeMs / 2) return [];
    talk.heardAt = now;
    const { host: teller } = peer.address;
    const known = this.#heardFrom.get(teller) ?? new Set<string>();
    const believed = addresses.filter((address) => {
      const key = keyOf(address);
      if (key === keyOf(peer.address) || !isPlausible(address.host, teller)) return false;
      if (known.has(key)) return true;
      if (known.size >= BOUNDS.exchangedByOne || this.#heard >= BOUNDS.exchangedByAll) return false;
      known.add(key);
      this.#heard++;
      return true;
    });
    if (known.size > 0) this.#heardFrom.set(teller, known);
    return believed;
  }

  /** True when there was something to say. */
  #say(peer: Peer, { told }: Talk, here: ReadonlyMap<string, Contact>, commands: SwarmCommand[]): boolean {
    const own = keyOf(peer.address);
    const news = [...here].filter(
      ([key, { host }]) => key !== own && !told.has(key) && isPlausible(host, peer.address.host),
    );
    const added = this.#some(news);
    const dropped = [...told].filter(([key]) => !here.has(key)).slice(0, this.#limits.exchangePeers);
    if (added.length + dropped.length === 0) return false;
    for (const [key, contact] of added) told.set(key, contact);
    for (const [key] of dropped) told.delete(key);
    commands.push({
      type: 'exchange',
      slot: peer.slot,
      added: added.map(([, contact]) => contact),
      dropped: dropped.map(([, address]) => address),
    });
    return true;
  }

  /** As many as a message has, by chance: so that not all hear of the same ones. */
  #some<T>(all: T[]): T[] {
    const { exchangePeers } = this.#limits;
    if (all.length <= exchangePeers) return all;
    for (let at = 0; at < exchangePeers; at++) {
      const other = at + this.#rng.below(all.length - at);
      [all[at], all[other]] = [all[other]!, all[at]!];
    }
    return all.slice(0, exchangePeers);
  }
}

/** Those of whom others can be told, by `host port`. */
function contactsOf(members: Iterable<Peer>): Map<string, Contact> {
  const contacts = new Map<string, Contact>();
  for (const { address, isSeeder, uploadOnly, outgoing } of members) {
    if (address.port === 0) continue;
    const { host, port } = address;
    contacts.set(keyOf(address), { host, port, gives: isSeeder || uploadOnly, reachable: outgoing });
  }
  return contacts;
}

function keyOf({ host, port }: PeerAddress): string {
  return `${host} ${port}`;
}
