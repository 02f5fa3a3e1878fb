// What a run of the swarm bench leaves behind: the table on the terminal, and build/bench/swarm.{json,md}.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatBytes, type Ms } from '../../../agent/core/units.ts';
import { CONGESTION_CONTROL } from '../../lab/lab.ts';
import { machine, versions } from '../report.ts';
import type { SwarmContender } from './contenders.ts';
import type { SwarmRun } from './run.ts';
import type { Scenario } from './scenario.ts';
import { swarmRows, swarmTable } from './table.ts';

const FOLDER = join(import.meta.dirname, '..', '..', '..', 'build', 'bench');

export function report(
  runs: readonly SwarmRun[],
  contenders: readonly SwarmContender[],
  scenario: Scenario,
  rawMs: Ms,
  pieceBytes: number,
): void {
  const rows = swarmRows(runs, rawMs);
  const notes = [
    ...described(scenario, pieceBytes),
    `copy: one plain TCP copy over one link (socat), ${(rawMs / 1000).toFixed(2)} s. F: the size of the file; what the`,
    'first seeder sent is counted on its link, headers in. CPU of the programs, and of the whole machine (highest round).',
    `${machine()}, TCP ${CONGESTION_CONTROL}.`,
    `Versions: ${versions(contenders.map(({ client }) => client))}.`,
  ];
  const markdown = `${swarmTable(rows)}\n\n${notes.join('\n')}\n`;
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(join(FOLDER, 'swarm.md'), markdown);
  const json = { date: new Date(), scenario, rawMs, pieceBytes, notes, rows, runs };
  writeFileSync(join(FOLDER, 'swarm.json'), `${JSON.stringify(json, null, 1)}\n`);
  process.stdout.write(`\n${markdown}`);
}

function described(scenario: Scenario, pieceBytes: number): string[] {
  const { nodes, bitsPerSec, sizeBytes, lossShare, slow, joinShare } = scenario;
  const rate = (bits: number) => `${bits / 1e6} Mbit/s`;
  const links = `${rate(bitsPerSec)} each way`;
  return [
    `${nodes} nodes and the first seeder, links of ${links}, ${formatBytes(sizeBytes)} of noise, pieces of ${formatBytes(pieceBytes)}.`,
    ...(lossShare > 0 ? [`Every link loses ${lossShare * 100} % of the packets towards its node.`] : []),
    ...(slow.nodes > 0
      ? [
          `${slow.nodes} of the nodes have links of ${rate(bitsPerSec * slow.factor)}; they are not waited for.`,
        ]
      : []),
    ...(joinShare === null
      ? []
      : [
          `One node joins when the others have ${joinShare * 100} %; its time is its own, and not among the others'.`,
        ]),
  ];
}
