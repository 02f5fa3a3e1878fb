// Runs targets in a thread of their own and looks at it from outside: what hangs, dies or eats all memory has crashed like any
// other, and the next job gets a new thread.

import { Worker } from 'node:worker_threads';
import { MIB, type Ms } from '../../agent/core/units.ts';
import { scratch } from '../content.ts';
import type { Budget, Figures } from './run.ts';
import type { Verdict } from './target.ts';
import type { TargetName } from './targets.ts';

/** A parser that is at one input for so long will not come back. */
const HANG_MS: Ms = 20_000;
const LOOK_MS: Ms = 250;
/** Inputs are not longer. */
const INPUT_BYTES_MAX = 2 * MIB;
const HEAP_MIB_MAX = 1024;

/** `bytes`: this input alone, in place of a run. */
export interface Job {
  readonly target: TargetName;
  readonly seed: number;
  readonly budget: Budget;
  readonly bytes: Uint8Array | null;
}

/** What the thread begins with. */
export interface Setting {
  readonly shared: SharedArrayBuffer;
  readonly jobs: readonly Job[];
  /** Jobs before this one are done. */
  readonly first: number;
  /** For files of the targets. */
  readonly folder: string;
}

export interface CrashFound {
  readonly index: number;
  readonly bytes: Uint8Array;
  readonly reason: string;
}

/** What became of a job: its figures, the verdict of its one input, or a crash. */
export type Answer =
  | { readonly index: number; readonly figures: Figures }
  | { readonly index: number; readonly verdict: Verdict }
  | CrashFound;

/** Runs the jobs in order and tells each answer. */
export async function runJobs(jobs: readonly Job[], told: (job: Job, answer: Answer) => void): Promise<void> {
  const gone: (() => void)[] = [];
  const folder = scratch({ after: (done) => void gone.push(done) });
  try {
    for (let first = 0; first < jobs.length; ) {
      const { next, crash } = await inThread(jobs, first, folder, told);
      first = next;
      if (crash === null) continue;
      told(jobs[next]!, crash);
      first = next + 1;
    }
  } finally {
    for (const done of gone) done();
  }
}

/** Goes on until all is done or the thread is lost; `next` is the first job without an answer. */
async function inThread(
  jobs: readonly Job[],
  first: number,
  folder: string,
  told: (job: Job, answer: Answer) => void,
): Promise<{ next: number; crash: CrashFound | null }> {
  const shared = new SharedArrayBuffer(8 + INPUT_BYTES_MAX);
  const setting: Setting = { shared, jobs, first, folder };
  const worker = new Worker(new URL('./worker.ts', import.meta.url), {
    workerData: setting,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB_MAX },
  });
  let next = first;
  const ended = Promise.withResolvers<string>();
  worker.on('message', (answer: Answer) => {
    next = answer.index + 1;
    told(jobs[answer.index]!, answer);
    if (next === jobs.length) ended.resolve('');
  });
  worker.on('error', (error) =>
    ended.resolve(error instanceof Error ? (error.stack ?? error.message) : `${error}`),
  );
  worker.on('exit', () => ended.resolve('the parser waits for what never comes'));
  const watchdog = watched(shared, () => ended.resolve(`no answer within ${HANG_MS / 1000} s`));
  const reason = await ended.promise;
  clearInterval(watchdog);
  await worker.terminate();
  if (next === jobs.length) return { next, crash: null };
  return { next, crash: { index: next, bytes: lastInput(shared), reason } };
}

/** Calls `hung` when the thread does not come to another input. */
function watched(shared: SharedArrayBuffer, hung: () => void): NodeJS.Timeout {
  const counts = new Int32Array(shared, 0, 2);
  let seen = -1;
  let since = performance.now();
  return setInterval(() => {
    const now = Atomics.load(counts, 0);
    if (now !== seen) [seen, since] = [now, performance.now()];
    else if (performance.now() - since > HANG_MS) hung();
  }, LOOK_MS);
}

function lastInput(shared: SharedArrayBuffer): Uint8Array {
  const length = new Int32Array(shared, 0, 2)[1]!;
  return Uint8Array.from(new Uint8Array(shared, 8, Math.min(length, INPUT_BYTES_MAX)));
}
