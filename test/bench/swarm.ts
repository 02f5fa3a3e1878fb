// `make bench-swarm`: one file to many nodes over links of one rate, by swarms of ours and of others, in turn, round
// after round, in a lab of network namespaces. What may be set: swarm/scenario.ts. Leaves build/bench/swarm.{json,md}.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pieceLengthFor } from '../../agent/core/metainfo.ts';
import type { Ms } from '../../agent/core/units.ts';
import { Lab } from '../lab/lab.ts';
import { furnishRoom, ROOM_MEMORY } from '../lab/room.ts';
import { bundle, chosen, socat } from './contenders.ts';
import { makeSample } from './sample.ts';
import { ourContender, rivalsIn, type SwarmContender } from './swarm/contenders.ts';
import { report } from './swarm/report.ts';
import { type Course, copyTime, kindsOf, runSwarm, type SwarmRun, TRACKER_PORT } from './swarm/run.ts';
import { readScenario, type Scenario } from './swarm/scenario.ts';
import { swarmLine } from './swarm/table.ts';
import { median } from './table.ts';

/** Plain copies, each over a link of its own, all at once. */
const COPIES = 3;
/** A copy that is slower than its link by this factor is broken. */
const COPY_SLOWER_MAX = 4;
const PATIENCE_MS: Ms = 60_000;

async function main(): Promise<void> {
  const scenario = readScenario(process.env);
  furnishRoom('make bench-swarm');
  // The first process of a room is not ended by a signal that it does not listen to.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  const rivals = chosen(rivalsIn(scenario), scenario.rivals);
  // In the room, so that two benches do not change each other's.
  const contenders = [ourContender(await bundle('ours.ts', ROOM_MEMORY), scenario.keep !== null), ...rivals];
  const tracker = await bundle('swarm/tracker.ts', ROOM_MEMORY);
  const lab = Lab.raise({ bitsPerSec: ratesOf(scenario), lossShare: scenario.lossShare });
  const folder = join(ROOM_MEMORY, 'sample');
  mkdirSync(folder);
  const announce = `http://${lab.nodes[0]!.host}:${TRACKER_PORT}/announce`;
  const pieceBytes = pieceLengthFor(scenario.sizeBytes);
  const sample = makeSample(folder, 'image.tar', scenario.sizeBytes, pieceBytes, announce);
  const course = { scenario, lab, sample, tracker };
  const rawMs = await measureCopy({ ...course, timeoutMs: COPY_SLOWER_MAX * idealMs(scenario) });
  const timeoutMs = PATIENCE_MS + (scenario.nodes + 4) * rawMs;
  const runs = await measure(contenders, { ...course, timeoutMs }, rawMs);
  report(runs, contenders, scenario, rawMs, pieceBytes);
  lab.close();
}

/** Of node 0, the first seeder, and of all that fetch. */
function ratesOf(scenario: Scenario): number[] {
  const { bitsPerSec, slow } = scenario;
  const fetching = [...kindsOf(scenario).values()];
  return [bitsPerSec, ...fetching.map((kind) => (kind === 'slow' ? bitsPerSec * slow.factor : bitsPerSec))];
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
  const rawMs = median(took);
  const all = took.map((ms) => (ms / 1000).toFixed(2)).join(', ');
  process.stdout.write(`plain TCP copy over one link: ${(rawMs / 1000).toFixed(2)} s (${all})\n`);
  return rawMs;
}

async function measure(
  contenders: readonly SwarmContender[],
  course: Course,
  rawMs: Ms,
): Promise<SwarmRun[]> {
  const runs: SwarmRun[] = [];
  for (let round = 1; round <= course.scenario.rounds; round++) {
    for (const contender of contenders) {
      const run = await runSwarm(contender, course, round);
      process.stdout.write(swarmLine(run, rawMs));
      runs.push(run);
    }
  }
  return runs;
}

await main();
// Nothing that was started outlives this.
process.exit();
