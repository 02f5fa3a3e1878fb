// Who may download from us: the whole choking policy is one function. It looks at numbers and answers with slots; it
// sends nothing and reads no clock.

import type { Ms } from './units.ts';

/** What the choker may know of a peer. */
export interface ChokeCandidate {
  readonly slot: number;
  readonly interested: boolean;
  /** It owes us blocks and has sent none for long. */
  readonly snubbed: boolean;
  /** Bytes per second that it sends us. */
  readonly downBytesPerSec: number;
  /** When it was unchoked last; -Infinity for never. */
  readonly unchokedAt: Ms;
  readonly unchoked: boolean;
  /** How often it was unchoked. */
  readonly turns: number;
}

export interface ChokeRules {
  /** Peers unchoked at once. */
  readonly slots: number;
  /** How long a peer may stay when others wait for its place, for seeders and for the optimistic place. */
  readonly turnMs: Ms;
}

/**
 * The slots that shall be unchoked from now on. A leecher gives all places but one to those who give it most, and the
 * last to whoever has waited longest (optimistic unchoke, BEP 3). A seeder has nothing to gain, so it goes round:
 * each peer has its turn, then the one that waited longest has the place.
 */
export function chooseUnchoked(
  candidates: readonly ChokeCandidate[],
  seeding: boolean,
  rules: ChokeRules,
  now: Ms,
): Set<number> {
  const eligible = candidates.filter((peer) => peer.interested && !(peer.snubbed && !seeding));
  const chosen = new Set<number>();
  if (!seeding) {
    const givers = eligible.filter((peer) => peer.downBytesPerSec > 0);
    givers.sort((a, b) => b.downBytesPerSec - a.downBytesPerSec);
    for (const peer of givers.slice(0, Math.max(1, rules.slots - 1))) chosen.add(peer.slot);
  }
  const waiting = eligible.filter((peer) => !chosen.has(peer.slot));
  // Peers in the middle of their turn come first, then by the time since their last turn began; of those whose turns began
  // together, the one with fewer.
  const inTurn = (peer: ChokeCandidate) => peer.unchoked && now - peer.unchokedAt < rules.turnMs;
  waiting.sort(
    (a, b) => Number(inTurn(b)) - Number(inTurn(a)) || a.unchokedAt - b.unchokedAt || a.turns - b.turns,
  );
  for (const peer of waiting.slice(0, Math.max(0, rules.slots - chosen.size))) chosen.add(peer.slot);
  return chosen;
}
