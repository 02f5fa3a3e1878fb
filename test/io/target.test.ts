import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { endProcesses, openTree } from '../../agent/io/target.ts';
import { scratch } from '../content.ts';

/** A target, and beside it a folder that must not change. */
function arena(t: TestContext) {
  let outside = '';
  // Before the folder is asked for, which goes away with the end of the test.
  t.after(() => {
    deepEqual(readdirSync(outside), ['bird']);
    equal(readFileSync(join(outside, 'bird'), 'utf8'), 'sings');
  });
  const folder = scratch(t);
  const root = join(folder, 'target');
  outside = join(folder, 'outside');
  mkdirSync(join(root, 'etc'), { recursive: true });
  mkdirSync(outside);
  writeFileSync(join(outside, 'bird'), 'sings');
  return { root, outside, tree: openTree(root) };
}

test('a file is written with its mode and the folders above it, and nothing is left beside it', (t) => {
  const { root, tree } = arena(t);
  tree.write('a/b/secret', 'text', 0o600);
  tree.write('a/b/secret', new Uint8Array([104, 105]), 0o640);
  equal(tree.read('a/b/secret'), 'hi');
  equal(statSync(join(root, 'a/b/secret')).mode & 0o777, 0o640);
  deepEqual(tree.list('a/b'), ['secret']);
});

test('an absolute link leads to the same place of the target, not of the installer', (t) => {
  const { root, outside, tree } = arena(t);
  symlinkSync(`${outside}/bird`, join(root, 'etc/hosts'));
  symlinkSync(outside, join(root, 'etc/folder'));
  equal(tree.read('etc/hosts'), null);
  tree.write('etc/hosts', 'ours', 0o644);
  tree.write('etc/folder/bird', 'ours', 0o644);
  equal(readFileSync(join(root, outside, 'bird'), 'utf8'), 'ours');
  equal(readlinkSync(join(root, 'etc/hosts')), `${outside}/bird`);
});

test('a relative link ends at the root, however high it climbs', (t) => {
  const { root, tree } = arena(t);
  symlinkSync('../../../../outside', join(root, 'etc/up'));
  tree.write('etc/up/bird', 'ours', 0o644);
  tree.write('../../outside/nest', 'ours', 0o644);
  equal(readFileSync(join(root, 'outside/bird'), 'utf8'), 'ours');
  deepEqual(tree.list('outside'), ['bird', 'nest']);
});

test('links to what is not there are followed too', (t) => {
  const { root, tree } = arena(t);
  symlinkSync('/run/systemd/resolve/stub-resolv.conf', join(root, 'etc/resolv.conf'));
  equal(tree.has('etc/resolv.conf'), false);
  equal(tree.isLink('etc/resolv.conf'), true);
  tree.write('etc/resolv.conf', 'x', 0o644);
  equal(readFileSync(join(root, 'run/systemd/resolve/stub-resolv.conf'), 'utf8'), 'x');
});

test('links in a circle are a fault when writing, and nothing when looking', (t) => {
  const { root, tree } = arena(t);
  symlinkSync('b', join(root, 'a'));
  symlinkSync('a', join(root, 'b'));
  equal(tree.has('a'), false);
  equal(tree.read('a'), null);
  throws(
    () => tree.write('a', 'x', 0o644),
    (error) => error instanceof SwarmbootError && error.code === 'system' && /links/.test(error.message),
  );
});

test('what has a folder in its place is a fault that says where', (t) => {
  const { tree } = arena(t);
  tree.folder('etc/fstab');
  throws(
    () => tree.write('etc/fstab', 'x', 0o644),
    (error) => error instanceof SwarmbootError && /cannot write \/etc\/fstab below/.test(error.message),
  );
});

test('removing takes a link itself, a folder with all in it, and what is not there', (t) => {
  const { root, outside, tree } = arena(t);
  symlinkSync(outside, join(root, 'link'));
  tree.write('folder/a/b', '', 0o644);
  for (const path of ['link', 'folder', 'nothing/at/all']) tree.remove(path);
  deepEqual(tree.list(''), ['etc']);
});

test('a link is made, and made again', (t) => {
  const { root, tree } = arena(t);
  tree.link('etc/wants/unit', '/etc/unit');
  tree.link('etc/wants/unit', '/etc/other');
  equal(readlinkSync(join(root, 'etc/wants/unit')), '/etc/other');
  equal(lstatSync(join(root, 'etc/wants/unit')).isSymbolicLink(), true);
});

test('a file of the installer is copied byte for byte', (t) => {
  const { root, tree } = arena(t);
  tree.copy('/usr/bin/busybox', 'usr/lib/x/busybox', 0o755);
  deepEqual(readFileSync(join(root, 'usr/lib/x/busybox')), readFileSync('/usr/bin/busybox'));
  equal(statSync(join(root, 'usr/lib/x/busybox')).mode & 0o777, 0o755);
});

test('a folder is made and told with every link on the way resolved', (t) => {
  const { root, tree } = arena(t);
  symlinkSync('usr/lib', join(root, 'lib'));
  equal(tree.folder('lib/modules'), join(root, 'usr/lib/modules'));
  ok(existsSync(join(root, 'usr/lib/modules')));
});

test('what runs with the target as its root is ended, and nothing else', {
  skip: process.getuid!() !== 0 && 'chroot needs root',
}, async (t) => {
  const { root } = arena(t);
  copyFileSync('/usr/bin/busybox', join(root, 'busybox'));
  const start = (...argv: string[]) => {
    const child = spawn('/usr/bin/busybox', argv, { stdio: ['ignore', 'pipe', 'ignore'] });
    t.after(() => child.kill('SIGKILL'));
    return child;
  };
  const code = '/busybox echo up; exec /busybox sleep 600';
  const inside = start('chroot', root, '/busybox', 'sh', '-c', code);
  const beside = start('sh', '-c', 'echo up; exec /usr/bin/busybox sleep 600');
  await Promise.all([once(inside.stdout!, 'data'), once(beside.stdout!, 'data')]);
  const ended = once(inside, 'exit');
  equal(endProcesses(root).length, 1);
  deepEqual(await ended, [null, 'SIGKILL']);
  deepEqual(endProcesses(root), []);
  equal(beside.exitCode, null);
});
