// What a run of the swarm bench leaves behind: the table on the terminal and in build/bench, all figures as JSON beside
// it, and a picture of the bandwidth over time.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatBytes, MIB, type Ms } from '../../../agent/core/units.ts';
import type { Client } from '../../foreign/clients.ts';
import { CONGESTION_CONTROL } from '../../lab/lab.ts';
import { BUNDLES } from '../contenders.ts';
import { machine, versions } from '../report.ts';
import { bandwidthPlot } from './bandwidth.ts';
import type { Outcome } from './bench.ts';
import type { Scenario } from './scenario.ts';
import { swarmRows, swarmTable } from './table.ts';

export function report(outcome: Outcome, clients: readonly Client[]): void {
  const { scenario, rawMs, runs } = outcome;
  const rows = swarmRows(runs, rawMs);
  const notes = notesOf(outcome, clients);
  const markdown = `${swarmTable(rows)}\n\n${notes.join('\n')}\n`;
  const file = join(BUNDLES, `swarm-${nameOf(scenario)}`);
  mkdirSync(BUNDLES, { recursive: true });
  writeFileSync(`${file}.md`, markdown);
  writeFileSync(`${file}.json`, `${JSON.stringify({ date: new Date(), notes, rows, ...outcome })}\n`);
  const title = `${scenario.nodes} nodes fetch ${formatBytes(scenario.sizeBytes)}`;
  writeFileSync(`${file}.svg`, bandwidthPlot(title, scenario, runs));
  process.stdout.write(`\n${markdown}\n${file}.{md,json,svg}\n`);
}

/** What was measured, on what, and how the columns are to be read. */
export function notesOf({ scenario, pieceBytes, rawMs }: Outcome, clients: readonly Client[]): string[] {
  return [
    ...described(scenario, pieceBytes),
    `copy: one plain TCP copy over one link (socat), ${seconds(rawMs)}. F: the size of the file; what the first seeder`,
    'sent is counted on its link, headers in. CPU of the programs; of the whole machine in the busiest round.',
    `${machine()}, TCP ${CONGESTION_CONTROL}.`,
    `Versions: ${versions(clients)}.`,
  ];
}

function described(scenario: Scenario, pieceBytes: number): string[] {
  const { nodes, bitsPerSec, sizeBytes, lossShare, slow, joinShare, leave } = scenario;
  const rate = (bits: number) => `${bits / 1e6} Mbit/s`;
  const pieces = `pieces of ${formatBytes(pieceBytes)}`;
  const lines = [
    `${nodes} nodes and the first seeder, links of ${rate(bitsPerSec)} each way, ${formatBytes(sizeBytes)} of noise, ${pieces}.`,
  ];
  if (lossShare > 0) lines.push(`Every link loses ${lossShare * 100} % of the packets towards its node.`);
  if (slow.nodes > 0)
    lines.push(
      `Nodes on links of ${rate(bitsPerSec * slow.factor)}: ${slow.nodes}; the swarm is over without them.`,
    );
  if (joinShare !== null)
    lines.push(
      `One node joins when the others have ${joinShare * 100} %; its time is counted from then, apart.`,
    );
  if (leave) lines.push('A node leaves as soon as it has everything, if its program can.');
  return lines;
}

/** `16-20mbit-64MiB`, and what is not as usual. */
function nameOf({ nodes, bitsPerSec, sizeBytes, lossShare, slow, joinShare, leave }: Scenario): string {
  return [
    `${nodes}-${bitsPerSec / 1e6}mbit-${sizeBytes / MIB}MiB`,
    ...(lossShare > 0 ? [`loss${lossShare * 100}`] : []),
    ...(slow.nodes > 0 ? [`slow${slow.nodes}x${slow.factor}`] : []),
    ...(joinShare === null ? [] : [`join${joinShare}`]),
    ...(leave ? ['leave'] : []),
  ].join('-');
}

function seconds(ms: Ms): string {
  return `${(ms / 1000).toFixed(2)} s`;
}
