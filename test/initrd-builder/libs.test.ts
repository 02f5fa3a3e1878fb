import { deepEqual, equal, throws } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { librariesOf, readElf } from '../../initrd-builder/libs.ts';

const folder = mkdtempSync(join(tmpdir(), 'swarmboot-libs-'));
after(() => rmSync(folder, { recursive: true }));

/** What the loader itself says that it maps. */
function ldd(path: string): string[] {
  const lines = execFileSync('/usr/bin/ldd', [path], { encoding: 'utf8' }).split('\n');
  return lines.flatMap((line) => /(?:=> )?(\/\S+) \(0x/.exec(line)?.[1] ?? []);
}

const real = (paths: readonly string[]) => [...new Set(paths.map((path) => realpathSync(path)))].sort();

for (const program of [
  '/usr/bin/tar',
  '/usr/bin/zstd',
  '/usr/bin/lsblk',
  '/usr/sbin/sfdisk',
  '/usr/sbin/mkfs.ext4',
  '/usr/bin/perl',
  '/usr/bin/apt-get',
  process.execPath,
]) {
  test(`the libraries of ${program.split('/').at(-1)} are those that the loader maps`, () => {
    deepEqual(real(librariesOf(program)), real(ldd(program)));
  });
}

test('a static program needs no library', () => {
  deepEqual(librariesOf('/usr/bin/busybox'), []);
});

test('a script is no ELF file and needs no library', () => {
  const path = join(folder, 'script');
  writeFileSync(path, `#!/bin/sh\n${'# padding\n'.repeat(20)}`);
  equal(readElf(path), null);
  deepEqual(librariesOf(path), []);
});

test('a library that is nowhere is an error that names it and who needs it', () => {
  const path = join(folder, 'orphan');
  const bytes = readFileSync('/usr/bin/tar');
  bytes.write('libnox.so.1', bytes.indexOf('libacl.so.1'));
  writeFileSync(path, bytes);
  throws(() => librariesOf(path), /orphan needs the library libnox\.so\.1/);
});

test('a truncated ELF file is an error that names it', () => {
  const path = join(folder, 'short');
  writeFileSync(path, readFileSync('/usr/bin/tar').subarray(0, 300));
  throws(() => readElf(path), /short is a damaged ELF file/);
});

test('an ELF file of another machine is refused', () => {
  const path = join(folder, 'other');
  copyFileSync('/usr/bin/true', path);
  const bytes = readFileSync(path);
  bytes.writeUInt16LE(183, 18);
  writeFileSync(path, bytes);
  throws(() => readElf(path), /not for 64-bit x86/);
});
