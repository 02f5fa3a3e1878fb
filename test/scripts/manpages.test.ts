import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { EXIT_STATUS } from '../../agent/core/errors.ts';
import { PARAMETER_NAMES } from '../../agent/core/params.ts';
import { parseArguments } from '../../scripts/command.ts';
import { COMMANDS } from '../../scripts/commands.ts';
import {
  agentPage,
  CONFIG_EXAMPLE,
  commandPage,
  configPage,
  EXAMPLES,
  exitRows,
} from '../../scripts/manpages.ts';
import { scratch } from '../content.ts';

const MANDOC = '/usr/bin/mandoc';
const IMPRINT = { version: '1.2.3', date: '2026-01-31' };
const PAGES: readonly (readonly [name: string, text: string])[] = [
  ['swarmboot.1', commandPage(COMMANDS, IMPRINT)],
  ['swarmboot.json.5', configPage(COMMANDS, IMPRINT)],
  ['swarmboot-agent.8', agentPage(IMPRINT)],
];
/** How a typewriter prints bold: a letter, back, the letter. */
const BACKSPACED = new RegExp(`.${String.fromCharCode(8)}`, 'g');
const DOCS = join(import.meta.dirname, '../../docs');

/** The page as a terminal of great width shows it, without what is bold. */
function shown(name: string): string {
  const input = PAGES.find(([page]) => page === name)![1];
  const text = execFileSync(MANDOC, ['-T', 'ascii', '-O', 'width=200'], { input, encoding: 'utf8' });
  return text.replaceAll(BACKSPACED, '');
}

for (const [name, text] of PAGES) {
  test(`${name} is right to mandoc and to groff`, (t) => {
    const lint = spawnSync(MANDOC, ['-T', 'lint', '-W', 'warning'], { input: text, encoding: 'utf8' });
    equal(lint.stdout + lint.stderr, '');
    const file = join(scratch(t), name);
    writeFileSync(file, text);
    const groff = spawnSync('/usr/bin/groff', ['-man', '-ww', '-z', '-T', 'utf8', file], {
      encoding: 'utf8',
    });
    equal(groff.stderr, '');
  });
}

test('swarmboot(1) has every command with its options, and every exit status', () => {
  const page = shown('swarmboot.1');
  for (const { name, options } of COMMANDS) {
    match(page, new RegExp(`^ +swarmboot ${name} `, 'm'));
    for (const option of options) ok(page.includes(`--${option.name}`), option.name);
  }
  for (const [, status] of Object.entries(EXIT_STATUS)) match(page, new RegExp(`^ +${status} +\\w`, 'm'));
  ok(page.includes('--repo DIR'));
});

test('swarmboot-agent(8) has every parameter', () => {
  const page = shown('swarmboot-agent.8');
  for (const name of PARAMETER_NAMES) ok(page.includes(name), name);
});

test('what an example shows can be typed', () => {
  for (const [line] of EXAMPLES) {
    const words = [...line.matchAll(/'([^']*)'|(\S+)/g)]
      .map(([, quoted, bare]) => quoted ?? bare ?? '')
      .slice(1);
    const command = COMMANDS.find(({ name }) => words.join(' ').startsWith(name))!;
    ok(parseArguments(words.slice(command.name.split(' ').length), command.options));
  }
});

test('docs/admin.md has the table of exit statuses, and the example of the configuration', () => {
  const text = readFileSync(join(DOCS, 'admin.md'), 'utf8');
  const rows = [...text.matchAll(/^\| (\d+) \| (\w+) \| (.*) \|$/gm)].map(([, status, code, meaning]) => [
    Number(status),
    code,
    meaning,
  ]);
  deepEqual(rows, exitRows());
  ok(text.includes(CONFIG_EXAMPLE));
});
