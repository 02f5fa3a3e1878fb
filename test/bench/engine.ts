// One seeder to one leecher on loopback, everyone in turn, round after round: CPU seconds of both sides, peak anonymous
// memory, speed. SIZE (default 1G), RUNS (default 5) and RIVALS (beginnings of names, comma-separated) may be set.
// All of it runs in a network namespace of its own, on two addresses of its loopback device outside 127.0.0.0/8, where
// Transmission would call nobody.

import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MIB } from '../../agent/core/units.ts';
import { TrackerServer } from '../../scripts/tracker.ts';
import type { Job, Running } from '../foreign/clients.ts';
import { HOSTS, inOwnNetwork, ownNetwork, raiseNetwork } from '../foreign/network.ts';
import { seedersAt } from '../foreign/scrape.ts';
import { BUNDLES, bundle, CONTENDERS, type Contender, chosen } from './contenders.ts';
import { listening } from './listening.ts';
import { MemoryWatch, type Meter, makeMeter } from './meter.ts';
import { report } from './report.ts';
import { makeSample, type Sample } from './sample.ts';
import type { Run } from './table.ts';

const [SEEDER_HOST, LEECHER_HOST] = HOSTS;
const TRACKER_PORT = 6969;
const SEEDER_PORT = 7001;
const LEECHER_PORT = 7002;
const READY_MS = 60_000;
/** Slower than this is broken. */
const SLOWEST_BYTES_PER_SEC = MIB;
/** The content and its copies lie in memory, so that no disk is measured. */
const MEMORY = '/dev/shm';

/** One measured end of a transfer. */
interface Side {
  readonly running: Running;
  readonly meter: Meter;
  readonly memory: MemoryWatch;
}

async function start(role: 'seed' | 'fetch', contender: Contender, job: Omit<Job, 'launch'>): Promise<Side> {
  mkdirSync(job.state);
  const meter = makeMeter(role);
  const running = await contender.client[role]({ ...job, launch: { launcher: meter.launcher } });
  meter.follow(running.program);
  return { running, meter, memory: new MemoryWatch(running.program) };
}

async function end(side: Side | null): Promise<void> {
  side?.memory.stop();
  await side?.running.program.stop();
  side?.meter.close();
}

/** The seeder can be asked: the tracker counts it as complete, or its port is open. */
async function ready(contender: Contender, sample: Sample, seeder: Side): Promise<void> {
  const tracker = `${SEEDER_HOST}:${TRACKER_PORT}`;
  const known = async () => {
    const counts = await Promise.all(sample.hashes.map((hash) => seedersAt(tracker, hash)));
    return counts.some((count) => count > 0);
  };
  const { program } = seeder.running;
  const open = () => listening(program, SEEDER_PORT);
  await program.until('a seeder that can be asked', contender.torrent === null ? open : known, READY_MS);
}

/** One transfer, in a folder of its own that is gone afterwards. */
async function transfer(contender: Contender, sample: Sample, round: number): Promise<Run> {
  const folder = mkdtempSync(join(MEMORY, 'swarmboot-bench-run-'));
  const into = join(folder, 'into');
  mkdirSync(into);
  const touched = join(folder, 'touched');
  writeZeros(touched, sample.sizeBytes);
  const common = {
    torrent: contender.torrent === null ? '' : sample[contender.torrent],
    name: sample.name,
    seeder: `${SEEDER_HOST}:${SEEDER_PORT}`,
  };
  const tracker = await startTracker(sample);
  let seeder: Side | null = null;
  let leecher: Side | null = null;
  try {
    const state = join(folder, 'seeder');
    const from = { ...common, folder: sample.folder, state, host: SEEDER_HOST, port: SEEDER_PORT };
    seeder = await start('seed', contender, from);
    await ready(contender, sample, seeder);
    const beforeStart = { seeder: seeder.meter.cpuSec(), leecher: 0, at: performance.now() };
    const to = {
      ...common,
      folder: into,
      state: join(folder, 'leecher'),
      host: LEECHER_HOST,
      port: LEECHER_PORT,
    };
    rmSync(touched);
    leecher = await start('fetch', contender, to);
    const begin = leecher.running.waits
      ? { seeder: seeder.meter.cpuSec(), leecher: leecher.meter.cpuSec(), at: performance.now() }
      : beforeStart;
    await leecher.running.complete(READY_MS + (sample.sizeBytes / SLOWEST_BYTES_PER_SEC) * 1000);
    const run = {
      contender: contender.client.name,
      round,
      sizeBytes: sample.sizeBytes,
      wallSec: (performance.now() - begin.at) / 1000,
      seederCpuSec: seeder.meter.cpuSec() - begin.seeder,
      leecherCpuSec: leecher.meter.cpuSec() - begin.leecher,
      seederAnonMib: seeder.memory.peakMib,
      leecherAnonMib: leecher.memory.peakMib,
    };
    if (round === 1)
      execFileSync('/usr/bin/cmp', [join(sample.folder, sample.name), join(into, sample.name)]);
    return run;
  } finally {
    await end(leecher);
    await end(seeder);
    await tracker.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Takes up as much memory as a leecher will; dropped just before that begins. A virtual machine's host takes back memory
 * that is not used for some seconds, and its first writer after that pays up to three times the cost of the write.
 */
function writeZeros(path: string, sizeBytes: number): void {
  const file = openSync(path, 'w');
  const zeros = new Uint8Array(MIB);
  for (let at = 0; at < sizeBytes; at += MIB) writeSync(file, zeros);
  closeSync(file);
}

async function startTracker(sample: Sample): Promise<TrackerServer> {
  const random = Math.random;
  const clock = () => performance.now();
  const tracker = await TrackerServer.start({
    host: SEEDER_HOST,
    port: TRACKER_PORT,
    random,
    clock,
    log: () => {},
  });
  for (const hash of sample.hashes) tracker.allow(hash);
  return tracker;
}

async function measure(contenders: readonly Contender[], sizeBytes: number, rounds: number): Promise<Run[]> {
  const folder = mkdtempSync(join(MEMORY, 'swarmboot-bench-'));
  try {
    const announce = `http://${SEEDER_HOST}:${TRACKER_PORT}/announce`;
    const sample = makeSample(folder, 'sample', sizeBytes, MIB, announce);
    const runs: Run[] = [];
    for (let round = 1; round <= rounds; round++) {
      for (const contender of contenders) {
        const run = await transfer(contender, sample, round);
        const cpu = `${run.seederCpuSec.toFixed(2)} + ${run.leecherCpuSec.toFixed(2)} CPU s`;
        process.stdout.write(
          `round ${round}  ${run.contender.padEnd(32)} ${cpu}  ${run.wallSec.toFixed(2)} s\n`,
        );
        runs.push(run);
        // Lets the kernel give back what the last one held.
        await sleep(200);
      }
    }
    return runs;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** `1G`, `256M`, or bytes; a whole number of MiB. */
function sizeOf(text: string): number {
  const [, digits, unit] = /^(\d+)([GM]?)$/.exec(text) ?? [];
  const bytes = Number(digits) * (unit === 'G' ? 1024 * MIB : unit === 'M' ? MIB : 1);
  if (!(bytes > 0 && bytes % MIB === 0)) throw new Error(`SIZE=${text}: give whole MiB, such as 1G or 256M`);
  return bytes;
}

async function main(): Promise<void> {
  const { SIZE = '1G', RUNS = '5', RIVALS } = process.env;
  const contenders = chosen(CONTENDERS, RIVALS?.split(',') ?? null);
  const sizeBytes = sizeOf(SIZE);
  if (!inOwnNetwork()) {
    await bundle('ours.ts', BUNDLES);
    const { path, args, env } = ownNetwork(import.meta.filename);
    process.exitCode = spawnSync(path, args, { env, stdio: 'inherit' }).status ?? 1;
    return;
  }
  raiseNetwork();
  report(await measure(contenders, sizeBytes, Number(RUNS)), contenders, sizeBytes);
}

await main();
