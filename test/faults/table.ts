// What the fault lab found, for people: a line for each run, a table with a line for each row.

import { formatBytes, MIB, type Ms } from '../../agent/core/units.ts';
import { machine } from '../bench/report.ts';
import type { LabSize, RunResult } from './lab.ts';
import type { Figures, Row } from './row.ts';

/** The median of the runs without a fault; null when there was none. */
export function undisturbedMs(results: readonly RunResult[]): Ms | null {
  const times = results.flatMap(({ row, tookMs }) => (row === 0 && tookMs !== null ? [tookMs] : []));
  return times.length === 0 ? null : median(times);
}

/** One run, with what did not hold below it. */
export function runLine(result: RunResult, baseMs: Ms | null): string {
  const { row, seed, variant, installed, of, tookMs, figures, broken } = result;
  const took = tookMs === null ? 'nobody' : `${(tookMs / 1000).toFixed(1)} s`;
  const ratio = tookMs === null || baseMs === null ? '' : `, ${(tookMs / baseMs).toFixed(2)} of undisturbed`;
  const more = formatFigures(figures);
  const head = `row ${row}, seed ${seed}, ${variant}: ${installed}/${of} in ${took}${ratio}${more === '' ? '' : `; ${more}`}`;
  return [`${broken.length === 0 ? 'held  ' : 'BROKEN'} ${head}`, ...broken].join('\n         ');
}

/** A line for each row and variant that was run. */
export function faultTable(rows: readonly Row[], results: readonly RunResult[]): string {
  const baseMs = undisturbedMs(results);
  const lines = rows.flatMap((row) => {
    const own = results.filter((result) => result.row === row.number);
    const variants = row.variants.filter((variant) => own.some((result) => result.variant === variant));
    return variants.map((variant) => lineOf(row, variant, own, baseMs));
  });
  return [
    '| # | fault | kind | seeds | installed | seconds, median | of undisturbed | memory, descriptors | figures | invariants |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...lines,
  ].join('\n');
}

function lineOf(row: Row, variant: string, all: readonly RunResult[], baseMs: Ms | null): string {
  const runs = all.filter((result) => result.variant === variant);
  const sum = (pick: (run: RunResult) => number) => runs.reduce((total, run) => total + pick(run), 0);
  const times = runs.flatMap(({ tookMs }) => tookMs ?? []);
  const took = times.length === 0 ? null : median(times);
  const broken = sum(({ broken }) => (broken.length > 0 ? 1 : 0));
  const rss = Math.max(...runs.map(({ peakRssBytes }) => peakRssBytes)) / MIB;
  const cells = [
    row.number,
    row.fault,
    variant,
    runs.map(({ seed }) => seed).join(' '),
    `${sum(({ installed }) => installed)}/${sum(({ of }) => of)}`,
    took === null ? '' : (took / 1000).toFixed(1),
    took === null || baseMs === null ? '' : (took / baseMs).toFixed(2),
    `${rss.toFixed(0)} MiB, ${Math.max(...runs.map(({ peakFds }) => peakFds))}`,
    formatFigures(foldFigures(runs.map(({ figures }) => figures))),
    broken === 0 ? 'held' : `BROKEN in ${broken}`,
  ];
  return `| ${cells.join(' | ')} |`;
}

/** Medians of numbers, and words that occurred. */
function foldFigures(all: readonly Figures[]): Figures {
  const names = [...new Set(all.flatMap((figures) => Object.keys(figures)))];
  return Object.fromEntries(
    names.map((name) => {
      const values = all.flatMap((figures) => figures[name] ?? []);
      const numbers = values.filter((value) => typeof value === 'number');
      const isNumber = numbers.length === values.length;
      return [name, isNumber ? median(numbers) : [...new Set(values.map(showFigure))].join(' or ')];
    }),
  );
}

function formatFigures(figures: Figures): string {
  return Object.entries(figures)
    .map(([name, value]) => `${name} ${showFigure(value)}`)
    .join(', ');
}

function showFigure(value: number | string): string {
  return typeof value === 'number' && !Number.isInteger(value) ? value.toFixed(3) : String(value);
}

/** What was run, on what. */
export function faultNotes(
  results: readonly RunResult[],
  { nodes, bitsPerSec, sizeBytes }: Omit<LabSize, 'logs'>,
): string[] {
  const runs = results.length;
  const broken = results.filter((result) => result.broken.length > 0).length;
  return [
    `${runs} runs, ${broken} with something broken. ${nodes} machines and the image server, links of ${bitsPerSec / 1e6} Mbit/s each way, an image of ${formatBytes(sizeBytes)}.`,
    `${machine()}, Node ${process.version}.`,
  ];
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[sorted.length >> 1]!;
}
