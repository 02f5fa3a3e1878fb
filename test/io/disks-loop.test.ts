// Whole plans on a file behind a loop device, with the tools of this machine: what is made is there, and what is kept
// survives. Arrays and volumes need drivers that not every kernel has: test/boot/disks.test.ts has those.

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Command } from '../../agent/core/command.ts';
import type { DiskFacts } from '../../agent/core/diskfacts.ts';
import { parseLayout } from '../../agent/core/disklayout.ts';
import { type DiskPlan, planDisks } from '../../agent/core/diskplan.ts';
import { contentOf, labelOf, namesOf, SIGNATURE_BYTES } from '../../agent/core/signature.ts';
import { GIB } from '../../agent/core/units.ts';
import { absentPrograms, runCommand } from '../../agent/io/command.ts';
import { scratch } from '../content.ts';
import { disk, partition } from '../disks.ts';

const skip =
  (process.getuid?.() !== 0 && 'loop devices need root') ||
  (!existsSync('/dev/loop-control') && 'this kernel has no loop devices');

const PARTITIONS = [
  { name: 'bios', type: 'bios-boot', size: '1MiB' },
  { name: 'esp', type: 'esp', size: '64MiB', fs: { type: 'vfat' } },
  { name: 'swap', size: '5%', fs: { type: 'swap', label: 'swap' } },
];
const ROOT = { type: 'ext4', mount: '/', label: 'root', mkfs: ['-m', '0'] };
const layoutOf = (...partitions: readonly object[]) =>
  parseLayout(
    JSON.stringify({
      format: 1,
      disks: [{ match: {}, label: 'gpt', partitions: [...PARTITIONS, ...partitions] }],
    }),
    'x',
  );
const FIRST = layoutOf(
  { name: 'root', size: 'rest', fs: ROOT },
  { name: 'home', size: '400MiB', fs: { type: 'xfs', mount: '/srv' } },
);
const AGAIN = layoutOf(
  { name: 'root', size: '200MiB', fs: ROOT },
  { name: 'home', keep: true, size: '400MiB', fs: { type: 'xfs', mount: '/srv' } },
  { name: 'more', size: 'rest', fs: { type: 'ext4', mount: '/srv/more' } },
);

const run = (program: string, ...args: readonly string[]) =>
  execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

async function runAll(commands: readonly Command[]): Promise<void> {
  deepEqual(absentPrograms(commands), []);
  for (const command of commands) await runCommand(command, 'disk', new AbortController().signal, () => {});
}

/** An empty disk of 1 GiB as a loop device, gone with the test. */
function loopDisk(context: TestContext): string {
  const file = join(scratch(context), 'disk');
  writeFileSync(file, '');
  truncateSync(file, GIB);
  const path = run('/usr/sbin/losetup', '--partscan', '--find', '--show', file).trim();
  context.after(() => {
    run('/usr/bin/partx', '--delete', path);
    run('/usr/sbin/losetup', '--detach', path);
  });
  return path;
}

/** The facts of a loop device, which is no disk to agent/io/disks. */
function factsOf(path: string): DiskFacts {
  const name = path.slice('/dev/'.length);
  const bytesOf = (device: string) => execFileSync('/usr/bin/head', ['-c', String(SIGNATURE_BYTES), device]);
  const start = bytesOf(path);
  const names = namesOf(start, 512);
  const partitions = [...names].map(([number, label]) => {
    const fact = (key: string) =>
      Number(readFileSync(`/sys/block/${name}/${name}p${number}/${key}`, 'utf8')) * 512;
    const content = contentOf(bytesOf(`${path}p${number}`));
    return partition(number, fact('start'), fact('size'), { label, content });
  });
  return disk(name, { sizeBytes: GIB, label: labelOf(start, 512), partitions });
}

/** What is mounted below the target, by folder. */
function mounted(target: string): Record<string, string> {
  const lines = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const fields = lines.map((line) => line.split(' ')).filter(([, folder]) => folder?.startsWith(target));
  return Object.fromEntries(
    fields.map(([device = '', folder = '']) => [folder.slice(target.length), device]),
  );
}

function assertFstab(plan: DiskPlan): void {
  const known = plan.fstab.map(({ source }) =>
    run('/usr/sbin/blkid', '--cache-file', '/dev/null', '--uuid', source.slice(5)),
  );
  ok(known.every((device) => device.startsWith('/dev/loop')));
}

test('one disk is made and mounted as its plan says; another plan keeps what it shall keep, and nothing else', {
  skip,
}, async (context) => {
  const path = loopDisk(context);
  const target = join(scratch(context), 'target');

  const first = planDisks(FIRST, [factsOf(path)], 'bios', target, randomUUID);
  await runAll(first.prepare);
  deepEqual(mounted(target), { '': `${path}p4`, '/srv': `${path}p5` });
  assertFstab(first);
  const start = execFileSync('/usr/bin/head', ['-c', '512', path]);
  deepEqual([...start.subarray(0, 3), ...start.subarray(510)], [0xcd, 0x18, 0, 0x55, 0xaa]);
  writeFileSync(join(target, 'srv/mine'), 'kept');
  writeFileSync(join(target, 'lost'), 'lost');
  await runAll(first.release);
  deepEqual(mounted(target), {});

  const facts = factsOf(path);
  deepEqual(
    facts.partitions.map(({ label, content }) => [label, content?.type]),
    [
      ['bios', undefined],
      ['esp', 'vfat'],
      ['swap', 'swap'],
      ['root', 'ext4'],
      ['home', 'xfs'],
    ],
  );
  const entry = () => run('/usr/sbin/sfdisk', '--dump', path).match(/.*p5 : .*/)?.[0];
  const before = entry();
  const again = planDisks(AGAIN, [facts], 'bios', target, randomUUID);
  await runAll(again.prepare);
  deepEqual(mounted(target), { '': `${path}p4`, '/srv': `${path}p5`, '/srv/more': `${path}p6` });
  equal(entry(), before);
  match(before ?? '', /name="home"/);
  assertFstab(again);
  equal(readFileSync(join(target, 'srv/mine'), 'utf8'), 'kept');
  ok(!existsSync(join(target, 'lost')));
  await runAll(again.release);
});
