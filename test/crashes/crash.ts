// `make crashes`: every call of an install fails once, installs are killed at every stage and at random moments, and disks are
// taken as they are in the middle of installs. Prints what became of them; ends with status 1 when one of them is wrong.

import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { MIB } from '../../agent/core/units.ts';
import { CODES, crashSite, killAndRetry, nthCall, type Site, SLOW, STAGES } from './crashes.ts';
import { powerCuts } from './powercuts.ts';
import { restartServer } from './restarts.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    from: { type: 'string', default: '1' },
    to: { type: 'string', default: '1000000' },
    every: { type: 'string', default: '1' },
    count: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
  },
});
const seed = Number(values.seed);
const undo: (() => void | Promise<void>)[] = [];
const test = { after: (done: () => void | Promise<void>) => void undo.push(done) };
/** Most of an install is waiting. */
const AT_ONCE = 2 * availableParallelism();

const PARTS: Readonly<Record<string, () => Promise<void>>> = {
  restarts,

  calls,
  kills,
  cuts: () => powerCuts(test, Number(values.count)),
};
const part = PARTS[positionals[0] ?? ''];
if (part === undefined) throw new Error(`name one of: ${Object.keys(PARTS).join(', ')}`);
try {
  await part();
} finally {
  for (const done of undo.reverse()) await done();
}
// What an engine still says good-bye to is no reason to wait.
process.exit();

/** Runs the jobs, some at once, in their order, and all of them, whatever becomes of one. */
async function each<Job>(jobs: readonly Job[], work: (job: Job) => Promise<void>): Promise<void> {
  const left = [...jobs];
  const worker = async () => {
    for (let job = left.shift(); job !== undefined; job = left.shift()) {
      await work(job).catch((error: unknown) => {
        console.error(error);
        process.exitCode = 1;
      });
      const done = jobs.length - left.length;
      if (done % 20 === 0) console.log(`${done} of ${jobs.length}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** Call n fails with each error in turn, so that --every 1 gives each call one of them, and each seed another one. */
async function calls(): Promise<void> {
  const site: Site = await crashSite(test, MIB);
  const { count } = await nthCall(site, 0, 'EIO');
  const last = Math.min(Number(values.to), count);
  const numbers: number[] = [];
  for (let nth = Number(values.from); nth <= last; nth += Number(values.every)) numbers.push(nth);
  const sums = new Map<string, number>();
  await each(numbers, async (nth) => {
    const { failed, outcome, reason } = await nthCall(site, nth, CODES[(nth + seed) % CODES.length]!);
    sums.set(outcome, (sums.get(outcome) ?? 0) + 1);
    if (reason !== '') console.log(`${nth} ${failed}: ${reason}`);
  });
  console.log(`calls of an install: ${count}; failed one by one: ${numbers.length} (seed ${seed})`, sums);
}

async function kills(): Promise<void> {
  const site = await crashSite(test, SLOW.bytes, SLOW.uploadBytesPerSec * AT_ONCE);
  const count = Number(values.count);
  // Evenly over the time that an install takes, the seed between.
  const moments = Array.from(
    { length: count },
    (_, index) => 300 + ((index + (seed % 7) / 7) * 5000) / count,
  );
  let [installed, resumed, pieces] = [0, 0, 0];
  const jobs = [...STAGES, ...moments];
  await each(jobs, async (when) => {
    const saved = await killAndRetry(site, `kill${String(when).replaceAll(/\W/g, '')}`, when);
    installed++;
    pieces += saved;
    if (saved > 0) resumed++;
  });
  console.log(
    `killed: ${jobs.length}, installed afterwards: ${installed}, of them ${resumed} with ${pieces} pieces saved`,
  );
}

async function restarts(): Promise<void> {
  const { installedMs, wastedBytes, bytes } = await restartServer(test, Number(values.count));
  console.log(
    `image server killed ${values.count} times: installed after ${(installedMs / 1000).toFixed(1)} s, ${wastedBytes} of ${bytes} bytes came in vain`,
  );
}
