import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { files, text } from './sources.ts';

const CODE = files('.ts').filter((path) => !path.startsWith('test/tidy/'));
const WORDS = [
  ...CODE,
  ...files('.md'),
  ...files('.json').filter((path) => path !== 'package-lock.json'),
  'Makefile',
  '.ci/run',
  '.npmrc',
];

/** `path:line: the line` for every line that matches. */
function lines(paths: readonly string[], pattern: RegExp): string[] {
  return paths.flatMap((path) =>
    text(path)
      .split('\n')
      .flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [])),
  );
}

// How long a function may be is Biome's to say (biome.json).
test('files stay under 400 lines', () => {
  deepEqual(
    files('.ts')
      .map((path) => `${path}: ${text(path).split('\n').length - 1}`)
      .filter((line) => Number(line.split(': ')[1]) >= 400),
    [],
  );
});

test('no test is skipped for good, marked as the only one, or left to do', () => {
  deepEqual(
    lines(
      files('.test.ts', 'test'),
      /\b(?:test|it|describe|suite)\.(?:skip|only|todo)\b|\b(?:only|todo): |\bskip: (?:true|'|")/,
    ).filter((line) => !line.startsWith('test/tidy/')),
    [],
  );
});

test('nothing is left for later in a comment', () => {
  deepEqual(lines([...CODE, 'Makefile'], /\b(?:TODO|FIXME|XXX|HACK)\b/), []);
});

test('types hold everywhere: no check is switched off', () => {
  deepEqual(lines(CODE, /@ts-(?:ignore|nocheck|expect-error)|\bas unknown as\b|\bas any\b/), []);
});

test('no host name of a package registry or mirror, in any file', () => {
  deepEqual(
    lines(
      [...WORDS, 'package-lock.json'],
      /\b(?:registry\.|deb\.debian|snapshot\.debian|archive\.ubuntu|npmjs)/,
    ),
    [],
  );
});

test('no path of a home or a workplace', () => {
  deepEqual(lines([...WORDS, 'package-lock.json'], /(?:^|[\s'"`(=:])\/(?:home\/|root\/|work\/|Users\/)/), []);
});

test('every source file opens by saying what it is for', () => {
  deepEqual(
    files('.ts', 'agent', 'initrd-builder', 'scripts')
      .filter((path) => !path.endsWith('.d.ts'))
      .filter((path) => !/^(?:#!.*\n)?(?:\/\/ |\/\*\*)/.test(text(path))),
    [],
  );
});

test('benchmarks are no unit tests: nothing there ends in .test.ts', () => {
  deepEqual(
    files('.test.ts').filter((path) => /^test\/bench\//.test(path)),
    [],
  );
});
