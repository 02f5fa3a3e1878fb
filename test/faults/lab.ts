// The fault lab: what all runs have in common, and one run of one row with its verdict.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../agent/core/errors.ts';
import type { Ms } from '../../agent/core/units.ts';
import { bundleAgent } from '../../scripts/build.ts';
import { Program } from '../foreign/process.ts';
import { ROOM_MEMORY, warmMemory } from '../lab/room.ts';
import { brokenInvariants } from './invariants.ts';
import { publishImage } from './published.ts';
import type { Figures, Row } from './row.ts';
import { Scene, type Setting } from './scene.ts';

/** Every file system may be read only, but for the one of the machines' own folders. Says so, and keeps it so. */
const SEAL = `
  mount --bind "$0" "$0"
  while read -r _ place _; do
    case "$place" in
      "$0" | /proc*) ;;
      *) mount -o remount,bind,ro "$place" 2>/dev/null || true ;;
    esac
  done < /proc/self/mounts
  ! touch "$1" 2>/dev/null
  echo sealed
  exec sleep infinity
`;
const SEAL_MS: Ms = 10_000;
const TREES_PER_NODE = 2;

export interface LabSize {
  readonly nodes: number;
  readonly bitsPerSec: number;
  readonly sizeBytes: number;
  /** Where the logs of all runs go. */
  readonly logs: string;
}

/** What came of one run. */
export interface RunResult {
  readonly row: number;
  readonly variant: string;
  readonly seed: number;
  /** Machines that were meant to be installed, and those that were before all faults were taken back. */
  readonly of: number;
  readonly installed: number;
  /** From the start of the first machine to the last that was installed; null: nobody was. */
  readonly tookMs: Ms | null;
  readonly figures: Figures;
  readonly peakRssBytes: number;
  readonly peakFds: number;
  /** What did not hold; empty: all did. */
  readonly broken: readonly string[];
}

/** Makes image and agent. In a room that has been entered; once for a process. */
export async function prepareLab({ nodes, bitsPerSec, sizeBytes, logs }: LabSize): Promise<Setting> {
  const machines = join(ROOM_MEMORY, 'machines');
  mkdirSync(machines);
  const sealing = ['--mount', '/bin/sh', '-ec', SEAL, machines, join(ROOM_MEMORY, 'written')];
  const keeper = new Program('/usr/bin/unshare', sealing);
  await keeper.until('sealed', () => keeper.output.includes('sealed'), SEAL_MS);
  const agent = join(ROOM_MEMORY, 'agent.cjs');
  await bundleAgent(agent);
  const published = await publishImage(ROOM_MEMORY, sizeBytes);
  warmMemory(nodes * TREES_PER_NODE * sizeBytes);
  const sealed = ['/usr/bin/nsenter', `--mount=/proc/${keeper.pid}/ns/mnt`, '--'];
  const close = () => keeper.stop();
  return { nodes, bitsPerSec, published, agent, sealed, machines, logs, close };
}

/** Runs a row once. */
export async function runRow(setting: Setting, row: Row, seed: number): Promise<RunResult> {
  const variant = row.variants[seed % row.variants.length]!;
  const scene = new Scene(setting, `${row.number}-${seed}`, seed);
  let figures: Figures = {};
  let done: Pick<RunResult, 'of' | 'installed' | 'tookMs'> = { of: 0, installed: 0, tookMs: null };
  try {
    figures = await row.run(scene, variant);
    done = outcomeOf(scene);
    await scene.heal();
  } catch (error) {
    scene.must(false, `I2: ${messageOf(error)}`);
  }
  await scene.stop();
  const broken = [...scene.broken, ...(await brokenInvariants(scene))];
  const children = scene.machines.flatMap(({ lives }) => lives.map(({ child }) => child));
  scene.close();
  return {
    row: row.number,
    variant,
    seed,
    ...done,
    figures,
    peakRssBytes: Math.max(...children.map(({ peakRssBytes }) => peakRssBytes)),
    peakFds: Math.max(...children.map(({ peakFds }) => peakFds)),
    broken,
  };
}

/** Of those that nobody killed for good. */
function outcomeOf({ machines }: Scene): Pick<RunResult, 'of' | 'installed' | 'tookMs'> {
  const meant = machines.filter(({ lives }) => lives.length > 0 && !lives.at(-1)!.child.isKilled);
  const times = meant.flatMap(({ life }) => life.installedMs ?? []);
  const began = Math.min(...meant.map(({ lives }) => lives[0]!.startedMs));
  return {
    of: meant.length,
    installed: times.length,
    tookMs: times.length === 0 ? null : Math.max(...times) - began,
  };
}
