// The frame of every subcommand: options declared as tables, parsed in this one place, help printed from the same
// tables. What a subcommand does is its own file's business.

import type { Writable } from 'node:stream';
import minimist from 'minimist';
import { EXIT_STATUS, messageOf, SwarmbootError } from '../agent/core/errors.ts';

/** One option of a subcommand: a row of its table. */
export interface Option {
  /** Without the dashes. */
  readonly name: string;
  /** `list` may be given several times; `number` is zero or more. */
  readonly kind: 'text' | 'flag' | 'number' | 'list';
  readonly help: string;
  /** What stands for the value in the help: `DIR`, `URL`. */
  readonly value?: string;
  readonly default?: string | number;
}

/** What was given, checked against the table. Asking for a name that the table lacks is our own fault. */
export interface Arguments {
  /** Everything that is no option, in order. */
  readonly words: readonly string[];
  /** The value of a `text` option, or its default. */
  text(name: string): string | undefined;
  /** The value of a `number` option, or its default. */
  number(name: string): number | undefined;
  flag(name: string): boolean;
  /** Every value of a `list` option, in the order given. */
  list(name: string): readonly string[];
}

/** Where a command speaks. `out` is for results, `err` for progress and faults. */
export interface Terminal {
  readonly out: Writable;
  readonly err: Writable;
  /** Aborted by SIGINT or SIGTERM, with a SwarmbootError as the reason. */
  readonly signal: AbortSignal;
}

export interface Command {
  /** One word or two: `serve`, `initrd build`. */
  readonly name: string;
  /** The words after the name: `NAME --from DIR`. */
  readonly synopsis: string;
  /** One line. */
  readonly summary: string;
  readonly options: readonly Option[];
  run(args: Arguments, terminal: Terminal): Promise<void>;
}

const HELP: Option = { name: 'help', kind: 'flag', help: 'print this and end' };

/** Runs the subcommand that `argv` names and returns the exit status. The one catch of all subcommands. */
export async function runCommand(
  commands: readonly Command[],
  version: string,
  argv: readonly string[],
  terminal: Terminal,
): Promise<number> {
  const [first = ''] = argv;
  let speaker = 'swarmboot';
  try {
    if (first === '--version') return print(terminal, `swarmboot ${version}\n`);
    if (first === '--help' || first === 'help') return print(terminal, overview(commands));
    const names = commands.map((command) => command.name);
    if (first === '') throw usage(`no command is given; one of: ${names.join(', ')}; see swarmboot --help`);
    // Some commands have a name of two words: `initrd build`.
    const given = [1, 2].map((words) => argv.slice(0, words).join(' '));
    const command = commands.find(({ name }) => given.includes(name));
    if (command === undefined) {
      const meant = commands.some(({ name }) => name.startsWith(`${first} `)) ? given[1]! : first;
      throw usage(`no command or option "${meant}"; ${suggestion(meant, names)}`);
    }
    speaker = `swarmboot ${command.name}`;
    const args = parseArguments(argv.slice(command.name.split(' ').length), [...command.options, HELP]);
    if (args.flag('help')) return print(terminal, helpOf(command));
    await command.run(args, terminal);
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

/** A fault of the command line. */
export function usage(message: string): SwarmbootError {
  return new SwarmbootError('usage', message);
}

/** The words of a command that wants exactly these, by the names of its synopsis. Throws a usage error otherwise. */
export function expectWords<const Names extends readonly string[]>(
  args: Arguments,
  ...names: Names
): { readonly [Index in keyof Names]: string } {
  const missing = names.slice(args.words.length);
  if (missing.length > 0) throw usage(`${missing.join(' ')} is missing; see --help`);
  const extra = args.words.slice(names.length);
  if (extra.length > 0) throw usage(`too many words: "${extra.join(' ')}"; see --help`);
  return args.words as readonly string[] as { readonly [Index in keyof Names]: string };
}

/** Reads `argv` by the table. Throws a usage error for unknown options, missing, doubled and malformed values. */
export function parseArguments(argv: readonly string[], options: readonly Option[]): Arguments {
  const isFlag = (option: Option) => option.kind === 'flag';
  const names = (rows: readonly Option[]) => rows.map((row) => row.name);
  const parsed = minimist([...argv], {
    boolean: names(options.filter(isFlag)),
    string: ['_', ...names(options.filter((option) => !isFlag(option)))],
    unknown: (given) => {
      if (!given.startsWith('-') || given === '-') return true;
      const name = given.split('=')[0]!;
      throw usage(`no option ${name}; ${suggestion(name, names(options).map(dashed))}`);
    },
  });
  const values = new Map<string, readonly string[]>();
  for (const option of options) {
    if (!isFlag(option)) values.set(option.name, valuesOf(option, parsed[option.name]));
  }
  const single = (name: string) => values.get(name)?.[0];
  const row = (name: string) => options.find((option) => option.name === name);
  return {
    words: parsed._,
    text: (name) => single(name) ?? row(name)?.default?.toString(),
    number: (name) => {
      const given = single(name) ?? row(name)?.default;
      return given === undefined ? undefined : Number(given);
    },
    flag: (name) => parsed[name] === true,
    list: (name) => values.get(name) ?? [],
  };
}

/** The values given for one option, checked by its kind; none when it was not given. */
function valuesOf(option: Option, given: unknown): readonly string[] {
  if (given === undefined) return [];
  const list: unknown[] = Array.isArray(given) ? given : [given];
  if (list.length > 1 && option.kind !== 'list') throw usage(`--${option.name} is given more than once`);
  return list.map((value) => {
    if (typeof value !== 'string' || value === '') {
      throw usage(`--${option.name} wants a value: ${optionForm(option)}`);
    }
    if (option.kind === 'number' && !/^\d+(\.\d+)?$/.test(value)) {
      throw usage(`--${option.name} wants a number, not "${value}"`);
    }
    return value;
  });
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
    '\nswarmboot COMMAND --help tells the options of one; swarmboot --version the version.\n',
  ].join('');
}

function helpOf(command: Command): string {
  const rows = [...command.options, HELP].map((option): [string, string] => {
    const fallback = option.default === undefined ? '' : ` (default ${option.default})`;
    return [optionForm(option), option.help + fallback];
  });
  return `usage: swarmboot ${command.name} ${command.synopsis}\n\n${command.summary}\n\n${columns(rows)}`;
}

const dashed = (name: string) => `--${name}`;

function optionForm(option: Option): string {
  if (option.kind === 'flag') return dashed(option.name);
  const value = option.value ?? (option.kind === 'number' ? 'NUMBER' : 'TEXT');
  return `${dashed(option.name)} ${value}${option.kind === 'list' ? '...' : ''}`;
}

function columns(rows: readonly [string, string][]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}\n`).join('');
}

/** Names the nearest of `names` when one is near, else all of them. */
function suggestion(given: string, names: readonly string[]): string {
  const ranked = names.map((name): [number, string] => [editDistance(given, name), name]);
  const [distance, nearest] = ranked.reduce((best, next) => (next[0] < best[0] ? next : best));
  return distance <= Math.max(2, given.length / 3)
    ? `did you mean ${nearest}? See --help`
    : `there are: ${names.join(', ')}`;
}

/** Levenshtein's distance. */
function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    const next = [i];
    for (let j = 1; j <= right.length; j++) {
      const swap = row[j - 1]! + (left[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, swap));
    }
    row = next;
  }
  return row[right.length]!;
}
