// Whose pipeline may have room, and the order in which those peers are asked. It asks nothing itself.

import type { Peer } from './peer.ts';
import type { Rng } from './rng.ts';

export class Hunger {
  readonly #rng: Rng;
  #givers = 0;
  /** Some may have stopped giving since, or be in it twice. */
  #hungry: Peer[] = [];

  constructor(rng: Rng) {
    this.#rng = rng;
  }

  /** There may be more to ask of this peer than before. */
  feed(peer: Peer): void {
    if (!peer.gives) return;
    if (!peer.giving) this.#givers++;
    peer.giving = true;
    peer.dry = false;
    this.#add(peer);
  }

  feedAll(peers: Iterable<Peer>): void {
    for (const peer of peers) this.feed(peer);
  }

  /** A block came from this peer: its pipeline has room, for what it may have. */
  served(peer: Peer): void {
    if (!peer.dry && peer.gives) this.#add(peer);
  }

  /** The peer gives nothing any more. */
  stopped(peer: Peer): void {
    if (peer.giving) this.#givers--;
    peer.giving = false;
    peer.hungry = false;
  }

  /**
   * Takes whom to ask now, and how many give at all. In no fixed order: who always came first would be asked for all
   * that others have too, and its uplink would be the narrowest.
   */
  take(): { asked: readonly Peer[]; givers: number } {
    const asked: Peer[] = [];
    for (const peer of this.#hungry) {
      if (peer.hungry) asked.push(peer);
      peer.hungry = false;
    }
    this.#hungry = [];
    for (let left = asked.length; left > 1; left--) {
      const at = this.#rng.below(left);
      [asked[at], asked[left - 1]] = [asked[left - 1]!, asked[at]!];
    }
    return { asked, givers: this.#givers };
  }

  #add(peer: Peer): void {
    if (!peer.hungry) this.#hungry.push(peer);
    peer.hungry = true;
  }
}
