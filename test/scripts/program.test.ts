import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import test from 'node:test';
import { promisify } from 'node:util';
import { SwarmbootError } from '../../agent/core/errors.ts';
import type { Arguments, Command, Option } from '../../scripts/command.ts';
import { runCommand } from '../../scripts/program.ts';
import { scratch } from '../content.ts';
import { PROGRAM } from './commands.ts';

const OPTIONS: readonly Option[] = [
  { name: 'repo', kind: 'text', value: 'DIR', help: 'the repository', default: '/var/lib/swarmboot' },
  { name: 'announce', kind: 'list', value: 'URL', help: 'a tracker' },
];

interface Outcome {
  status: number;
  out: string;
  err: string;
}

async function run(
  argv: readonly string[],
  work: (args: Arguments) => void,
  signal?: AbortSignal,
  configFile: string | null = null,
): Promise<Outcome> {
  const out = new PassThrough();
  const err = new PassThrough();
  const command: Command = {
    name: 'greet',
    synopsis: 'NAME',
    summary: 'Greets.',
    options: OPTIONS,
    run: async (args) => work(args),
  };
  const terminal = { out, err, signal: signal ?? new AbortController().signal };
  const status = await runCommand([command], '1.2.3', argv, terminal, configFile);
  return { status, out: String(out.read() ?? ''), err: String(err.read() ?? '') };
}

const neverRuns = () => assert.fail('the command ran');

test('help is printed for all and for each, from the tables', async () => {
  const all = await run(['--help'], neverRuns);
  assert.equal(all.status, 0);
  assert.match(all.out, /greet +Greets\./);
  const one = await run(['greet', '--help'], neverRuns);
  assert.match(one.out, /usage: swarmboot greet NAME/);
  assert.match(one.out, /--repo DIR +the repository \(default \/var\/lib\/swarmboot\)/);
  assert.match(one.out, /--announce URL\.\.\. +a tracker/);
  assert.equal((await run(['--version'], neverRuns)).out, 'swarmboot 1.2.3\n');
});

test('the file at the usual place is read if it is there, a named one must be', async (t) => {
  const usual = join(scratch(t), 'swarmboot.json');
  const repo = async (...words: string[]) => {
    let found: string | undefined;
    const work = (args: Arguments) => {
      found = args.text('repo');
    };
    return { ...(await run(['greet', ...words], work, undefined, usual)), repo: found };
  };
  assert.equal((await repo()).repo, '/var/lib/swarmboot');
  writeFileSync(usual, '{ "greet": { "repo": "/srv/a" } }');
  assert.equal((await repo()).repo, '/srv/a');
  assert.equal((await repo('--repo', '/srv/b')).repo, '/srv/b');
  const other = join(scratch(t), 'other.json');
  const absent = await repo('--config', other);
  assert.equal(absent.status, 2);
  assert.match(absent.err, /^swarmboot greet: cannot read .*other\.json \(ENOENT.*\); correct --config\n$/);
  writeFileSync(other, '{ "greet": { "repo": "/srv/c" } }');
  assert.equal((await repo('--config', other)).repo, '/srv/c');
  writeFileSync(usual, '{ "greet": { "repo": 3 } }');
  const wrong = await repo();
  assert.equal(wrong.status, 2);
  assert.match(wrong.err, /swarmboot\.json is wrong:\n {2}greet\.repo is 3; wanted: a text/);
  // Help is for those who have to mend it.
  assert.equal((await repo('--help')).status, 0);
});

test('the exit status comes from the code of the fault', async () => {
  const torrent = () => {
    throw new SwarmbootError('torrent', 'bad; x.torrent; make it again');
  };
  assert.deepEqual(await run(['greet'], torrent), {
    status: 1,
    out: '',
    err: 'swarmboot greet: bad; x.torrent; make it again\n',
  });
  const unknown = await run(['gret'], neverRuns);
  assert.equal(unknown.status, 2);
  assert.match(unknown.err, /did you mean greet/);
  assert.equal((await run([], neverRuns)).status, 2);
  const ours = await run(['greet'], () => assert.fail('ours'));
  assert.equal(ours.status, 1);
});

test('a command that a signal stopped says so', async () => {
  const reason = new SwarmbootError('interrupted', 'stopped by SIGINT');
  const stopped = await run(['greet'], () => assert.fail('aborted'), AbortSignal.abort(reason));
  assert.deepEqual([stopped.status, stopped.err], [14, 'swarmboot greet: stopped by SIGINT\n']);
});

test('the program itself lists its commands', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, '--help']);
  assert.match(stdout, /usage: swarmboot COMMAND/);
});
