import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Command } from '../../agent/core/command.ts';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { absentPrograms, runCommand } from '../../agent/io/command.ts';

const NEVER = new AbortController().signal;

/** A command of the shell, which only tests may use. */
const sh = (script: string, more: Partial<Command> = {}): Command => ({
  argv: ['/bin/sh', '-c', script],
  why: 'try it',
  ...more,
});

async function run(command: Command, signal = NEVER): Promise<{ output: string; told: string[] }> {
  const told: string[] = [];
  const output = await runCommand(command, 'system', signal, (line) => told.push(line));
  return { output, told };
}

const fault = (code: string, reason: RegExp) => (error: unknown) => {
  ok(error instanceof SwarmbootError, String(error));
  equal(error.code, code);
  match(error.message, reason);
  return true;
};

test('a command is told with every line of both its outputs', async () => {
  const { output, told } = await run(sh('echo one; echo two >&2; printf three'));
  deepEqual(output.split('\n').sort(), ['', 'one', 'three', 'two']);
  equal(told[0], "$ /bin/sh -c 'echo one; echo two >&2; printf three'");
  deepEqual(told.slice(1).sort(), ['  one', '  three', '  two']);
});

test('the environment is clean, but for what the command adds', async () => {
  process.env.SWARMBOOT_TEST_LEAK = 'y';
  const { output } = await run({ argv: ['/usr/bin/env'], env: { ADDED: 'a b' }, why: 'look' });
  deepEqual(output.trimEnd().split('\n').sort(), [
    'ADDED=a b',
    'HOME=/',
    'LC_ALL=C',
    'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  ]);
});

test('standard input is text, bytes, or empty', async () => {
  equal((await run(sh('cat', { input: 'a\nb' }))).output, 'a\nb\n');
  equal((await run(sh('od -An -tx1', { input: Uint8Array.of(0xcd, 0x18) }))).output.trim(), 'cd 18');
  equal((await run(sh('cat'))).output, '');
});

test('one that does not read its input fails by its status alone', async () => {
  equal((await run(sh('exec <&-; echo done', { input: 'x'.repeat(1e6) }))).output, 'done\n');
});

test('arguments are never read by a shell', async () => {
  const words = ['$HOME', '`id`', ';', "it's", '*'];
  equal(
    (await run({ argv: ['/usr/bin/printf', '%s\\n', ...words], why: 'say' })).output,
    `${words.join('\n')}\n`,
  );
});

test('a failure tells what it was for, the command, the status and the last lines', async () => {
  await rejects(
    runCommand(sh('for i in $(seq 30); do echo line $i; done; exit 3'), 'disk', NEVER, () => {}),
    fault(
      'disk',
      /^cannot try it: `\/bin\/sh -c '.*'` ended with status 3:\nline 19\n(?:line \d+\n)+line 30\n; the log/,
    ),
  );
  await rejects(run(sh('kill -9 $$')), fault('system', /was ended by SIGKILL and said nothing;/));
  await rejects(
    run({ argv: ['/nowhere/mkfs'], why: 'make it' }),
    fault('system', /^cannot make it: `\/nowhere\/mkfs` could not be started \(.*ENOENT/),
  );
});

test('of much output the end is kept, and no control character reaches the log', async () => {
  const { output, told } = await run(sh('yes 0123456789 | head -c 200000; printf "\\n\\033[2Jend\\n"'));
  equal(output.length, 64 * 1024);
  ok(output.endsWith('\u001b[2Jend\n'));
  equal(told.at(-1), '  \\u001b[2Jend');
});

test('one that runs too long is ended, with all that it has started', async () => {
  const told: string[] = [];
  const command = sh('sleep 30 & echo $!; sleep 30', { timeoutMs: 200 });
  await rejects(
    runCommand(command, 'system', NEVER, (line) => told.push(line)),
    fault('system', /`\/bin\/sh .*` did not end within 0:00:\n\d+\n/),
  );
  const stat = join('/proc', told[1]!.trim(), 'stat');
  ok(!existsSync(stat) || / Z /.test(readFileSync(stat, 'utf8')));
});

test('an abort ends it with the reason of the abort', async () => {
  const stop = new AbortController();
  const reason = new SwarmbootError('interrupted', 'stopped');
  const told: string[] = [];
  const running = runCommand(sh('echo ready; sleep 30'), 'system', stop.signal, (line) => {
    told.push(line);
    if (line === '  ready') stop.abort(reason);
  });
  await rejects(running, (error) => error === reason);
  await rejects(run(sh('true'), stop.signal), (error) => error === reason);
});

test('what it leaves behind does not hold the install', async () => {
  const { output } = await run(sh('sleep 3 & echo $!'));
  process.kill(Number(output), 'SIGKILL');
});

test('the programs that are not here are named once', () => {
  deepEqual(
    absentPrograms([sh(''), { argv: ['/no/such'], why: '' }, { argv: ['/no/such', '-x'], why: '' }]),
    ['/no/such'],
  );
});
