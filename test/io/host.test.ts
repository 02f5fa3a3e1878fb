import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { encodeMessage, parseMessage } from '../../agent/core/monitor.ts';
import {
  kernelCommandLine,
  machine,
  memoryAvailableBytes,
  parseMountinfo,
  poolAt,
  pools,
  readIfThere,
  watchProcessors,
} from '../../agent/io/host.ts';
import { message } from '../core/messages.ts';

const folder = mkdtempSync(join(tmpdir(), 'host-'));
after(() => rmSync(folder, { recursive: true }));

test('the kernel command line is text, and a file that is not there is null', () => {
  assert.equal(typeof kernelCommandLine(), 'string');
  assert.equal(readIfThere(join(folder, 'none')), null);
});

test('a parameter file that cannot be read is a fault that names it', () => {
  assert.throws(
    () => readIfThere(folder),
    (error) =>
      error instanceof SwarmbootError && error.code === 'parameters' && error.message.includes(folder),
  );
});

test('how busy the processors are counts from when they are watched', () => {
  const busyPercent = watchProcessors();
  for (const begun = performance.now(); performance.now() - begun < 200; );
  assert.ok(busyPercent() > 0 && busyPercent() <= 100, `${busyPercent()} %`);
});

test('some memory is available', async () => {
  assert.ok((await memoryAvailableBytes()) > 1e6);
});

test('the pools of this machine are folders, one for each file system, none of the kernel', () => {
  const found = pools();
  assert.ok(found.some(({ unusable }) => unusable === null));
  assert.equal(new Set(found.map(({ device }) => device)).size, found.length);
  for (const pool of found) {
    assert.ok(pool.freeBytes >= 0);
    assert.doesNotMatch(pool.folder, /^\/(proc|sys)/);
  }
});

test('/tmp is a pool', () => {
  assert.ok(pools().some((pool) => pool.folder === '/tmp'));
});

test('a folder is a pool on the file system that it lies on', () => {
  mkdirSync(join(folder, 'a'));
  const inner = poolAt(join(folder, 'a'), 'TARGET');
  assert.equal(inner.device, poolAt(folder, 'TARGET').device);
  assert.equal(inner.unusable, null);
  assert.notEqual(inner.fileSystem, 'unknown');
});

test('/dev/shm lies in memory', () => {
  assert.equal(poolAt('/dev/shm', 'BITTORRENT_STAGING').inMemory, true);
});

test('what is missing or no folder is a fault that says which parameter named it', () => {
  writeFileSync(join(folder, 'file'), '');
  for (const path of [join(folder, 'none'), join(folder, 'file')]) {
    assert.throws(
      () => poolAt(path, 'TARGET'),
      (error) =>
        error instanceof SwarmbootError &&
        error.code === 'staging' &&
        error.message.startsWith(`TARGET=${path}`),
    );
  }
});

test('the machine names its cores, memory, disks as given, and links that are devices', async () => {
  const disk = { name: 'vda', sizeBytes: 1, type: 'ssd', model: 'm', serial: 's' } as const;
  const facts = await machine([disk]);
  assert.ok(facts.cores >= 1 && facts.memoryBytes > 1e6 && facts.cpu !== '');
  assert.deepEqual(facts.disks, [disk]);
  for (const { name, mac } of facts.links) {
    assert.notEqual(name, 'lo');
    assert.match(mac, /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/);
  }
  const text = encodeMessage({ ...message(), inventory: facts });
  assert.deepEqual(parseMessage(text).inventory?.links, facts.links);
});

test('mountinfo: blanks in names are unescaped, optional fields skipped, and the last mount at a place counts', () => {
  const text =
    '36 35 98:0 / /mnt\\040two rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue\n' +
    '37 35 0:30 / /dev/shm rw - tmpfs tmpfs rw\n38 37 0:31 / /dev/shm rw - ramfs none rw\n\nnonsense\n';
  assert.deepEqual(parseMountinfo(text), [
    { folder: '/mnt two', fileSystem: 'ext3' },
    { folder: '/dev/shm', fileSystem: 'ramfs' },
  ]);
});

test('mounts that the kernel does not tell are a fault with a reason', () => {
  const here = import.meta.dirname;
  const script = `import { poolAt } from '${join(here, '../../agent/io/host.ts')}';
    await null; // What a module does while it is loaded is not counted.
    try { poolAt('/', 'TARGET') } catch ({ code, message }) { console.log(code, message) }`;
  const words = ['--import', join(here, '../crashes/nthcall.ts'), '--input-type=module', '--eval', script];
  const env = { ...process.env, NTH_CALL: '1 EIO' };
  const said = execFileSync(process.execPath, words, { encoding: 'utf8', env });
  assert.match(said, /^staging cannot read \/proc\/self\/mountinfo \(EIO.*; start again$/m);
});
