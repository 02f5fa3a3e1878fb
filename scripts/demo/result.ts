// What a run of the demo comes to: times, the bound of theory where there is one, and the table. Pure.

import { formatBytes, formatDuration, formatRate, type Ms } from '../../agent/core/units.ts';

/** What became of one node. Times count from the start of the agents. */
export interface NodeResult {
  readonly node: number;
  /** The node entered the image's swarm; null when that was never said. */
  readonly imageBeganMs: Ms | null;
  /** The image's last piece verified; null when that was never said. */
  readonly imageMs: Ms | null;
  /** Image and overrides extracted: the system is whole. */
  readonly readyMs: Ms | null;
  /** The agent ended. */
  readonly endedMs: Ms;
  readonly exitStatus: number | null;
  readonly downloadedBytes: number;
  readonly uploadedBytes: number;
  /** What differs from the original, as lines; empty: nothing. */
  readonly differences: readonly string[];
}

/** What was spread. */
export interface Spread {
  readonly imageBytes: number;
  readonly imagePieces: number;
  /** All torrents together: image, BOEL binaries, overrides. */
  readonly totalBytes: number;
  /** 0: no cap. */
  readonly uploadMaxBytesPerSec: number;
  /** Payload that the first seeder sent, all torrents together. */
  readonly seederUploadedBytes: number;
}

/**
 * The least time in which one seeder and `nodes` leechers, each with the same upload rate, can spread a file of
 * `pieces` equal pieces: T* = (F/U)(1 + floor(log2 N)/M), F file bytes, U upload rate, N nodes, M pieces.
 */
export function leastTimeMs(fileBytes: number, pieces: number, uploadBytesPerSec: number, nodes: number): Ms {
  return ((1000 * fileBytes) / uploadBytesPerSec) * (1 + Math.floor(Math.log2(nodes)) / pieces);
}

/** True when the node installed everything and its trees are those of the image server. */
export function isIdentical(result: NodeResult): boolean {
  return result.exitStatus === 0 && result.readyMs !== null && result.differences.length === 0;
}

/** The run as it is written to report.json. */
export function summarize(results: readonly NodeResult[], spread: Spread) {
  const times = (pick: (result: NodeResult) => Ms | null) =>
    results.flatMap((result) => pick(result) ?? []).sort((left, right) => left - right);
  const ready = times((result) => result.readyMs);
  const image = times((result) => result.imageMs);
  const [imageBeganMs] = times((result) => result.imageBeganMs);
  const lastImageMs = image.length === results.length ? image.at(-1) : undefined;
  const spreadMs =
    lastImageMs === undefined || imageBeganMs === undefined ? null : lastImageMs - imageBeganMs;
  const boundMs =
    spread.uploadMaxBytesPerSec > 0
      ? leastTimeMs(spread.imageBytes, spread.imagePieces, spread.uploadMaxBytesPerSec, results.length)
      : null;
  return {
    nodes: results.length,
    identical: results.filter(isIdentical).length,
    firstReadyMs: ready[0] ?? null,
    lastReadyMs: ready.length === results.length ? (ready.at(-1) ?? null) : null,
    /** From the first node's entry into the image's swarm until the last node had the whole image. */
    spreadMs,
    boundMs,
    efficiency: boundMs !== null && spreadMs !== null ? boundMs / spreadMs : null,
    seederCopies: spread.seederUploadedBytes / spread.totalBytes,
    spread,
    results,
  };
}

export type Summary = ReturnType<typeof summarize>;

/** The closing table: one fact a line. */
export function formatSummary(summary: Summary): string[] {
  const { spread, nodes, spreadMs, boundMs, efficiency } = summary;
  const time = (ms: Ms | null) => (ms === null ? 'never' : `${(ms / 1000).toFixed(1)} s`);
  const rows: [string, string][] = [
    ['identical trees', `${summary.identical} of ${nodes}`],
    ['installed', `first node ${time(summary.firstReadyMs)}, last node ${time(summary.lastReadyMs)}`],
    [
      'image on every node',
      spreadMs === null
        ? 'never'
        : `in ${time(spreadMs)}, ${formatRate((1000 * spread.imageBytes * nodes) / spreadMs)} all nodes together`,
    ],
    [
      'efficiency (T*/T)',
      boundMs === null || efficiency === null
        ? 'without a cap on the links there is no T*; RATE= sets one'
        : `${efficiency.toFixed(2)}; the least possible time T* is ${time(boundMs)}`,
    ],
    [
      'first seeder sent',
      `${formatBytes(spread.seederUploadedBytes)}, ${summary.seederCopies.toFixed(2)} copies for ${nodes} nodes`,
    ],
  ];
  return rows.map(([name, value]) => `  ${name.padEnd(22)}${value}`);
}

/** Why a node is not right, as lines; none when it is. */
export function formatFaults(result: NodeResult, mostLines: number): string[] {
  if (isIdentical(result)) return [];
  const shown = result.differences.slice(0, mostLines);
  const rest = result.differences.length - shown.length;
  const ended =
    result.exitStatus === 0
      ? []
      : [
          `the agent ended with status ${result.exitStatus ?? 'none: killed'} after ${formatDuration(result.endedMs)}`,
        ];
  return [...ended, ...shown, ...(rest > 0 ? [`and ${rest} more`] : [])].map(
    (line) => `  node ${result.node}: ${line}`,
  );
}
