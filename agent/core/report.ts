// What a node says of itself: the happenings of an install, the state of the node folded from its stage and its swarms,
// and how people read both. Decides nothing; sending and printing are done elsewhere.

import type { ErrorCode } from './errors.ts';
import { type Fallback, fallbackOf } from './fallback.ts';
import type { SeedWaitSight } from './seedwait.ts';
import { formatBytes, formatDuration, formatRate, type Ms } from './units.ts';
import type { SwarmView } from './view.ts';

/** In the order in which they run; an install into a folder has none of those that are about disks. */
export const STAGES = [
  'parameters',
  'enrol',
  'catalog',
  'check',
  'BOEL binaries',
  'pre-install',
  'disks',
  'staging',
  'image',
  'extract',
  'overrides',
  'main-install',
  'finish',
  'post-install',
  'boot loader',
  'seed-wait',
  'leave',
  'post-action',
] as const;

export type StageName = (typeof STAGES)[number];

/** One torrent of the install as it stands. */
export interface TransferState {
  /** Bytes of the tarball. */
  readonly bytes: number;
  /** Bytes of the tarball that the extraction has taken so far. */
  readonly extractedBytes: number;
  /** Bytes that came out of it and were handed to the target. */
  readonly writtenBytes: number;
  /** Null before its swarm is joined. */
  readonly view: SwarmView | null;
}

/** The state of one node. Sums are over all torrents of the install. */
export interface NodeReport {
  readonly stage: StageName;
  /** Of the whole install, 0 to 100: bytes verified and bytes extracted count alike. */
  readonly percent: number;
  readonly bytesTotal: number;
  readonly bytesVerified: number;
  readonly bytesExtracted: number;
  /** What has been unpacked and handed to the target. */
  readonly bytesWritten: number;
  readonly downBytesPerSec: number;
  readonly upBytesPerSec: number;
  readonly uploadedBytes: number;
  /** Payload that was thrown away. */
  readonly wastedBytes: number;
  readonly hashFailures: number;
  /** Bytes that came by HTTP. */
  readonly webSeedBytes: number;
  /** By what it gets its image now, and why not by something better. */
  readonly fallback: Fallback;
  /** How often a stage was tried again. */
  readonly retries: number;
  /** Of all processors together, on average since the install began. */
  readonly busyPercent: number;
  /** What the slowest of the disks writes, by the trial before anything is written; null: none was measured. */
  readonly diskBytesPerSec: number | null;
  /** Connections; one machine counts once for each torrent. */
  readonly peers: number;
  readonly seeders: number;
  readonly leechers: number;
  /** Folder of the staging pool; null before it is chosen. */
  readonly pool: string | null;
  /** Until the last byte is verified, at the present rate; null when that cannot be said. */
  readonly leftMs: Ms | null;
  readonly elapsedMs: Ms;
  /** What went wrong and was tried again, and what the trackers do wrong now. */
  readonly errors: readonly string[];
}

/** The happenings of an install, each with the name that its log line has. */
export type InstallEvent =
  | { readonly fact: 'note'; readonly text: string }
  | { readonly fact: 'stageBegan'; readonly stage: StageName }
  | { readonly fact: 'stageEnded'; readonly stage: StageName; readonly ms: Ms }
  | {
      readonly fact: 'stageRetried';
      readonly stage: StageName;
      readonly waitMs: Ms;
      readonly error: string;
      readonly code: ErrorCode;
    }
  | {
      readonly fact: 'stageFailed';
      readonly stage: StageName;
      readonly ms: Ms;
      readonly error: string;
      readonly code: ErrorCode | null;
    }
  | {
      readonly fact: 'poolChosen';
      readonly pool: string;
      readonly needBytes: number;
      readonly others: readonly string[];
    }
  | {
      readonly fact: 'extracted';
      readonly name: string;
      readonly entries: number;
      readonly bytes: number;
      readonly ms: Ms;
    }
  /** A command that is run, or a line that it wrote: for the log, not for the console. */
  | { readonly fact: 'command'; readonly text: string }
  | ({ readonly fact: 'fallback' } & Fallback)
  | { readonly fact: 'leaving'; readonly reason: string; readonly uploadedBytes: number }
  | { readonly fact: 'installed'; readonly ms: Ms }
  | ({ readonly fact: 'report' } & NodeReport);

/** Folds the state of every torrent into one report. */
export function foldReport(
  stage: StageName,
  transfers: readonly TransferState[],
  more: Pick<NodeReport, 'pool' | 'elapsedMs' | 'errors' | 'retries' | 'busyPercent' | 'diskBytesPerSec'>,
): NodeReport {
  const sum = (pick: (state: TransferState) => number) =>
    transfers.reduce((total, state) => total + pick(state), 0);
  const views = transfers.flatMap(({ view }) => view ?? []);
  const sumViews = (pick: (view: SwarmView) => number) =>
    views.reduce((total, view) => total + pick(view), 0);
  const bytesTotal = sum((state) => state.bytes);
  const bytesLeft = sum((state) => state.view?.bytesLeft ?? state.bytes);
  const bytesVerified = bytesTotal - bytesLeft;
  const bytesExtracted = sum((state) => state.extractedBytes);
  const downBytesPerSec = sumViews((view) => view.downBytesPerSec);
  return {
    stage,
    percent: bytesTotal === 0 ? 0 : Math.floor((50 * (bytesVerified + bytesExtracted)) / bytesTotal),
    bytesTotal,
    bytesVerified,
    bytesExtracted,
    bytesWritten: sum((state) => state.writtenBytes),
    downBytesPerSec,
    upBytesPerSec: sumViews((view) => view.upBytesPerSec),
    uploadedBytes: sumViews((view) => view.uploadedBytes),
    wastedBytes: sumViews((view) => view.wastedBytes),
    hashFailures: sumViews((view) => view.hashFailures),
    webSeedBytes: sumViews((view) => view.webSeedBytes),
    fallback: fallbackOf(views),
    peers: sumViews((view) => view.peers),
    seeders: sumViews((view) => view.seedersConnected),
    leechers: sumViews((view) => view.leechersConnected),
    leftMs: downBytesPerSec > 0 && bytesLeft > 0 ? Math.round((bytesLeft / downBytesPerSec) * 1000) : null,
    retries: more.retries,
    busyPercent: more.busyPercent,
    diskBytesPerSec: more.diskBytesPerSec,
    pool: more.pool,
    elapsedMs: more.elapsedMs,
    errors: [...more.errors, ...new Set(views.flatMap((view) => view.trackerProblem ?? []))],
  };
}

/** What the seed-wait looks at, over all torrents; the tracker's word counts once every tracker has spoken. */
export function foldSight(views: readonly SwarmView[]): SeedWaitSight {
  const leechers = views.map((view) => view.trackerLeechers);
  return {
    uploadedBytes: views.reduce((total, view) => total + view.uploadedBytes, 0),
    leechersConnected: views.reduce((total, view) => total + view.leechersConnected, 0),
    trackerLeechers: leechers.reduce(
      (total, count) => (total === null || count === null ? null : total + count),
      0,
    ),
  };
}

/** One line for people: stage, percent, bytes, rates, peers, time left; below the swarm or without peers, also why. */
export function formatReportLine(report: NodeReport): string {
  const bytes = `${formatBytes(report.bytesVerified)} of ${formatBytes(report.bytesTotal)}`;
  const { step, reason } = report.fallback;
  const lonely = report.peers === 0 ? (report.errors.at(-1) ?? '') : '';
  const trouble = step === 'swarm' ? lonely : `${step}: ${reason}`;
  const left = report.leftMs === null ? '' : `  left ${formatDuration(report.leftMs)}`;
  return (
    `${report.stage.padEnd(13)} ${String(report.percent).padStart(3)} %  ${bytes}` +
    `  extracted ${formatBytes(report.bytesExtracted)}  down ${formatRate(report.downBytesPerSec)}` +
    `  up ${formatRate(report.upBytesPerSec)}  peers ${report.peers}${left}${trouble === '' ? '' : `  (${trouble})`}`
  );
}

/** Stages whose progress is shown: bytes come, are extracted, or are given. */
const MOVING: ReadonlySet<StageName> = new Set([
  'BOEL binaries',
  'image',
  'extract',
  'overrides',
  'seed-wait',
]);

/** The lines of one happening as the console shows them, empty for what only the log has; no control characters but the line ends between them. */
export function formatEvent(event: InstallEvent): string {
  return linesOf(event).map(plainText).join('\n');
}

function linesOf(event: InstallEvent): string[] {
  switch (event.fact) {
    case 'note':
      return event.text.split('\n');
    case 'stageBegan':
      return [`${event.stage} ...`];
    case 'stageEnded':
      return [`${event.stage} done in ${formatDuration(event.ms)}`];
    case 'stageRetried':
      return [
        ...event.error.split('\n'),
        `${event.stage} will be tried again in ${formatDuration(event.waitMs)}`,
      ];
    case 'stageFailed':
      return [`${event.stage} FAILED after ${formatDuration(event.ms)}: ${event.error.split('\n')[0]}`];
    case 'poolChosen':
      return [
        `staging in ${event.pool}, which has the ${formatBytes(event.needBytes)} needed`,
        ...event.others.map((other) => `  not in ${other}`),
      ];
    case 'extracted':
      return [
        `${event.name}: ${event.entries} entries, ${formatBytes(event.bytes)} in ${formatDuration(event.ms)}`,
      ];
    case 'command':
      return [];
    case 'fallback':
      return [`the image comes by: ${event.step}${event.reason === '' ? '' : ` (${event.reason})`}`];
    case 'leaving':
      return [`leaving the swarm, ${formatBytes(event.uploadedBytes)} given: ${event.reason}`];
    case 'installed':
      return [`installed in ${formatDuration(event.ms)}`];
    case 'report':
      // Elsewhere no byte moves, and the stage's own lines say it all.
      return MOVING.has(event.stage) ? [formatReportLine(event)] : [];
  }
}

/** Control, format (bidirectional ones too) and line separator characters as `\u` escapes: no remote text writes its own line. */
export function plainText(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (found) =>
    Array.from(found.split(''), (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`).join(''),
  );
}
