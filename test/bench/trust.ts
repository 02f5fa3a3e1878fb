// `make bench-trust`: what it costs to trust nobody. NODES agents install the same Debian root from a site that is plain, from
// one that is signed, closed and speaks TLS, and from one whose image is encrypted too; in turns, ROUNDS times. The table and
// all figures go to build/bench.

import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatBytes } from '../../agent/core/units.ts';
import { enterRoom } from '../lab/room.ts';
import { BUNDLES } from './contenders.ts';
import { readImage } from './install/published.ts';
import { machine } from './report.ts';
import { readScenario } from './swarm/scenario.ts';
import { installFrom, type TrustRun } from './trust/race.ts';
import { makeSites } from './trust/sites.ts';
import { GOAL, roundLine, type TrustRound, trustRows, trustTable } from './trust/table.ts';

async function main(): Promise<void> {
  const { NODES = '2', ROUNDS = '5' } = process.env;
  const { nodes, rounds } = readScenario({ NODES, ROUNDS });
  enterRoom('make bench-trust');
  execFileSync('/usr/sbin/ip', ['link', 'set', 'lo', 'up']);
  const sites = await makeSites(nodes);
  const entry = await readImage(sites[0]!.repository);
  // Once each without a count: programs are read from disk, and what they install is compared with the image.
  for (const site of sites) await installFrom(site, entry, nodes, true);
  const done: TrustRound[] = [];
  for (let round = 1; round <= rounds; round++) {
    const runs: TrustRun[] = [];
    // Every other round goes the other way, so that nobody gains by his turn.
    for (const site of round % 2 === 1 ? sites : sites.toReversed())
      runs.push(await installFrom(site, entry, nodes, false));
    done.push(sites.map(({ name }) => runs.find(({ site }) => site === name)!));
    process.stdout.write(roundLine(round, done.at(-1)!));
  }
  const bytes = nodes * entry.size;
  const rows = trustRows(sites, done, bytes);
  const given = done.flat().map(({ uploadedBytes }) => uploadedBytes / bytes);
  const percent = (share: number) => Math.round(share * 100);
  const { ratio } = rows.at(-1)!;
  const notes = [
    `${nodes} nodes and the image server, all on the loopback device, tmpfs to tmpfs. A Debian of ${formatBytes(entry.unpackedSize)} in ${entry.entryCount} entries,`,
    `${formatBytes(entry.size)} as a tarball (zstd); the nodes had ${percent(Math.min(...given))} to ${percent(Math.max(...given))} % of it from each other. CPU of the server and of all agents, user and system, from`,
    'their start until the last has ended, by the books of /proc; per GiB of tarball and node; medians. of plain: median over the',
    'rounds of this CPU / that of the plain install of the same round. installed: until the last node has its image.',
    `${machine()}, Node ${process.version}.`,
    `Goal: signed, closed and encrypted at most ${GOAL} of plain; ${ratio <= GOAL ? 'met' : 'MISSED'}.`,
  ];
  const markdown = `${trustTable(rows)}\n\n${notes.join('\n')}\n`;
  const file = join(BUNDLES, `trust-${nodes}`);
  mkdirSync(BUNDLES, { recursive: true });
  writeFileSync(`${file}.md`, markdown);
  writeFileSync(
    `${file}.json`,
    `${JSON.stringify({ date: new Date(), notes, rows, rounds: done, entry })}\n`,
  );
  process.stdout.write(`\n${markdown}\n${file}.{md,json}\n`);
}

await main();
