// A large swarm is simulated in coarser grain: one block of the swarm's stands for a grain of several, links and limits
// shrink alike, and times stay as they are.

import type { Limits } from '../../agent/core/limits.ts';
import { BLOCK_BYTES } from '../../agent/core/units.ts';

/** The numbers of the policy that count blocks. Those that count bytes say so in their names. */
const BLOCKS: readonly (keyof Limits)[] = ['pipelineMin', 'pipelineMax', 'queueMax'];

/** The limits as nodes must have them whose blocks stand for `scale` blocks each. */
export function scaledLimits(limits: Limits, scale: number): Limits {
  const bytes = Object.keys(limits).filter((name) => name.endsWith('Bytes')) as (keyof Limits)[];
  return {
    ...limits,
    ...Object.fromEntries(BLOCKS.map((name) => [name, Math.max(1, Math.round(limits[name] / scale))])),
    ...Object.fromEntries(bytes.map((name) => [name, Math.max(BLOCK_BYTES, limits[name] / scale)])),
  };
}
