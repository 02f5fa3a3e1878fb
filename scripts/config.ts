// The configuration file of the command: a JSON object of options, by the tables in which the subcommands declare them.
// An option that several have may stand at the top, for all of them; every option below the name of a subcommand, for that one. Flags win over both.

import { readFileSync } from 'node:fs';
import { messageOf } from '../agent/core/errors.ts';
import { type Command, type Option, type Setting, type Settings, suggestion, usage } from './command.ts';

/** Read when it is there and no other is named. */
export const CONFIG_FILE = '/etc/swarmboot/swarmboot.json';

/** Where the schema lies, for editors. */
const SCHEMA_KEY = '$schema';

/** A file that was found right. */
type Config = Readonly<Record<string, Setting | Settings>>;
type Commands = readonly Pick<Command, 'name' | 'summary' | 'options'>[];

/** The kinds of option: how a value of each looks in the file, as a schema and in words. */
const KINDS: Readonly<
  Record<Option['kind'], { schema: object; wanted: string; fits(value: unknown): boolean }>
> = {
  text: { schema: { type: 'string', minLength: 1 }, wanted: 'a text, "..."', fits: isText },
  number: {
    schema: { type: 'number', minimum: 0 },
    wanted: 'a number, 0 or more, without quotes',
    fits: (value) => typeof value === 'number' && value >= 0,
  },
  flag: {
    schema: { type: 'boolean' },
    wanted: 'true or false, without quotes',
    fits: (value) => typeof value === 'boolean',
  },
  list: {
    schema: { type: 'array', items: { type: 'string', minLength: 1 } },
    wanted: 'a list of texts, ["...", "..."]',
    fits: (value) => Array.isArray(value) && value.every(isText),
  },
};

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

/**
 * Reads `named`, or else `usual`, which need not be there. Throws a usage error that lists all that is wrong with the file.
 */
export function readConfig(named: string | null, usual: string | null, commands: Commands): Config {
  const file = named ?? usual;
  if (file === null) return {};
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (named === null && isAbsence(error)) return {};
    const next = named === null ? 'make it readable, or remove it' : 'correct --config';
    throw usage(`cannot read ${file} (${messageOf(error)}); ${next}`);
  }
  const faults: string[] = [];
  let config: unknown;
  try {
    config = JSON.parse(text);
    faults.push(...faultsOf(config, commands));
  } catch (error) {
    faults.push(`it is no JSON: ${messageOf(error)}`);
  }
  if (faults.length === 0) return config as Config;
  const list = faults.map((fault) => `\n  ${fault}`).join('');
  throw usage(
    `${file} is wrong:${list}\n  Correct it and try again; swarmboot.json(5) tells what it may hold.`,
  );
}

/** What the file sets for one command. */
export function settingsOf(config: Config, command: Pick<Command, 'name' | 'options'>): Settings {
  const names = command.options.map(({ name }) => name);
  // An object is for the command of that name, which may be an option of this one as well.
  const common = Object.entries(config).filter(([key, value]) => names.includes(key) && !isObject(value));
  return { ...(Object.fromEntries(common) as Settings), ...(config[command.name] as Settings | undefined) };
}

/** The options that may stand at the top: those that several commands have, with the same kind of value. */
export function commonOptions(commands: Commands): readonly Option[] {
  const all = commands.flatMap(({ options }) => options);
  return [...Map.groupBy(all, ({ name }) => name).values()]
    .filter((same) => same.length > 1 && same.every(({ kind }) => kind === same[0]!.kind))
    .map((same) => same[0]!);
}

/** The text of docs/swarmboot.schema.json. */
export function formatConfigSchema(commands: Commands): string {
  const described = (option: Option, help: string) => ({ description: help, ...KINDS[option.kind].schema });
  const common = commonOptions(commands).map((option) => {
    const users = commands.filter(({ options }) => options.some(({ name }) => name === option.name));
    return [option.name, described(option, `for ${users.map(({ name }) => name).join(', ')}`)] as const;
  });
  const own = commands.map(({ name, summary, options }) => [
    name,
    fields(
      summary,
      options.map((option) => [option.name, described(option, option.help)]),
    ),
  ]);
  const head = { $schema: 'https://json-schema.org/draft/2020-12/schema', title: 'Swarmboot configuration' };
  const schemaKey = [SCHEMA_KEY, { description: 'where this schema lies, for editors', type: 'string' }];
  const whole = fields('options of swarmboot COMMAND', [schemaKey, ...common, ...own]);
  return `${JSON.stringify({ ...head, ...whole }, null, 2)}\n`;
}

function fields(description: string, properties: readonly (readonly unknown[])[]): object {
  const named = Object.fromEntries(properties.map(([name, schema]) => [name, schema]));
  return { description, type: 'object', additionalProperties: false, properties: named };
}

/** Everything that is wrong. */
function faultsOf(config: unknown, commands: Commands): string[] {
  if (!isObject(config)) return ['it is no JSON object: { "OPTION": VALUE, "COMMAND": { "OPTION": VALUE } }'];
  const common = commonOptions(commands);
  const names = [...common, ...commands].map(({ name }) => name);
  return Object.entries(config).flatMap(([key, value]) => {
    const command = commands.find(({ name }) => name === key);
    if (key === SCHEMA_KEY) return [];
    if (command === undefined && !names.includes(key)) return [unknownKey(key, names, commands)];
    if (command === undefined) return faultsOfValue(key, value, common.find(({ name }) => name === key)!);
    if (!isObject(value))
      return [`${key} is ${show(value)}; wanted: an object of its options, { "OPTION": VALUE }`];
    return Object.entries(value).flatMap(([name, setting]) => {
      const option = command.options.find((row) => row.name === name);
      if (option !== undefined) return faultsOfValue(`${key}.${name}`, setting, option);
      const known = command.options.map((row) => row.name);
      return [`${key}.${name} is no option of swarmboot ${key}; ${suggestion(name, known)}`];
    });
  });
}

function faultsOfValue(key: string, value: unknown, option: Option): string[] {
  const { fits, wanted } = KINDS[option.kind];
  return fits(value) ? [] : [`${key} is ${show(value)}; wanted: ${wanted}`];
}

function unknownKey(key: string, names: readonly string[], commands: Commands): string {
  const owners = commands.filter(({ options }) => options.some(({ name }) => name === key));
  // Of one command, or of several kinds: it has no place at the top.
  if (owners.length > 0)
    return `${key} is for one command; set it below ${owners.map(({ name }) => `"${name}"`).join(' or ')}`;
  return `${key} is neither an option nor a command; ${suggestion(key, names)}`;
}

function show(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length <= 60 ? text : `${text.slice(0, 60)}...`;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isAbsence(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
