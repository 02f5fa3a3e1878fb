// `make bench-install`: how much longer an install takes than the longer of its halves, download and extraction. NODES
// agents install a Debian root over links of RATE in the lab; beside each install the same nodes only download, and only
// extract. ROUNDS of it; the table and all figures go to build/bench.

import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatBytes } from '../../agent/core/units.ts';
import { CONGESTION_CONTROL, Lab } from '../lab/lab.ts';
import { enterRoom, ROOM_MEMORY } from '../lab/room.ts';
import { BUNDLES, bundle } from './contenders.ts';
import { REPOSITORY, readImage } from './install/published.ts';
import { type Round, runRound } from './install/race.ts';
import { GOAL, installRow, installTable, roundLine } from './install/table.ts';
import { machine } from './report.ts';
import { readScenario } from './swarm/scenario.ts';

async function main(): Promise<void> {
  const { NODES = '4', RATE = '100mbit', ROUNDS = '5' } = process.env;
  const { nodes, bitsPerSec, rounds } = readScenario({ NODES, RATE, ROUNDS });
  enterRoom('make bench-install');
  const repository = join(ROOM_MEMORY, 'repo');
  cpSync(REPOSITORY, repository, { recursive: true });
  const entry = await readImage(repository);
  const peer = await bundle('ours.ts', ROOM_MEMORY);
  const lab = Lab.raise({ bitsPerSec: new Array<number>(nodes + 1).fill(bitsPerSec), lossShare: 0 });
  const done: Round[] = [];
  for (let round = 1; round <= rounds; round++) {
    done.push(await runRound({ lab, repository, entry, peer }, round === 1));
    process.stdout.write(roundLine(round, done.at(-1)!));
  }
  const row = installRow(done, bitsPerSec);
  const notes = [
    `${nodes} nodes and the image server, links of ${bitsPerSec / 1e6} Mbit/s each way. A Debian of ${formatBytes(entry.unpackedSize)} in ${entry.entryCount} entries,`,
    `${formatBytes(entry.size)} as a tarball (zstd). Until the last node is done; agents are started by the word, and their start is`,
    'within E and I. D: bare peers of ours download the tarball. E: all install over the loopback device, at the same time.',
    `${machine()}, TCP ${CONGESTION_CONTROL}, Node ${process.version}.`,
    `Goal: I / max(D, E) at most ${GOAL}; ${row.ratio <= GOAL ? 'met' : 'MISSED'}.`,
  ];
  const markdown = `${installTable(row)}\n\n${notes.join('\n')}\n`;
  const file = join(BUNDLES, `install-${nodes}-${bitsPerSec / 1e6}mbit`);
  mkdirSync(BUNDLES, { recursive: true });
  writeFileSync(`${file}.md`, markdown);
  writeFileSync(`${file}.json`, `${JSON.stringify({ date: new Date(), notes, row, rounds: done, entry })}\n`);
  process.stdout.write(`\n${markdown}\n${file}.{md,json}\n`);
}

await main();
