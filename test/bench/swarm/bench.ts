// A whole bench: the lab is raised, a plain copy measured, then the contenders' swarms run in turn, round after round.

import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pieceLengthFor } from '../../../agent/core/metainfo.ts';
import type { Ms } from '../../../agent/core/units.ts';
import { Lab } from '../../lab/lab.ts';
import { ROOM_MEMORY } from '../../lab/room.ts';
import { bundle, socat } from '../contenders.ts';
import { makeSample } from '../sample.ts';
import { median } from '../table.ts';
import type { SwarmContender } from './contenders.ts';
import { type Course, copyTime, runSwarm, type SwarmRun, TRACKER_PORT } from './run.ts';
import { ratesOf, type Scenario } from './scenario.ts';
import { swarmLine } from './table.ts';

export interface Outcome {
  readonly scenario: Scenario;
  readonly pieceBytes: number;
  /** One plain TCP copy over one link. */
  readonly rawMs: Ms;
  readonly runs: readonly SwarmRun[];
}

/** Plain copies, each over a link of its own, all at once. */
const COPIES = 3;
/** A copy that is slower than its link by this factor is broken. */
const COPY_SLOWER_MAX = 4;
const PATIENCE_MS: Ms = 60_000;

/** Runs it, and tells of each swarm. The room has been furnished; the lab is gone afterwards. */
export async function runBench(scenario: Scenario, contenders: readonly SwarmContender[]): Promise<Outcome> {
  // In the room, so that two benches do not change each other's.
  const tracker = await bundle('swarm/tracker.ts', ROOM_MEMORY);
  const lab = Lab.raise({ bitsPerSec: ratesOf(scenario), lossShare: scenario.lossShare });
  const folder = join(ROOM_MEMORY, 'sample');
  mkdirSync(folder);
  try {
    const announce = `http://${lab.nodes[0]!.host}:${TRACKER_PORT}/announce`;
    const pieceBytes = pieceLengthFor(scenario.sizeBytes);
    const sample = makeSample(folder, 'image.tar', scenario.sizeBytes, pieceBytes, announce);
    const course = { scenario, lab, sample, tracker };
    const rawMs = await measureCopy({ ...course, timeoutMs: COPY_SLOWER_MAX * idealMs(scenario) });
    // Whoever feeds the nodes one after the other gets as long as that takes.
    const timeoutMs = PATIENCE_MS + (scenario.nodes + 4) * rawMs;
    const runs: SwarmRun[] = [];
    for (let round = 1; round <= scenario.rounds; round++) {
      for (const contender of contenders) {
        const run = await runSwarm(contender, { ...course, timeoutMs }, round);
        process.stdout.write(swarmLine(run, rawMs));
        runs.push(run);
      }
    }
    return { scenario, pieceBytes, rawMs, runs };
  } finally {
    rmSync(folder, { recursive: true });
    lab.close();
  }
}

function idealMs({ sizeBytes, bitsPerSec }: Scenario): Ms {
  return (sizeBytes * 8 * 1000) / bitsPerSec;
}

/** The median time of plain TCP copies between nodes of full rate. */
async function measureCopy(course: Course): Promise<Ms> {
  const { scenario } = course;
  const full = 1 + scenario.nodes - scenario.slow.nodes;
  const pairs = Array.from({ length: Math.min(COPIES, Math.floor(full / 2)) }, (_, index) => 2 * index);
  const took = await Promise.all(pairs.map((from) => copyTime(socat, course, from, from + 1)));
  const all = took.map((ms) => (ms / 1000).toFixed(2)).join(', ');
  process.stdout.write(`plain TCP copy over one link: ${(median(took) / 1000).toFixed(2)} s (${all})\n`);
  return median(took);
}
