// SECURITY.md names tests for what it promises: each of them exists, and no row is without one or a reason.

import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { files, text } from './sources.ts';

const ROWS = 30;
const rows = text('SECURITY.md')
  .split('\n')
  .filter((line) => /^\| \d+ \|/.test(line))
  .map((line) => line.split('|').map((cell) => cell.trim()));

test('every threat has its row, in order', () => {
  deepEqual(
    rows.map(([, number]) => Number(number)),
    Array.from({ length: ROWS }, (_, index) => index + 1),
  );
});

test('every row names a test or says why there is none', () => {
  for (const [, number, , holds, shown] of rows) {
    if (!/^Not yet: .{10,}/.test(shown!))
      ok(holds!.length > 10 && shown!.includes('.test.ts: '), `row ${number}`);
  }
});

test('every test that is named exists', () => {
  const known = new Set(files('.test.ts'));
  let count = 0;
  for (const [, number, , , shown] of rows) {
    for (const name of shown!.split('<br>').filter((part) => !part.startsWith('Not yet: '))) {
      const [file, title] = [name.slice(0, name.indexOf(': ')), name.slice(name.indexOf(': ') + 2)];
      ok(known.has(file), `row ${number}: no ${file}`);
      ok(text(file).includes(`'${title}'`), `row ${number}: ${file} has no test '${title}'`);
      count++;
    }
  }
  equal(count > ROWS, true);
});
