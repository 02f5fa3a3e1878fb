// Why a node of a run was slower than the others: what it lost its time in, stage by stage against the median node, and
// what it was like there. Every figure is the node's own; a reason says both sides of the comparison.

import type { LinkSight } from '../../agent/core/inventory.ts';
import { formatDuration, formatRate, type Ms } from '../../agent/core/units.ts';
import type { InstallFacts } from './run.ts';

/** Slower than the median by less than this is nothing to look into. */
const EXCESS_SHARE = 0.1;
const EXCESS_MIN_MS: Ms = 2000;
/** A stage is told of when it has this share of the node's lost time. */
const STAGE_SHARE = 0.25;
const LATE_MIN_MS: Ms = 10_000;
/** As part of the median: below it a rate, or the number of peers, is poor. */
const POOR = 0.7;
const FEW_PEERS = 0.5;
const BUSY_PERCENT = 90;
const BUSY_MORE = 15;

/** Stages that wait for the network, and those that wait for the disk. */
const FETCHING: ReadonlySet<string> = new Set(['BOEL binaries', 'image']);
const WRITING: ReadonlySet<string> = new Set([
  'disks',
  'staging',
  'extract',
  'overrides',
  'finish',
  'boot loader',
]);

export type Cause = 'late' | 'link' | 'disk' | 'processor' | 'peers' | 'hash' | 'retries' | 'stage';

export interface Reason {
  readonly cause: Cause;
  /** One line. */
  readonly text: string;
}

/** The median node of a run. */
export interface Typical {
  readonly ownMs: Ms;
  readonly beganMs: Ms;
  readonly stageMs: ReadonlyMap<string, Ms>;
  readonly fetchBytesPerSec: number;
  readonly writeBytesPerSec: number;
  /** As tried before anything was written; null: of none. */
  readonly diskBytesPerSec: number | null;
  readonly busyPercent: number;
  readonly peers: number;
  readonly retries: number;
  readonly hashFailures: number;
  readonly megabitPerSec: number | null;
  readonly mtu: number | null;
}

/** How long each stage took that has ended; without seed-wait and what comes after it. */
export function stageDurations({ stages }: Pick<InstallFacts, 'stages'>): ReadonlyMap<string, Ms> {
  const durations = new Map<string, Ms>();
  for (const [index, { stage, atMs }] of stages.entries()) {
    const next = stages[index + 1];
    if (stage === 'seed-wait' || next === undefined) break;
    durations.set(stage, next.atMs - atMs);
  }
  return durations;
}

/** From the start of the install until the image was on its target; null when it has not come so far. */
export function ownMs({ stages }: Pick<InstallFacts, 'stages'>): Ms | null {
  return stages.find(({ stage }) => stage === 'seed-wait')?.atMs ?? null;
}

/** The median of the nodes that are done; null when none is. */
export function typicalOf(done: readonly InstallFacts[]): Typical | null {
  if (done.length === 0) return null;
  const durations = done.map(stageDurations);
  const names = new Set(durations.flatMap((one) => [...one.keys()]));
  const over = (pick: (node: InstallFacts) => number) => median(done.map(pick));
  const links = done.flatMap(({ link }) => link ?? []);
  return {
    ownMs: over((node) => ownMs(node) ?? 0),
    beganMs: over(({ beganMs }) => beganMs),
    stageMs: new Map([...names].map((name) => [name, median(durations.map((one) => one.get(name) ?? 0))])),
    fetchBytesPerSec: over(fetchRate),
    writeBytesPerSec: over(writeRate),
    diskBytesPerSec: medianOrNull(done.flatMap(({ report }) => report?.diskBytesPerSec ?? [])),
    busyPercent: over(({ report }) => report?.busyPercent ?? 0),
    peers: over(({ peersMost }) => peersMost),
    retries: over(({ report }) => report?.retries ?? 0),
    hashFailures: over(({ report }) => report?.hashFailures ?? 0),
    megabitPerSec: medianOrNull(links.flatMap(({ megabitPerSec }) => megabitPerSec ?? [])),
    mtu: medianOrNull(links.map(({ mtu }) => mtu)),
  };
}

/** Why this node was done later than the median one; none: it was not. */
export function reasonsFor(node: InstallFacts, typical: Typical): readonly Reason[] {
  const reasons: Reason[] = [];
  const lateMs = node.beganMs - typical.beganMs;
  if (lateMs > Math.max(LATE_MIN_MS, EXCESS_SHARE * typical.ownMs)) {
    reasons.push({ cause: 'late', text: `it began ${formatDuration(lateMs)} after the others` });
  }
  const excessMs = (ownMs(node) ?? 0) - typical.ownMs;
  if (excessMs < Math.max(EXCESS_MIN_MS, EXCESS_SHARE * typical.ownMs)) return reasons;
  const durations = stageDurations(node);
  const excessIn = (stage: string) => (durations.get(stage) ?? 0) - (typical.stageMs.get(stage) ?? 0);
  const sum = (stages: Iterable<string>) =>
    [...stages].reduce((total, stage) => total + Math.max(0, excessIn(stage)), 0);
  const matters = (ms: Ms) => ms >= STAGE_SHARE * excessMs;
  const processor = processorReason(node, typical);
  if (matters(sum(FETCHING))) reasons.push(...(processor ?? fetchReasons(node, typical)));
  if (matters(sum(WRITING))) reasons.push(...(processor ?? [diskReason(node, typical)]));
  reasons.push(...retryReason(node, typical));
  for (const [stage, ms] of durations) {
    if (FETCHING.has(stage) || WRITING.has(stage) || !matters(excessIn(stage))) continue;
    reasons.push({
      cause: 'stage',
      text: `${stage} took ${formatDuration(ms)}, elsewhere ${formatDuration(typical.stageMs.get(stage) ?? 0)}`,
    });
  }
  return reasons.filter((reason, index) => reasons.findIndex(({ text }) => text === reason.text) === index);
}

function processorReason({ report }: InstallFacts, typical: Typical): readonly Reason[] | null {
  const busy = report?.busyPercent ?? 0;
  if (busy < BUSY_PERCENT || busy < typical.busyPercent + BUSY_MORE) return null;
  const text = `its processors were ${Math.round(busy)} % busy, elsewhere ${Math.round(typical.busyPercent)} %`;
  return [{ cause: 'processor', text }];
}

/** Why the image came slowly: what is known of the link, else that it must be the link. */
function fetchReasons(node: InstallFacts, typical: Typical): readonly Reason[] {
  const { link, report, peersMost } = node;
  const reasons = link === null ? [] : [...linkReasons(link, typical)];
  const failures = report?.hashFailures ?? 0;
  if (failures > 2 * typical.hashFailures) {
    reasons.push({ cause: 'hash', text: `${failures} pieces came damaged and were fetched again` });
  }
  if (peersMost < FEW_PEERS * typical.peers) {
    reasons.push({ cause: 'peers', text: `it had ${peersMost} peers at most, elsewhere ${typical.peers}` });
  }
  if (reasons.length > 0) return reasons;
  // What is fetched is written too: a slow disk holds up both.
  const tried = triedDiskReason(node, typical);
  if (tried !== null) return [tried];
  const rates = `${formatRate(fetchRate(node))} came, elsewhere ${formatRate(typical.fetchBytesPerSec)}`;
  return [{ cause: 'link', text: `link: ${rates}; look at its cable and switch port` }];
}

function* linkReasons({ megabitPerSec, fullDuplex, mtu }: LinkSight, typical: Typical): Generator<Reason> {
  const speed = typical.megabitPerSec;
  if (megabitPerSec !== null && speed !== null && megabitPerSec < speed) {
    yield { cause: 'link', text: `link: negotiated ${megabitPerSec} Mbit/s, elsewhere ${speed}` };
  }
  if (fullDuplex === false) yield { cause: 'link', text: 'link: negotiated half duplex' };
  if (typical.mtu !== null && mtu !== typical.mtu) {
    yield { cause: 'link', text: `link: MTU ${mtu}, elsewhere ${typical.mtu}` };
  }
}

/** Its disk was slow before the install. */
function triedDiskReason({ report }: InstallFacts, { diskBytesPerSec }: Typical): Reason | null {
  const rate = report?.diskBytesPerSec ?? null;
  if (rate === null || diskBytesPerSec === null || rate >= POOR * diskBytesPerSec) return null;
  const rates = `${formatRate(rate)} were written in the check, elsewhere ${formatRate(diskBytesPerSec)}`;
  return { cause: 'disk', text: `disk: ${rates}; look at its health` };
}

function diskReason(node: InstallFacts, typical: Typical): Reason {
  const tried = triedDiskReason(node, typical);
  if (tried !== null) return tried;
  const rate = writeRate(node);
  const lostMs = Math.max(
    0,
    (stageDurations(node).get('extract') ?? 0) - (typical.stageMs.get('extract') ?? 0),
  );
  if (rate < POOR * typical.writeBytesPerSec) {
    const rates = `${formatRate(rate)} were written, elsewhere ${formatRate(typical.writeBytesPerSec)}`;
    return { cause: 'disk', text: `disk: ${rates}; look at its health` };
  }
  return { cause: 'disk', text: `disk: writing went on ${formatDuration(lostMs)} longer than elsewhere` };
}

function retryReason({ report, text }: InstallFacts, typical: Typical): readonly Reason[] {
  const retries = report?.retries ?? 0;
  if (retries <= typical.retries) return [];
  const last = report?.errors.at(-1) ?? text;
  return [{ cause: 'retries', text: `${retries} stages were tried again, the last because ${last}` }];
}

/** Content per second while it fetched the image. */
function fetchRate(node: InstallFacts): number {
  const ms = stageDurations(node).get('image') ?? 0;
  const bytes = (node.report?.bytesVerified ?? 0) - node.fetchedBefore;
  return ms > 0 ? (1000 * bytes) / ms : 0;
}

/** What was unpacked per second, while it was. */
function writeRate(node: InstallFacts): number {
  const durations = stageDurations(node);
  const ms = ['image', 'extract', 'overrides'].reduce(
    (total, stage) => total + (durations.get(stage) ?? 0),
    0,
  );
  return ms > 0 ? (1000 * (node.report?.bytesWritten ?? 0)) / ms : 0;
}

/** The lower one of the two in the middle; 0 of none. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? 0;
}

function medianOrNull(values: readonly number[]): number | null {
  return values.length === 0 ? null : median(values);
}
