import { deepEqual, equal, match, ok, throws } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { collectBoel, extraTools, TOOLS } from '../../initrd-builder/boel.ts';
import { files, text } from '../tidy/sources.ts';

const folder = mkdtempSync(join(tmpdir(), 'swarmboot-boel-'));
after(() => rmSync(folder, { recursive: true }));

const tree = join(folder, 'tree');
const places = collectBoel(TOOLS, tree);

test('every tool lies in the tree where it lies on the machine, with its bytes', () => {
  for (const tool of TOOLS)
    deepEqual(readFileSync(join(tree, tool.path)), readFileSync(tool.path), tool.path);
});

test('the loader and the C library are there', () => {
  ok(places.includes('/lib64/ld-linux-x86-64.so.2'));
  ok(places.includes('/usr/lib/x86_64-linux-gnu/libc.so.6'));
});

test('the tools run with nothing but the tree around them', {
  skip: process.getuid?.() !== 0 && 'chroot needs root',
}, () => {
  const run = (...command: string[]) =>
    execFileSync('/usr/sbin/chroot', [tree, ...command], { encoding: 'utf8', stdio: 'pipe' });
  match(run('/usr/bin/tar', '--version'), /GNU tar/);
  match(run('/usr/bin/zstd', '--version'), /Zstandard/);
  match(run('/usr/sbin/sfdisk', '--version'), /sfdisk/);
  match(run('/usr/sbin/mkfs.xfs', '-V'), /mkfs\.xfs version/);
  match(run('/usr/sbin/lvm', 'pvcreate', '--help'), /pvcreate - Initialize/);
  match(run('/usr/sbin/kexec', '--version'), /kexec-tools/);
  match(run('/usr/bin/mount', '--version'), /util-linux/);
  match(run('/usr/sbin/chroot', '/', '/usr/sbin/blockdev', '--version'), /blockdev/);
  match(run('/usr/bin/lsblk', '--version'), /lsblk/);
  match(run('/usr/bin/setfattr', '--version'), /setfattr/);
  match(run('/usr/bin/busybox', 'uname', '-s'), /Linux/);
});

/** What the agent runs inside the new system, whose own it then is. */
const OF_THE_IMAGE = /\/(?:grub-(?:install|mkconfig|probe)|ssh-keygen|systemctl)$/;

test('every program that the agent names is a BOEL binary or an applet of busybox', () => {
  const sources = files('.ts', 'agent').map(text).join('\n');
  const named = new Set(sources.match(/(?<=')\/usr\/s?bin\/[\w.-]+(?=')/g));
  const applets = execFileSync('/usr/bin/busybox', ['--list-full'], { encoding: 'utf8' }).split('\n');
  const there = [
    ...TOOLS.map((tool) => tool.path),
    ...applets.map((path) => `/usr/${path.replace(/^usr\//, '')}`),
  ];
  deepEqual(
    [...named].filter((path) => !there.includes(path) && !OF_THE_IMAGE.test(path)),
    [],
  );
});

test('tools that are asked for come with their package, and unknown ones are refused', () => {
  deepEqual(
    extraTools(['ssh', 'rsync', 'ssh']).map((tool) => tool.package),
    ['openssh-client', 'rsync'],
  );
  throws(() => extraTools(['emacs']), /no extra tool "emacs"; choose from: rsync, ssh/);
});

test('the loader of the tree, told to use the tree alone, runs its tar', () => {
  const loader = join(tree, 'lib64/ld-linux-x86-64.so.2');
  const output = execFileSync(
    loader,
    [
      '--inhibit-cache',
      '--library-path',
      join(tree, 'usr/lib/x86_64-linux-gnu'),
      join(tree, 'usr/bin/tar'),
      '--version',
    ],
    {
      encoding: 'utf8',
    },
  );
  match(output, /GNU tar/);
});

test('the same packages give the same tree: names, modes and times', () => {
  const again = join(folder, 'again');
  deepEqual(collectBoel(TOOLS, again), places);
  for (const place of places) {
    const [left, right] = [statSync(join(tree, place)), statSync(join(again, place))];
    equal(left.mtimeMs, right.mtimeMs);
    equal(left.mode, right.mode);
  }
});

test('absent tools are all named, with the packages that bring them, and nothing is left behind', () => {
  const into = join(folder, 'never');
  const tools = [
    ...TOOLS,
    { path: '/usr/bin/absent-one', package: 'first' },
    { path: '/usr/bin/absent-two', package: 'second' },
  ];
  throws(
    () => collectBoel(tools, into),
    /absent-one, \/usr\/bin\/absent-two; install the Debian packages: first second/,
  );
  ok(!existsSync(into) && !existsSync(`${into}.unfinished`));
});

test('a folder that exists is left alone', () => {
  const into = join(folder, 'full');
  mkdirSync(into);
  throws(() => collectBoel(TOOLS, into), /exists already/);
});

test('every package named here is in the Makefile, where all packages are', () => {
  const makefile = readFileSync(join(import.meta.dirname, '../../Makefile'), 'utf8');
  const listed = /PRODUCT_PACKAGES := \\\n(?:.*\\\n)*.*\n/.exec(makefile)?.[0].split(/\s+/) ?? [];
  deepEqual(
    TOOLS.map((tool) => tool.package).filter((name) => !listed.includes(name)),
    [],
  );
});
