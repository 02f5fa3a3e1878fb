// `make faults`: the rows of the fault matrix in the lab, each with SEEDS seeds, and the table of what was found. ROW names
// rows with commas between, SEED the first seed, NODES, RATE and SIZE the lab. Ends with 1 when an invariant was broken.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readScenario } from '../bench/swarm/scenario.ts';
import { enterRoom } from '../lab/room.ts';
import { prepareLab, type RunResult, runRow } from './lab.ts';
import { ROWS } from './rows/index.ts';
import { faultNotes, faultTable, runLine, undisturbedMs } from './table.ts';

const RESULTS = join(import.meta.dirname, '..', '..', 'build', 'faults');

async function main(): Promise<void> {
  const { NODES = '12', RATE = '25mbit', SIZE = '64MiB', ROW = 'all', SEEDS = '5', SEED = '1' } = process.env;
  const { nodes, bitsPerSec, sizeBytes } = readScenario({ NODES, RATE, SIZE });
  const wanted = ROW === 'all' || ROW === '' ? null : ROW.split(',').map(Number);
  const rows = ROWS.filter(({ number }) => number === 0 || (wanted?.includes(number) ?? true));
  const missing = (wanted ?? []).filter((number) => !ROWS.some((row) => row.number === number));
  if (missing.length > 0)
    throw new Error(
      `ROW: the lab has no row ${missing}; it has ${ROWS.map(({ number }) => number).join(', ')}`,
    );
  enterRoom('make faults');
  mkdirSync(RESULTS, { recursive: true });
  const setting = await prepareLab({ nodes, bitsPerSec, sizeBytes, logs: join(RESULTS, 'logs') });
  const results: RunResult[] = [];
  for (const row of rows) {
    for (let seed = Number(SEED); seed < Number(SEED) + Number(SEEDS); seed++) {
      results.push(await runRow(setting, row, seed));
      process.stdout.write(`${runLine(results.at(-1)!, undisturbedMs(results))}\n`);
    }
  }
  await setting.close();
  const notes = faultNotes(results, { nodes, bitsPerSec, sizeBytes });
  const table = `${faultTable(ROWS, results)}\n\n${notes.join('\n')}\n`;
  writeFileSync(join(RESULTS, 'faults.md'), table);
  writeFileSync(
    join(RESULTS, 'faults.json'),
    `${JSON.stringify({ date: new Date(), nodes, bitsPerSec, sizeBytes, results }, null, 1)}\n`,
  );
  process.stdout.write(`\n${table}\n${RESULTS}/faults.{md,json}; what all programs said: ${RESULTS}/logs\n`);
  if (results.some(({ broken }) => broken.length > 0)) process.exitCode = 1;
}

await main();
