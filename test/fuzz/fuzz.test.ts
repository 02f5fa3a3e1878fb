// Every parser gets a few inputs that nobody has promised anything of, by a fixed seed and by a fresh one; and each input that
// has ever made one fail once more.

import { equal, ok } from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Answer, type Job, runJobs } from './jobs.ts';
import { isTargetName, TARGET_NAMES, type TargetName } from './targets.ts';

/** For some seconds in all; these take longer for each input than the others. */
const INPUTS = 1500;
const FEWER: Partial<Record<TargetName, number>> = {
  bencode: 10_000,
  wire: 200,
  admission: 300,
  engine: 100,
  tar: 200,
  report: 300,
  http: 100,
  tracker: 100,
  magnet: 500,
};
const FRESH = randomInt(2 ** 32);
const FOLDER = join(import.meta.dirname, 'crashers');

/** Each file is the hexadecimal of one input, in lines; its name begins with the target's. */
function crashers(): Job[] {
  return readdirSync(FOLDER).map((file) => {
    const [target = ''] = file.split('-');
    ok(isTargetName(target), `${file} is named by its target`);
    const bytes = Buffer.from(readFileSync(join(FOLDER, file), 'utf8').replace(/\s/g, ''), 'hex');
    return { target, seed: 0, budget: { inputs: 1, seconds: 1 }, bytes };
  });
}

function jobOf(target: TargetName, seed: number): Job {
  return { target, seed, budget: { inputs: FEWER[target] ?? INPUTS, seconds: 60 }, bytes: null };
}

const jobs: readonly Job[] = [
  ...[1, FRESH].flatMap((seed) => TARGET_NAMES.map((name) => jobOf(name, seed))),
  ...crashers(),
];

test(`no input makes a parser crash, hang or grow: seeds 1 and ${FRESH}`, async (t) => {
  const answers = new Map<Job, Answer>();
  await runJobs(jobs, (job, answer) => answers.set(job, answer));
  for (const job of jobs) {
    await t.test(`${job.target}, ${job.bytes === null ? `seed ${job.seed}` : 'a crasher of old'}`, () => {
      const answer = answers.get(job);
      ok(answer !== undefined, 'it has come to an end');
      if (!('reason' in answer)) return;
      const input = Buffer.from(answer.bytes).toString('hex').slice(0, 2000);
      equal(answer.reason, '', `the input, in hex: ${input}`);
    });
  }
});
