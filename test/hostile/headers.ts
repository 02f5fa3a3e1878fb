// Attack archives whose headers are wrong, or right in one reading only: checksums, types, sizes, pax records, sparse maps.

import { gnuLong, header, joined, member, pax, sparse, sparseStored, storedMap } from '../core/archives.ts';
import { type Attack, either, refused } from './arena.ts';
import { file } from './links.ts';

const NO_HEADER = /no tar header is where one should be .*, near byte \d+ of the archive/;
const NO_SIZE = /its size is no number|no tar header is where one should be .*, near byte 0 of the archive/;

/** A member with this size field, and one behind it that a reader of another size may find. */
function sized(sizeField: string): readonly Uint8Array[] {
  return [header({ name: 'f', sizeField }), file('../canary/worm')];
}

/** A member with this pax content in front. */
function withPax(text: string): readonly Uint8Array[] {
  return [member({ flag: 'x' }, text), file('f')];
}

const MALFORMED = /a pax header is malformed/;
const BASE_256 = '\x80\0\0\0';

const FIELDS: Readonly<Record<string, Attack>> = {
  'a wrong checksum': refused(NO_HEADER, [file('a'), header({ name: 'f', sumField: () => '0000001\0' })]),
  'a checksum of nothing': refused(NO_HEADER, [header({ name: 'f', sumField: () => '\0'.repeat(8) })]),
  'a header of no known form': refused(
    /a header of neither POSIX nor GNU tar .*, near byte 1024 of the archive/,
    [file('a'), header({ name: 'f', magic: '\0'.repeat(8) })],
  ),
  'node-tar CVE-2026-59874: a negative size in base 256': refused(NO_SIZE, sized('\xff'.repeat(12))),
  'node-tar CVE-2026-59874: a negative size of a record': refused(
    NO_SIZE,
    sized(`${'\xff'.repeat(10)}\xfe\0`),
  ),
  'CPython CVE-2025-8194: a negative size in octal digits': refused(NO_SIZE, sized('-0000001000\0')),
  'a negative size in a pax header': refused(NO_SIZE, [pax([['size', '-512']]), ...sized('00000000000\0')]),
  'a size of many digits in a pax header': refused(NO_SIZE, [pax([['size', '9'.repeat(30)]]), file('f')]),
  'a size of no digits in a pax header': refused(NO_SIZE, [pax([['size', '']]), file('f')]),
  'a size in hexadecimal in a pax header': refused(NO_SIZE, [pax([['size', '0x200']]), file('f')]),
  'a size with a fraction in a pax header': refused(NO_SIZE, [pax([['size', '1.0']]), file('f')]),
  'a size of 2^80': refused(NO_SIZE, sized(`\x80\x01${'\0'.repeat(10)}`)),
  'a size of 2^62': refused(NO_SIZE, sized(`${BASE_256}\x40${'\0'.repeat(7)}`)),
  'a size in base 64': refused(NO_SIZE, sized('+AAAAAAAAAB\0')),
  'a size with a blank in it': refused(NO_SIZE, sized('0000 000001\0')),
  'a size of nothing': refused(NO_SIZE, sized('\0'.repeat(12))),
  'an extended header of negative size': refused(/no right size|no tar header/, [
    header({ flag: 'x', sizeField: '\xff'.repeat(12) }),
    file('f'),
  ]),
  'a mode that is no number': refused(/mode, owner, group or time is no number/, [
    header({ name: 'f', fields: [[100, 'rwxr-xr\0']] }),
  ]),
  'a time that is no number': refused(/mode, owner, group or time is no number/, [
    pax([['mtime', 'Infinity']]),
    file('f'),
  ]),
  'an owner beyond all numbers': refused(/mode, owner, group or time is no number/, [
    pax([['uid', '9'.repeat(20)]]),
    file('f'),
  ]),
  'GNU tar CVE-2022-48303: a time in base 256 of few bytes': either([
    header({ name: 'f', fields: [[136, '\xff'.repeat(12)]] }),
  ]),
};

const TYPES: Readonly<Record<string, Attack>> = Object.fromEntries([
  [
    'an old GNU sparse file',
    refused(/is an old GNU sparse file/, [member({ name: 's', flag: 'S', magic: 'ustar  \0' }, 'x')]),
  ],
  ...[...'NMVDAX89Zaz '].map((flag): [string, Attack] => [
    `a member of the type "${flag}"`,
    refused(/is of the unknown type|do not end where the content starts/, [
      member({ name: 's', flag, magic: 'ustar  \0' }, '../canary/worm'),
      file('after'),
    ]),
  ]),
]);

const PAX: Readonly<Record<string, Attack>> = {
  'CPython CVE-2019-20907: a pax record of length 0': refused(MALFORMED, withPax('0 path=../canary/worm\n')),
  'CPython CVE-2025-8194: a pax record of negative length': refused(
    MALFORMED,
    withPax('-9 path=../canary/worm\n'),
  ),
  'a pax record that is longer than its header': refused(MALFORMED, withPax('99 path=a\n')),
  'a pax record that is shorter than its text': refused(MALFORMED, withPax('9 path=../canary/worm\n')),
  'a pax record without an equals sign': refused(MALFORMED, withPax('13 path worm\n')),
  'a pax record without a key': refused(/a pax header holds ""/, withPax('7 =abc\n')),
  'a pax record without a line end': refused(MALFORMED, withPax('10 path=abc')),
  'a pax record with a length in hexadecimal': refused(MALFORMED, withPax('0x0b path=a\n')),
  'GNU tar CVE-2023-39804: an attribute without a name': either([pax([['SCHILY.xattr.', 'x']]), file('f')]),
  'a pax path twice': refused(/holds "path" twice/, [
    pax([
      ['path', 'honest'],
      ['path', '../canary/worm'],
    ]),
    file('f'),
  ]),
  'a pax key of GNU tar that is not understood': refused(/holds "GNU\.volume\.filename"/, [
    pax([['GNU.volume.filename', '../canary/worm']]),
    file('f'),
  ]),
  'two GNU long names': refused(/two extended headers speak of one member/, [
    gnuLong('L', 'honest'),
    gnuLong('L', '../canary/worm'),
    member({ magic: 'ustar  \0' }, 'x'),
  ]),
  'a GNU long name in front of a pax header': refused(/two extended headers speak of one member/, [
    gnuLong('L', '../canary/worm'),
    pax([['path', 'honest']]),
    file('f'),
  ]),
  'a GNU long name of nothing': refused(/a long name is empty/, [gnuLong('L', ''), file('f')]),
  'an end of the archive within the headers of a member': refused(/members follow the end of the archive/, [
    pax([['path', 'honest']]),
    new Uint8Array(512),
    file('f'),
  ]),
};

const pairs = (count: number): [number, number][] =>
  Array.from({ length: count }, (_, index) => [index * 1024, 512]);

const SPARSE: Readonly<Record<string, Attack>> = {
  'GNU tar CVE-2019-9923: sparse records without a number of stretches': refused(
    /before the number of its stretches/,
    [
      pax([
        ['GNU.sparse.offset', '0'],
        ['GNU.sparse.numbytes', '1'],
        ['GNU.sparse.size', '1'],
      ]),
      file('f'),
    ],
  ),
  'a sparse map with an offset too many': refused(/do not take turns/, [
    pax([
      ['GNU.sparse.size', '1'],
      ['GNU.sparse.numblocks', '1'],
      ['GNU.sparse.offset', '0'],
      ['GNU.sparse.offset', '0'],
      ['GNU.sparse.numbytes', '1'],
    ]),
    file('f'),
  ]),
  'a sparse map of more stretches than it has': refused(/does not hold what it says/, [
    pax([
      ['GNU.sparse.size', '1'],
      ['GNU.sparse.numblocks', '9007199254740991'],
      ['GNU.sparse.map', '0,1'],
    ]),
    file('f'),
  ]),
  'a sparse map of a negative offset': refused(/does not hold what it says/, [
    pax([
      ['GNU.sparse.size', '1'],
      ['GNU.sparse.numblocks', '1'],
      ['GNU.sparse.map', '-1,1'],
    ]),
    file('f'),
  ]),
  'a sparse map that goes back': refused(/stretches are not in order/, [
    sparse(1024, [
      [512, 512],
      [0, 512],
    ]),
    file('f', 'x'.repeat(1024)),
  ]),
  'a sparse map that ends before the file': refused(/ends at 1 in a file of 4503599627370496 bytes/, [
    sparse(2 ** 52, [[0, 1]]),
    file('f'),
  ]),
  'a sparse map behind two sizes': refused(/a sparse header of no known form/, [
    pax([
      ['GNU.sparse.size', '1'],
      ['GNU.sparse.realsize', '1'],
      ['GNU.sparse.numblocks', '1'],
      ['GNU.sparse.map', '0,1'],
    ]),
    file('f'),
  ]),
  'a sparse header of a version to come': refused(/a sparse header of no known form/, [
    pax([
      ['GNU.sparse.major', '2'],
      ['GNU.sparse.minor', '0'],
      ['GNU.sparse.realsize', '1'],
    ]),
    file('f'),
  ]),
  'a sparse name that climbs': refused(/climbs with/, [
    sparseStored(1, '../canary/worm'),
    file('f', `${storedMap([[0, 1]])}x`),
  ]),
  'a sparse link': refused(/a sparse header that fits no file/, [
    sparse(1, [[1, 0]]),
    header({ name: 'l', flag: '2', linkName: '../canary' }),
  ]),
  'Go CVE-2025-58183: a stored sparse map without end': stored(
    /a sparse map of more than 1048576 bytes/,
    `9007199254740991\n${'0\n'.repeat(600_000)}`,
  ),
  'Go CVE-2025-58183: a stored sparse map of many stretches, all there': stored(
    /a sparse map of more than 1048576 bytes/,
    storedMap(pairs(90_000)),
  ),
  'a stored sparse map of a number of many digits': stored(
    /holds no number where one should be/,
    '9'.repeat(2000),
  ),
  'a stored sparse map of letters': stored(/holds no number where one should be/, 'one\n'),
  'a stored sparse map of empty lines': stored(/holds no number where one should be/, '\n\n\n'),
  'a stored sparse map of zeros': stored(/holds no number where one should be/, '\0'.repeat(1024)),
  'Go CVE-2022-2879: a sparse map in a pax header without end': refused(
    /headers of more than 1 MiB/,
    [sparse(30_000 * 1024, pairs(30_000)), file('f')],
    { chunkSizes: [16_384, 65_536] },
  ),
};

function stored(end: RegExp, content: string): Attack {
  return refused(end, [sparseStored(1), file('f', content)], { boelEnd: /a sparse file in BOEL binaries/ });
}

export const HEADERS: Readonly<Record<string, Attack>> = {
  ...FIELDS,
  ...TYPES,
  ...PAX,
  ...SPARSE,
  'headers between two members': refused(/climbs with/, [
    joined(file('a'), file('../canary/worm'), file('b')),
  ]),
};
