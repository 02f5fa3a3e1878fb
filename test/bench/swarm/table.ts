// The swarms of a bench folded into a table: one row per contender, medians over its rounds.

import type { Ms } from '../../../agent/core/units.ts';
import { lined, median } from '../table.ts';
import type { SwarmRun } from './run.ts';
import type { NodeKind } from './scenario.ts';

/** A machine that was busier than this has been measured itself, and not the swarm. */
const BUSY_SHARE_MAX = 0.85;

export interface SwarmRow {
  readonly contender: string;
  readonly runs: number;
  /** The slowest and the median node of full rate that was there from the start; Infinity: not all got there. */
  readonly slowestMs: Ms;
  readonly medianMs: Ms;
  /** The slowest node by the time of one plain copy: the median of the rounds, the best and the worst. */
  readonly ratio: number;
  readonly ratioMin: number;
  readonly ratioMax: number;
  /** The node that joined, from its own beginning, by the time of one plain copy; null without one. */
  readonly joinedRatio: number | null;
  readonly seederShare: number;
  readonly cpuSecPerNode: number;
  /** The highest of all rounds. */
  readonly busyShare: number;
}

/** Folds the runs; `rawMs` is the time of one plain copy. */
export function swarmRows(runs: readonly SwarmRun[], rawMs: Ms): SwarmRow[] {
  const names = [...new Set(runs.map((run) => run.contender))];
  return names.map((contender) => {
    const own = runs.filter((run) => run.contender === contender);
    const slowest = own.map((run) => Math.max(...timesOf(run, 'full')));
    const ratios = slowest.map((ms) => ms / rawMs);
    const joined = own.flatMap((run) => timesOf(run, 'joined'));
    return {
      contender,
      runs: own.length,
      slowestMs: median(slowest),
      medianMs: median(own.map((run) => median(timesOf(run, 'full')))),
      ratio: median(ratios),
      ratioMin: Math.min(...ratios),
      ratioMax: Math.max(...ratios),
      joinedRatio: joined.length === 0 ? null : median(joined) / rawMs,
      seederShare: median(own.map((run) => run.seederShare)),
      cpuSecPerNode: median(own.map((run) => run.cpuSecPerNode)),
      busyShare: Math.max(...own.map((run) => run.busyShare)),
    };
  });
}

/** How long the nodes of a kind took; Infinity for who did not get there. */
export function timesOf(run: SwarmRun, kind: NodeKind): Ms[] {
  return run.nodes
    .filter((node) => node.kind === kind)
    .map(({ tookMs }) => tookMs ?? Number.POSITIVE_INFINITY);
}

/** A Markdown table. */
export function swarmTable(rows: readonly SwarmRow[]): string {
  const joins = rows.some(({ joinedRatio }) => joinedRatio !== null);
  const head = [
    'swarm of',
    'runs',
    'slowest, s',
    'median, s',
    'slowest / copy',
    '[min-max]',
    ...(joins ? ['joined / copy'] : []),
    'first seeder sent',
    'CPU s/node',
    'CPU busy',
    'note',
  ];
  const cells = rows.map((row) => [
    row.contender,
    String(row.runs),
    seconds(row.slowestMs),
    seconds(row.medianMs),
    times(row.ratio),
    `[${times(row.ratioMin)}-${times(row.ratioMax)}]`,
    ...(joins ? [row.joinedRatio === null ? '' : times(row.joinedRatio)] : []),
    `${times(row.seederShare)} F`,
    row.cpuSecPerNode.toFixed(2),
    `${(row.busyShare * 100).toFixed(0)} %`,
    row.busyShare > BUSY_SHARE_MAX ? 'measures the machine' : '',
  ]);
  return lined(head, cells);
}

/** One swarm in a line, for who waits. */
export function swarmLine(run: SwarmRun, rawMs: Ms): string {
  const full = timesOf(run, 'full');
  const joined = timesOf(run, 'joined').map((ms) => `  joined ${times(ms / rawMs)}`);
  const slowest = Math.max(...full);
  const parts = [
    `round ${run.round}  ${run.contender.padEnd(20)}`,
    `slowest ${seconds(slowest)} s = ${times(slowest / rawMs)}`,
    `median ${seconds(median(full))} s = ${times(median(full) / rawMs)}${joined.join('')}`,
    `seeder ${times(run.seederShare)} F`,
    `${run.cpuSecPerNode.toFixed(2)} CPU s/node`,
    `busy ${(run.busyShare * 100).toFixed(0)} %`,
  ];
  return `${parts.join('  ')}${run.faults.map((fault) => `\n  ${fault}`).join('')}\n`;
}

function seconds(ms: Ms): string {
  return Number.isFinite(ms) ? (ms / 1000).toFixed(1) : 'never';
}

function times(ratio: number): string {
  return Number.isFinite(ratio) ? ratio.toFixed(2) : 'never';
}
