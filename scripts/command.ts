// What a subcommand is, and the reading of its options: tables declare them, and all that is read or printed of them
// comes from those tables. What a subcommand does is its own file's business.

import type { Writable } from 'node:stream';
import minimist from 'minimist';
import { SwarmbootError } from '../agent/core/errors.ts';

/** One option of a subcommand: a row of its table. */
export interface Option {
  /** Without the dashes. */
  readonly name: string;
  /** `list` may be given several times; `number` is zero or more. */
  readonly kind: 'text' | 'flag' | 'number' | 'list';
  readonly help: string;
  /** What stands for the value in the help: `DIR`, `URL`; in small letters the words themselves: `gpt|dos`. */
  readonly value?: string;
  readonly default?: string | number;
}

/** What a configuration file says of one option, checked by its kind. */
export type Setting = string | number | boolean | readonly string[];
/** What stands for options that the command line leaves out, by their names. */
export type Settings = Readonly<Record<string, Setting>>;

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

/**
 * Reads `argv` by the table; `settings` stand in for what it leaves out. Throws a usage error for unknown options, missing,
 * doubled and malformed values.
 */
export function parseArguments(
  argv: readonly string[],
  options: readonly Option[],
  settings: Settings = {},
): Arguments {
  const isFlag = (option: Option) => option.kind === 'flag';
  const names = (rows: readonly Option[]) => rows.map((row) => row.name);
  const parsed = minimist([...argv], {
    boolean: names(options.filter(isFlag)),
    string: ['_', ...names(options.filter((option) => !isFlag(option)))],
    default: Object.fromEntries(names(options.filter(isFlag)).map((name) => [name, settings[name] === true])),
    unknown: (given) => {
      if (!given.startsWith('-') || given === '-') return true;
      const name = given.split('=')[0]!;
      throw usage(`no option ${name}; ${suggestion(name, names(options).map(dashed))}`);
    },
  });
  const values = new Map<string, readonly string[]>();
  for (const option of options) {
    if (!isFlag(option))
      values.set(option.name, valuesOf(option, parsed[option.name], settings[option.name]));
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

/** The values given for one option, checked by its kind; what is set when it was not given. */
function valuesOf(option: Option, given: unknown, setting: Setting | undefined): readonly string[] {
  if (given === undefined) return setting === undefined ? [] : [setting].flat().map(String);
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

const dashed = (name: string) => `--${name}`;

/** The option as help shows it: `--repo DIR`. */
export function optionForm(option: Option): string {
  if (option.kind === 'flag') return dashed(option.name);
  const value = option.value ?? (option.kind === 'number' ? 'NUMBER' : 'TEXT');
  return `${dashed(option.name)} ${value}${option.kind === 'list' ? '...' : ''}`;
}

/** Names the nearest of `names` when one is near, else all of them. */
export function suggestion(given: string, names: readonly string[]): string {
  const ranked = names.map((name): [number, string] => [editDistance(given, name), name]);
  const [distance, nearest] = ranked.reduce((best, next) => (next[0] < best[0] ? next : best));
  return distance <= Math.max(2, given.length / 3)
    ? `did you mean ${nearest}?`
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
