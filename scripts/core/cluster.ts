// The whole cluster as the page, `swarmboot status` and programs see it: every node in a few words and numbers, the sums,
// and the runs that go on. Decides what is shown and what has changed; nothing here reads a file or a clock.

import type { Ms } from '../../agent/core/units.ts';
import {
  describeState,
  type Known,
  type LogEntry,
  NODE_STATES,
  type NodeRecord,
  type NodeState,
  stateOf,
} from './board.ts';
import type { Node } from './nodes.ts';
import type { NodeInstall, RunRates } from './run.ts';
import type { RunReport } from './runreport.ts';

/** Of a run that goes on, so many failures and slow nodes are told of again and again; its report has all. */
const TOLD_MAX = 20;

/** One machine. Rates are of the last report; a node that is silent has none. */
export interface ClusterNode {
  readonly mac: string;
  /** As nodes.conf calls it, else as it calls itself, else its MAC. */
  readonly name: string;
  readonly groups: readonly string[];
  /** What it is being installed with, or has been, or is to be. */
  readonly image: string | null;
  readonly state: NodeState;
  /** One phrase. */
  readonly phrase: string;
  /** Empty when it has never spoken. */
  readonly stage: string;
  readonly percent: number;
  readonly downBytesPerSec: number;
  readonly upBytesPerSec: number;
  readonly peers: number;
  readonly leftMs: Ms | null;
  /** When it last spoke: `2026-01-31T12:00:00.000Z`. */
  readonly heard: string | null;
  /** The address that it has, or had, on the link by which it boots; empty: not told. */
  readonly address: string;
}

/** All that is known of one machine. */
export interface NodeDetail {
  readonly node: ClusterNode;
  /** Its words in nodes.conf; null: it is not there. */
  readonly listed: Node | null;
  readonly record: NodeRecord | null;
  /** Its newest install in a run of the last hour. */
  readonly install: NodeInstall | null;
  readonly runId: string | null;
  /** When that run began, since 1970. */
  readonly runBeganAt: number | null;
  readonly log: readonly LogEntry[];
}

/** What a run does now. */
export interface ClusterRun {
  readonly report: RunReport;
  readonly rates: RunRates;
}

/** The cluster at one moment. */
export interface Cluster {
  readonly format: 1;
  readonly at: string;
  readonly counts: Readonly<Record<NodeState, number>>;
  readonly downBytesPerSec: number;
  readonly upBytesPerSec: number;
  /** Those that go on, the newest first. */
  readonly runs: readonly ClusterRun[];
  readonly nodes: readonly ClusterNode[];
}

/** What is different from the picture before; the first one has everything. */
export interface ClusterChange extends Omit<Cluster, 'nodes'> {
  /** These are all nodes; those of before are forgotten. */
  readonly whole: boolean;
  /** Those that are new or not as they were. */
  readonly nodes: readonly ClusterNode[];
  /** MACs of nodes that are there no more. */
  readonly gone: readonly string[];
}

/** @param node its line in nodes.conf; null: it has none */
export function clusterNode(
  mac: string,
  node: Node | null,
  record: NodeRecord | null,
  known: Known,
): ClusterNode {
  const state = stateOf(record, known);
  // What it does goes on, whatever else is the matter.
  const doing = stateOf(record, { ...known, alarm: null });
  const message = record?.message ?? null;
  const report = message?.report ?? null;
  const moves = doing === 'installing' || doing === 'imaged';
  const link = message?.inventory?.links.find((one) => one.mac === mac);
  return {
    mac,
    name: node?.name ?? (message?.host || mac),
    groups: node?.groups ?? [],
    image: (doing === 'armed' ? null : message?.image) ?? node?.image ?? null,
    state,
    phrase: describeState(record, known),
    stage: message?.stage ?? '',
    percent: doing === 'imaged' || doing === 'installed' ? 100 : (report?.percent ?? 0),
    downBytesPerSec: moves ? (report?.downBytesPerSec ?? 0) : 0,
    upBytesPerSec: moves ? (report?.upBytesPerSec ?? 0) : 0,
    peers: moves ? (report?.peers ?? 0) : 0,
    leftMs: doing === 'installing' ? (report?.leftMs ?? null) : null,
    heard: record?.at ?? null,
    address: link?.addresses[0] ?? '',
  };
}

/** The picture of these nodes and runs. */
export function clusterOf(at: string, nodes: readonly ClusterNode[], runs: readonly ClusterRun[]): Cluster {
  const counts = Object.fromEntries(NODE_STATES.map((state) => [state, 0])) as Record<NodeState, number>;
  let [downBytesPerSec, upBytesPerSec] = [0, 0];
  for (const node of nodes) {
    counts[node.state]++;
    downBytesPerSec += node.downBytesPerSec;
    upBytesPerSec += node.upBytesPerSec;
  }
  const told = runs.map(({ report, rates }) => ({
    report: {
      ...report,
      slow: report.slow.slice(0, TOLD_MAX),
      failures: report.failures.slice(0, TOLD_MAX),
    },
    rates,
  }));
  return { format: 1, at, counts, downBytesPerSec, upBytesPerSec, runs: told, nodes };
}

/** Follows the pictures and says what has changed from one to the next. */
export class ClusterChanges {
  #before = new Map<string, string>();

  next({ nodes, ...picture }: Cluster): ClusterChange {
    const now = new Map(nodes.map((node) => [node.mac, JSON.stringify(node)]));
    const changed = nodes.filter(({ mac }) => now.get(mac) !== this.#before.get(mac));
    const gone = [...this.#before.keys()].filter((mac) => !now.has(mac));
    this.#before = now;
    return { ...picture, whole: false, nodes: changed, gone };
  }
}

/** The whole picture, in the form of a change. */
export function wholeChange(cluster: Cluster): ClusterChange {
  return { ...cluster, whole: true, gone: [] };
}
