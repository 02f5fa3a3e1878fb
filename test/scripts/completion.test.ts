import { deepEqual, ok } from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { COMMANDS } from '../../scripts/commands.ts';
import { bashCompletion } from '../../scripts/completion.ts';
import { scratch } from '../content.ts';

interface Test {
  after(done: () => void): void;
}

/** What a real bash offers for the last of the words, as it splits them itself. */
function completed(t: Test, ...words: readonly string[]): string[] {
  const folder = scratch(t);
  const script = join(folder, 'swarmboot');
  writeFileSync(script, bashCompletion(COMMANDS));
  mkdirSync(join(folder, 'here'));
  writeFileSync(join(folder, 'here', 'image.tar.zst'), '');
  mkdirSync(join(folder, 'here', 'image.d'));
  const ask = `source '${script}'; complete -p swarmboot | grep --quiet _swarmboot; cd '${folder}/here'
    COMP_WORDS=(swarmboot "$@") COMP_CWORD=$#; _swarmboot; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const out = execFileSync('/bin/bash', ['--norc', '-euc', ask, 'bash', ...words], { encoding: 'utf8' });
  return out.split('\n').filter((line) => line !== '');
}

test('the first word is a command', (t) => {
  deepEqual(completed(t, 'p'), ['publish', 'pxe']);
  const all = completed(t, '');
  for (const { name } of COMMANDS) ok(all.includes(name.split(' ')[0]!), name);
});

test('commands of two words are completed word by word', (t) => {
  deepEqual(completed(t, 'node', ''), ['arm', 'disarm', 'revoke', 'list']);
  deepEqual(completed(t, 'layout', 'c'), ['check']);
});

test('options are those of the command', (t) => {
  for (const { name, options } of COMMANDS) {
    const offered = completed(t, ...name.split(' '), '--');
    deepEqual(offered, [...options.map((option) => `--${option.name}`), '--config', '--help']);
  }
  deepEqual(completed(t, 'serve', '--http'), ['--http-port', '--https-port']);
});

test('values are words that the option knows, files, or nothing', (t) => {
  deepEqual(completed(t, 'publish', 'web', '--kind', ''), ['image', 'boel', 'override']);
  deepEqual(completed(t, 'publish', 'web', '--kind', '=', 'o'), ['override']);
  deepEqual(completed(t, 'pxe', 'config', '--mode', '='), ['proxy', 'dhcp', 'off']);
  deepEqual(completed(t, 'publish', 'web', '--from', 'im').sort(), ['image.d', 'image.tar.zst']);
  deepEqual(completed(t, 'unpack', 'image.t'), ['image.tar.zst']);
  deepEqual(completed(t, 'serve', '--http-port', ''), []);
  deepEqual(completed(t, 'nonsense', '--'), []);
});

test('a terminal completes by the tabulator', { timeout: 20_000 }, async (t) => {
  const file = join(scratch(t), 'swarmboot');
  writeFileSync(file, bashCompletion(COMMANDS));
  const shell = `TERM=dumb INPUTRC=/dev/null PS1='READY ' bash --norc --noprofile -i`;
  const child = spawn('/usr/bin/script', ['--quiet', '--command', shell, '/dev/null']);
  t.after(() => child.kill('SIGKILL'));
  let seen = '';
  child.stdout.on('data', (chunk: Buffer) => {
    seen += chunk.toString();
  });
  // Readline throws away what is typed before it is ready, and echoes what it completes.
  const typed: readonly (readonly [keys: string, until: RegExp])[] = [
    ['', /READY $/],
    [`source ${file}\n`, /READY [\s\S]*READY $/],
    ['swarmboot pub\t', /swarmboot publish $/],
    ['x --ki\t', /publish x --kind $/],
    ['im\t', /--kind image $/],
  ];
  for (const [keys, until] of typed) {
    child.stdin.write(keys);
    while (!until.test(seen)) await sleep(10);
  }
});
