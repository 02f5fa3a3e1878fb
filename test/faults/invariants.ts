// What must hold after every run, whatever was done to the machines (I1 to I6). Judges by what lies on the disks, what the
// programs said, and what they took; knows nothing of the row.

import { closeSync, type Dirent, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { EXIT_STATUS } from '../../agent/core/errors.ts';
import { formatBytes, MIB } from '../../agent/core/units.ts';
import { compareTrees } from '../../scripts/trees.ts';
import type { Life, Machine } from './machine.ts';
import type { Scene } from './scene.ts';

/** What an agent may take: its staging pool is memory that is not its own. */
const RSS_BYTES_MAX = 200 * MIB;
const FDS_MAX = 1024;
const SHOWN = 3;
const STEP_BYTES = MIB;
const STATUSES: readonly number[] = [0, ...Object.values(EXIT_STATUS)];
/** What Node writes when the program itself is wrong. */
const OUR_FAULT = /^\s+at |Unhandled|broken assumption|Warning: /m;

/** What does not hold, in words, each with its invariant. */
export async function brokenInvariants(scene: Scene): Promise<string[]> {
  const broken: string[] = [];
  for (const machine of scene.machines) {
    if (machine.lives.length === 0) continue;
    const say = (what: string) => broken.push(`${what.slice(0, 2)} ${machine.name}:${what.slice(2)}`);
    await judgeTree(scene, machine, say);
    for (const life of machine.lives) judgeLife(life, say);
    judgePlaces(machine, say);
  }
  broken.push(...falseBans(scene));
  for (const { complaints } of scene.server.children)
    if (OUR_FAULT.test(complaints)) broken.push(`I5 server: ${complaints.slice(0, 500)}`);
  return broken;
}

/** I1 and I2: a tree is the image, or of one that never was finished every file is its beginning. */
async function judgeTree(scene: Scene, machine: Machine, say: (what: string) => void): Promise<void> {
  const { tree } = scene.setting.published;
  if (machine.isInstalled) {
    const differences = await compareTrees(tree, machine.target);
    if (differences.length > 0)
      say(`I1 its tree is not the image: ${differences.slice(0, SHOWN).join('; ')}`);
    return;
  }
  if (!machine.life.child.isKilled) say(`I2 not installed: ${machine.life.failure?.error ?? 'no reason'}`);
  for (const file of filesBelow(machine.target)) {
    const path = relative(machine.target, file);
    if (!isBeginning(file, join(tree, path))) say(`I1 ${path} holds bytes that are not the image's`);
  }
}

/** I2, I4, I5 and I6, of one life of an agent. */
function judgeLife(life: Life, say: (what: string) => void): void {
  const { child, failure, installedMs, ended } = life;
  const { end, complaints, isKilled, peakRssBytes, peakFds } = child;
  if (OUR_FAULT.test(complaints)) say(`I5 it said ${complaints.slice(0, 500)}`);
  if (!isKilled && end !== null) {
    const status = end.status ?? -1;
    if (!STATUSES.includes(status)) say(`I5 it ended with ${end.signal ?? status}`);
    if (status === 0 && installedMs === null) say('I2 it ended well and was not installed');
    if (status !== 0 && failure === null && complaints === '') say('I2 it failed without a reason');
    if (status !== 0 && failure !== null && failure.code === null)
      say(`I2 it failed without a code: ${failure.error}`);
    if (status !== 0 && installedMs !== null) say(`I2 it was installed and ended with ${status}`);
  }
  if (peakRssBytes > RSS_BYTES_MAX) say(`I4 it took ${formatBytes(peakRssBytes)} of memory`);
  if (peakFds > FDS_MAX) say(`I4 it took ${peakFds} descriptors`);
  if (installedMs !== null)
    for (const stage of ['image', 'extract', 'overrides'] as const)
      if (!ended.includes(stage)) say(`I6 it said that it is installed before ${stage} was done`);
}

/** I3: the rest of the machine is sealed, so only its own folder can have changed; staging is freed by who ends. */
function judgePlaces(machine: Machine, say: (what: string) => void): void {
  const others = readdirSync(join(machine.target, '..')).filter(
    (name) => !['target', 'staging'].includes(name),
  );
  if (others.length > 0) say(`I3 it left ${others.join(', ')} beside its target`);
  const staged = readdirSync(machine.staging);
  if (!machine.life.child.isKilled && staged.length > 0)
    say(`I3 it left ${staged.join(', ')} in its staging pool`);
}

/** Nobody honest is banned, by anybody honest. */
function falseBans({ machines, server, rogueHosts }: Scene): string[] {
  return [server, ...machines].flatMap(({ node, bans }) =>
    bans
      .filter(({ host }) => !rogueHosts.has(host))
      .map(({ host, reason }) => `I1 ${node.name}: banned ${host}, which is honest: ${reason}`),
  );
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry: Dirent) => entry.isFile())
    .map((entry: Dirent) => join(entry.parentPath, entry.name));
}

/** Whether a file holds the first bytes of another, and nothing else. */
function isBeginning(path: string, whole: string): boolean {
  const size = statSync(path).size;
  if (size > (statSync(whole, { throwIfNoEntry: false })?.size ?? -1)) return false;
  const [ours, theirs] = [openSync(path, 'r'), openSync(whole, 'r')];
  const [left, right] = [Buffer.alloc(STEP_BYTES), Buffer.alloc(STEP_BYTES)];
  try {
    for (let at = 0; at < size; at += STEP_BYTES) {
      const count = readSync(ours, left, 0, STEP_BYTES, at);
      readSync(theirs, right, 0, count, at);
      if (!left.subarray(0, count).equals(right.subarray(0, count))) return false;
    }
    return true;
  } finally {
    closeSync(ours);
    closeSync(theirs);
  }
}
