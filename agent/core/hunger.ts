// Whose pipeline may have room, and the order in which those peers are asked. It asks nothing itself.

import type { Peer } from './peer.ts';
import type { Rng } from './rng.ts';

export class Hunger {
  readonly #rng: Rng;
  readonly #givers = new Set<Peer>();
  readonly #hungry = new Set<Peer>();

  constructor(rng: Rng) {
    this.#rng = rng;
  }

  /** There may be more to ask of this peer than before. */
  feed(peer: Peer): void {
    if (!peer.gives) return;
    this.#givers.add(peer);
    peer.dry = false;
    this.#hungry.add(peer);
  }

  feedAll(peers: Iterable<Peer>): void {
    for (const peer of peers) this.feed(peer);
  }

  /** A block came from this peer: its pipeline has room, for what it may have. */
  served(peer: Peer): void {
    if (!peer.dry && peer.gives) this.#hungry.add(peer);
  }

  /** The peer gives nothing any more. */
  stopped(peer: Peer): void {
    this.#givers.delete(peer);
    this.#hungry.delete(peer);
  }

  /**
   * Takes whom to ask now, and how many give at all. In no fixed order: who always came first would be asked
   * for all that others have too, and its uplink would be the narrowest.
   */
  take(): { asked: readonly Peer[]; givers: number } {
    const asked = [...this.#hungry];
    this.#hungry.clear();
    for (let left = asked.length; left > 1; left--) {
      const at = this.#rng.below(left);
      [asked[at], asked[left - 1]] = [asked[left - 1]!, asked[at]!];
    }
    return { asked, givers: this.#givers.size };
  }
}
