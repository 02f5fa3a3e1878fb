import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { zstdDecompressSync } from 'node:zlib';
import { type BuildOptions, type BuildReport, buildInitrd } from '../../initrd-builder/build.ts';
import { librariesOf } from '../../initrd-builder/libs.ts';
import { kernelPackage } from './kernels.ts';

const VERSION = '6.1.0-9-amd64';
/** Stands for the agent's executable: a program with libraries. */
const AGENT = '/usr/bin/tar';
const folder = fs.mkdtempSync(join(tmpdir(), 'swarmboot-build-'));
after(() => fs.rmSync(folder, { recursive: true }));
const kernel = kernelPackage(join(folder, 'kernel'), VERSION);
const key = join(folder, 'key');
/** Where a site would put it, below the root of the RAM disk. */
const KEY_PLACE = 'root/.ssh/key';
fs.writeFileSync(key, 'secret', { mode: 0o600 });

/** Builds; returns the report and the parts that had to be compressed. */
async function built(out: string, given: Partial<BuildOptions> = {}): Promise<[BuildReport, string[]]> {
  const told: string[] = [];
  const options: BuildOptions = {
    kernel,
    modules: ['default'],
    agent: AGENT,
    extras: [],
    added: [],
    params: [],
    version: '1.2.3',
    level: 1,
    out: join(folder, out),
    ...given,
  };
  const report = await buildInitrd(options, (line) => told.push(line), new AbortController().signal);
  return [report, told.map((line) => line.replace('compressing ', '')).sort()];
}

const read = (out: string, name = 'initrd.img') => fs.readFileSync(join(folder, out, name));

/** The tree that a kernel would unpack: part after part into one folder. */
function unpacked(out: string, report: BuildReport): string {
  const into = fs.mkdtempSync(join(folder, 'tree-'));
  let at = 0;
  for (const { packedBytes } of report.parts) {
    const archive = zstdDecompressSync(read(out).subarray(at, at + packedBytes));
    execFileSync('/usr/bin/busybox', ['cpio', '-i', '-u'], { cwd: into, input: archive, stdio: 'pipe' });
    at += packedBytes;
  }
  equal(at, report.initrd.bytes);
  return into;
}

const [first] = await built('first');
const tree = unpacked('first', first);
const text = (path: string) => fs.readFileSync(join(tree, path), 'utf8');

test('two builds are identical, byte for byte', async () => {
  await built('second');
  for (const name of ['kernel', 'initrd.img', 'initrd.json']) {
    ok(read('first', name).equals(read('second', name)), name);
  }
  deepEqual(fs.readdirSync(join(folder, 'second')).sort(), ['initrd.img', 'initrd.json', 'kernel']);
});

test('the initrd holds the agent, its libraries and the loader', () => {
  deepEqual(fs.readFileSync(join(tree, 'usr/bin/swarmboot-agent')), fs.readFileSync(AGENT));
  for (const library of librariesOf(AGENT)) ok(fs.existsSync(join(tree, library)), library);
  ok(fs.existsSync(join(tree, 'lib64/ld-linux-x86-64.so.2')));
});

test('/init and all folders that are mounted on are there, with their modes', () => {
  equal(fs.statSync(join(tree, 'init')).mode & 0o7777, 0o755);
  for (const path of ['dev', 'proc', 'sys', 'run']) equal(fs.statSync(join(tree, path)).mode & 0o7777, 0o755);
  equal(fs.statSync(join(tree, 'tmp')).mode & 0o7777, 0o1777);
  equal(fs.statSync(join(tree, 'root')).mode & 0o7777, 0o700);
});

test('every applet of busybox can be run by its name, and real tools keep theirs', () => {
  for (const path of ['bin/sh', 'sbin/modprobe', 'usr/bin/wget', 'usr/sbin/chroot', 'bin/tar']) {
    equal(fs.realpathSync(join(tree, path)), fs.realpathSync(join(tree, 'usr/bin/busybox')), path);
  }
  deepEqual(fs.readFileSync(join(tree, 'usr/bin/lsblk')), fs.readFileSync('/usr/bin/lsblk'));
});

test('modules and their tables lie where modprobe looks', () => {
  const base = `lib/modules/${VERSION}`;
  ok(fs.existsSync(join(tree, base, 'kernel/drivers/net/ethernet/intel/e1000.ko')));
  match(text(`${base}/modules.dep`), /e1000\.ko: kernel\/drivers\/net\/mii\.ko/);
});

test('it says what it is and who is local', () => {
  match(text('etc/hosts'), /^127\.0\.0\.1 localhost$/m);
  match(text('etc/os-release'), /^ID=swarmboot\nVERSION_ID=1\.2\.3$/m);
  equal(text('local.cfg'), 'DISKS_LAYOUT=search\n');
});

test('the report says what takes how much', () => {
  deepEqual(JSON.parse(read('first', 'initrd.json').toString()), first);
  deepEqual(first.kernel, { version: VERSION, bytes: `kernel ${VERSION}`.length });
  equal(read('first').length, first.initrd.bytes);
  const agent = first.parts.find(({ name }) => name === 'agent');
  equal(agent?.files, 1);
  ok(agent.bytes > fs.statSync(AGENT).size && agent.packedBytes < agent.bytes);
  for (const part of first.parts) equal(part.packedBytes % 4, 0, part.name);
});

test('parameters and added files change nothing but the last part', async () => {
  const given = {
    params: ['IMAGENAME=web', 'si.x=two words'],
    added: [{ file: key, path: `/${KEY_PLACE}` }],
  };
  const [fresh, compressed] = await built('first', given);
  deepEqual(compressed, ['site']);
  const changed = unpacked('first', fresh);
  equal(
    fs.readFileSync(join(changed, 'local.cfg'), 'utf8'),
    'DISKS_LAYOUT=search\nIMAGENAME=web\nsi.x="two words"\n',
  );
  equal(fs.readFileSync(join(changed, KEY_PLACE), 'utf8'), 'secret');
  equal(fs.statSync(join(changed, KEY_PLACE)).mode & 0o777, 0o600);
  equal(fs.statSync(join(changed, 'root')).mode & 0o777, 0o700);
  await built('anew', given);
  ok(read('first').equals(read('anew')), 'the same as when built from nothing');
});

test('a damaged initrd gives nothing to the next one', async () => {
  const [good] = await built('damaged');
  const path = join(folder, 'damaged/initrd.img');
  const bytes = fs.readFileSync(path);
  bytes.fill(0x55, 0, 100);
  fs.writeFileSync(path, bytes);
  const [again, compressed] = await built('damaged');
  deepEqual(compressed, [good.parts[0]?.name]);
  deepEqual(again, good);
  fs.writeFileSync(join(folder, 'damaged/initrd.json'), '{"parts":7}');
  equal((await built('damaged'))[1].length, good.parts.length);
});

test('another level compresses everything anew', async () => {
  const [report, compressed] = await built('level', { level: 2 });
  equal(compressed.length, report.parts.length);
  deepEqual(await built('level', { level: 2 }), [report, []]);
});

test('a refusal names the cause and leaves what was there', async () => {
  await built('kept');
  const before = read('kept');
  const refused = async (given: Partial<BuildOptions>, why: RegExp) => {
    await rejects(built('kept', given), { name: 'BuildError', message: why });
    ok(read('kept').equals(before));
    deepEqual(fs.readdirSync(join(folder, 'kept')).sort(), ['initrd.img', 'initrd.json', 'kernel']);
  };
  await refused({ agent: '/absent/agent' }, /\/absent\/agent is not there; make it with: make agent/);
  await refused({ extras: ['rsync', 'emacs'] }, /no extra tool "emacs"; choose from: rsync, ssh/);
  await refused({ modules: ['e999'] }, /has no module e999/);
  await refused({ params: ['IMAGENAME'] }, /"IMAGENAME" is no parameter; write --param NAME=value/);
  await refused({ params: ['A="b"'] }, /has quotes in its value/);
  await refused(
    { added: [{ file: '/absent', path: '/x' }] },
    /\/absent is no file; correct --add \/absent:\/x/,
  );
  const twice = [{ file: key, path: '/etc/hosts' }];
  await refused({ added: twice }, /\/etc\/hosts is wanted by the initrd builder and by .*key \(--add\)/);
  const below = [{ file: key, path: '/bin/key' }];
  await refused({ added: below }, /\/bin\/key of .*key \(--add\) lies below \/bin, which is a link/);
});

test('a build that is stopped leaves nothing', async () => {
  const signal = AbortSignal.abort(new Error('enough'));
  const options = {
    kernel,
    modules: [],
    agent: AGENT,
    extras: [],
    added: [],
    params: [],
    version: '1',
    level: 1,
  };
  const out = join(folder, 'stopped');
  await rejects(
    buildInitrd({ ...options, out }, () => {}, signal),
    /abort|enough/i,
  );
  deepEqual(fs.readdirSync(out), []);
});
