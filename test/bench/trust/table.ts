// The rounds of the trust bench folded into one row for each site, medians over the rounds, and printed.

import { GIB, type Ms } from '../../../agent/core/units.ts';
import { lined, median } from '../table.ts';
import type { TrustRun } from './race.ts';
import type { TrustSite } from './sites.ts';

/** All of it together may cost so many times what a plain install does. */
export const GOAL = 1.15;

export interface TrustRow {
  readonly title: string;
  readonly runs: number;
  /** Medians, CPU seconds per GiB of tarball that a node has got. */
  readonly server: number;
  readonly agents: number;
  readonly sum: number;
  readonly sumMin: number;
  readonly sumMax: number;
  /** Of the plain install of the same round: the median of the rounds, the best and the worst. */
  readonly ratio: number;
  readonly ratioMin: number;
  readonly ratioMax: number;
  readonly installedMs: Ms;
}

/** One run of each site, in the order of the sites. */
export type TrustRound = readonly TrustRun[];

/** `bytes`: of tarball, that the nodes of a run got together. */
export function trustRows(
  sites: readonly TrustSite[],
  rounds: readonly TrustRound[],
  bytes: number,
): TrustRow[] {
  return sites.map(({ title }, index) => {
    const runs = rounds.map((round) => round[index]!);
    const sums = runs.map((run) => perGib(cpuSec(run), bytes));
    const ratios = rounds.map((round) => ratioOf(round, index));
    return {
      title,
      runs: runs.length,
      server: median(runs.map(({ serverSec }) => perGib(serverSec, bytes))),
      agents: median(runs.map(({ agentsSec }) => perGib(agentsSec, bytes))),
      sum: median(sums),
      sumMin: Math.min(...sums),
      sumMax: Math.max(...sums),
      ratio: median(ratios),
      ratioMin: Math.min(...ratios),
      ratioMax: Math.max(...ratios),
      installedMs: median(runs.map(({ installedMs }) => installedMs)),
    };
  });
}

/** A Markdown table. */
export function trustTable(rows: readonly TrustRow[]): string {
  const head = [
    'install',
    'runs',
    'server',
    'nodes',
    'CPU s/GiB',
    '[min-max]',
    'of plain',
    '[min-max]',
    'installed, s',
  ];
  const cells = rows.map((row) => [
    row.title,
    String(row.runs),
    row.server.toFixed(2),
    row.agents.toFixed(2),
    row.sum.toFixed(2),
    `[${row.sumMin.toFixed(2)}-${row.sumMax.toFixed(2)}]`,
    row.ratio.toFixed(3),
    `[${row.ratioMin.toFixed(3)}-${row.ratioMax.toFixed(3)}]`,
    (row.installedMs / 1000).toFixed(1),
  ]);
  return lined(head, cells);
}

/** One round in a line, for who waits. */
export function roundLine(number: number, round: TrustRound): string {
  const parts = round.map(
    (run, index) =>
      `${run.site} ${cpuSec(run).toFixed(2)} CPU s (server ${run.serverSec.toFixed(2)}) in ${(run.installedMs / 1000).toFixed(1)} s, ${ratioOf(round, index).toFixed(3)}`,
  );
  return `round ${number}  ${parts.join('  ')}\n`;
}

function cpuSec({ serverSec, agentsSec }: TrustRun): number {
  return serverSec + agentsSec;
}

function ratioOf(round: TrustRound, index: number): number {
  return cpuSec(round[index]!) / cpuSec(round[0]!);
}

function perGib(sec: number, bytes: number): number {
  return (sec * GIB) / bytes;
}
