import { deepEqual, equal, match, ok, throws } from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { parseArguments } from '../../scripts/command.ts';
import { COMMANDS } from '../../scripts/commands.ts';
import { commonOptions, formatConfigSchema, readConfig, settingsOf } from '../../scripts/config.ts';
import { CONFIG_EXAMPLE } from '../../scripts/manpages.ts';
import { COMMON_OPTIONS } from '../../scripts/program.ts';
import { scratch } from '../content.ts';

interface Test {
  after(done: () => void): void;
}

/** The file with this text, read. */
function read(t: Test, text: string) {
  const file = join(scratch(t), 'swarmboot.json');
  writeFileSync(file, text);
  return readConfig(file, null, COMMANDS);
}

function refused(t: Test, text: string): string {
  try {
    read(t, text);
  } catch (error) {
    ok(error instanceof SwarmbootError && error.code === 'usage');
    return error.message;
  }
  throw new Error(`accepted: ${text}`);
}

/** What a command without flags finds set. */
function argumentsOf(name: string, config: ReturnType<typeof readConfig>) {
  const command = COMMANDS.find((one) => one.name === name)!;
  return parseArguments([], command.options, settingsOf(config, command));
}

test('an option at the top is for every command that has it, below a command for that one', (t) => {
  const config = read(
    t,
    '{ "$schema": "x", "repo": "/srv/a", "http-port": 81, "serve": { "http-port": 82 }, "node list": { "json": true } }',
  );
  const serve = argumentsOf('serve', config);
  deepEqual([serve.text('repo'), serve.number('http-port'), serve.number('peer-port')], ['/srv/a', 82, 6881]);
  equal(argumentsOf('pxe config', config).number('http-port'), 81);
  equal(argumentsOf('node list', config).flag('json'), true);
  equal(argumentsOf('list', config).flag('json'), false);
});

test('every option of every command can be set, by the value that its kind wants', (t) => {
  const values = { text: 'x', number: 1.5, flag: true, list: ['x', 'y'] };
  const config = Object.fromEntries(
    COMMANDS.map(({ name, options }) => [
      name,
      Object.fromEntries(options.map((option) => [option.name, values[option.kind]])),
    ]),
  );
  const found = read(t, JSON.stringify(config));
  for (const { name, options } of COMMANDS) {
    const args = argumentsOf(name, found);
    for (const option of options) equal(typeof args[option.kind](option.name), typeof values[option.kind]);
  }
});

test('what may stand at the top of the file has one meaning', (t) => {
  const names = [...COMMANDS, ...commonOptions(COMMANDS)].map(({ name }) => name);
  equal(new Set(names).size, names.length);
  // `list` is a command, and an option of another one.
  equal(argumentsOf('report', read(t, '{ "list": { "json": true } }')).flag('list'), false);
  const options = COMMANDS.flatMap((command) => command.options.map(({ name }) => name));
  for (const { name } of COMMON_OPTIONS) equal(options.includes(name), false, name);
});

test('unknown names are refused with the nearest right one', (t) => {
  match(
    refused(t, '{ "htp-port": 1 }'),
    /htp-port is neither an option nor a command; did you mean http-port\?/,
  );
  match(refused(t, '{ "serv": {} }'), /serv is neither .*; did you mean serve\?/);
  match(
    refused(t, '{ "serve": { "htpport": 1 } }'),
    /serve\.htpport is no option of swarmboot serve; did you mean http-port\?/,
  );
  match(refused(t, '{ "config": "x" }'), /config is neither/);
  match(refused(t, '{ "remove": { "frobnicate": 1 } }'), /; there are: repo\n/);
  // A flag of fetch, a number of simulate.
  match(refused(t, '{ "seed": true }'), /seed is for one command; set it below "fetch" or "simulate"/);
  match(refused(t, '{ "peer-port": 1 }'), /peer-port is for one command; set it below "serve"/);
  match(refused(t, '{ "peer-port": 1 }'), /peer-port is for one command; set it below "serve"/);
});

test('values of another kind are refused, all of them at once', (t) => {
  const text =
    '{ "repo": "", "http-port": "8081", "json": 1, "serve": 5, "publish": { "announce": "udp://a" } }';
  deepEqual(refused(t, text).split('\n').slice(1), [
    '  repo is ""; wanted: a text, "..."',
    '  http-port is "8081"; wanted: a number, 0 or more, without quotes',
    '  json is 1; wanted: true or false, without quotes',
    '  serve is 5; wanted: an object of its options, { "OPTION": VALUE }',
    '  publish.announce is "udp://a"; wanted: a list of texts, ["...", "..."]',
    '  Correct it and try again; swarmboot.json(5) tells what it may hold.',
  ]);
  match(refused(t, '{ "http-port": -1 }'), /http-port is -1/);
  match(refused(t, '[]'), /it is no JSON object/);
});

test('what is no JSON is refused with the place', (t) => {
  match(
    refused(t, '{\n  "repo": "/srv",\n}\n'),
    /swarmboot\.json is wrong:\n {2}it is no JSON: .*line 3 column 1/,
  );
  match(refused(t, ''), /it is no JSON/);
});

test('a file that is there and cannot be read is a fault', (t) => {
  const folder = join(scratch(t), 'swarmboot.json');
  mkdirSync(folder);
  throws(() => readConfig(null, folder, COMMANDS), /cannot read .*EISDIR.*; make it readable, or remove it/);
  deepEqual(readConfig(null, join(folder, 'absent'), COMMANDS), {});
});

test('the example of the manual is right', (t) => {
  equal(argumentsOf('serve', read(t, CONFIG_EXAMPLE)).number('upload-max'), 100_000);
});

test('the file of the Debian package is right, and changes nothing', () => {
  const file = join(import.meta.dirname, '../../scripts/debian/swarmboot.json');
  const config = readConfig(file, null, COMMANDS);
  for (const command of COMMANDS) {
    const set = settingsOf(config, command);
    for (const option of command.options) equal(set[option.name] ?? option.default, option.default);
  }
});

test('docs/swarmboot.schema.json is printed from the tables', () => {
  const printed = readFileSync(join(import.meta.dirname, '../../docs/swarmboot.schema.json'), 'utf8');
  equal(printed, formatConfigSchema(COMMANDS), 'print it again with `make manual`');
  const { properties } = JSON.parse(printed);
  const names = [...commonOptions(COMMANDS), ...COMMANDS].map(({ name }) => name);
  deepEqual(Object.keys(properties).sort(), ['$schema', ...names].sort());
});
