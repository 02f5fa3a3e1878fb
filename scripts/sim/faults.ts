// What goes wrong in a simulated swarm, drawn from its seed: which nodes, how, and when.

import { Rng } from '../../agent/core/rng.ts';
import type { Ms } from '../../agent/core/units.ts';
import type { NodeFaults } from './node.ts';

/** Shares of the nodes. */
export interface FaultShares {
  /** They disappear at some time. */
  readonly die?: number;
  /** They take requests and never serve them. */
  readonly stall?: number;
  /** What they send is bad. */
  readonly poison?: number;
  /** Their links have a tenth of the rate. */
  readonly slow?: number;
  /** They are cut off from the others, tracker and image servers among these, for a time. */
  readonly part?: number;
}

export const FAULT_NAMES = ['die', 'stall', 'poison', 'slow', 'part'] as const;

const SLOW_SHARE = 0.1;

export interface FaultPlan {
  readonly faultsOf: (node: number) => NodeFaults;
  /** Share of the common rate that the node has. */
  readonly rateShareOf: (node: number) => number;
  readonly partition: { readonly nodes: ReadonlySet<number>; fromMs: Ms; untilMs: Ms } | null;
}

/** Deals out faults over `spanMs`, the time that a good run takes. No node has more than one, being cut off aside. */
export function planFaults(shares: FaultShares, nodes: number, spanMs: Ms, seed: number): FaultPlan {
  const rng = new Rng(seed ^ 0x5eed);
  const order = shuffled(nodes, rng);
  const draw = (share = 0) => order.splice(0, Math.round(share * nodes));
  const faults = new Map<number, NodeFaults>();
  for (const node of draw(shares.die)) faults.set(node, { diesAtMs: rng.next() * spanMs });
  for (const node of draw(shares.stall)) faults.set(node, { stalls: true });
  for (const node of draw(shares.poison)) faults.set(node, { poisons: true });
  const slow = new Set(draw(shares.slow));
  const apart = new Set(shuffled(nodes, rng).slice(0, Math.round((shares.part ?? 0) * nodes)));
  return {
    faultsOf: (node) => faults.get(node) ?? {},
    rateShareOf: (node) => (slow.has(node) ? SLOW_SHARE : 1),
    partition: apart.size === 0 ? null : { nodes: apart, fromMs: 0.3 * spanMs, untilMs: 0.8 * spanMs },
  };
}

function shuffled(count: number, rng: Rng): number[] {
  const order = Array.from({ length: count }, (_, index) => index);
  for (let last = count - 1; last > 0; last--) {
    const other = rng.below(last + 1);
    [order[last], order[other]] = [order[other]!, order[last]!];
  }
  return order;
}
