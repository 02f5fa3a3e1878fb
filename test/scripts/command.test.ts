import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { PassThrough } from 'node:stream';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { SwarmbootError } from '../../agent/core/errors.ts';
import {
  type Arguments,
  type Command,
  expectWords,
  type Option,
  parseArguments,
  runCommand,
} from '../../scripts/command.ts';

const OPTIONS: readonly Option[] = [
  { name: 'repo', kind: 'text', value: 'DIR', help: 'the repository', default: '/var/lib/swarmboot' },
  { name: 'port', kind: 'number', help: 'where to listen', default: 8080 },
  { name: 'announce', kind: 'list', value: 'URL', help: 'a tracker' },
  { name: 'json', kind: 'flag', help: 'print JSON' },
];

function refused(argv: readonly string[]): string {
  try {
    parseArguments(argv, OPTIONS);
  } catch (error) {
    assert(error instanceof SwarmbootError && error.code === 'usage');
    return error.message;
  }
  assert.fail(`accepted: ${argv.join(' ')}`);
}

test('options are read by the table, words keep their order and stay text', () => {
  const args = parseArguments(
    [
      '12',
      '--repo',
      '/srv',
      '--announce=http://a/announce',
      'b',
      '--announce',
      'udp://b',
      '--json',
      '--',
      '--x',
    ],
    OPTIONS,
  );
  assert.deepEqual(args.words, ['12', 'b', '--x']);
  assert.equal(args.text('repo'), '/srv');
  assert.equal(args.number('port'), 8080);
  assert.deepEqual(args.list('announce'), ['http://a/announce', 'udp://b']);
  assert.equal(args.flag('json'), true);
});

test('defaults hold for what is not given', () => {
  const args = parseArguments([], OPTIONS);
  assert.equal(args.text('repo'), '/var/lib/swarmboot');
  assert.deepEqual(args.list('announce'), []);
  assert.equal(args.flag('json'), false);
});

test('an unknown option names the nearest right one, or all of them', () => {
  assert.match(refused(['--rep', 'x']), /no option --rep; did you mean --repo\?/);
  assert.match(refused(['--frobnicate']), /there are: --repo, --port, --announce, --json/);
  assert.match(refused(['-x']), /no option -x/);
});

test('missing, doubled and malformed values are refused', () => {
  assert.match(refused(['--repo']), /--repo wants a value: --repo DIR/);
  assert.match(refused(['--repo', '--json']), /--repo wants a value/);
  assert.match(refused(['--no-repo']), /--repo wants a value/);
  assert.match(refused(['--repo', 'a', '--repo', 'b']), /more than once/);
  assert.match(refused(['--port', 'http']), /--port wants a number, not "http"/);
});

test('a command gets exactly the words of its synopsis', () => {
  const words = (...argv: string[]) => expectWords(parseArguments(argv, OPTIONS), 'NAME');
  assert.deepEqual(words('debian'), ['debian']);
  assert.throws(() => words(), /NAME is missing/);
  assert.throws(() => words('a', 'b'), /too many words: "b"/);
});

interface Outcome {
  status: number;
  out: string;
  err: string;
}

async function run(
  argv: readonly string[],
  work: (args: Arguments) => void,
  signal?: AbortSignal,
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
  const status = await runCommand([command], '1.2.3', argv, terminal);
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
  const program = fileURLToPath(new URL('../../scripts/swarmboot.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [program, '--help']);
  assert.match(stdout, /usage: swarmboot COMMAND/);
});
