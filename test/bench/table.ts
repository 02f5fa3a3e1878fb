// The figures as a table: for the terminal and, the same words, for ARCHITECTURE.md.

/** One transfer. */
export interface Run {
  readonly contender: string;
  readonly round: number;
  readonly sizeBytes: number;
  readonly wallSec: number;
  /** CPU seconds for the bytes that were sent. */
  readonly seederCpuSec: number;
  readonly leecherCpuSec: number;
  readonly seederAnonMib: number;
  readonly leecherAnonMib: number;
}

export interface Row {
  readonly contender: string;
  readonly runs: number;
  /** Medians, CPU seconds per GiB. */
  readonly seeder: number;
  readonly leecher: number;
  readonly sum: number;
  readonly sumMin: number;
  readonly sumMax: number;
  /** Median over the rounds of our sum by this one's sum of the same round; null for our own row. */
  readonly ratio: number | null;
  readonly mibPerSec: number;
  /** Highest of all runs. */
  readonly seederAnonMib: number;
  readonly leecherAnonMib: number;
}

const GIB = 2 ** 30;
const MIB = 2 ** 20;

/** Folds the runs; `ours` is whose sum stands above the line of every ratio. */
export function rowsOf(runs: readonly Run[], ours: string): Row[] {
  const sum = (run: Run) => ((run.seederCpuSec + run.leecherCpuSec) * GIB) / run.sizeBytes;
  const oursByRound = new Map(
    runs.filter((run) => run.contender === ours).map((run) => [run.round, sum(run)]),
  );
  const names = [...new Set(runs.map((run) => run.contender))];
  return names.map((contender) => {
    const own = runs.filter((run) => run.contender === contender);
    const sums = own.map(sum);
    const ratios = own.flatMap((run) => {
      const above = oursByRound.get(run.round);
      return above === undefined || contender === ours ? [] : [above / sum(run)];
    });
    return {
      contender,
      runs: own.length,
      seeder: median(own.map((run) => (run.seederCpuSec * GIB) / run.sizeBytes)),
      leecher: median(own.map((run) => (run.leecherCpuSec * GIB) / run.sizeBytes)),
      sum: median(sums),
      sumMin: Math.min(...sums),
      sumMax: Math.max(...sums),
      ratio: ratios.length === 0 ? null : median(ratios),
      mibPerSec: median(own.map((run) => run.sizeBytes / MIB / run.wallSec)),
      seederAnonMib: Math.max(...own.map((run) => run.seederAnonMib)),
      leecherAnonMib: Math.max(...own.map((run) => run.leecherAnonMib)),
    };
  });
}

/** A Markdown table, its columns lined up. */
export function tableOf(rows: readonly Row[]): string {
  const head = [
    'peer',
    'runs',
    'seeder',
    'leecher',
    'CPU s/GiB',
    '[min-max]',
    'ours / it',
    'MiB/s',
    'anon MiB seeder',
    'leecher',
  ];
  const cells = rows.map((row) => [
    row.contender,
    String(row.runs),
    row.seeder.toFixed(2),
    row.leecher.toFixed(2),
    row.sum.toFixed(2),
    `[${row.sumMin.toFixed(2)}-${row.sumMax.toFixed(2)}]`,
    row.ratio?.toFixed(2) ?? '',
    row.mibPerSec.toFixed(0),
    row.seederAnonMib.toFixed(0),
    row.leecherAnonMib.toFixed(0),
  ]);
  return lined(head, cells);
}

/** A Markdown table with its columns lined up, the first to the left, the others to the right. */
export function lined(head: readonly string[], cells: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...cells.map((row) => row[column]!.length)),
  );
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join(' | ')} |`;
  const rule = `| ${widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`;
  return [line(head), rule, ...cells.map(line)].join('\n');
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1 ? sorted[Math.floor(middle)]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
