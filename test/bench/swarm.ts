// `make bench-swarm`: one file to many nodes over links of one rate, by swarms of ours and of others, in turn, round
// after round, in a lab of network namespaces. What may be set is in swarm/scenario.ts, what it leaves in swarm/report.ts.

import { enterRoom, ROOM_MEMORY } from '../lab/room.ts';
import { bundle, chosen } from './contenders.ts';
import { runBench } from './swarm/bench.ts';
import { ourContender, rivalsIn } from './swarm/contenders.ts';
import { report } from './swarm/report.ts';
import { readScenario } from './swarm/scenario.ts';

async function main(): Promise<void> {
  const scenario = readScenario(process.env);
  const rivals = chosen(rivalsIn(scenario), scenario.rivals);
  enterRoom('make bench-swarm');
  const ours = ourContender(await bundle('ours.ts', ROOM_MEMORY), scenario.keep !== null);
  const contenders = [ours, ...rivals];
  const outcome = await runBench(scenario, contenders);
  report(
    outcome,
    contenders.map(({ client }) => client),
  );
}

await main();
