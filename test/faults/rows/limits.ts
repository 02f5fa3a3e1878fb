// Rows of machines that have too little: memory, descriptors, processor, disk.

import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MIB } from '../../../agent/core/units.ts';
import type { Machine } from '../machine.ts';
import { type Figures, partOf, type Row } from '../row.ts';
import type { Scene } from '../scene.ts';

const CGROUPS = '/sys/fs/cgroup';
const FDS = 64;
const CPU_PERIOD_US = 100_000;

/** Puts what is started on a machine into a group with these limits of a controller, the files of it by name. */
function limit(
  scene: Scene,
  machine: Machine,
  controller: string,
  limits: Readonly<Record<string, string>>,
): string {
  const top = join(CGROUPS, controller);
  if (!existsSync(join(top, 'cgroup.procs')))
    throw new Error(`${top} is not there: boot with systemd.unified_cgroup_hierarchy=0`);
  const group = join(top, `swarmboot-faults-${process.pid}-${machine.name}`);
  mkdirSync(group, { recursive: true });
  for (const [name, value] of Object.entries(limits)) writeFileSync(join(group, name), value);
  machine.launcher = [
    ...machine.launcher,
    '/bin/sh',
    '-c',
    `echo $$ > ${group}/cgroup.procs; exec "$@"`,
    'held',
  ];
  // The last steps run when all programs have ended.
  scene.removals.push(() => rmdirSync(group));
  return group;
}

async function squeezed(scene: Scene, machines: readonly Machine[]): Promise<Figures> {
  await scene.begin();
  await scene.installed();
  const last = (some: readonly Machine[]) =>
    Math.max(0, ...some.map(({ life }) => life.installedMs ?? 0)) / 1000;
  const rest = scene.machines.filter((machine) => !machines.includes(machine));
  return { theySec: last(machines), restSec: last(rest) };
}

export const littleMemory: Row = {
  number: 32,
  fault: 'an agent may have 192 MiB of memory',
  variants: ['one machine', 'all machines'],
  run: async (scene, variant) => {
    const machines = variant.startsWith('one') ? scene.some(1) : scene.machines;
    // The pool and the target are memory too here, and not the agent's: they are its disk.
    const bytes = 192 * MIB + 2.2 * scene.sizeBytes;
    for (const machine of machines)
      limit(scene, machine, 'memory', { 'memory.limit_in_bytes': String(Math.round(bytes)) });
    return squeezed(scene, machines);
  },
};

export const fewDescriptors: Row = {
  number: 33,
  fault: `an agent may have ${FDS} descriptors`,
  variants: ['one machine', 'all machines'],
  run: async (scene, variant) => {
    const machines = variant.startsWith('one') ? scene.some(1) : scene.machines;
    for (const machine of machines)
      machine.launcher = [...machine.launcher, '/usr/bin/prlimit', `--nofile=${FDS}`, '--'];
    return squeezed(scene, machines);
  },
};

export const littleProcessor: Row = {
  number: 34,
  fault: 'a tenth of a processor for an agent',
  variants: ['one machine', '20 % of the machines'],
  run: async (scene, variant) => {
    const machines = scene.some(variant.startsWith('one') ? 1 : partOf('20 %', scene.machines.length));
    for (const machine of machines)
      limit(scene, machine, 'cpu', {
        'cpu.cfs_period_us': String(CPU_PERIOD_US),
        'cpu.cfs_quota_us': String(CPU_PERIOD_US / 10),
      });
    scene.patienceMs *= 3;
    return squeezed(scene, machines);
  },
};
