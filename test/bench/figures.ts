// `make figures`: the five figures of the paper that this project takes after, drawn from our own runs in the lab. The
// runs stay in build/bench/figures.json, the pictures go to docs/figures.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatBytes } from '../../agent/core/units.ts';
import { linePlot } from '../../scripts/plot.ts';
import { enterRoom, ROOM_MEMORY } from '../lab/room.ts';
import { BUNDLES, bundle, chosen } from './contenders.ts';
import { bandwidthPlot, swarmPlot } from './swarm/bandwidth.ts';
import { type Outcome, runBench } from './swarm/bench.ts';
import { ourContender, rivalsIn } from './swarm/contenders.ts';
import { readScenario, type Scenario } from './swarm/scenario.ts';
import { timesOf } from './swarm/table.ts';

const FOLDER = join(import.meta.dirname, '..', '..', 'docs', 'figures');

/** What two cores carry: nodes by rate is some 320 Mbit/s at most. */
const BY_NODES = { RATE: '10mbit', SIZE: '16MiB', ROUNDS: '1' };
const NODES = [1, 2, 4, 8, 16, 32];
/** Above it rsync, which takes as many times as long, would say nothing new. */
const RSYNC_NODES_MAX = 16;
/** Of the pictures of one swarm each. */
const NODES_SHOWN = 16;
/** The paper has 150 nodes; on two cores a swarm of this size has time for its work. */
const LEAVING = { NODES: '100', RATE: '3mbit', SIZE: '16MiB', ROUNDS: '1' };

const RSYNC = 'rsync';
const MULTICAST = 'udpcast';
const OURS = 'Swarmboot';

async function main(): Promise<void> {
  enterRoom('make figures');
  const byNodes: Outcome[] = [];
  for (const nodes of NODES) {
    const rivals = nodes <= RSYNC_NODES_MAX ? [RSYNC, MULTICAST] : [MULTICAST];
    byNodes.push(await bench(readScenario({ ...BY_NODES, NODES: String(nodes) }), rivals));
  }
  const leaving = await bench(readScenario({ ...LEAVING, LEAVE: 'y' }), []);
  const staying = await bench(readScenario(LEAVING), []);
  mkdirSync(BUNDLES, { recursive: true });
  const all = { date: new Date(), byNodes, leaving, staying };
  writeFileSync(join(BUNDLES, 'figures.json'), `${JSON.stringify(all)}\n`);
  draw(byNodes, leaving, staying);
}

async function bench(scenario: Scenario, names: readonly string[]): Promise<Outcome> {
  const { nodes, bitsPerSec, sizeBytes, leave } = scenario;
  const leaving = leave ? ', leaving at once' : '';
  process.stdout.write(`${nodes} nodes, ${bitsPerSec / 1e6} Mbit/s, ${formatBytes(sizeBytes)}${leaving}\n`);
  const ours = ourContender(await bundle('ours.ts', ROOM_MEMORY), false);
  return runBench(scenario, [...chosen(rivalsIn(scenario), names), ours]);
}

function draw(byNodes: readonly Outcome[], leaving: Outcome, staying: Outcome): void {
  mkdirSync(FOLDER, { recursive: true });
  const save = (name: string, picture: string) => writeFileSync(join(FOLDER, `${name}.svg`), picture);
  save('1-time-by-nodes', timePlot(byNodes));
  const shown = byNodes.find(({ scenario }) => scenario.nodes === NODES_SHOWN)!;
  const pictures = { '2-rsync': RSYNC, '3-multicast': MULTICAST, '4-swarm': OURS };
  for (const [name, contender] of Object.entries(pictures)) {
    const run = shown.runs.find((one) => one.contender === contender)!;
    save(name, swarmPlot(`${NODES_SHOWN} nodes, ${contender}`, shown.scenario, run));
  }
  const runs = [
    ...staying.runs.map((run) => ({ ...run, contender: 'nodes stay' })),
    ...leaving.runs.map((run) => ({ ...run, contender: 'nodes leave at once' })),
  ];
  save('5-leaving', bandwidthPlot(`${LEAVING.NODES} nodes, ${OURS}`, leaving.scenario, runs));
}

/** Until the last node is done, by the number of nodes. */
function timePlot(outcomes: readonly Outcome[]): string {
  const { bitsPerSec, sizeBytes } = outcomes[0]!.scenario;
  const points = (name: string) =>
    outcomes.flatMap(({ scenario, runs }) =>
      runs
        .filter(({ contender }) => contender === name)
        .map((run) => [scenario.nodes, Math.max(...timesOf(run, 'full')) / 1000] as const),
    );
  return linePlot({
    title: `${formatBytes(sizeBytes)} to every node, links of ${bitsPerSec / 1e6} Mbit/s`,
    xLabel: 'nodes',
    yLabel: 'seconds until the last node has everything',
    series: [RSYNC, MULTICAST, OURS].map((name) => ({ name, points: points(name) })),
    dots: true,
    limit: { name: 'one plain copy', y: outcomes[0]!.rawMs / 1000 },
  });
}

await main();
