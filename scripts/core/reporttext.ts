// The report of a run in words: lines for a terminal, and the rows that the mailed page shows as well.

import { formatBytes, formatDuration, formatRate, type Ms } from '../../agent/core/units.ts';
import type { RunReport, Spread } from './runreport.ts';

/** What is said of a run as a whole, a row each. */
export function reportRows(report: RunReport): readonly (readonly [string, string])[] {
  const { counts } = report;
  const standing = Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([state, count]) => `${count} ${state}`);
  const rows: (readonly [string, string])[] = [
    ['image', `${report.image}, ${formatBytes(report.sizeBytes)}`],
    ['began', `${report.began.slice(0, 19).replace('T', ' ')} UTC`],
    ['nodes', standing.join(', ') || 'none'],
    ['image on disk', times(report.done)],
    ['own time', times(report.own)],
    ['  transfer', times(report.transfer)],
    ['  all else', times(report.fixed)],
  ];
  const { linkBytesPerSec, linkFrom, boundMs, efficiency, linkShare, leftMs } = report;
  if (linkBytesPerSec !== null && boundMs !== null) {
    const from = linkFrom === 'seen' ? 'the best that was seen' : 'as negotiated';
    rows.push(['at best', `${formatSeconds(boundMs)} at ${formatRate(linkBytesPerSec)} a node (${from})`]);
  }
  if (efficiency !== null)
    rows.push(['efficiency', `${formatShare(efficiency)} of the bound, at the slowest transfer`]);
  if (linkShare !== null)
    rows.push(['links', `${formatShare(linkShare)} full while the image came, on average`]);
  rows.push(
    [
      'first seeder',
      `sent ${report.seederCopies.toFixed(2)} images; the nodes ${formatBytes(report.uploadedBytes)}`,
    ],
    [
      'thrown away',
      `${formatBytes(report.wastedBytes)}, ${report.hashFailures} pieces damaged, ${report.retries} retries`,
    ],
  );
  if (leftMs !== null) rows.push(['time left', formatDuration(leftMs)]);
  return rows;
}

/** The report as a terminal shows it. */
export function formatReport(report: RunReport): string {
  const rows = reportRows(report);
  const width = Math.max(...rows.map(([key]) => key.length));
  const lines = [`run ${report.id}`, ...rows.map(([key, value]) => `  ${key.padEnd(width)}  ${value}`)];
  lines.push('', ...slowLines(report), ...failureLines(report));
  return lines.map((line) => `${line}\n`).join('');
}

function slowLines({ slow, own }: RunReport): readonly string[] {
  if (own === null) return [];
  if (slow.length === 0) return ['no node was slower than the median by a tenth'];
  return [
    'slow nodes, and why:',
    ...slow.flatMap(({ name, ownMs, reasons }) =>
      reasons.map(({ text }, index) => {
        const who = index === 0 ? `${name}  ${formatDuration(ownMs)}` : '';
        return `  ${who.padEnd(28)}  ${text}`;
      }),
    ),
  ];
}

function failureLines({ failures }: RunReport): readonly string[] {
  if (failures.length === 0) return [];
  return [
    'not installed:',
    ...failures.map(({ name, standing, stage, text }) => {
      const why = standing === 'lost' ? 'has not been heard of since' : (text.split('\n')[0] ?? '');
      return `  ${name.padEnd(28)}  ${standing} in ${stage}: ${why}`;
    }),
  ];
}

function times(spread: Spread | null): string {
  if (spread === null) return '-';
  const { firstMs, medianMs, lastMs } = spread;
  return `first ${formatSeconds(firstMs)}, median ${formatSeconds(medianMs)}, last ${formatSeconds(lastMs)}`;
}

/** Below two minutes with tenths, as runs are compared by them. */
function formatSeconds(ms: Ms): string {
  return ms < 120_000 ? `${(ms / 1000).toFixed(1)} s` : formatDuration(ms);
}

/** `93 %`. */
function formatShare(share: number): string {
  return `${Math.round(100 * share)} %`;
}
