import assert from 'node:assert/strict';
import test from 'node:test';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { expectWords, type Option, parseArguments } from '../../scripts/command.ts';

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

test('settings stand in for what is not given, and only for that', () => {
  const settings = { repo: '/srv/x', port: 8081, announce: ['udp://a', 'udp://b'], json: true };
  const args = parseArguments([], OPTIONS, settings);
  assert.equal(args.text('repo'), '/srv/x');
  assert.equal(args.number('port'), 8081);
  assert.deepEqual(args.list('announce'), ['udp://a', 'udp://b']);
  assert.equal(args.flag('json'), true);
  const given = parseArguments(
    ['--repo=/y', '--port', '1', '--announce', 'udp://c', '--no-json'],
    OPTIONS,
    settings,
  );
  assert.equal(given.text('repo'), '/y');
  assert.equal(given.number('port'), 1);
  assert.deepEqual(given.list('announce'), ['udp://c']);
  assert.equal(given.flag('json'), false);
});
