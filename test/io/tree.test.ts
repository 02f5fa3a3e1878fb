import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { FileSink, TreeWriter } from '../../agent/core/judge.ts';
import type { Member } from '../../agent/core/tarhead.ts';
import { streamWriter } from '../../agent/io/tree.ts';

const BUSYBOX = '/usr/bin/busybox';
const folder = fs.mkdtempSync(join(tmpdir(), 'swarmboot-tree-'));
after(() => fs.rmSync(folder, { recursive: true }));

/** A root as a RAM disk has it: a program, links to it, a folder for loaders. */
function ramDisk(): string {
  const root = fs.mkdtempSync(join(folder, 'root-'));
  fs.mkdirSync(join(root, 'usr/bin'), { recursive: true });
  fs.mkdirSync(join(root, 'lib64'));
  fs.copyFileSync(BUSYBOX, join(root, 'usr/bin/busybox'));
  fs.symlinkSync('busybox', join(root, 'usr/bin/tar'));
  fs.symlinkSync('usr/bin', join(root, 'bin'));
  return root;
}

function member(name: string, type: Member['type']): Member {
  const nothing = { linkName: '', storedBytes: 0, fileBytes: 0, sparse: false, mapStored: false, xattrs: [] };
  return { name, plainName: name, type, mode: 0o755, uid: 0, gid: 0, mtimeSec: 1000, ...nothing };
}

function fileSink(writer: TreeWriter, name: string): FileSink {
  const sink = writer.take(member(name, 'file'));
  ok(typeof sink === 'object', 'the stream writer wants the bytes of files');
  return sink;
}

/** A program of `root` that runs until its input ends. */
async function started(root: string, name: string): Promise<ChildProcess> {
  const child = spawn(join(root, name), ['cat'], { argv0: 'busybox', stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin!.write('running\n');
  await once(child.stdout!, 'data');
  return child;
}

test('a program that runs is replaced, and goes on', async () => {
  const root = ramDisk();
  const child = await started(root, 'usr/bin/busybox');
  const writer = streamWriter(root);
  const sink = fileSink(writer, 'usr/bin/busybox');
  sink.data(Buffer.from('new'));
  sink.end();
  await writer.finish();
  equal(fs.readFileSync(join(root, 'usr/bin/busybox'), 'utf8'), 'new');
  child.stdin!.end('still here\n');
  const [[text], [status]] = await Promise.all([once(child.stdout!, 'data'), once(child, 'close')]);
  deepEqual([String(text), status], ['still here\n', 0]);
});

test('until the new file is whole, the old one can be run', async () => {
  const root = ramDisk();
  const bytes = fs.readFileSync('/usr/bin/true');
  const writer = streamWriter(root);
  const sink = fileSink(writer, 'usr/bin/busybox');
  sink.data(bytes.subarray(0, 1000));
  equal(execFileSync(join(root, 'usr/bin/busybox'), ['echo', 'old'], { encoding: 'utf8' }), 'old\n');
  sink.data(bytes.subarray(1000));
  sink.end();
  equal(execFileSync(join(root, 'usr/bin/busybox'), ['echo', 'new'], { encoding: 'utf8' }), '');
  deepEqual(fs.readdirSync(join(root, 'usr/bin')), ['busybox', 'tar']);
});

test('a link to a program becomes a file, and the program stays', async () => {
  const root = ramDisk();
  const writer = streamWriter(root);
  const sink = fileSink(writer, 'usr/bin/tar');
  sink.data(Buffer.from('GNU'));
  sink.end();
  equal(fs.readFileSync(join(root, 'usr/bin/tar'), 'utf8'), 'GNU');
  deepEqual(fs.readFileSync(join(root, 'usr/bin/busybox')), fs.readFileSync(BUSYBOX));
});

test('a folder that is there stays, with what it holds', async () => {
  const root = ramDisk();
  fs.writeFileSync(join(root, 'lib64/mine'), 'mine');
  const before = fs.statSync(join(root, 'lib64')).ino;
  const writer = streamWriter(root);
  writer.take(member('lib64', 'directory'));
  await writer.finish();
  equal(fs.statSync(join(root, 'lib64')).ino, before);
  equal(fs.readFileSync(join(root, 'lib64/mine'), 'utf8'), 'mine');
});

test('a folder gets its mode and time where it was made, wherever a link on the way points by then', async () => {
  const root = ramDisk();
  const outside = fs.mkdtempSync(join(folder, 'outside-'));
  fs.mkdirSync(join(outside, 'new'), { mode: 0o700 });
  const writer = streamWriter(root);
  writer.take(member('bin/new', 'directory'));
  writer.take({ ...member('bin', 'symlink'), linkName: outside });
  await writer.finish();
  const [ours, theirs] = [fs.statSync(join(root, 'usr/bin/new')), fs.statSync(join(outside, 'new'))];
  deepEqual([ours.mode & 0o777, ours.mtimeMs, theirs.mode & 0o777], [0o755, 1_000_000, 0o700]);
  ok(theirs.mtimeMs > 1_000_000);
});

test('times before 1970 are kept, and the name of unfinished files is refused', async () => {
  const root = ramDisk();
  const writer = streamWriter(root);
  writer.take({ ...member('old', 'directory'), mtimeSec: -5.5 });
  throws(() => writer.take(member('usr/.swarmboot-unfinished', 'file')), /unfinished ones have/);
  await writer.finish();
  equal(fs.statSync(join(root, 'old')).mtimeMs, -5500);
});

test('a file that is not to be finished leaves the old one and nothing else', async () => {
  const root = ramDisk();
  const writer = streamWriter(root);
  const sink = fileSink(writer, 'usr/bin/busybox');
  sink.data(Buffer.from('half'));
  await writer.abort();
  deepEqual(fs.readdirSync(join(root, 'usr/bin')), ['busybox', 'tar']);
  deepEqual(fs.readFileSync(join(root, 'usr/bin/busybox')), fs.readFileSync(BUSYBOX));
});
