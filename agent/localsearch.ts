// Finds peers on the same network segment (BEP 14) for the swarms of one engine: datagrams in and out, and a timer. What is
// said when, and what is believed, is core/discovery's.

import { Discovery } from './core/discovery.ts';
import { messageOf } from './core/errors.ts';
import type { DiscoveryPort, LogFact } from './core/ports.ts';
import { Rng } from './core/rng.ts';
import type { PeerAddress } from './core/tracker.ts';
import type { Ms } from './core/units.ts';

export interface LocalSearchOptions {
  readonly discovery: DiscoveryPort;
  /** Where the engine listens for peers. */
  readonly port: number;
  readonly clock: () => Ms;
  readonly log: LogFact;
  /** Any 32 bits that others do not share. */
  readonly seed: number;
}

/** One swarm that may be found so. */
export interface Seeker {
  /** It looks for peers. */
  seeks(): boolean;
  found(address: PeerAddress): void;
}

export class LocalSearch {
  readonly #options: LocalSearchOptions;
  readonly #discovery: Discovery;
  readonly #seekers = new Map<string, Seeker>();
  #opened = false;
  #closed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: LocalSearchOptions) {
    this.#options = options;
    const rng = new Rng(options.seed);
    const cookie = options.seed.toString(36) + rng.below(2 ** 32).toString(36);
    this.#discovery = new Discovery(options.port, cookie, rng);
  }

  /** From now on the swarm, 20 bytes in hex, is looked for. Nothing is heard or said before the first. */
  join(infoHash: string, seeker: Seeker): void {
    const { discovery, clock, log } = this.#options;
    if (!this.#opened) {
      this.#opened = true;
      discovery.open(
        (datagram, host) => this.#heard(datagram, host),
        (error) => log('no local discovery', { reason: messageOf(error) }),
      );
    }
    this.#seekers.set(infoHash, seeker);
    this.#discovery.joined(infoHash, () => seeker.seeks(), clock());
    this.#wind();
  }

  leave(infoHash: string): void {
    this.#seekers.delete(infoHash);
    this.#discovery.left(infoHash);
    this.#wind();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    if (this.#opened) this.#options.discovery.close();
  }

  #heard(datagram: Uint8Array, host: string): void {
    const heard = this.#discovery.heard(datagram, host, this.#options.clock());
    for (const hash of heard?.infoHashes ?? []) this.#seekers.get(hash)?.found(heard!.address);
    this.#wind();
  }

  #wind(): void {
    const { discovery, clock } = this.#options;
    clearTimeout(this.#timer);
    const next = this.#discovery.deadline();
    if (this.#closed || !Number.isFinite(next)) return;
    this.#timer = setTimeout(
      () => {
        for (const datagram of this.#discovery.take(clock())) discovery.say(datagram);
        this.#wind();
      },
      Math.max(0, Math.ceil(next - clock())),
    );
  }
}
