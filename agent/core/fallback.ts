// By what a node gets its image, as a ladder: the swarm, then peers without a tracker, then a web seed. Each step down is told
// with its reason; what brings it about is decided elsewhere, by each swarm for itself.

import type { SwarmView } from './view.ts';

/** From the top. */
export const FALLBACK_STEPS = ['swarm', 'peers without a tracker', 'web seed'] as const;
export type FallbackStep = (typeof FALLBACK_STEPS)[number];

export interface Fallback {
  readonly step: FallbackStep;
  /** Why it is no higher; empty at the top. */
  readonly reason: string;
}

/** Where everybody begins. */
export const NO_FALLBACK: Fallback = { step: 'swarm', reason: '' };

/** Where a node stands that is in these swarms: the lowest of them counts. */
export function fallbackOf(views: readonly SwarmView[]): Fallback {
  for (const { webSeedReason } of views) {
    if (webSeedReason !== null) return { step: 'web seed', reason: webSeedReason };
  }
  for (const { bytesLeft, peers, trackerProblem } of views) {
    if (bytesLeft > 0 && peers > 0 && trackerProblem !== null)
      return { step: 'peers without a tracker', reason: trackerProblem };
  }
  return NO_FALLBACK;
}

/** Follows a node over its steps. */
export class FallbackSteps {
  #step: FallbackStep = 'swarm';

  /** The happening that a change of step is; none while it stands where it stood, whatever words its reason has. */
  toTell(fallback: Fallback): ({ readonly fact: 'fallback' } & Fallback)[] {
    if (fallback.step === this.#step) return [];
    this.#step = fallback.step;
    return [{ fact: 'fallback', ...fallback }];
  }
}
