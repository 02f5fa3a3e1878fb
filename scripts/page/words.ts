// How states, times and amounts are said on the page.

import { formatBytes, formatDuration, formatRate } from '../../agent/core/units.ts';
import type { ClusterNode } from '../core/cluster.ts';

export { formatBytes, formatDuration, formatRate };

/** Below a second `0.4 s`, below two minutes `12.3 s`, above `2:05`. */
export function formatTime(ms: number | null): string {
  if (ms === null) return '-';
  return ms < 120_000 ? `${(ms / 1000).toFixed(1)} s` : formatDuration(ms);
}

/** `93 %`; `-` when it is not known. */
export function formatShare(share: number | null): string {
  return share === null ? '-' : `${Math.round(100 * share)} %`;
}

/** `12 s ago`. */
export function formatAgo(heard: string | null, now: string): string {
  if (heard === null) return 'never';
  const ms = Date.parse(now) - Date.parse(heard);
  return ms < 5000 ? 'now' : `${formatDuration(ms)} ago`;
}

/** `2026-01-31 12:00:05`, in the time of the reader. */
export function formatMoment(ms: number): string {
  const date = new Date(ms);
  const two = (value: number) => String(value).padStart(2, '0');
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-');
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')}`;
}

/** Which colour a node has: by its state, and while it installs by what it waits for. */
export function colourOf({ state, stage }: Pick<ClusterNode, 'state' | 'stage'>): string {
  if (state !== 'installing') return state;
  if (stage === 'image' || stage === 'BOEL binaries') return 'fetching';
  if (stage === 'extract' || stage === 'overrides') return 'writing';
  return 'preparing';
}

/** What the colours mean, in the order of the legend. */
export const COLOURS: readonly (readonly [string, string])[] = [
  ['alarm', 'alarm: somebody else has tried to enrol as this node'],
  ['failed', 'failed'],
  ['lost', 'lost: silent for a minute'],
  ['preparing', 'installing: disks, scripts, boot loader'],
  ['fetching', 'installing: the image comes'],
  ['writing', 'installing: the image is extracted'],
  ['imaged', 'imaged: on its disk, gives to others or starts anew'],
  ['installed', 'installed: the new system is up'],
  ['armed', 'armed: its next network boot installs it'],
  ['waiting', 'waiting to be armed'],
  ['idle', 'idle'],
  ['unknown', 'not in nodes.conf'],
];
