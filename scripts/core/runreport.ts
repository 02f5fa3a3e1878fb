// What a run teaches: how long the first, the median and the last node took, what of that grew with the image and what is
// fixed, how close the swarm came to the bound, and which nodes were slow, for which reason.

import type { Ms } from '../../agent/core/units.ts';
import { LOST_MS } from './board.ts';
import { boundMs } from './bound.ts';
import type { End, InstallFacts, RunData, RunHead } from './run.ts';
import { median, ownMs, type Reason, reasonsFor, stageDurations, typicalOf } from './slowness.ts';

/** Content's share of what a link carries: 1448 of the 1538 bytes that a full Ethernet packet takes. */
const CONTENT_SHARE = 1448 / 1538;
const SLOW_MAX = 10;

/** Where an install stands; `lost` was installing and has not been heard of since. */
export type Standing = End | 'installing' | 'lost';

export interface Spread {
  readonly firstMs: Ms;
  readonly medianMs: Ms;
  readonly lastMs: Ms;
}

export interface SlowNode {
  readonly mac: string;
  readonly name: string;
  /** How long its own install took. */
  readonly ownMs: Ms;
  readonly reasons: readonly Reason[];
}

export interface Failure {
  readonly mac: string;
  readonly name: string;
  readonly standing: 'failed' | 'lost';
  readonly stage: string;
  readonly text: string;
  readonly code: string | null;
}

export interface RunReport {
  readonly format: 1;
  readonly id: string;
  readonly image: string;
  readonly sizeBytes: number;
  /** `2026-01-31T12:00:00.000Z`. */
  readonly began: string;
  readonly elapsedMs: Ms;
  readonly counts: Readonly<Record<Standing, number>>;
  /** When the image was on the nodes' disks, since the run began; null while that is so of none. The others likewise. */
  readonly done: Spread | null;
  /** The nodes' own times, each since its own start: t = τ + K (Finley et al. 2007). */
  readonly own: Spread | null;
  /** τ: while the image came. */
  readonly transfer: Spread | null;
  /** K: all the rest, which the size of the image and the number of nodes hardly change. */
  readonly fixed: Spread | null;
  /** What a node's link carries of content; null: nobody says. */
  readonly linkBytesPerSec: number | null;
  /** `negotiated` by the links, or `seen`: the best rate of the median node. */
  readonly linkFrom: 'negotiated' | 'seen' | null;
  /** T*, the least time in which so many nodes can have the image; null without a rate. */
  readonly boundMs: Ms | null;
  /** T* over the slowest node's τ, once all that live have the image. */
  readonly efficiency: number | null;
  /** How full the nodes' links were while the image came, 0 to 1, on average. */
  readonly linkShare: number | null;
  /** Payload that the first seeder sent of the image, in images. */
  readonly seederCopies: number;
  readonly uploadedBytes: number;
  readonly wastedBytes: number;
  readonly hashFailures: number;
  readonly retries: number;
  /** Until the last node that installs is done, at the present rates; null: none does, or it cannot be said. */
  readonly leftMs: Ms | null;
  readonly slow: readonly SlowNode[];
  readonly failures: readonly Failure[];
}

/** Where an install stands, `nowMs` after its run began. */
export function standingOf({ end, heardMs }: Pick<InstallFacts, 'end' | 'heardMs'>, nowMs: Ms): Standing {
  if (end !== null) return end;
  return nowMs - heardMs > LOST_MS ? 'lost' : 'installing';
}

/** @param nodes the newest install of each node @param nowMs since the run began */
export function reportOf(
  head: Omit<RunHead, 'curves'>,
  nodes: readonly InstallFacts[],
  nowMs: Ms,
): RunReport {
  const counts: Record<Standing, number> = { installing: 0, imaged: 0, installed: 0, failed: 0, lost: 0 };
  for (const node of nodes) counts[standingOf(node, nowMs)]++;
  const done = nodes.filter(({ end }) => end === 'imaged' || end === 'installed');
  const sum = (pick: (report: NonNullable<InstallFacts['report']>) => number) =>
    nodes.reduce((total, { report }) => total + (report === null ? 0 : pick(report)), 0);
  const link = linkRate(nodes);
  const bound = link === null ? null : bounded(head, nodes.length, link.bytesPerSec);
  const transfer = spread(done.flatMap((node) => stageDurations(node).get('image') ?? []));
  const settled = counts.installing === 0 && transfer !== null && transfer.lastMs > 0;
  return {
    format: 1,
    id: head.id,
    image: head.image.name,
    sizeBytes: head.image.sizeBytes,
    began: head.began,
    elapsedMs: nowMs,
    counts,
    done: spread(done.flatMap(({ endedMs }) => endedMs ?? [])),
    own: spread(done.flatMap((node) => ownMs(node) ?? [])),
    transfer,
    fixed: spread(done.flatMap(fixedMs)),
    linkBytesPerSec: link?.bytesPerSec ?? null,
    linkFrom: link?.from ?? null,
    boundMs: bound,
    efficiency: bound !== null && settled ? bound / transfer.lastMs : null,
    linkShare: link === null ? null : linkShare(nodes, link.bytesPerSec, nowMs),
    seederCopies: head.image.sizeBytes === 0 ? 0 : head.seederBytes / head.image.sizeBytes,
    uploadedBytes: sum((report) => report.uploadedBytes),
    wastedBytes: sum((report) => report.wastedBytes),
    hashFailures: sum((report) => report.hashFailures),
    retries: sum((report) => report.retries),
    leftMs: leftMs(nodes, nowMs),
    slow: slowest(done),
    failures: nodes.flatMap((node) => failureOf(node, nowMs)),
  };
}

/** The report of a run as it was last seen. */
export function reportOfRun(run: RunData): RunReport {
  const newest = new Map(run.nodes.map((node) => [node.mac, node]));
  return reportOf(run, [...newest.values()], run.untilMs);
}

function spread(values: readonly Ms[]): Spread | null {
  if (values.length === 0) return null;
  // Not by Math.min of all: ten thousand arguments are too many for some engines.
  const sorted = [...values].sort((a, b) => a - b);
  return { firstMs: sorted[0]!, medianMs: median(sorted), lastMs: sorted.at(-1)! };
}

function fixedMs(node: InstallFacts): Ms | [] {
  const own = ownMs(node);
  return own === null ? [] : own - (stageDurations(node).get('image') ?? 0);
}

function linkRate(nodes: readonly InstallFacts[]) {
  const content = (megabit: number) => ((megabit * 1e6) / 8) * CONTENT_SHARE;
  const negotiated = nodes.flatMap(({ link }) => link?.megabitPerSec ?? []);
  if (negotiated.length > 0) {
    return { bytesPerSec: content(median(negotiated)), from: 'negotiated' as const };
  }
  // The best moment of the median node: that of the luckiest one says more of chance than of links.
  const seen = median(nodes.map(({ downMostBytesPerSec }) => downMostBytesPerSec));
  return seen > 0 ? { bytesPerSec: seen, from: 'seen' as const } : null;
}

function bounded({ image }: Pick<RunHead, 'image'>, nodes: number, bytesPerSec: number): Ms {
  return boundMs({
    nodes,
    imageServers: 1,
    sizeBytes: image.sizeBytes,
    pieceCount: Math.max(1, image.pieceCount),
    downMinBytesPerSec: bytesPerSec,
    serverBytesPerSec: bytesPerSec,
    upTotalBytesPerSec: (nodes + 1) * bytesPerSec,
    rackBytesPerSec: Number.POSITIVE_INFINITY,
  });
}

function linkShare(nodes: readonly InstallFacts[], bytesPerSec: number, nowMs: Ms): number | null {
  let [bytes, ms] = [0, 0];
  for (const node of nodes) {
    const begun = node.stages.find(({ stage }) => stage === 'image')?.atMs;
    if (begun === undefined || node.report === null) continue;
    const heardMs = Math.min(nowMs, node.heardMs) - node.beganMs;
    ms += stageDurations(node).get('image') ?? Math.max(0, heardMs - begun);
    bytes += Math.max(0, node.report.bytesVerified - node.fetchedBefore);
  }
  return ms === 0 ? null : Math.min(1, (1000 * bytes) / (ms * bytesPerSec));
}

/** By what has been verified and extracted of each, and for how long: extraction may take longer than the download. */
function leftMs(nodes: readonly InstallFacts[], nowMs: Ms): Ms | null {
  let most: Ms | null = null;
  for (const node of nodes) {
    if (standingOf(node, nowMs) !== 'installing' || node.report === null) continue;
    const { percent, leftMs: ofDownload, elapsedMs } = node.report;
    const byPercent = percent > 0 ? (elapsedMs * (100 - percent)) / percent : null;
    if (byPercent === null && ofDownload === null) continue;
    most = Math.max(most ?? 0, byPercent ?? 0, ofDownload ?? 0);
  }
  return most;
}

function slowest(done: readonly InstallFacts[]): readonly SlowNode[] {
  const typical = typicalOf(done);
  if (typical === null) return [];
  return [...done]
    .sort((a, b) => (b.endedMs ?? 0) - (a.endedMs ?? 0))
    .slice(0, SLOW_MAX)
    .map((node) => {
      const { mac, name } = node;
      return { mac, name, ownMs: ownMs(node) ?? 0, reasons: reasonsFor(node, typical) };
    })
    .filter(({ reasons }) => reasons.length > 0);
}

function failureOf(node: InstallFacts, nowMs: Ms): Failure | [] {
  const standing = standingOf(node, nowMs);
  if (standing !== 'failed' && standing !== 'lost') return [];
  const { mac, name, stage, text, code } = node;
  return { mac, name, standing, stage, text, code };
}
