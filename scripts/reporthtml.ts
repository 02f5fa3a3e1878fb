// The report of a run as one HTML file that can be mailed: words, plots as SVG, and nothing that is fetched or run.

import { formatDuration, MIB } from '../agent/core/units.ts';
import { reportRows } from './core/reporttext.ts';
import { NODE_CURVES, type NodeInstall, RUN_CURVES, type RunData } from './core/run.ts';
import type { RunReport } from './core/runreport.ts';
import type { SeriesData } from './core/series.ts';
import { linePlot, type Point } from './plot.ts';

/** Of so many nodes the plot has room for a curve each: the first, the slow ones, the last. */
const CURVES_MAX = 6;

const STYLE = `body { font: 15px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; background: #fff }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse } th, td { text-align: left; padding: .2rem 1rem .2rem 0; vertical-align: top }
th { font-weight: 600 } svg { max-width: 100%; height: auto }
@media print { body { margin: 0 } }`;

/** The whole file. */
export function formatReportHtml(report: RunReport, run: RunData): string {
  const title = `Swarmboot: run ${report.id}`;
  const plots = [bandwidthPlot(run), donePlot(run), nodesPlot(report, run)].filter((plot) => plot !== null);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escaped(title)}</h1>
${table(reportRows(report))}
${section('Slow nodes, and why', slowRows(report))}
${section('Not installed', failureRows(report))}
${plots.map((plot) => `<figure>${plot}</figure>`).join('\n')}
</body>
</html>
`;
}

function slowRows({ slow }: RunReport): readonly (readonly string[])[] {
  return slow.map(({ name, ownMs, reasons }) => [
    name,
    formatDuration(ownMs),
    reasons.map(({ text }) => text).join('; '),
  ]);
}

function failureRows({ failures }: RunReport): readonly (readonly string[])[] {
  return failures.map(({ name, standing, stage, text }) => [name, `${standing} in ${stage}`, text]);
}

function section(title: string, rows: readonly (readonly string[])[]): string {
  return rows.length === 0 ? '' : `<h2>${escaped(title)}</h2>\n${table(rows)}`;
}

function table(rows: readonly (readonly string[])[]): string {
  const lines = rows.map(([first = '', ...others]) => {
    const cells = others.map((cell) => `<td>${escaped(cell)}</td>`).join('');
    return `<tr><th scope="row">${escaped(first.trim())}</th>${cells}</tr>`;
  });
  return `<table>\n${lines.join('\n')}\n</table>`;
}

/** What all nodes receive and give together, and the first seeder: the paper's figures 2 and 3. */
function bandwidthPlot({ curves }: RunData): string | null {
  const names = { downBytesPerSec: 'received', upBytesPerSec: 'given', seederBytesPerSec: 'first seeder' };
  const series = Object.entries(names).map(([curve, name]) => ({
    name,
    points: points(curves, RUN_CURVES.indexOf(curve as keyof typeof names), MIB),
  }));
  if (series[0]!.points.length === 0) return null;
  return linePlot({
    title: 'All nodes together',
    xLabel: 'seconds since the run began',
    yLabel: 'MiB/s',
    series,
  });
}

/** How many had the image by when. */
function donePlot({ nodes }: RunData): string | null {
  const ends = nodes.flatMap(({ end, endedMs }) => (end === 'failed' ? [] : (endedMs ?? [])));
  if (ends.length === 0) return null;
  ends.sort((a, b) => a - b);
  const steps = ends.flatMap((ms, index): Point[] => [
    [ms / 1000, index],
    [ms / 1000, index + 1],
  ]);
  return linePlot({
    title: 'Nodes that have the image on disk',
    xLabel: 'seconds since the run began',
    yLabel: 'nodes',
    series: [{ name: 'nodes', points: [[0, 0], ...steps] }],
  });
}

function nodesPlot({ slow }: RunReport, { nodes }: RunData): string | null {
  const done = nodes.filter(({ endedMs }) => endedMs !== null).sort((a, b) => a.endedMs! - b.endedMs!);
  const slowOnes = slow.flatMap(({ mac }) => nodes.findLast((node) => node.mac === mac) ?? []);
  const chosen = [...new Set([done[0], done[done.length >> 1], ...slowOnes, done.at(-1)])];
  const shown = chosen.filter((node): node is NodeInstall => node !== undefined).slice(0, CURVES_MAX);
  if (shown.length === 0) return null;
  return linePlot({
    title: 'Received by single nodes: the first, the median one, the slow ones',
    xLabel: 'seconds since their install began',
    yLabel: 'MiB/s',
    series: shown.map(({ name, curves }) => ({
      name,
      points: points(curves, NODE_CURVES.indexOf('downBytesPerSec'), MIB),
    })),
  });
}

function points({ stepMs, columns }: SeriesData, column: number, unit: number): readonly Point[] {
  return (columns[column] ?? []).flatMap((value, index): Point[] =>
    value === null ? [] : [[(index * stepMs) / 1000, value / unit]],
  );
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
