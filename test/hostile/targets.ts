// Attacks on a target that holds links out of itself before anything is unpacked, as an image does that an override is
// laid over. The names that lead through them are hidden in every place where two readers of headers may disagree.

import * as fs from 'node:fs';
import * as path from 'node:path';
import {
  gnuLong,
  header,
  joined,
  member,
  octal,
  pax,
  sparse,
  sparseStored,
  storedMap,
} from '../core/archives.ts';
import { type Attack, confined, refused, SHARED } from './arena.ts';
import { file, folder, hardLink, link } from './links.ts';

/** Links to folders and files outside, to nothing, to themselves, and to a room inside; and a hard link out. */
function plant(target: string, far: string): void {
  const links = {
    out: '../canary',
    abs: far,
    bird: '../canary/bird',
    dangling: '../canary/new',
    loop: 'loop',
    in: 'room',
    'room/up': '../../canary',
    'd/out': '../../canary',
  };
  for (const name of ['room', 'd']) fs.mkdirSync(path.join(target, name));
  for (const [name, to] of Object.entries(links)) fs.symlinkSync(to, path.join(target, name));
  fs.linkSync(path.join(target, '../canary', SHARED), path.join(target, 'twin'));
}

const PLANTED = ['abs', 'bird', 'd', 'd/out', 'dangling', 'in', 'loop', 'out', 'room', 'room/up', 'twin'];
const WORM = file('out/worm');
const THROUGH = /it would be written through (?:a link that leaves the target|the link ".*" (?:to|in) .*)/;

const planted = { plant } as const;

function refusedHere(end: RegExp, ...members: Uint8Array[]): Attack {
  return refused(end, members, planted);
}

function confinedHere(more: readonly string[], ...members: Uint8Array[]): Attack {
  return confined([...PLANTED, ...more], members, planted);
}

const WALKED: Readonly<Record<string, Attack>> = {
  'GNU tar CVE-2025-45582: a file through a link of the target': refusedHere(THROUGH, WORM),
  'a file through a link of the target to an absolute path': refusedHere(THROUGH, file('abs/worm')),
  'a folder through a link of the target': refusedHere(THROUGH, folder('out/nest', 0o777)),
  'a folder that is a link of the target': refusedHere(THROUGH, folder('out', 0o777)),
  'a folder that is a link of the target, with a dot': refusedHere(THROUGH, folder('out/.', 0o777)),
  'a file with a dot behind a link of the target': refusedHere(/ends with a dot/, file('out/.')),
  'a link with a dot behind a link of the target': refusedHere(/ends with a dot/, link('out/.', 'x')),
  'a hard link with a dot behind a link of the target': refusedHere(
    /ends with a dot/,
    file('f'),
    hardLink('out/.', 'f'),
  ),
  'a file through two links of the target': refusedHere(THROUGH, file('in/up/worm')),
  'a file through a link of the target in a circle': refusedHere(/leads in a circle/, file('loop/worm')),
  'a file through a link of the target to nothing': refusedHere(THROUGH, file('dangling/worm')),
  'a link through a link of the target': refusedHere(THROUGH, link('out/l', 'x')),
  'a hard link to a file of the target': refusedHere(/no earlier file/, hardLink('h', 'twin')),
  'a hard link to a link of the target': refusedHere(/no earlier file/, hardLink('h', 'out')),
  'a hard link through a link of the target': refusedHere(THROUGH, hardLink('h', 'out/bird')),
  'a hard link into a link of the target': refusedHere(THROUGH, file('f'), hardLink('out/worm', 'f')),
  'a file in the place of a link to a file': confinedHere([], file('bird', 'eats')),
  'a file in the place of a link to nothing': confinedHere([], file('dangling')),
  'a file in the place of a link to a folder': confinedHere([], file('out')),
  'a file in the place of a hard link': confinedHere([], file('twin', 'eats')),
  'a link in the place of a link, and a file through it': confinedHere(
    ['room/f'],
    link('out', 'room'),
    file('out/f'),
  ),
  'a file through a link of the target that stays inside': confinedHere(['room/f'], file('in/f')),
  'a folder that is a link of the target that stays inside': confinedHere(
    ['room/f'],
    folder('in'),
    file('in/f'),
  ),
  'libarchive CVE-2021-31566: the mode of a folder behind a link of the target that is replaced': {
    ...refusedHere(
      /./,
      folder('in/nest', 0o777),
      folder('p'),
      link('p/l', '../../canary'),
      link('in', '../canary'),
    ),
    end: 'either',
    boelEnd: 'confined',
  },
  'a link that cannot take the place of a folder': refused(
    /through the link "d" in the place of a folder/,
    [link('d', 'e'), file('d/out/worm')],
    { plant, boelEnd: /cannot write "d" below / },
  ),
  'a hard link to a link that cannot take the place of a folder': refused(
    /through the link "d" in the place of a folder/,
    [link('l', 'e'), hardLink('d', 'l'), file('d/out/worm')],
    { plant, boelEnd: /cannot write "d" below / },
  ),
};

/** Three records that a reader in the wrong place takes for a file behind a link of the target. */
const SMUGGLED = latin1(joined(WORM, new Uint8Array(512)));

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

/** A member whose content is a header and a file, behind pax records that are to put a reader into the wrong place. */
function smuggler(...before: Uint8Array[]): Uint8Array {
  return joined(...before, member({ name: 'honest' }, SMUGGLED));
}

/** A map that asks for a record more than is stored: the next header is taken for content, and content for a header. */
const HUNGRY = joined(file('f', 'y'.repeat(512)), smuggler());

const HIDDEN: Readonly<Record<string, Attack>> = {
  'tokio-tar CVE-2025-62518: a pax size larger than the one of the header': confinedHere(
    ['honest'],
    joined(pax([['size', String(SMUGGLED.length)]]), header({ name: 'honest', size: 0 }), bytes(SMUGGLED)),
  ),
  'tokio-tar CVE-2025-62518: a pax size smaller than the one of the header': refusedHere(
    THROUGH,
    joined(pax([['size', '0']]), header({ name: 'honest', size: SMUGGLED.length }), bytes(SMUGGLED)),
  ),
  'node-tar CVE-2026-53655: a pax size in front of a GNU long name': refusedHere(
    /two extended headers speak of one member/,
    joined(
      pax([['size', '1536']]),
      gnuLong('L', 'honest'),
      header({ size: SMUGGLED.length }),
      bytes(SMUGGLED),
    ),
  ),
  'a pax header in front of another': refusedHere(
    /two extended headers speak of one member/,
    joined(pax([['path', 'honest']]), pax([['path', 'out/worm']]), member({}, 'x')),
  ),
  'a pax header in front of a global one': refusedHere(
    THROUGH,
    joined(pax([['path', 'out/worm']]), pax([['comment', 'x']], 'g'), member({ name: 'honest' }, 'x')),
  ),
  'a pax header that belongs to no member': refusedHere(/ends too early/, pax([['path', 'out/worm']])),
  'a pax key behind a blank': refusedHere(/holds " path"/, pax([[' path', 'out/worm']]), file('honest')),
  'a pax key behind a tab': refusedHere(/holds "\\x09path"/, pax([['\tpath', 'out/worm']]), file('honest')),
  'a pax key with a NUL byte': refusedHere(
    /holds "comment\\x00"/,
    joined(
      pax([
        ['comment\0', 'x'],
        ['path', 'honest'],
      ]),
      WORM,
    ),
  ),
  'a checksum in base 256': refusedHere(
    /a header whose checksum is no octal number/,
    member(
      { name: 'honest', sumField: (sum) => `\x80\0\0\0\0\0${String.fromCharCode(sum >> 8, sum & 255)}` },
      SMUGGLED,
    ),
  ),
  'a checksum with more behind it': refusedHere(
    /a header whose checksum is no octal number/,
    member({ name: 'honest', sumField: (sum) => `${octal(sum, 6)}x ` }, SMUGGLED),
  ),
  'a pax header whose checksum has more behind it': refusedHere(
    /a header whose checksum is no octal number/,
    joined(
      header({ flag: 'x', size: SMUGGLED.length, sumField: (sum) => `${octal(sum, 6)}x ` }),
      bytes(SMUGGLED),
      file('honest'),
    ),
  ),
  'a sparse size without a map': refusedHere(
    /a sparse header of no known form/,
    smuggler(pax([['GNU.sparse.size', '0']])),
  ),
  'a sparse real size without a map': refusedHere(
    /whose size is no number|no known form/,
    smuggler(pax([['GNU.sparse.realsize', '0']])),
  ),
  'a sparse map behind a header that is not of POSIX': refusedHere(
    /a sparse header that fits no file/,
    joined(sparse(0, [[0, 0]]), header({ name: 'honest', magic: 'ustar  \0' }), bytes(SMUGGLED)),
  ),
  'a sparse map behind a header of star': refusedHere(
    /a sparse header that fits no file/,
    joined(
      sparse(0, [[0, 0]]),
      header({ name: 'honest', fields: [[476, `${'0'.repeat(11)} `.repeat(2)]] }),
      bytes(SMUGGLED),
    ),
  ),
  'a sparse map that asks for more than is stored': refusedHere(
    /a sparse map of 1024 bytes where 512 are stored/,
    joined(sparse(1024, [[0, 1024]]), HUNGRY),
  ),
  'a sparse map with more records than its bytes fill': refusedHere(
    /a stretch that starts within a record/,
    joined(
      sparse(1024, [
        [0, 256],
        [768, 256],
      ]),
      HUNGRY,
    ),
  ),
  'a sparse map with commas that asks for more than is stored': refusedHere(
    /a sparse map of 1024 bytes where 512 are stored/,
    joined(
      pax([
        ['GNU.sparse.size', '1024'],
        ['GNU.sparse.numblocks', '1'],
        ['GNU.sparse.map', '0,1024'],
      ]),
      HUNGRY,
    ),
  ),
  'a stored sparse map that asks for more than is stored': refusedStored(
    /a sparse map of 512 bytes where 0 are stored/,
    joined(sparseStored(512), member({ name: 'f' }, storedMap([[0, 512]])), smuggler()),
  ),
  'a stored sparse map that goes on behind its member': refusedStored(
    /a sparse map that holds no number where one should be/,
    joined(sparseStored(1), member({ name: 'f' }, '9\n'), smuggler()),
  ),
  'a stored sparse map of a member without content': refusedStored(
    /a sparse map that is longer than its member/,
    joined(sparseStored(0), member({ name: 'f' }), smuggler()),
  ),
};

/** BOEL binaries hold no sparse files, whatever their map is. */
function refusedStored(end: RegExp, ...members: Uint8Array[]): Attack {
  return refused(end, members, { plant, boelEnd: /a sparse file in BOEL binaries/ });
}

function bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

export const TARGETS: Readonly<Record<string, Attack>> = { ...WALKED, ...HIDDEN };
