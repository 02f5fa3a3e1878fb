// Every attack archive is unpacked as an image and as BOEL binaries, among canaries: none of them may reach one.

import { equal } from 'node:assert/strict';
import { after, test } from 'node:test';
import { type Attack, attacked, Tally } from './arena.ts';
import { BOUNDS, expectedOf, GOOD } from './bounds.ts';
import { HEADERS } from './headers.ts';
import { LINKS } from './links.ts';
import { NAMES } from './names.ts';
import { TARGETS } from './targets.ts';

const tally = new Tally();
after(() => console.log(String(tally)));

for (const [title, attack] of Object.entries({ ...NAMES, ...LINKS, ...TARGETS, ...HEADERS, ...BOUNDS })) {
  test(title, (t) => attacked(t, attack, tally));
}

const WHOLE = { unpackedSize: 701, entryCount: 3 };

for (const compression of ['none', 'gzip', 'zstd'] as const) {
  const whole = GOOD[compression];
  // Cut within the last byte of the archive at the latest: a bare archive may lack nothing of its end.
  const cuts = Array.from({ length: 50 }, (_, step) => Math.floor((whole.length * step) / 50));

  test(`${compression}: a tarball cut at 50 places is refused, by the hash that the catalog says`, async (t) => {
    for (const cut of cuts) {
      const bytes = whole.subarray(0, cut);
      const expected = expectedOf(whole, WHOLE);
      const end = /the tarball ends after \d+ of \d+ bytes|ends too early|data are damaged/;
      await attacked(t, { bytes: () => bytes, compression, expected, end, chunkSizes: [512] }, tally);
    }
  });

  test(`${compression}: a tarball cut at 50 places is refused though the catalog says its hash`, async (t) => {
    for (const cut of cuts) {
      const bytes = whole.subarray(0, cut);
      const expected = expectedOf(bytes, WHOLE);
      const end = /ends too early|data are damaged/;
      await attacked(t, { bytes: () => bytes, compression, expected, end, chunkSizes: [512] }, tally);
    }
  });

  test(`${compression}: a tarball with a bit flipped at 50 places is refused, by its hash`, async (t) => {
    for (const at of cuts) {
      const bytes = Uint8Array.from(whole, (byte, index) => (index === at ? byte ^ 1 : byte));
      const expected = expectedOf(whole, WHOLE);
      await attacked(t, { bytes: () => bytes, compression, expected, end: /./, chunkSizes: [512] }, tally);
    }
  });

  test(`${compression}: the whole tarball is taken`, async (t) => {
    const attack: Attack = {
      bytes: () => whole,
      compression,
      expected: expectedOf(whole, WHOLE),
      end: 'confined',
      leaves: ['d', 'd/f', 'g'],
    };
    await attacked(t, attack, tally);
  });
}

test('no archive escaped', () => {
  equal(tally.escapes, 0);
});
