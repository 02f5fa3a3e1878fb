// The thread in which targets run, one job after another. Before a parser gets an input, it lies in memory that the other
// thread sees too: so it is known even when the parser never comes back.

import { parentPort, workerData } from 'node:worker_threads';
import type { Answer, Job, Setting } from './jobs.ts';
import { Crash, run } from './run.ts';
import { TARGETS } from './targets.ts';

const { shared, jobs, first, folder }: Setting = workerData;
const counts = new Int32Array(shared, 0, 2);
const place = new Uint8Array(shared, 8);

function watch(bytes: Uint8Array): void {
  Atomics.add(counts, 0, 1);
  counts[1] = bytes.length;
  place.set(bytes.subarray(0, place.length));
}

function answer(value: Answer): void {
  parentPort?.postMessage(value);
}

async function perform(job: Job, index: number): Promise<void> {
  const target = await TARGETS[job.target](folder);
  try {
    if (job.bytes === null) {
      answer({ index, figures: await run(target, job.seed, job.budget, watch) });
      return;
    }
    watch(job.bytes);
    const verdict = await target.judge(job.bytes);
    answer({ index, verdict });
  } finally {
    await target.close?.();
  }
}

for (const [index, job] of jobs.entries()) {
  if (index < first) continue;
  try {
    await perform(job, index);
  } catch (error) {
    const bytes = error instanceof Crash ? error.bytes : (job.bytes ?? new Uint8Array(0));
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
    answer({ index, bytes, reason: error instanceof Crash ? error.message : reason });
  }
}
