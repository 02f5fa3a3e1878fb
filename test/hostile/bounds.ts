// Attack archives that are too much: bombs, members and headers without end, more than the catalog says; and archives
// that are too little, or that go on where they should have ended.

import { createHash } from 'node:crypto';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import type { ExpectedTarball } from '../../agent/io/extract.ts';
import { archive, gnuLong, header, joined, member, pax, sparse } from '../core/archives.ts';
import type { Attack, End } from './arena.ts';
import { file, folder } from './links.ts';

const MIB = 1024 * 1024;

/** What a catalog would say of `bytes`, but for these changes. */
export function expectedOf(bytes: Uint8Array, changes: Partial<ExpectedTarball> = {}): ExpectedTarball {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { size: bytes.length, sha256, unpackedSize: 1000, entryCount: 1000, ...changes };
}

/** These very bytes, of a catalog that says what they are, but for their content. */
function raw(end: End, make: () => Uint8Array, more: Partial<Attack> = {}): Attack {
  const bytes = make();
  return { bytes: () => bytes, end, expected: expectedOf(bytes), ...more };
}

const UNPACKS_TO_MORE = /member ".*": the archive unpacks to more than the catalog's 1000 bytes/;
const GARBAGE =
  /garbage follows the (?:end of the archive|gzip data|zstd data)|members follow the end|data are damaged|broken record/;
const TOO_EARLY = /the archive ends too early, near byte \d+ of the archive/;
const HEADERS_TOO_LARGE = /headers of more than 1 MiB, near byte \d+ of the archive|Header exceeds max size/;

/** `count` records of one header. */
function repeated(record: Uint8Array, count: number): Uint8Array {
  const whole = new Uint8Array(record.length * count);
  for (let at = 0; at < whole.length; at += record.length) whole.set(record, at);
  return whole;
}

const zeros = new Uint8Array(16 * MIB);
const bomb = joined(header({ name: 'zeros', size: zeros.length }), zeros);
const good = archive(folder('d'), file('d/f', 'x'.repeat(700)), file('g'));

const BOMBS: Readonly<Record<string, Attack>> = {
  'node-tar CVE-2026-59873: a gzip bomb': raw(UNPACKS_TO_MORE, () => gzipSync(bomb), { compression: 'gzip' }),
  'a zstd bomb': raw(UNPACKS_TO_MORE, () => zstdCompressSync(bomb), { compression: 'zstd' }),
  'a bomb of small files': raw(
    UNPACKS_TO_MORE,
    () => archive(...Array.from({ length: 300 }, (_, index) => file(`f${index}`, 'x'.repeat(10)))),
    {},
  ),
  'a bomb of holes': raw(UNPACKS_TO_MORE, () =>
    archive(sparse(2 ** 50, [[2 ** 50, 0]]), member({ name: 'f' })),
  ),
  'a bomb behind the end of the archive': raw(
    /zeros without end follow the archive/,
    () => gzipSync(joined(good, zeros)),
    { compression: 'gzip' },
  ),
  'a bomb of zeros alone': raw(/zeros without end follow the archive/, () => zstdCompressSync(zeros), {
    compression: 'zstd',
  }),
  'a hundred thousand members more than the catalog says': raw(
    /the archive holds more than the 1000 members of the catalog/,
    () => zstdCompressSync(archive(repeated(header({ name: 'd/', flag: '5', mode: 0o755 }), 101_000))),
    { compression: 'zstd' },
  ),
  'node-tar CVE-2024-28863: folders that go deeper and deeper': raw(/deeper than 256 directories/, () =>
    archive(...[1, 100, 200, 256, 257, 1000].map(deepFolder)),
  ),
};

function deepFolder(depth: number): Uint8Array {
  return joined(pax([['path', 'd/'.repeat(depth)]]), header({ flag: '5', mode: 0o755 }));
}

const ENDLESS: Readonly<Record<string, Attack>> = {
  'Go CVE-2022-2879: a pax header of 2 MiB': endless(() =>
    archive(pax([['comment', 'x'.repeat(2 * MIB)]]), file('f')),
  ),
  'Go CVE-2022-2879: a pax header of 8 MiB': endless(() =>
    archive(pax([['comment', 'x'.repeat(8 * MIB)]]), file('f')),
  ),
  'a pax header that says it is of many GiB': endless(() =>
    archive(header({ flag: 'x', sizeField: '77777777777\0' }), file('f')),
  ),
  'a GNU long name of 2 MiB': endless(() => archive(gnuLong('L', 'x'.repeat(2 * MIB)), file('f'))),
  'a GNU long link of 2 MiB': endless(() => archive(gnuLong('K', 'x'.repeat(2 * MIB)), file('f'))),
  'global pax headers without end': endless(() =>
    archive(repeated(pax([['comment', 'x'.repeat(9000)]], 'g'), 300), file('f')),
  ),
  'small global pax headers without end': endless(() =>
    archive(repeated(pax([['comment', 'x']], 'g'), 2000), file('f')),
  ),
};

/** In larger pieces: what is held of headers is copied with each. */
function endless(make: () => Uint8Array): Attack {
  return raw(HEADERS_TOO_LARGE, make, { chunkSizes: [16_384, 65_536] });
}

const ENDS: Readonly<Record<string, Attack>> = {
  'an archive without its end': raw(TOO_EARLY, () => file('f')),
  'an archive with half of its end': raw(TOO_EARLY, () => joined(file('f'), new Uint8Array(512))),
  'an archive of nothing': raw(TOO_EARLY, () => new Uint8Array(0)),
  'a member behind the end': raw(GARBAGE, () => joined(good, file('worm'))),
  'a member behind half of an end': raw(/garbage follows the end|follow the end of the archive/, () =>
    joined(file('f'), new Uint8Array(512), file('worm'), new Uint8Array(1024)),
  ),
  'a second archive behind the first': raw(GARBAGE, () => joined(good, archive(file('../canary/worm')))),
  'a few bytes behind the end': raw(GARBAGE, () => joined(good, Uint8Array.of(1, 2, 3))),
  'a few zeros behind the end': raw(/a broken record follows the archive/, () =>
    joined(good, new Uint8Array(3)),
  ),
  'a second archive behind the gzip data': raw(
    GARBAGE,
    () => joined(gzipSync(good), archive(file('../worm'))),
    {
      compression: 'gzip',
    },
  ),
  'a second archive in a gzip member of its own': raw(
    GARBAGE,
    () => joined(gzipSync(good), gzipSync(archive(file('../worm')))),
    { compression: 'gzip' },
  ),
  'a second archive behind the zstd data': raw(
    GARBAGE,
    () => joined(zstdCompressSync(good), archive(file('../worm'))),
    {
      compression: 'zstd',
    },
  ),
  'a second archive in a zstd frame of its own': raw(
    GARBAGE,
    () => joined(zstdCompressSync(good), zstdCompressSync(archive(file('../worm')))),
    { compression: 'zstd' },
  ),
  'fewer members than the catalog says': raw(
    /holds 3 members of 701 bytes where the catalog says 1000 of 1000/,
    () => good,
  ),
};

export const BOUNDS: Readonly<Record<string, Attack>> = { ...BOMBS, ...ENDLESS, ...ENDS };

/** The good archive, packed in each way. */
export const GOOD = { none: good, gzip: gzipSync(good), zstd: zstdCompressSync(good) } as const;
