// The one command of an image server: the list of its subcommands, and the signals that end them.

import { SwarmbootError } from '../agent/core/errors.ts';
import packageJson from '../package.json' with { type: 'json' };
import { boelBuild } from './boel.ts';
import { type Command, runCommand } from './command.ts';
import { fetch } from './fetch.ts';
import { initrdBuild } from './initrd.ts';
import { inspect } from './inspect.ts';
import { layoutCheck } from './layout.ts';
import { list } from './list.ts';
import { logs, nodeArm, nodeDisarm, nodeList } from './node.ts';
import { publish } from './publish.ts';
import { pxeConfig } from './pxe.ts';
import { remove } from './remove.ts';
import { report } from './report.ts';
import { serve } from './serve.ts';
import { simulate } from './simulate.ts';
import { status } from './status.ts';
import { unpack } from './unpack.ts';

const COMMANDS: readonly Command[] = [
  publish,
  list,
  remove,
  serve,
  fetch,
  inspect,
  unpack,
  boelBuild,
  initrdBuild,
  layoutCheck,
  pxeConfig,
  nodeArm,
  nodeDisarm,
  nodeList,
  status,
  logs,
  report,
  simulate,
];

const ending = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  // Once: a second signal ends the process at once.
  process.once(name, () => ending.abort(new SwarmbootError('interrupted', `stopped by ${name}`)));
}
// The reader went away (`swarmboot list | head`): nothing is left to say.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

process.exitCode = await runCommand(COMMANDS, packageJson.version, process.argv.slice(2), {
  out: process.stdout,
  err: process.stderr,
  signal: ending.signal,
});
