// The one command of an image server: where it speaks, and the signals that end it.

import { SwarmbootError } from '../agent/core/errors.ts';
import packageJson from '../package.json' with { type: 'json' };
import { COMMANDS } from './commands.ts';
import { CONFIG_FILE } from './config.ts';
import { runCommand } from './program.ts';

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

const terminal = { out: process.stdout, err: process.stderr, signal: ending.signal };
const argv = process.argv.slice(2);
process.exitCode = await runCommand(COMMANDS, packageJson.version, argv, terminal, CONFIG_FILE);
