// Whose pipeline may have room, and the order in which those peers are asked. It asks nothing itself.

import type { Peer } from './peer.ts';
import type { Rng } from './rng.ts';

export class Hunger {
  readonly #rng: Rng;
  readonly #hungry = new Set<Peer>();

  constructor(rng: Rng) {
    this.#rng = rng;
  }

  /** There may be more to ask of this peer than before. */
  feed(peer: Peer): void {
    if (!peer.gives) return;
    peer.dry = false;
    this.#hungry.add(peer);
  }

  feedAll(peers: Iterable<Peer>): void {
    for (const peer of peers) this.feed(peer);
  }

  /** A block came from this peer: its pipeline has room, for what it may have. */
  served(peer: Peer): void {
    if (!peer.dry) this.#hungry.add(peer);
  }

  gone(peer: Peer): void {
    this.#hungry.delete(peer);
  }

  /**
   * Takes whom to ask now, and how many of `peers` give at all. In no fixed order: who always came first would be asked
   * for all that others have too, and its uplink would be the narrowest.
   */
  take(peers: Iterable<Peer>): { asked: readonly Peer[]; givers: number } {
    if (this.#hungry.size === 0) return { asked: [], givers: 0 };
    const asked = [...this.#hungry].filter((peer) => peer.gives);
    this.#hungry.clear();
    for (let left = asked.length; left > 1; left--) {
      const at = this.#rng.below(left);
      [asked[at], asked[left - 1]] = [asked[left - 1]!, asked[at]!];
    }
    let givers = 0;
    for (const peer of peers) if (peer.gives) givers++;
    return { asked, givers };
  }
}
