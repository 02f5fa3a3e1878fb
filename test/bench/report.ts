// What a run of the benchmark leaves behind: the table and the goals on the terminal, and build/bench/engine.{json,md}.

import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { formatBytes } from '../../agent/core/units.ts';
import type { Client } from '../foreign/clients.ts';
import type { Contender } from './contenders.ts';
import { METHOD } from './meter.ts';
import { type Row, type Run, rowsOf, tableOf } from './table.ts';

const FOLDER = join(import.meta.dirname, '..', '..', 'build', 'bench');
const OURS = 'Swarmboot, v1';

export function report(runs: readonly Run[], contenders: readonly Contender[], sizeBytes: number): void {
  const rows = rowsOf(runs, OURS);
  const notes = [...method(sizeBytes), `Versions: ${versions(contenders.map(({ client }) => client))}.`];
  const markdown = `${tableOf(rows)}\n\n${notes.join('\n')}\n`;
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(join(FOLDER, 'engine.md'), markdown);
  writeFileSync(
    join(FOLDER, 'engine.json'),
    `${JSON.stringify({ date: new Date(), notes, rows, runs }, null, 2)}\n`,
  );
  process.stdout.write(`\n${markdown}\n${goals(rows).join('\n')}\n`);
}

function method(sizeBytes: number): string[] {
  const congestion = readFileSync('/proc/sys/net/ipv4/tcp_congestion_control', 'utf8').trim();
  return [
    `One seeder to one leecher, ${formatBytes(sizeBytes)} of noise in pieces of 1 MiB, tmpfs to tmpfs, on the loopback device.`,
    'CPU of both sides from the word to begin until the leecher has all. That word finds Swarmboot and libtorrent started',
    `(they run on Node and Python); the other programs' own start is within. ${METHOD}; medians.`,
    `ours / it: median over the rounds of (${OURS}) / (this one), CPU of both sides. Anonymous memory: highest of all runs.`,
    `${machine()}, TCP ${congestion}.`,
  ];
}

/** The day, and what was measured on. */
export function machine(): string {
  const day = new Date().toISOString().slice(0, 10);
  return `${day}, ${cpus().length} x ${cpus()[0]?.model.trim()}, ${formatBytes(totalmem())}, Linux ${release()}`;
}

/** The first line with a digit that each program says of itself, or else its package's version. */
export function versions(clients: readonly Client[]): string {
  const lines = clients.map((client) => {
    if (client.versionArgs.length === 0)
      return spawnSync('/usr/bin/dpkg-query', ['--show', client.package], { encoding: 'utf8' }).stdout.trim();
    const { stdout, stderr } = spawnSync(client.path, client.versionArgs, { encoding: 'utf8' });
    const said = stdout + stderr;
    const line = said.split('\n').find((text) => /\d\.\d/.test(text)) ?? said;
    return client.path === process.execPath ? `Node ${line.trim()}` : line.trim().replace(/\s+/g, ' ');
  });
  return [...new Set(lines)].join('; ');
}

/** The promises of the project, one line each. */
function goals(rows: readonly Row[]): string[] {
  const find = (name: string) => rows.find((row) => row.contender === name);
  const [v1, hybrid] = [find(OURS), find('Swarmboot, hybrid')];
  if (v1 === undefined || hybrid === undefined) return [];
  const peers = rows.filter(({ contender }) => /^(?:aria2|rtorrent|libtorrent|transmission)/.test(contender));
  const best = Math.max(...peers.map((row) => row.ratio ?? 0));
  const libtorrent = Math.max(
    ...peers.filter(({ contender }) => /^lib/.test(contender)).map((row) => row.ratio ?? 0),
  );
  const memory = Math.max(...[v1, hybrid].flatMap((row) => [row.seederAnonMib, row.leecherAnonMib]));
  const line = (goal: string, value: number, limit: number) =>
    `${value <= limit ? 'met   ' : 'MISSED'} ${goal}: ${value.toFixed(2)}, goal at most ${limit.toFixed(2)}`;
  return [
    line('CPU s/GiB of both sides', v1.sum, 2),
    line('of the CPU of the best BitTorrent rival', best, 0.8),
    line('of the CPU of libtorrent', libtorrent, 0.5),
    line('highest anonymous memory of a side, MiB', memory, 64),
    line('hybrid (SHA-256) of the CPU of v1', hybrid.sum / v1.sum, 1.1),
  ];
}
