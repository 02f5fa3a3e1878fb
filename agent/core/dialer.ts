// Whom to call, and when again: the addresses that trackers and peers told us of, with back-off. It opens nothing.

import { BOUNDS } from './bounds.ts';
import type { Rng } from './rng.ts';
import type { PeerAddress } from './tracker.ts';
import type { Ms } from './units.ts';

const RETRY_MS = 1000;
const RETRY_MAX_MS = 60_000;

interface Entry {
  readonly address: PeerAddress;
  state: 'idle' | 'dialing' | 'connected' | 'never';
  failures: number;
  notBefore: Ms;
}

export class Dialer {
  readonly #rng: Rng;
  readonly #entries = new Map<string, Entry>();
  #dialing = 0;
  /** Calls under way by address: who tells us of many ports of one machine does not make us flood it. */
  readonly #dialingTo = new Map<string, number>();
  /** No idle address may be called before: asked at every turn of the event loop, so it is kept. */
  #nextAt: Ms = Number.POSITIVE_INFINITY;

  constructor(rng: Rng) {
    this.#rng = rng;
  }

  get dialing(): number {
    return this.#dialing;
  }

  /** More addresses. Ones that are known already change nothing; beyond the limit they are not kept. */
  found(addresses: readonly PeerAddress[]): void {
    for (const address of addresses) this.#entry(address);
  }

  /** Up to `count` addresses to call now, in random order; they count as being dialed from here on. */
  take(count: number, now: Ms): PeerAddress[] {
    if (count <= 0 || now < this.#nextAt) return [];
    const ready = [...this.#entries.values()].filter(
      (entry) => entry.state === 'idle' && entry.notBefore <= now,
    );
    const chosen: PeerAddress[] = [];
    while (chosen.length < count && ready.length > 0) {
      const at = this.#rng.below(ready.length);
      const entry = ready[at]!;
      ready[at] = ready[ready.length - 1]!;
      ready.pop();
      if (this.#isBusy(entry)) continue;
      entry.state = 'dialing';
      this.#count(entry, 1);
      chosen.push(entry.address);
    }
    this.#nextAt = Number.POSITIVE_INFINITY;
    for (const entry of this.#entries.values()) {
      if (entry.state === 'idle' && !this.#isBusy(entry))
        this.#nextAt = Math.min(this.#nextAt, entry.notBefore);
    }
    return chosen;
  }

  /** The call did not get through, or the connection is gone: again later, each time later. */
  failed(address: PeerAddress, now: Ms): void {
    const entry = this.#settle(address);
    if (entry === null || entry.state === 'never') return;
    entry.state = 'idle';
    entry.failures++;
    const waitMs = Math.min(RETRY_MAX_MS, RETRY_MS * 2 ** (entry.failures - 1));
    entry.notBefore = now + waitMs * (0.75 + this.#rng.next() / 2);
    this.#nextAt = Math.min(this.#nextAt, entry.notBefore);
  }

  /** The call got through, or the peer called us and told its port. */
  connected(address: PeerAddress): void {
    const entry = this.#settle(address);
    if (entry !== null && entry.state !== 'never') entry.state = 'connected';
  }

  /** The connection did its work; the peer may be met again soon. */
  proved(address: PeerAddress): void {
    const entry = this.#entry(address);
    if (entry !== null) entry.failures = 0;
  }

  /** Ourselves, or a banned peer. */
  never(address: PeerAddress): void {
    const entry = this.#settle(address);
    if (entry !== null) entry.state = 'never';
  }

  isBanned(address: PeerAddress): boolean {
    return this.#entries.get(keyOf(address))?.state === 'never';
  }

  /** When an address may be called, or a little earlier; Infinity for none. */
  deadline(): Ms {
    return this.#nextAt;
  }

  #settle(address: PeerAddress): Entry | null {
    const entry = this.#entry(address);
    if (entry?.state === 'dialing') {
      // Others of this address may have waited for it.
      if (this.#isBusy(entry)) this.#nextAt = Number.NEGATIVE_INFINITY;
      this.#count(entry, -1);
    }
    return entry;
  }

  #isBusy({ address }: Entry): boolean {
    return (this.#dialingTo.get(address.host) ?? 0) >= BOUNDS.callsPerAddress;
  }

  #count({ address: { host } }: Entry, change: 1 | -1): void {
    const calls = (this.#dialingTo.get(host) ?? 0) + change;
    if (calls === 0) this.#dialingTo.delete(host);
    else this.#dialingTo.set(host, calls);
    this.#dialing += change;
  }

  #entry(address: PeerAddress): Entry | null {
    if (address.port === 0) return null;
    const key = keyOf(address);
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      if (this.#entries.size >= BOUNDS.addresses) return null;
      entry = { address, state: 'idle', failures: 0, notBefore: Number.NEGATIVE_INFINITY };
      this.#entries.set(key, entry);
      this.#nextAt = Number.NEGATIVE_INFINITY;
    }
    return entry;
  }
}

function keyOf(address: PeerAddress): string {
  return `${address.host} ${address.port}`;
}
