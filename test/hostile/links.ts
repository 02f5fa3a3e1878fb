// Attack archives that write through links of their own, or past them: symbolic links, hard links, both, and devices.

import { gnuLong, header, joined, member, pax } from '../core/archives.ts';
import { type Attack, confined, either, isRoot, refused } from './arena.ts';

export function link(name: string, to: string): Uint8Array {
  return joined(pax([['linkpath', to]]), member({ name, flag: '2' }));
}

export function hardLink(name: string, to: string): Uint8Array {
  return joined(pax([['linkpath', to]]), member({ name, flag: '1' }));
}

export function folder(name: string, mode = 0o755): Uint8Array {
  return member({ name: `${name}/`, flag: '5', mode });
}

export function file(name: string, content = 'x'): Uint8Array {
  return member({ name }, content);
}

const THROUGH =
  /member ".*": it would be written through (?:a link that leaves the target|the link ".*" (?:to|in) .*)/;

/** Links nested so deep that the path they stand for is longer than the kernel takes, and one that climbs out of it. */
function deepLinks(): readonly Uint8Array[] {
  const long = 'd'.repeat(240);
  const steps = [...'abcdefghijklmnop'];
  const nested = steps.flatMap((step, depth) => {
    const above = `${long}/`.repeat(depth);
    return [
      joined(pax([['path', `${above}${long}/`]]), header({ flag: '5', mode: 0o755 })),
      joined(
        pax([
          ['path', `${above}${step}`],
          ['linkpath', long],
        ]),
        header({ flag: '2' }),
      ),
    ];
  });
  const bottom = `${steps.join('/')}/${'l'.repeat(254)}`;
  const climb = joined(
    pax([
      ['path', bottom],
      ['linkpath', '../'.repeat(steps.length)],
    ]),
    header({ flag: '2' }),
  );
  return [...nested, climb, link('escape', `${bottom}/../canary`), file('escape/worm')];
}

const SYMBOLIC: Readonly<Record<string, Attack>> = {
  'node-tar GHSA-9ppj-qmqm-q256: a file through a link to a path relative to a drive': refused(
    /GNU tar ended with 2|cannot write "l\/worm"/,
    [link('l', 'C:../../canary'), file('l/worm')],
  ),
  'tar-fs CVE-2018-20835: a file through a link': refused(THROUGH, [link('l', '../canary'), file('l/worm')]),
  'node-tar CVE-2026-23745: a file through a link to an absolute path': refused(THROUGH, (far) => [
    link('l', far),
    file('l/worm'),
  ]),
  'libarchive secure extraction: a folder through a link': refused(THROUGH, [
    link('l', '../canary'),
    folder('l/nest', 0o777),
  ]),
  'libarchive secure extraction: a folder that is a link': refused(THROUGH, [
    link('l', '../canary'),
    folder('l', 0o777),
  ]),
  'a file over a link to a file': confined(['l'], [link('l', '../canary/bird'), file('l')]),
  'a file through a link to a file': refused(THROUGH, [link('l', '../canary/bird'), file('l/worm')]),
  'tar-fs CVE-2024-12905: a chain of links': refused(THROUGH, [
    folder('d'),
    link('d/up', '..'),
    link('l', 'd/up/../canary'),
    file('l/worm'),
  ]),
  'tar-fs CVE-2025-59343: a link to a folder with the name of the target and more': refused(THROUGH, [
    link('l', '../target-evil'),
    file('l/worm'),
  ]),
  'CPython CVE-2025-4330: a link that leaves the target by way of another': refused(THROUGH, [
    folder('a'),
    link('a/here', '.'),
    link('l', 'a/here/here/../../../canary'),
    file('l/worm'),
  ]),
  'CPython CVE-2025-4517: links whose real path is longer than the kernel takes': refused(
    /cannot look at ".*" below .*: ENAMETOOLONG/,
    deepLinks(),
  ),
  'node-tar CVE-2021-32803: a folder that becomes a link': refused(
    THROUGH,
    [folder('d'), link('d', '../canary'), file('d/worm')],
    { boelEnd: /cannot write "d" below / },
  ),
  'a link that becomes a folder': refused(THROUGH, [link('l', '../canary'), folder('l'), file('l/worm')]),
  'a link that becomes a file, and a folder': refused(THROUGH, [
    link('l', '../canary'),
    file('l'),
    folder('l'),
    file('l/worm'),
  ]),
  'a folder that becomes a link, and a folder again': refused(
    THROUGH,
    [folder('d'), link('d', '../canary'), folder('d', 0o777)],
    { boelEnd: /cannot write "d" below / },
  ),
  'links in a circle': refused(/the link ".*" leads in a circle/, [
    link('a', 'b'),
    link('b', 'a'),
    file('a/worm'),
  ]),
  'a link to itself': refused(/the link "a" leads in a circle/, [link('a', 'a'), file('a/worm')]),
  'links that stay inside': confined(
    ['b', 'b/c', 'b/l', 'l'],
    [folder('b'), link('l', 'b'), link('b/l', '.'), file('l/l/c')],
  ),
  'a link to nothing': refused(/an empty name/, [member({ name: 'l', flag: '2' })]),
  'libarchive CVE-2016-4809: a link of 5,000 bytes': refused(/a name of more than 4096 bytes/, [
    link('l', 'x'.repeat(5000)),
  ]),
  'libarchive CVE-2021-31566: the mode of a folder that a link took the place of': confined(
    ['d'],
    [folder('d', 0o777), link('d', '../canary')],
    { boelEnd: /cannot write "d" below / },
  ),
  'libarchive CVE-2021-31566: the mode of a folder whose way a link took': either([
    folder('b'),
    link('a', 'b'),
    folder('a/nest', 0o777),
    link('a', '../canary'),
  ]),
  'libarchive CVE-2021-23177: attributes and access lists of a link': either([
    joined(
      pax([
        ['linkpath', '../canary/bird'],
        ['SCHILY.xattr.user.mark', 'x'],
        ['SCHILY.acl.access', 'user::rwx,group::rwx,other::rwx'],
      ]),
      header({ name: 'l', flag: '2' }),
    ),
  ]),
  'the time and mode of a link': confined(
    ['l'],
    [member({ name: 'l', flag: '2', linkName: '../canary', mode: 0o777 })],
  ),
};

const HARD: Readonly<Record<string, Attack>> = {
  'node-tar CVE-2018-20834: a hard link out, and a file in its place': refused(/climbs with/, [
    hardLink('h', '../canary/bird'),
    file('h'),
  ]),
  'node-tar CVE-2026-23745: a hard link to an absolute path': refused(/is an absolute path/, (far) => [
    hardLink('h', `${far}/bird`),
    file('h'),
  ]),
  'node-tar GHSA-34x7-hfp2-rc4v: a hard link whose path counts from another folder': refused(/climbs with/, [
    folder('a'),
    folder('a/b'),
    hardLink('a/b/h', '../../../canary/bird'),
  ]),
  'node-tar GHSA-qffp-2rhf-9h96: a hard link to a path relative to a drive': refused(/no earlier file/, [
    hardLink('h', 'C:../canary/bird'),
  ]),
  'node-tar CVE-2026-26960: a hard link through a chain of links': refused(THROUGH, [
    folder('a/b/c'),
    link('a/b/c/up', '../..'),
    link('a/b/escape', 'c/up/../..'),
    hardLink('h', 'a/b/escape/canary/bird'),
    file('h'),
  ]),
  'a hard link by a GNU long link': refused(/climbs with/, [
    gnuLong('K', `${'./'.repeat(60)}../canary/bird`),
    member({ name: 'h', flag: '1', magic: 'ustar  \0' }),
  ]),
  'tar-fs CVE-2025-48387: a hard link to a link, and a file in its place': confined(
    ['h', 'l'],
    [link('l', '../canary/bird'), hardLink('h', 'l'), file('h')],
  ),
  'a hard link to a link to a file': confined(['h', 'l'], [link('l', '../canary/bird'), hardLink('h', 'l')]),
  'tar-fs CVE-2025-48387: a file through a hard link to a link': refused(THROUGH, [
    link('l', '../canary'),
    hardLink('h', 'l'),
    file('h/worm'),
  ]),
  'a hard link through a link': refused(THROUGH, [link('l', '../canary'), hardLink('h', 'l/bird')]),
  'a hard link to a file that became a link': refused(THROUGH, [
    file('f'),
    link('f', '../canary'),
    hardLink('h', 'f'),
    file('h/worm'),
  ]),
  'a hard link to a file of the machine': refused(/no earlier file/, [hardLink('h', 'etc/shadow')]),
  'a hard link to a folder': refused(/no earlier file/, [folder('d'), hardLink('h', 'd')]),
  'a hard link to itself': refused(/no earlier file/, [hardLink('h', 'h')]),
  'a hard link to what comes later': refused(/no earlier file/, [hardLink('h', 'f'), file('f')]),
  'libarchive CVE-2016-5418: a hard link with content': refused(/a hardlink with content/, [
    file('f'),
    header({ name: 'h', flag: '1', linkName: 'f', size: 5 }),
    file('../canary/worm'),
  ]),
  'a symbolic link with content': refused(/a symlink with content/, [
    header({ name: 'l', flag: '2', linkName: 'x', size: 512 }),
    file('../canary/worm'),
  ]),
};

const NODE = { flag: '4', device: [259, 70_000] } as const;

const SPECIAL: Readonly<Record<string, Attack>> = {
  'a file with set-id bits': confined(['su'], [member({ name: 'su', mode: 0o6755 }, 'x')]),
  'a target that everybody may write to': confined(
    ['a'],
    [member({ name: './', flag: '5', mode: 0o1777 }), file('./a')],
  ),
  'a disk, and a file in its place': confined(['disk'], [member({ name: 'disk', ...NODE }), file('disk')], {
    boelEnd: /a block-device in BOEL binaries/,
  }),
  'a hard link to a disk, and a file in its place': confined(
    isRoot ? ['disk', 'twin'] : ['twin'],
    [member({ name: 'disk', ...NODE }), hardLink('twin', 'disk'), file('twin')],
    { boelEnd: /a block-device in BOEL binaries/ },
  ),
  'a file below a device': {
    ...either([member({ name: 'null', flag: '3', device: [1, 3] }), file('null/worm')]),
    boelEnd: /a character-device in BOEL binaries/,
  },
  'a pipe, and a file in its place': confined(['pipe'], [member({ name: 'pipe', flag: '6' }), file('pipe')], {
    boelEnd: /a fifo in BOEL binaries/,
  }),
  'a device with content': refused(/a character-device with content/, [
    header({ name: 'null', flag: '3', size: 512 }),
    file('../canary/worm'),
  ]),
  'a folder with content': refused(/a directory with content/, [
    header({ name: 'd/', flag: '5', size: 512 }),
    file('../canary/worm'),
  ]),
};

export const LINKS: Readonly<Record<string, Attack>> = { ...SYMBOLIC, ...HARD, ...SPECIAL };
