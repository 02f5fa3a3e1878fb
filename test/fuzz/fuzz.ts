// `make fuzz`: every target, or one, for a time that is shared out evenly, with a fixed seed and a fresh one. What makes a
// parser fail is kept as a file.

import { createHash, randomInt } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Answer, type CrashFound, type Job, runJobs } from './jobs.ts';
import type { Figures } from './run.ts';
import { isTargetName, TARGET_NAMES, type TargetName } from './targets.ts';

const FIXED_SEED = 1;
const FOLDER = 'build/fuzz';

const COLUMNS = [
  'target',
  'seed',
  'inputs',
  'inputs/s',
  'accepted',
  'refused',
  'grown MiB',
  'RSS MiB',
  'slowest ms',
  'of bytes',
];
const WIDTHS = [10, 11, 10, 9, 10, 10, 10, 8, 11, 9];

function line(cells: readonly (string | number)[]): string {
  return cells
    .map((cell, i) => (i === 0 ? `${cell}`.padEnd(WIDTHS[i]!) : `${cell}`.padStart(WIDTHS[i]!)))
    .join(' ');
}

function row(job: Job, figures: Figures): string {
  const { inputs, ms, accepted, refused, grownMiB, residentMiB, slowestMs, slowestBytes } = figures;
  const perSec = Math.round((1000 * inputs) / ms);
  const memory = [grownMiB.toFixed(1), residentMiB.toFixed(1)];
  return line([
    job.target,
    job.seed,
    inputs,
    perSec,
    accepted,
    refused,
    ...memory,
    slowestMs.toFixed(2),
    slowestBytes,
  ]);
}

/** Keeps the input and says how it is given to the target again. */
function keep(job: Job, crash: CrashFound): string {
  const hash = createHash('sha256').update(crash.bytes).digest('hex').slice(0, 12);
  const path = join(FOLDER, `${job.target}-${hash}`);
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(path, crash.bytes);
  const again = `make fuzz TARGET=${job.target} INPUT=${path}`;
  return `${job.target} with seed ${job.seed} FAILED: ${crash.reason}\n  again: ${again}`;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function told(job: Job, answer: Answer): void {
  if ('figures' in answer) say(row(job, answer.figures));
  else if ('verdict' in answer) say(`${job.target}: ${answer.verdict}`);
  else {
    process.exitCode = 1;
    say(keep(job, answer));
  }
}

/** The jobs that were asked for; the words are those of the Makefile, empty where nothing was said. */
function jobsOf(seconds: string, target: string, seed: string, input: string): Job[] {
  const names: readonly TargetName[] = isTargetName(target) ? [target] : target === '' ? TARGET_NAMES : [];
  if (names.length === 0) throw new Error(`no target ${target}; there are: ${TARGET_NAMES.join(', ')}`);
  if (!/^\d+$/.test(seconds) || !/^\d*$/.test(seed)) throw new Error('SECONDS and SEED are whole numbers');
  if (input !== '') {
    if (names.length > 1) throw new Error('an INPUT is for one TARGET');
    const bytes = new Uint8Array(readFileSync(input));
    return names.map((name) => ({ target: name, seed: 0, budget: { inputs: 1, seconds: 1 }, bytes }));
  }
  const seeds = seed === '' ? [FIXED_SEED, randomInt(2 ** 32)] : [Number(seed)];
  const budget = {
    inputs: Number.POSITIVE_INFINITY,
    seconds: Number(seconds) / (names.length * seeds.length),
  };
  return names.flatMap((name) => seeds.map((one) => ({ target: name, seed: one, budget, bytes: null })));
}

const [seconds = '60', target = '', seed = '', input = ''] = process.argv.slice(2);
const jobs = jobsOf(seconds, target, seed, input);
if (input === '') say(line(COLUMNS));
await runJobs(jobs, told);
