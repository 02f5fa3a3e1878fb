// Attack archives whose names lead out of the target, or look as if they did. The advisories are those of the programs
// that once followed such names.

import { gnuLong, header, joined, member, pax } from '../core/archives.ts';
import { type Attack, confined, refused } from './arena.ts';

/** A member with a name of any length. */
export function named(name: string, content = 'x'): Uint8Array {
  return joined(pax([['path', name]]), member({}, content));
}

const CLIMBS = /member ".*": ".*" climbs with "\.\."; make the archive again/;
const ABSOLUTE = /member ".*": ".*" is an absolute path; make the archive again/;

/** A link, and then a folder with nearly the same name that a file is put into. */
function lookalikes(link: string, folder: string): Attack {
  return confined(
    [link, folder, `${folder}/worm`],
    [
      member({ name: link, flag: '2', linkName: '../canary' }),
      member({ name: `${folder}/`, flag: '5', mode: 0o755 }),
      member({ name: `${folder}/worm` }, 'x'),
    ],
  );
}

export const NAMES: Readonly<Record<string, Attack>> = {
  'CPython CVE-2007-4559: an absolute name': refused(ABSOLUTE, (far) => [named(`${far}/worm`)]),
  'CPython CVE-2007-4559: a name that climbs': refused(CLIMBS, [member({ name: '../canary/worm' }, 'x')]),
  'node-tar CVE-2021-32804: an absolute name with many slashes': refused(ABSOLUTE, (far) => [
    named(`////${far}//worm`),
  ]),
  'an absolute name of a file that is there': refused(ABSOLUTE, (far) => [named(`${far}/bird`)]),
  'Go ErrInsecurePath: a name that goes down first and climbs then': refused(CLIMBS, [
    member({ name: 'a/b/../../../canary/worm' }, 'x'),
  ]),
  'Go ErrInsecurePath: a name that climbs and stays inside': refused(CLIMBS, [
    member({ name: 'a/../b' }, 'x'),
  ]),
  'GNU tar CVE-2016-6321: a name with the way to climb in its middle': refused(CLIMBS, [
    member({ name: 'etc/motd/../../../canary/bird' }, 'x'),
  ]),
  'CPython CVE-2024-12718: a folder that is the one above': refused(CLIMBS, [
    member({ name: '../', flag: '5', mode: 0o777 }),
  ]),
  'CPython CVE-2024-12718: a folder that climbs out of itself': refused(CLIMBS, [
    member({ name: 'a/../../canary/', flag: '5', mode: 0o777 }),
  ]),
  'a name that climbs behind a dot': refused(CLIMBS, [member({ name: './/.././/canary/worm' }, 'x')]),
  'a name that climbs by its prefix': refused(CLIMBS, [member({ prefix: '../canary', name: 'worm' }, 'x')]),
  'a name that is absolute by its prefix': refused(ABSOLUTE, [member({ prefix: '/', name: 'worm' }, 'x')]),
  'a pax path that climbs': refused(CLIMBS, [named('../canary/worm')]),
  'a GNU long name that climbs': refused(CLIMBS, [
    gnuLong('L', `${'./'.repeat(60)}../canary/worm`),
    member({ magic: 'ustar  \0' }, 'x'),
  ]),
  'a GNU long name that is absolute': refused(ABSOLUTE, (far) => [
    gnuLong('L', `${far}/worm`),
    member({ magic: 'ustar  \0' }, 'x'),
  ]),
  'a path in a global header': refused(/a global header sets "path"/, [
    pax([['path', '../canary/worm']], 'g'),
    member({}, 'x'),
  ]),
  'a link path in a global header': refused(/a global header sets "linkpath"/, [
    pax([['linkpath', '../canary']], 'g'),
    member({ flag: '2', linkName: 'x' }),
  ]),
  'a size in a global header': refused(/a global header sets "size"/, [
    pax([['size', '512']], 'g'),
    member({}, 'x'),
  ]),
  'node-tar CVE-2021-37713: a name relative to a drive': confined(
    ['C:..', 'C:../canary', 'C:../canary/worm'],
    [member({ name: 'C:../canary/worm' }, 'x')],
  ),
  'node-tar CVE-2021-37701: names with backslashes': confined(
    ['..\\canary\\worm', 'l', 'l\\worm'],
    [
      member({ name: '..\\canary\\worm' }, 'x'),
      member({ name: 'l', flag: '2', linkName: '../canary' }),
      member({ name: 'l\\worm' }, 'x'),
    ],
  ),
  'node-tar CVE-2021-37712: a letter composed and decomposed': lookalikes('caf\xc3\xa9', 'cafe\xcc\x81'),
  'node-tar CVE-2026-23950: letters that fold to one another': lookalikes('stra\xc3\x9fe', 'strasse'),
  'node-tar CVE-2021-37701: names that differ in case': lookalikes('Link', 'link'),
  'names that differ in a byte that is no text': lookalikes('\xff', '\xfe'),
  'names with slashes and dots to no purpose': confined(
    ['a', 'a/b', 'c', 'd', 'd/e', 'f'],
    [
      member({ name: 'a//b' }, 'x'),
      member({ name: './/c' }, 'x'),
      member({ name: './d/./e' }, 'x'),
      member({ name: 'f///', flag: '5', mode: 0o755 }),
    ],
  ),
  'a file whose name ends with a slash': refused(/a file whose name ends with a slash/, [
    member({ name: 'worm/' }, 'x'),
  ]),
  'a file whose name ends with a dot': refused(/a file whose name ends with a dot/, [
    member({ name: 'd/', flag: '5', mode: 0o755 }),
    member({ name: 'd/.' }, 'x'),
  ]),
  'a file that is the target itself': refused(/it has an empty name/, [member({ name: '.' }, 'x')]),
  'a link that is the target itself': refused(/it has an empty name/, [
    member({ name: '.', flag: '2', linkName: '../canary' }),
  ]),
  'a name of nothing': refused(/an empty name/, [member({ name: '' }, 'x')]),
  'names with control characters': confined(
    ['a\nb', 'c\x1b[2J', 'd\t\x07'],
    ['a\nb', 'c\x1b[2J', 'd\t\x07'].map((name) => member({ name }, 'x')),
  ),
  'a refused name with control characters': refused(/"\.\.\/\\x1b\]0;evil\\x07\\x0anew line" climbs/, [
    member({ name: '../\x1b]0;evil\x07\nnew line' }, 'x'),
  ]),
  'node-tar CVE-2026-59875: a pax path with a NUL byte': refused(/a name with a NUL byte/, [
    named('seen\0/../../canary/worm'),
  ]),
  'node-tar CVE-2026-59875: a pax link path with a NUL byte': refused(/a name with a NUL byte/, [
    pax([['linkpath', 'seen\0../canary']]),
    member({ name: 'l', flag: '2' }),
  ]),
  'a name field with more behind its NUL byte': confined(
    ['seen'],
    [member({ name: 'seen\0/../../canary/worm' }, 'x')],
  ),
  'a GNU long name with more behind its NUL byte': confined(
    ['seen'],
    [gnuLong('L', 'seen\0/../../canary/worm'), member({ magic: 'ustar  \0' }, 'x')],
  ),
  'a name of 5,000 bytes': refused(/a name of more than 4096 bytes/, [named('n'.repeat(5000))]),
  'a part of a name of 256 bytes': refused(/a part of its name of more than 255 bytes/, [
    named(`d/${'n'.repeat(256)}`),
  ]),
  'node-tar CVE-2024-28863: a name of 10,000 levels': refused(/a name of more than 4096 bytes/, [
    named(`${'d/'.repeat(9999)}d`),
  ]),
  'node-tar CVE-2024-28863: a folder of 257 levels': refused(/deeper than 256 directories/, [
    pax([['path', 'd/'.repeat(257)]]),
    header({ flag: '5', mode: 0o755 }),
  ]),
};
