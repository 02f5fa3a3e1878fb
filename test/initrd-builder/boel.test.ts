import { deepEqual, equal, match, ok, throws } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { collectBoel, TOOLS } from '../../initrd-builder/boel.ts';

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
    execFileSync('/usr/sbin/chroot', [tree, ...command], { encoding: 'utf8' });
  match(run('/usr/bin/tar', '--version'), /GNU tar/);
  match(run('/usr/bin/zstd', '--version'), /Zstandard/);
  match(run('/usr/sbin/sfdisk', '--version'), /sfdisk/);
  match(run('/usr/bin/lsblk', '--version'), /lsblk/);
  match(run('/usr/bin/setfattr', '--version'), /setfattr/);
  match(run('/usr/bin/busybox', 'uname', '-s'), /Linux/);
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
