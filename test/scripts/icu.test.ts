import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { keepEnglish } from '../../scripts/icu.ts';
import { scratch } from '../content.ts';

const SAYS = `
  const german = new Intl.DateTimeFormat('de', { dateStyle: 'full' }).format(0);
  console.log([
    new Date(0).toLocaleString(), new Date(0).toString(), (1234567.891).toLocaleString(), german,
    Intl.DateTimeFormat().resolvedOptions().timeZone, 'é'.normalize('NFD').length, 'ﬁ'.normalize('NFKC'),
    ['z', 'é', 'a'].sort((a, b) => a.localeCompare(b)).join(''), new URL('http://bücher.test/').host,
    new TextDecoder('utf-16le').encoding, /\\p{Lu}/u.test('É'),
    [...new Intl.Segmenter('en', { granularity: 'word' }).segment('two words')].length,
  ].join('\\n'));
`;

test('Node with English alone writes dates, numbers and words as before, and other languages in English', (t) => {
  const node = readFileSync(process.execPath);
  const kept = keepEnglish(node);
  assert.ok(kept > 1e6 && kept < 4e6, `${kept} bytes kept`);
  const path = join(scratch(t), 'node');
  writeFileSync(path, node, { mode: 0o755 });
  const said = execFileSync(path, ['-e', SAYS], { encoding: 'utf8', env: { TZ: 'UTC' } });
  assert.deepEqual(said.trim().split('\n'), [
    '1/1/1970, 12:00:00 AM',
    'Thu Jan 01 1970 00:00:00 GMT+0000 (Coordinated Universal Time)',
    '1,234,567.891',
    'Thursday, January 1, 1970',
    'UTC',
    '2',
    'fi',
    'aéz',
    'xn--bcher-kva.test',
    'utf-16le',
    'true',
    '3',
  ]);
});

test('an executable without the data is not taken for one with it', () => {
  assert.throws(() => keepEnglish(Buffer.alloc(1000)), /0 packages of ICU's data in this Node/);
});
