// Archives as tar programs of other makers write them: what we unpack is what GNU tar itself does, or is refused.

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { type TestContext, test } from 'node:test';
import { archiveFolder } from '../../scripts/archive.ts';
import { compareTrees } from '../../scripts/trees.ts';
import { scratch } from '../content.ts';
import { archived, assertAlike, isHoley, type Kind, refusal, tree } from './tars.ts';

const GNU_TAR = '/usr/bin/tar';
const BSDTAR = '/usr/bin/bsdtar';
const BUSYBOX = '/usr/bin/busybox';
const PYTHON = '/usr/bin/python3';
const GIT = ['/usr/bin/git', '-c', 'user.name=n', '-c', 'user.email=e'];

const PYTHON_SCRIPT = `
import sys, tarfile
file, tree, form = sys.argv[1:]
with tarfile.open(file, 'w', format=getattr(tarfile, form), encoding='utf-8', errors='surrogateescape') as tar:
    tar.add(tree, '.')
`;

type Command = (folder: string) => (file: string) => readonly string[];

function gnu(...options: string[]): Command {
  return (folder) => (file) => [
    GNU_TAR,
    '--create',
    `--file=${file}`,
    `--directory=${folder}`,
    ...options,
    '.',
  ];
}

function bsd(...options: string[]): Command {
  return (folder) => (file) => [BSDTAR, '-c', '-f', file, '-C', folder, ...options, '.'];
}

function python(form: string): Command {
  return (folder) => (file) => [PYTHON, '-c', PYTHON_SCRIPT, file, folder, form];
}

const busybox: Command = (folder) => (file) => [BUSYBOX, 'tar', '-c', '-f', file, '-C', folder, '.'];

const XATTRS = ['--xattrs', '--xattrs-include=*', '--no-acls'];

/** What is unpacked as GNU tar does it; plain trees as BOEL binaries too. */
const ALIKE: readonly (readonly [title: string, kind: Kind, command: Command])[] = [
  ['GNU tar --format=gnu', 'plain', gnu('--format=gnu')],
  ['GNU tar --format=gnu, a full tree', 'full', gnu('--format=gnu')],
  ['GNU tar --format=oldgnu', 'plain', gnu('--format=oldgnu')],
  ['GNU tar --format=oldgnu, a full tree', 'full', gnu('--format=oldgnu')],
  ['GNU tar --format=ustar', 'short', gnu('--format=ustar')],
  ['GNU tar --format=posix', 'plain', gnu('--format=posix')],
  ['GNU tar --format=posix with attributes, a full tree', 'full', gnu('--format=posix', ...XATTRS)],
  [
    'GNU tar --format=posix with a comment for all',
    'plain',
    gnu('--format=posix', '--pax-option=comment=all'),
  ],
  ['GNU tar --format=posix in small records', 'plain', gnu('--format=posix', '--blocking-factor=1')],
  ['GNU tar --format=posix in large records', 'plain', gnu('--format=posix', '--blocking-factor=2048')],
  ['Python, USTAR_FORMAT', 'short', python('USTAR_FORMAT')],
  ['Python, GNU_FORMAT', 'plain', python('GNU_FORMAT')],
  ['Python, PAX_FORMAT', 'plain', python('PAX_FORMAT')],
  ['Python, PAX_FORMAT, a full tree', 'full', python('PAX_FORMAT')],
  ['bsdtar --format=ustar', 'short', bsd('--format=ustar')],
  ['bsdtar --format=gnutar', 'plain', bsd('--format=gnutar')],
  ['bsdtar --format=pax', 'plain', bsd('--format=pax')],
  ['bsdtar --format=paxr', 'plain', bsd('--format=paxr')],
  [
    'bsdtar --format=pax, a full tree with holes and attributes',
    'full',
    bsd('--format=pax', '--xattrs', '--no-acls'),
  ],
  ['busybox tar', 'short', busybox],
];

for (const [title, kind, command] of ALIKE) {
  test(`${title}: unpacked as GNU tar does it`, async (t) => {
    const folder = await tree(t, kind);
    const { result } = await assertAlike(t, archived(t, command(folder)), kind !== 'full');
    ok(result.entries > 10);
    deepEqual(result.notes, []);
  });
}

for (const version of ['0.0', '0.1', '1.0']) {
  test(`GNU tar, pax sparse ${version}: unpacked as GNU tar does it, with holes`, async (t) => {
    const folder = await tree(t, 'full');
    const sparse = ['--sparse', `--sparse-version=${version}`];
    const file = archived(t, gnu('--format=posix', ...sparse, ...XATTRS)(folder));
    const { folder: ours } = await assertAlike(t, file, false);
    deepEqual(await compareTrees(folder, ours), []);
    ok(isHoley(ours));
  });

  for (const detection of ['raw', 'seek']) {
    test(`GNU tar, pax sparse ${version}, holes found by ${detection}: files of every shape`, async (t) => {
      const folder = await tree(t, 'small');
      plantHoles(folder);
      const options = ['--sparse', `--sparse-version=${version}`, `--hole-detection=${detection}`];
      const { folder: ours } = await assertAlike(
        t,
        archived(t, gnu('--format=posix', ...options)(folder)),
        false,
      );
      deepEqual(await compareTrees(folder, ours), []);
    });
  }
}

/** Files with holes at the start, within, at the end, and everywhere, with sizes that fill no record. */
function plantHoles(folder: string): void {
  const shapes: readonly (readonly [name: string, size: number, data: readonly number[]])[] = [
    ['hole', 100_000, []],
    ['hole of no record', 1_000_001, []],
    ['end', 200_001, [200_000]],
    ['start', 200_001, [0]],
    ['both', 300_001, [0, 300_000]],
    ['many', 4_000_123, Array.from({ length: 60 }, (_, index) => index * 65_536 + 17)],
  ];
  for (const [name, size, data] of shapes) {
    const fd = fs.openSync(path.join(folder, name), 'w');
    for (const at of data) fs.writeSync(fd, 'x', at);
    fs.ftruncateSync(fd, size);
    fs.closeSync(fd);
  }
  fs.utimesSync(folder, 1, 1_500_000_000.5);
}

/** What is refused, and with which words. */
const REFUSED: readonly (readonly [title: string, command: Command, words: RegExp])[] = [
  [
    'GNU tar --format=v7',
    gnu('--format=v7'),
    /neither POSIX nor GNU tar \(format v7, or the label of a volume\?\), near byte 0 /,
  ],
  [
    'bsdtar --format=v7',
    bsd('--format=v7'),
    /neither POSIX nor GNU tar \(format v7, or the label of a volume\?\), near byte 0 /,
  ],
  [
    'GNU tar --label',
    gnu('--label=name'),
    /neither POSIX nor GNU tar \(format v7, or the label of a volume\?\), near byte 0 /,
  ],
  [
    'GNU tar --label in a pax header',
    gnu('--format=posix', '--label=name'),
    /a pax header holds "GNU\.volume\.label"; /,
  ],
  [
    'GNU tar with a group for all',
    gnu('--format=posix', '--pax-option=gname=all'),
    /a global header sets "gname"; .*--format=pax/,
  ],
  [
    'GNU tar with the lists of an incremental backup',
    (folder) => (file) => gnu('--format=posix', `--listed-incremental=${file}.list`)(folder)(file),
    /a pax header holds "GNU\.dumpdir"; .*--format=pax/,
  ],
  ['bsdtar --format=cpio', bsd('--format=cpio'), /no tar header is where one should be .*, near byte 0 /],
];

for (const [title, command, words] of REFUSED) {
  test(`${title}: refused`, async (t) => {
    match(await refusal(t, archived(t, command(await tree(t, 'small')))), words);
  });
}

test('GNU tar, old GNU sparse: refused', async (t) => {
  const folder = await tree(t, 'small');
  plantHoles(folder);
  const file = archived(t, gnu('--format=gnu', '--sparse')(folder));
  match(
    await refusal(t, file),
    /"\.\/.*" is an old GNU sparse file; make the archive again with GNU tar --format=pax/,
  );
});

for (const [title, command] of [
  ['GNU tar --acls', gnu('--format=posix', '--acls', '--xattrs', '--xattrs-include=*')],
  ['bsdtar --acls', bsd('--format=pax', '--acls')],
] as const) {
  test(`${title}: what is lost of lists kept as text is told`, async (t) => {
    const folder = await tree(t, 'full');
    const { result } = await assertAlike(t, archived(t, command(folder)), false);
    match(
      result.notes.join(),
      /^access lists or labels of 2 members, which the archive holds as text, were not kept: /,
    );
  });
}

test('git archive: unpacked as GNU tar does it', async (t) => {
  const folder = await tree(t, 'small');
  const git = (...args: string[]) =>
    execFileSync(GIT[0]!, [...GIT.slice(1), ...args], { cwd: folder, stdio: 'pipe' });
  git('init', '--quiet');
  git('add', '.');
  git('commit', '--quiet', '--message=all');
  const file = archived(t, () => [...GIT, 'archive', '--format=tar', 'HEAD'], folder);
  match(fs.readFileSync(file, 'latin1').slice(0, 1024), /^pax_global_header.*comment=/s);
  const { result } = await assertAlike(t, file, true);
  equal(result.entries, 11);
});

test('an archive of nothing: unpacked as GNU tar does it', async (t) => {
  const file = archived(t, (place) => [GNU_TAR, '--create', `--file=${place}`, '--files-from=/dev/null']);
  const { result } = await assertAlike(t, file, true);
  deepEqual([result.entries, result.unpackedBytes], [0, 0]);
});

test('an archive that a file was added to twice: unpacked as GNU tar does it', async (t) => {
  const folder = await tree(t, 'small');
  const file = archived(t, gnu('--format=posix')(folder));
  fs.writeFileSync(path.join(folder, 'etc/hosts'), 'other');
  fs.utimesSync(path.join(folder, 'etc/hosts'), 1, 1_600_000_001.5);
  execFileSync(GNU_TAR, [
    '--append',
    `--file=${file}`,
    '--format=posix',
    `--directory=${folder}`,
    './etc/hosts',
  ]);
  const { folder: ours } = await assertAlike(t, file, true);
  equal(fs.readFileSync(path.join(ours, 'etc/hosts'), 'utf8'), 'other');
});

test('our own publications: unpacked as GNU tar does it, with holes', async (t) => {
  const folder = await tree(t, 'full');
  const file = await ownArchive(t, folder);
  const { folder: ours } = await assertAlike(t, file, false);
  deepEqual(await compareTrees(folder, ours), []);
  ok(isHoley(ours));
});

async function ownArchive(t: TestContext, folder: string): Promise<string> {
  const file = path.join(scratch(t), 'own.tar');
  const out = fs.createWriteStream(file);
  const tell = () => {};
  for await (const bytes of archiveFolder(folder, 'image', new AbortController().signal, tell))
    out.write(bytes);
  await new Promise<void>((resolve) => out.end(resolve));
  return file;
}
