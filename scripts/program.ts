// The program that subcommands make together: which of them is meant, what its configuration file says, help from the
// tables, and the exit status.

import { EXIT_STATUS, messageOf, SwarmbootError } from '../agent/core/errors.ts';
import {
  type Command,
  type Option,
  optionForm,
  parseArguments,
  suggestion,
  type Terminal,
  usage,
} from './command.ts';
import { CONFIG_FILE, readConfig, settingsOf } from './config.ts';
import { REPO_OPTION } from './repository.ts';

/** What every subcommand takes besides its own options; no configuration file can hold these. */
export const COMMON_OPTIONS: readonly Option[] = [
  {
    name: 'config',
    kind: 'text',
    value: 'FILE',
    help: `a configuration file (default: ${CONFIG_FILE}, if it is there)`,
  },
  { name: 'help', kind: 'flag', help: 'print this and end' },
];

/**
 * Runs the subcommand that `argv` names and returns the exit status. The one catch of all subcommands. `configFile` is
 * read when no other is named and it is there; null: none is.
 */
export async function runCommand(
  commands: readonly Command[],
  version: string,
  argv: readonly string[],
  terminal: Terminal,
  configFile: string | null = null,
): Promise<number> {
  const [first = ''] = argv;
  let speaker = 'swarmboot';
  try {
    if (first === '--version') return print(terminal, `swarmboot ${version}\n`);
    if (first === '--help' || first === 'help') return print(terminal, overview(commands));
    const command = commandOf(commands, argv);
    speaker = `swarmboot ${command.name}`;
    const words = argv.slice(command.name.split(' ').length);
    const options = [...command.options, ...COMMON_OPTIONS];
    const given = parseArguments(words, options);
    if (given.flag('help')) return print(terminal, helpOf(command));
    const config = readConfig(given.text('config') ?? null, configFile, commands);
    // What is put into a repository is for the service to read, which is another user, and for every node after it.
    if (command.options.includes(REPO_OPTION)) process.umask(0o022);
    await command.run(parseArguments(words, options, settingsOf(config, command)), terminal);
    return 0;
  } catch (error) {
    const fault = terminal.signal.aborted ? terminal.signal.reason : error;
    if (fault instanceof SwarmbootError) {
      terminal.err.write(`${speaker}: ${fault.message}\n`);
      return EXIT_STATUS[fault.code];
    }
    terminal.err.write(`${speaker}: ${fault instanceof Error ? fault.stack : messageOf(fault)}\n`);
    return 1;
  }
}

/** Throws a usage error that names the nearest command when there is none of that name. */
function commandOf(commands: readonly Command[], argv: readonly string[]): Command {
  const [first] = argv;
  const names = commands.map((command) => command.name);
  if (first === undefined)
    throw usage(`no command is given; one of: ${names.join(', ')}; see swarmboot --help`);
  // Some commands have a name of two words: `initrd build`.
  const given = [1, 2].map((words) => argv.slice(0, words).join(' '));
  const command = commands.find(({ name }) => given.includes(name));
  if (command !== undefined) return command;
  const meant = names.some((name) => name.startsWith(`${first} `)) ? given[1]! : first;
  throw usage(`no command or option "${meant}"; ${suggestion(meant, names)}`);
}

function print(terminal: Terminal, text: string): number {
  terminal.out.write(text);
  return 0;
}

function overview(commands: readonly Command[]): string {
  const rows = commands.map((command): [string, string] => [command.name, command.summary]);
  return [
    'usage: swarmboot COMMAND [options]\n\n',
    columns(rows),
    '\nswarmboot COMMAND --help tells the options of one; swarmboot --version the version. Every option can be set in\n',
    `${CONFIG_FILE} as well: swarmboot.json(5). What an exit status means: swarmboot(1), docs/admin.md.\n`,
  ].join('');
}

function helpOf(command: Command): string {
  const rows = [...command.options, ...COMMON_OPTIONS].map((option): [string, string] => {
    const fallback = option.default === undefined ? '' : ` (default ${option.default})`;
    return [optionForm(option), option.help + fallback];
  });
  return `usage: swarmboot ${command.name} ${command.synopsis}\n\n${command.summary}\n\n${columns(rows)}`;
}

function columns(rows: readonly [string, string][]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}\n`).join('');
}
