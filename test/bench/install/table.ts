// The rounds of an install bench folded into one row, medians over the rounds, and printed.

import type { Ms } from '../../../agent/core/units.ts';
import { lined, median } from '../table.ts';
import type { Round, Timed } from './race.ts';

/** The install may take so many times what the longer of its two halves takes alone. */
export const GOAL = 1.15;
/** A machine that was busier than this has been measured itself. */
const BUSY_SHARE_MAX = 0.85;

export interface InstallRow {
  readonly bitsPerSec: number;
  readonly runs: number;
  /** The slowest node. */
  readonly downloadMs: Ms;
  readonly extractionMs: Ms;
  readonly installMs: Ms;
  /** From the end of the last download to the end of the last install. */
  readonly restMs: Ms;
  /** Install by the longer half: the median of the rounds, the best and the worst. */
  readonly ratio: number;
  readonly ratioMin: number;
  readonly ratioMax: number;
  /** What it would be one after the other. */
  readonly sumRatio: number;
  /** The highest of all rounds, each. */
  readonly busyShares: { readonly [name in keyof Round]: number };
}

export function installRow(rounds: readonly Round[], bitsPerSec: number): InstallRow {
  const of = (pick: (round: Round) => number) => rounds.map(pick);
  const halves = ({ download, extraction }: Round) => [download.doneMs, extraction.doneMs] as const;
  const ratios = of((round) => round.install.doneMs / Math.max(...halves(round)));
  const busiest = (name: keyof Round) => Math.max(...of((round) => round[name].busyShare));
  return {
    bitsPerSec,
    runs: rounds.length,
    downloadMs: median(of(({ download }) => download.doneMs)),
    extractionMs: median(of(({ extraction }) => extraction.doneMs)),
    installMs: median(of(({ install }) => install.doneMs)),
    restMs: median(of(({ install }) => install.doneMs - install.downloadedMs)),
    ratio: median(ratios),
    ratioMin: Math.min(...ratios),
    ratioMax: Math.max(...ratios),
    sumRatio: median(
      of((round) => {
        const [download, extraction] = halves(round);
        return (download + extraction) / Math.max(download, extraction);
      }),
    ),
    busyShares: {
      download: busiest('download'),
      extraction: busiest('extraction'),
      install: busiest('install'),
    },
  };
}

/** A Markdown table. */
export function installTable(row: InstallRow): string {
  const { busyShares } = row;
  const head = [
    'link',
    'runs',
    'download D, s',
    'extraction E, s',
    'install I, s',
    'I / max(D, E)',
    '[min-max]',
    '(D + E) / max',
    'after the download, s',
    'CPU busy D/E/I',
    'note',
  ];
  const cells = [
    `${row.bitsPerSec / 1e6} Mbit/s`,
    String(row.runs),
    seconds(row.downloadMs),
    seconds(row.extractionMs),
    seconds(row.installMs),
    row.ratio.toFixed(2),
    `[${row.ratioMin.toFixed(2)}-${row.ratioMax.toFixed(2)}]`,
    row.sumRatio.toFixed(2),
    seconds(row.restMs),
    `${[busyShares.download, busyShares.extraction, busyShares.install].map(percent).join('/')} %`,
    busyShares.install > BUSY_SHARE_MAX ? 'measures the machine' : '',
  ];
  return lined(head, [cells]);
}

/** One round in a line, for who waits. */
export function roundLine(number: number, { download, extraction, install }: Round): string {
  const one = (name: string, { doneMs, busyShare, cpuSec }: Timed) =>
    `${name} ${seconds(doneMs)} s (busy ${percent(busyShare)} %, ${cpuSec.toFixed(1)} CPU s)`;
  const ratio = install.doneMs / Math.max(download.doneMs, extraction.doneMs);
  const parts = [one('extraction', extraction), one('download', download), one('install', install)];
  return `round ${number}  ${parts.join('  ')} of it ${seconds(install.doneMs - install.downloadedMs)} after the download  ratio ${ratio.toFixed(2)}\n`;
}

function seconds(ms: Ms): string {
  return (ms / 1000).toFixed(1);
}

function percent(share: number): string {
  return (share * 100).toFixed(0);
}
