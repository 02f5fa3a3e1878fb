// `make lab`: raises a lab as NODES, RATE, SLOW and LOSS say it (bench/swarm/scenario.ts), runs COMMAND in its room, a shell
// if there is none, and ends with it. `ip netns exec node1 ...` runs something on a node.

import { spawnSync } from 'node:child_process';
import { ratesOf, readScenario } from '../bench/swarm/scenario.ts';
import { Lab } from './lab.ts';
import { enterRoom } from './room.ts';

const scenario = readScenario(process.env);
enterRoom('make lab');
const lab = Lab.raise({ bitsPerSec: ratesOf(scenario), lossShare: scenario.lossShare });
for (const { name, host, bitsPerSec } of lab.nodes)
  process.stdout.write(`${name}  ${host}  ${bitsPerSec / 1e6} Mbit/s\n`);
const { COMMAND = 'exec /bin/bash' } = process.env;
process.exitCode = spawnSync('/bin/bash', ['-c', COMMAND], { stdio: 'inherit' }).status ?? 1;
