import { deepEqual, equal } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { contentOf, labelOf, namesOf } from '../../agent/core/signature.ts';
import { GIB, MIB } from '../../agent/core/units.ts';
import { diskFacts, firmware } from '../../agent/io/disks.ts';
import { scratch } from '../content.ts';

/** The kernel's files as they would be below `/`: a text, bytes, or where a link leads. */
type KernelFiles = Readonly<Record<string, string | Uint8Array | { readonly link: string }>>;

function machine(context: TestContext, files: KernelFiles): string {
  const root = scratch(context);
  for (const [path, content] of Object.entries(files)) {
    const place = join(root, path);
    mkdirSync(dirname(place), { recursive: true });
    if (typeof content === 'object' && 'link' in content) symlinkSync(content.link, place);
    else writeFileSync(place, content);
  }
  return root;
}

/** One disk's folder in sysfs. */
function sysfs(name: string, files: KernelFiles): KernelFiles {
  const all = { size: '41943040\n', removable: '0\n', ro: '0\n', dev: '254:0\n', ...files };
  return Object.fromEntries(
    Object.entries(all).map(([path, content]) => [`sys/block/${name}/${path}`, content]),
  );
}

const page83 = (...designators: readonly (readonly [number, number, Uint8Array])[]) => {
  const parts = designators.map(([association, kind, value]) =>
    Buffer.concat([Buffer.from([0, (association << 4) | kind, 0, value.length]), value]),
  );
  return Buffer.concat([Buffer.alloc(4), ...parts]);
};

test('a machine is a UEFI machine when its kernel was told of EFI', (context) => {
  equal(firmware(machine(context, { 'proc/x': '' })), 'bios');
  equal(firmware(machine(context, { 'sys/firmware/efi/fw_platform_size': '64' })), 'efi');
});

test('the disks of this machine are found, with what uses them', async () => {
  for (const disk of await diskFacts()) {
    equal(disk.path, `/dev/${disk.name}`);
    equal(disk.sizeBytes % disk.sectorBytes, 0);
  }
});

test('what is no disk is left out: loops, memory, optical drives, arrays, volumes, empty drives, hidden paths', async (context) => {
  const names = ['loop0', 'ram0', 'zram0', 'sr0', 'fd0', 'dm-0', 'md0', 'nbd0', 'mmcblk0boot0', 'nvme0c0n1'];
  const root = machine(context, {
    ...Object.assign({}, ...names.map((name) => sysfs(name, {}))),
    ...sysfs('sdb', { size: '0\n' }),
    ...sysfs('mmcblk0', { 'device/name': 'CARD\n', 'device/serial': '0x12\n', 'queue/rotational': '0\n' }),
  });
  deepEqual(
    (await diskFacts(root)).map(({ name, type, ids }) => [name, type, ids]),
    [['mmcblk0', 'ssd', ['mmc-CARD_0x12']]],
  );
});

test('each kind of disk is known by its kind, its names, its sectors', async (context) => {
  const naa = Buffer.from('5000c50012345678', 'hex');
  const ata = Buffer.from(`ATA     ${'Maker Disk 9000'.padEnd(40)}${'S 1'.padStart(20)}`, 'latin1');
  const root = machine(context, {
    ...sysfs('nvme0n1', {
      'device/model': 'Fast NVMe        \n',
      'device/serial': 'S123    \n',
      wwid: 'eui.0025385b21404321\n',
      'queue/logical_block_size': '4096\n',
    }),
    ...sysfs('sda', {
      'queue/rotational': '1\n',
      'device/vendor': 'ATA     \n',
      'device/model': 'Maker Disk 9000 \n',
      'device/vpd_pg80': Buffer.from('\x00\x80\x00\x04 S 1', 'latin1'),
      // The last is a name of the port.
      'device/vpd_pg83': page83([0, 1, ata], [0, 3, naa], [1, 3, Buffer.alloc(8)]),
    }),
    ...sysfs('sdb', {
      'queue/rotational': '0\n',
      'device/vendor': 'SAS\n',
      'device/vpd_pg83': page83([0, 3, naa]),
    }),
    ...sysfs('sdc', { 'device/vendor': 'QEMU    \n', 'device/model': 'QEMU HARDDISK\n', removable: '1\n' }),
    ...sysfs('vda', { serial: 'disk one', 'queue/rotational': '1\n' }),
    ...sysfs('vdb', {}),
  });
  deepEqual(
    (await diskFacts(root)).map(({ name, type, removable, sectorBytes, model, serial, ids }) => [
      ...[name, type, removable, sectorBytes, model, serial],
      ids,
    ]),
    [
      [
        'nvme0n1',
        'nvme',
        false,
        4096,
        'Fast NVMe',
        'S123',
        ['nvme-Fast_NVMe_S123', 'nvme-eui.0025385b21404321'],
      ],
      [
        ...['sda', 'hdd', false, 512, 'Maker Disk 9000', 'S 1'],
        ['ata-Maker_Disk_9000_S_1', 'wwn-0x5000c50012345678', 'scsi-35000c50012345678'],
      ],
      ['sdb', 'ssd', false, 512, '', '', ['wwn-0x5000c50012345678', 'scsi-35000c50012345678']],
      ['sdc', 'virtual', true, 512, 'QEMU HARDDISK', '', []],
      ['vda', 'virtual', false, 512, '', 'disk one', ['virtio-disk_one']],
      ['vdb', 'virtual', false, 512, '', '', []],
    ],
  );
});

test('a disk that hangs on USB counts as removable, whatever it says', async (context) => {
  const root = machine(context, {
    'sys/devices/pci0/usb1/1-1/host0/block/sda/size': '2048\n',
    'sys/devices/pci0/usb1/1-1/host0/block/sda/removable': '0\n',
    'sys/block/sda': { link: '../devices/pci0/usb1/1-1/host0/block/sda' },
  });
  equal((await diskFacts(root))[0]?.removable, true);
});

test('a damaged page of product data gives no names, and no fault', async (context) => {
  const damaged = Buffer.concat([page83([0, 3, Buffer.alloc(8)]), Buffer.from([1, 3])]).fill(0xff, 7, 8);
  const root = machine(context, sysfs('sda', { 'device/vpd_pg83': damaged, 'device/vpd_pg80': '' }));
  equal((await diskFacts(root))[0]?.serial, '');
});

test('whatever uses a disk or a part of it is told', async (context) => {
  const root = machine(context, {
    ...sysfs('vda', {
      'vda1/partition': '1\n',
      'vda1/dev': '254:1\n',
      'vda2/partition': '2\n',
      'vda2/dev': '254:2\n',
      'vda3/partition': '3\n',
      'vda3/dev': '254:3\n',
      'vda3/holders/dm-0': '',
      'vda3/holders/md0': '',
    }),
    ...sysfs('vdb', { dev: '254:16\n', ro: '1\n' }),
    ...sysfs('vdc', { dev: '254:32\n' }),
    'sys/block/dm-0/dm/name': 'vg0-root\n',
    'sys/block/loop3/loop/backing_file': '/dev/vdc\n',
    'proc/swaps': 'Filename Type Size Used Priority\n/dev/vda2 partition 1 0 -2\n',
    'proc/self/mountinfo':
      '30 1 254:1 / /mnt\\040x rw shared:1 - ext4 /dev/vda1 rw\n' +
      '31 1 0:44 /sub /data rw - btrfs /dev/vdb rw\n32 1 0:5 / /proc rw - proc proc rw\n',
  });
  deepEqual(
    (await diskFacts(root)).map(({ uses }) => uses),
    [
      [
        'vda1 is mounted at /mnt\\040x',
        'vda2 is swap',
        'vda3 is part of dm-0 (vg0-root)',
        'vda3 is part of md0',
      ],
      ['vdb is read-only', 'vdb is mounted at /data'],
      ['vdc is behind a loop device'],
    ],
  );
});

/** What a tool of this machine makes of an empty file. */
function made(
  context: TestContext,
  sizeBytes: number,
  program: string,
  ...args: readonly string[]
): Uint8Array {
  const file = join(scratch(context), 'disk');
  writeFileSync(file, '');
  truncateSync(file, sizeBytes);
  execFileSync(program, [...args, file], { stdio: 'ignore' });
  return execFileSync('/usr/bin/head', ['-c', String(68 * 1024), file]);
}

const UUID = '0f1e2d3c-4b5a-4678-8796-a5b4c3d2e1f0';

describe('the first bytes tell', () => {
  const cases: [string, string | null, number, string, ...string[]][] = [
    ['ext4', UUID, 8 * MIB, '/usr/sbin/mkfs.ext4', '-U', UUID],
    ['ext3', UUID, 8 * MIB, '/usr/sbin/mke2fs', '-t', 'ext3', '-U', UUID],
    ['ext2', UUID, 8 * MIB, '/usr/sbin/mke2fs', '-t', 'ext2', '-U', UUID],
    ['xfs', UUID, 320 * MIB, '/usr/sbin/mkfs.xfs', '-m', `uuid=${UUID}`],
    ['swap', UUID, 8 * MIB, '/usr/sbin/mkswap', '-U', UUID],
    ['vfat', '1A2B-3C4D', 64 * MIB, '/usr/sbin/mkfs.vfat', '-F', '32', '-i', '1A2B3C4D'],
    ['vfat', '1A2B-3C4D', 20 * MIB, '/usr/sbin/mkfs.vfat', '-F', '16', '-i', '1A2B3C4D'],
    ['vfat', '1A2B-3C4D', MIB, '/usr/sbin/mkfs.vfat', '-F', '12', '-i', '1A2B3C4D'],
  ];
  for (const [type, uuid, size, program, ...args] of cases) {
    test(`the type and UUID that ${program} ${args.slice(0, 2).join(' ')} gave`, (context) => {
      const bytes = made(context, size, program, ...args);
      deepEqual(contentOf(bytes), { type, uuid });
      equal(labelOf(bytes, 512), null);
    });
  }

  test('members of arrays and groups, and what else is about to be lost', () => {
    const with_ = (offset: number, magic: string) => {
      const bytes = new Uint8Array(68 * 1024);
      bytes.set(Buffer.from(magic, 'latin1'), offset);
      return contentOf(bytes)?.type;
    };
    equal(with_(4096, '\xfc\x4e\x2b\xa9'), 'linux_raid_member');
    equal(with_(512, 'LABELONE'), 'LVM2_member');
    equal(with_(0, 'LUKS\xba\xbe'), 'crypto_LUKS');
    equal(with_(3, 'NTFS    '), 'ntfs');
    equal(with_(64 * 1024 + 64, '_BHRfS_M'), 'btrfs');
    equal(with_(7, 'nothing'), undefined);
  });

  test('the partition table, and the names in a GPT', (context) => {
    const file = join(scratch(context), 'disk');
    writeFileSync(file, '');
    truncateSync(file, 64 * MIB);
    const sfdisk = (input: string) => {
      execFileSync('/usr/sbin/sfdisk', [file], { input, stdio: ['pipe', 'ignore', 'ignore'] });
      return execFileSync('/usr/bin/head', ['-c', String(68 * 1024), file]);
    };
    const name = 'n'.repeat(36);
    const gpt = sfdisk(
      `label: gpt\n1: size=2048, name="first"\n3: size=2048, name="${name}"\n4: size=2048\n`,
    );
    equal(labelOf(gpt, 512), 'gpt');
    deepEqual(
      [...namesOf(gpt, 512)],
      [
        [1, 'first'],
        [3, name],
      ],
    );
    const dos = sfdisk('label: dos\nsize=2048, bootable\n');
    equal(labelOf(dos, 512), 'dos');
    equal(namesOf(dos, 512).size, 0);
    equal(labelOf(new Uint8Array(68 * 1024), 512), null);
    // A GPT whose header points out of what was read.
    const far = Uint8Array.from(gpt);
    far.fill(0xff, 512 + 72, 512 + 88);
    equal(namesOf(far, 512).size, 0);
  });
});

test('partitions are told with place, name and content', async (context) => {
  const gpt = Buffer.alloc(68 * 1024);
  gpt.write('EFI PART', 512, 'latin1');
  gpt.writeBigUInt64LE(2n, 512 + 72);
  gpt.writeUInt32LE(128, 512 + 80);
  gpt.writeUInt32LE(128, 512 + 84);
  gpt.write('home', 1024 + 128 + 56, 'utf16le');
  const root = machine(context, {
    ...sysfs('vda', {
      'vda10/partition': '10\n',
      'vda10/start': '8192\n',
      'vda10/size': '2048\n',
      'vda2/partition': '2\n',
      'vda2/start': '2048\n',
      'vda2/size': '4096\n',
    }),
    'dev/vda': gpt,
    'dev/vda2': made(context, 8 * MIB, '/usr/sbin/mkfs.ext4', '-U', UUID),
  });
  const [disk] = await diskFacts(root);
  deepEqual([disk?.sizeBytes, disk?.label, disk?.content], [20 * GIB, 'gpt', null]);
  deepEqual(disk?.partitions, [
    { number: 2, startBytes: MIB, sizeBytes: 2 * MIB, label: 'home', content: { type: 'ext4', uuid: UUID } },
    { number: 10, startBytes: 4 * MIB, sizeBytes: MIB, label: '', content: null },
  ]);
});
