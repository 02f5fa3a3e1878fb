// Who is in the swarm with us: connected peers, whom to let in, whom to call, whom never again. It says nothing to
// anybody; what peers may do once they are in is decided elsewhere.

import { Dialer } from './dialer.ts';
import type { SwarmCommand, SwarmEvent } from './events.ts';
import { Exchange } from './exchange.ts';
import type { Limits } from './limits.ts';
import type { Peer } from './peer.ts';
import type { Rng } from './rng.ts';
import type { PeerAddress } from './tracker.ts';
import type { Ms } from './units.ts';

type Arrival = Extract<SwarmEvent, { type: 'peerConnected' }>;
type Greeting = Extract<SwarmEvent, { type: 'extended' }>;

export class Members {
  readonly #ownId: string;
  readonly #limits: Limits;
  readonly #dialer: Dialer;
  readonly #exchange: Exchange;
  readonly #bySlot = new Map<number, Peer>();
  readonly #bannedIds = new Set<string>();
  /** When we last called somebody. */
  #calledAt: Ms = Number.NEGATIVE_INFINITY;

  /** @param ownId our peer id, in hex */
  constructor(ownId: string, limits: Limits, rng: Rng) {
    this.#ownId = ownId;
    this.#limits = limits;
    this.#dialer = new Dialer(rng);
    this.#exchange = new Exchange(limits, rng);
  }

  get size(): number {
    return this.#bySlot.size;
  }

  get(slot: number): Peer | undefined {
    return this.#bySlot.get(slot);
  }

  all(): IterableIterator<Peer> {
    return this.#bySlot.values();
  }

  slots(): number[] {
    return [...this.#bySlot.keys()];
  }

  add(peer: Peer): void {
    this.#bySlot.set(peer.slot, peer);
  }

  remove(peer: Peer, now: Ms): void {
    this.#bySlot.delete(peer.slot);
    this.#exchange.gone(peer);
    if (peer.down.totalBytes + peer.up.totalBytes > 0) this.#dialer.proved(peer.address);
    this.#dialer.failed(peer.address, now);
  }

  /** Never again: neither this identity nor this address. */
  ban(peer: Peer): void {
    this.#bannedIds.add(peer.peerId);
    this.#dialer.never(peer.address);
  }

  found(addresses: readonly PeerAddress[]): void {
    this.#dialer.found(addresses);
  }

  /** A peer told us of others (BEP 11). */
  foundBy(peer: Peer, addresses: readonly PeerAddress[], now: Ms): void {
    this.#dialer.found(this.#exchange.heard(peer, addresses, now));
  }

  /** Orders what peers are to be told of each other by now; `exchangeAt` is when that next may be something. */
  exchange(now: Ms, commands: SwarmCommand[]): void {
    this.#exchange.tell(this.all(), now, commands);
  }

  get exchangeAt(): Ms {
    return this.#exchange.deadline();
  }

  dialFailed(address: PeerAddress, now: Ms): void {
    this.#dialer.failed(address, now);
  }

  /** Why a new connection is not wanted; null when it is, with the older connection that it takes the place of. */
  weigh({ address, peerId, outgoing }: Arrival, now: Ms): { refusal: string | null; instead: Peer | null } {
    const refuse = (refusal: string) => ({ refusal, instead: null });
    if (outgoing) this.#dialer.connected(address);
    if (peerId === this.#ownId) {
      this.#dialer.never(address);
      return refuse('connected to ourselves');
    }
    if (this.#bannedIds.has(peerId) || this.#dialer.isBanned(address)) return refuse('banned before');
    const twin = [...this.#bySlot.values()].find((peer) => peer.peerId === peerId) ?? null;
    if (twin !== null) {
      // Both sides keep the connection that the greater peer id opened, so that they agree without a word. But whoever calls
      // from where it was, though its old connection is silent, has given that up: the path between us was gone for a while.
      const isBack = twin.address.host === address.host && now - twin.heardAt > this.#limits.stallMs;
      const keepsNew = isBack || (outgoing !== twin.outgoing && outgoing === this.#ownId > peerId);
      return keepsNew ? { refusal: null, instead: twin } : refuse('connected already');
    }
    if (this.#bySlot.size < this.#limits.peersMax) return { refusal: null, instead: null };
    if (outgoing) this.#dialer.failed(address, now);
    return refuse('connected to enough peers');
  }

  /** A peer has told what it can do and, if it called us, where it listens. False: that is a banned address. */
  introduced(peer: Peer, { uploadOnly, requestsMax, exchanges, port }: Greeting, now: Ms): boolean {
    peer.uploadOnly = uploadOnly;
    peer.requestsMax = requestsMax;
    this.#exchange.met(peer, exchanges, now);
    if (peer.outgoing || port === 0) return true;
    peer.address = { host: peer.address.host, port };
    if (this.#dialer.isBanned(peer.address)) return false;
    this.#dialer.connected(peer.address);
    return true;
  }

  /** Addresses to call now. */
  calls(now: Ms): PeerAddress[] {
    const { dialingFirst, dialingMs } = this.#limits;
    const more = now >= this.#calledAt + dialingMs ? 1 : 0;
    const count = Math.min(this.#room(), Math.max(more, dialingFirst - this.#dialer.dialing));
    const addresses = this.#dialer.take(count, now);
    if (addresses.length > 0) this.#calledAt = now;
    return addresses;
  }

  /** When `calls` may next have something to give. */
  deadline(): Ms {
    if (this.#room() <= 0) return Number.POSITIVE_INFINITY;
    const { dialingFirst, dialingMs } = this.#limits;
    const waitsUntil =
      this.#dialer.dialing < dialingFirst ? Number.NEGATIVE_INFINITY : this.#calledAt + dialingMs;
    return Math.max(waitsUntil, this.#dialer.deadline());
  }

  #room(): number {
    const { dialingMax, peersWanted } = this.#limits;
    return Math.min(dialingMax, peersWanted - this.#bySlot.size) - this.#dialer.dialing;
  }
}
