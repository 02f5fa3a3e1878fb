// What test/boot/disks.test.ts runs inside its virtual machine, in the agent's place: the agent's own rooms for disks, one
// word at a time.
//
//   facts            prints the facts of the disks as JSON
//   prepare LAYOUT   plans, does it, and prints the plan as JSON; the target is /a
//   try DISK...      tries the first 64 MiB of each disk, and prints what came of it as JSON
//   release          undoes what the last `prepare` mounted and started

import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import type { Command } from '../../agent/core/command.ts';
import { parseLayout } from '../../agent/core/disklayout.ts';
import { planDisks } from '../../agent/core/diskplan.ts';
import { messageOf } from '../../agent/core/errors.ts';
import type { DiskTrial } from '../../agent/core/readiness.ts';
import { MIB } from '../../agent/core/units.ts';
import { absentPrograms, runCommand } from '../../agent/io/command.ts';
import { diskFacts, firmware } from '../../agent/io/disks.ts';
import { rewrite } from '../../agent/io/probe.ts';

const PLAN = '/tmp/plan.json';

async function main([word, file = '', ...more]: readonly string[]): Promise<void> {
  if (word === 'facts') {
    process.stdout.write(`${JSON.stringify(await diskFacts())}\n`);
  } else if (word === 'try') {
    const trials: DiskTrial[] = [];
    for (const path of [file, ...more]) trials.push(await tryDisk(path));
    process.stdout.write(`${JSON.stringify(trials)}\n`);
  } else if (word === 'prepare') {
    const layout = parseLayout(readFileSync(file, 'utf8'), file);
    const plan = planDisks(layout, await diskFacts(), firmware(), '/a', randomUUID);
    const absent = absentPrograms([...plan.prepare, ...plan.release]);
    if (absent.length > 0) throw new Error(`not in the RAM disk: ${absent.join(', ')}`);
    writeFileSync(PLAN, JSON.stringify(plan));
    await runAll(plan.prepare);
    process.stdout.write(`${JSON.stringify({ ...plan, prepare: [] })}\n`);
  } else if (word === 'release') {
    const plan: { release: readonly Command[] } = JSON.parse(readFileSync(PLAN, 'utf8'));
    await runAll(plan.release);
  }
}

async function tryDisk(path: string): Promise<DiskTrial> {
  const stretch = { path, startBytes: 0, sizeBytes: 64 * MIB };
  return rewrite(stretch, new AbortController().signal).then(
    (written) => ({ path, ...written, stuck: false, fault: null }),
    (error: unknown) => ({ path, bytes: 0, ms: 0, stuck: false, fault: messageOf(error) }),
  );
}

/** The log of all commands goes to a file: the console is for the result. */
async function runAll(commands: readonly Command[]): Promise<void> {
  const tell = (line: string) => writeFileSync('/tmp/log', `${line}\n`, { flag: 'a' });
  for (const command of commands) await runCommand(command, 'disk', new AbortController().signal, tell);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stdout.write(`${messageOf(error)}\n`);
  process.exitCode = 1;
}
