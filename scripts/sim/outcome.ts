// What a run of the simulator tells: times, loads, and what held it up.

import type { Ms } from '../../agent/core/units.ts';

/** Share of the time in which links were busy. */
export interface Loads {
  readonly server: number;
  /** The busiest rack, one way. 0 without racks. */
  readonly rack: number;
  /** Of all nodes, in the mean. */
  readonly down: number;
  readonly up: number;
}

export interface Outcome {
  /** Per node, from the first start: when it started; when it was complete (Infinity: never). */
  readonly startMs: Float64Array;
  readonly finishMs: Float64Array;
  /** Per node, from its own start until it was complete. */
  readonly ownMs: Float64Array;
  /** Nodes that live, do no harm, and are not complete. */
  readonly unfinished: readonly number[];
  /** Content that the image servers sent together. */
  readonly seederBytes: number;
  /** Content that nodes threw away. */
  readonly wastedBytes: number;
  /** Of the pieces that were simulated: larger than those of the image where the run was a very large one. */
  readonly pieceBytes: number;
  /** T* (bound.ts) of a run in such pieces. */
  readonly boundMs: Ms;
  readonly load: Loads;
  /** Entries in the agenda: with the seed the fingerprint of a run. */
  readonly events: number;
}

/** The times of those that were complete: the middle one and the last. Not a number when there are none. */
export function summaryOf(timesMs: Float64Array): { readonly medianMs: Ms; readonly slowestMs: Ms } {
  const sorted = timesMs.filter(Number.isFinite).sort();
  return {
    medianMs: sorted[sorted.length >> 1] ?? Number.NaN,
    slowestMs: sorted[sorted.length - 1] ?? Number.NaN,
  };
}

/** Links that are busy less than this are not what everybody waits for. */
const BUSY_SHARE = 0.75;
/** Links are as good as equally busy when their shares differ by less. */
const EQUAL_SHARE = 0.1;

/** What held the run up, in a few words with the load that shows it. */
export function bottleneckOf(load: Loads): string {
  // Of equally busy ones the nodes' own links: no faster server or rack would help then.
  const links = [
    { what: "the nodes' own links", share: Math.max(load.down, load.up) },
    { what: 'the rack uplinks', share: load.rack },
    { what: "the image servers' links", share: load.server },
  ];
  const most = Math.max(...links.map(({ share }) => share));
  const { what, share } = links.find((link) => link.share > most - EQUAL_SHARE)!;
  const busy = `busy ${Math.round(100 * share)} % of the time`;
  return share >= BUSY_SHARE ? `${what}, ${busy}` : `no link: the busiest, ${what}, are ${busy}`;
}
