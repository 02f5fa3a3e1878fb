// The bandwidth of swarms over time: what all their nodes receive together.

import type { Ms } from '../../../agent/core/units.ts';
import { linePlot, type Point } from '../../../scripts/plot.ts';
import { median } from '../table.ts';
import type { SwarmRun } from './run.ts';
import type { Scenario } from './scenario.ts';
import { timesOf } from './table.ts';
import type { TrafficSample } from './watches.ts';

/** A rate is taken over so many samples before and behind: half a second each. */
const HALF_WINDOW = 2;

/** A picture with one line per contender; `scenario` gives the rate that all links together have. */
export function bandwidthPlot(title: string, scenario: Scenario, runs: readonly SwarmRun[]): string {
  const names = [...new Set(runs.map((run) => run.contender))];
  return linePlot({
    title,
    xLabel: 'seconds since the word to begin',
    yLabel: 'received by all nodes together, Mbit/s',
    series: names.map((name) => ({
      name,
      points: ratesOf(middleOf(runs.filter((run) => run.contender === name)).traffic, 'receivedBytes'),
    })),
    limit: limitOf(scenario),
  });
}

/** A picture of one swarm: what its nodes receive, and what of it the first seeder has sent. */
export function swarmPlot(title: string, scenario: Scenario, { traffic }: SwarmRun): string {
  return linePlot({
    title,
    xLabel: 'seconds since the word to begin',
    yLabel: 'Mbit/s',
    series: [
      { name: 'received by all nodes', points: ratesOf(traffic, 'receivedBytes') },
      { name: 'sent by the first seeder', points: ratesOf(traffic, 'seederBytes') },
    ],
    limit: limitOf(scenario),
  });
}

function limitOf({ nodes, bitsPerSec }: Scenario): { name: string; y: number } {
  return { name: 'all links full', y: (nodes * bitsPerSec) / 1e6 };
}

/** The run whose slowest node is nearest to the median of the runs. */
function middleOf(runs: readonly SwarmRun[]): SwarmRun {
  const slowest = (run: SwarmRun): Ms => Math.max(...timesOf(run, 'full'));
  const middle = median(runs.map(slowest));
  const off = (run: SwarmRun) => Math.abs(slowest(run) - middle) || 0;
  return runs.toSorted((a, b) => off(a) - off(b))[0]!;
}

/** Seconds, and Mbit/s of a counter around them. */
function ratesOf(samples: readonly TrafficSample[], counter: 'receivedBytes' | 'seederBytes'): Point[] {
  const rates = samples.map(({ ms }, index): Point => {
    const from = samples[Math.max(0, index - HALF_WINDOW)]!;
    const to = samples[Math.min(samples.length - 1, index + HALF_WINDOW)]!;
    const bits = (to[counter] - from[counter]) * 8;
    return [ms / 1000, to.ms === from.ms ? 0 : bits / (to.ms - from.ms) / 1000];
  });
  // The end of the swarm.
  return [...rates, [samples.at(-1)!.ms / 1000, 0]];
}
