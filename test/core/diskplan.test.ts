import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GIB, MIB } from '../../agent/core/units.ts';
import { disk, KEEP, MIRROR, ONE_DISK, partition, plan, refused, script, shown } from '../disks.ts';

describe('one disk', () => {
  const made = plan(ONE_DISK, [disk('vda')]);

  test('is wiped, partitioned, formatted and mounted in this order', () => {
    deepEqual(shown(made.prepare), [
      '/usr/bin/dd of=/dev/vda bs=440 count=1 conv=notrunc,fsync',
      '/usr/sbin/wipefs --all /dev/vda',
      '/usr/sbin/sfdisk --wipe always --wipe-partitions always /dev/vda',
      '/usr/bin/partx --update /dev/vda',
      '/usr/sbin/blockdev --getsize64 /dev/vda1 /dev/vda2 /dev/vda3 /dev/vda4',
      '/usr/bin/dd of=/dev/vda bs=440 count=1 conv=notrunc,fsync',
      '/usr/sbin/mkfs.vfat -F 32 -i 00000006 /dev/vda2',
      '/usr/sbin/mkswap -f -U 00000007-0000-4000-8000-000000000000 /dev/vda3',
      '/usr/sbin/mkfs.ext4 -q -F -U 00000008-0000-4000-8000-000000000000 /dev/vda4',
      '/usr/bin/mkdir -p /a',
      '/usr/bin/mount -t ext4 /dev/vda4 /a',
      '/usr/bin/mkdir -p /a/boot/efi',
      '/usr/bin/mount -t vfat /dev/vda2 /a/boot/efi',
    ]);
    deepEqual(shown(made.release), ['/usr/bin/umount /a/boot/efi', '/usr/bin/umount /a']);
  });

  test('gets this table: whole MiB, the rest to the last MiB before the second GPT', () => {
    deepEqual(script(made), [
      [
        'label: gpt',
        'label-id: 00000001-0000-4000-8000-000000000000',
        'unit: sectors',
        '',
        '/dev/vda1 : start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649, uuid=00000002-0000-4000-8000-000000000000, name="bios"',
        '/dev/vda2 : start=4096, size=1048576, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=00000003-0000-4000-8000-000000000000, name="esp"',
        '/dev/vda3 : start=1052672, size=4194304, type=0657FD6D-A4AB-43C4-84E5-0933C84B4F4F, uuid=00000004-0000-4000-8000-000000000000, name="swap"',
        '/dev/vda4 : start=5246976, size=36694016, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=00000005-0000-4000-8000-000000000000, name="root"',
        '',
      ].join('\n'),
    ]);
  });

  test('has boot code that sends a BIOS on, until the boot loader is there', () => {
    for (const { input } of made.prepare.filter(({ argv }) => argv[0] === '/usr/bin/dd')) {
      ok(input instanceof Uint8Array);
      equal(input.length, 440);
      deepEqual([...input.subarray(0, 3)], [0xcd, 0x18, 0]);
    }
  });

  test('is mounted by UUID in the new system', () => {
    deepEqual(made.fstab, [
      {
        source: 'UUID=00000008-0000-4000-8000-000000000000',
        mountPoint: '/',
        type: 'ext4',
        options: 'noatime',
        pass: 1,
      },
      { source: 'UUID=0000-0006', mountPoint: '/boot/efi', type: 'vfat', options: 'umask=0077', pass: 2 },
      {
        source: 'UUID=00000007-0000-4000-8000-000000000000',
        mountPoint: 'none',
        type: 'swap',
        options: 'sw',
        pass: 0,
      },
    ]);
    equal(made.capacityBytes, (36_694_016 + 1_048_576) * 512);
    deepEqual([made.bootDisks, made.needs, made.mdadmConf], [['/dev/vda'], [], '']);
  });

  test('is the same for UEFI, but for where the boot loader goes', () => {
    const efi = plan(ONE_DISK, [disk('vda')], 'efi');
    deepEqual(efi.prepare, made.prepare);
    deepEqual([efi.firmware, efi.lines.at(-1)], ['efi', 'the boot loader is for UEFI, on /dev/vda']);
  });

  test('names its partitions as the kernel does, and counts its own sectors', () => {
    const four = plan(ONE_DISK, [disk('nvme0n1', { sectorBytes: 4096, type: 'nvme' })]);
    match(String(script(four)[0]), /^\/dev\/nvme0n1p2 : start=512, size=131072, /m);
  });

  test('that had something on it is wiped of it first, and people are told what', () => {
    const old = disk('vda', {
      label: 'dos',
      partitions: [
        partition(1, MIB, GIB, { content: { type: 'ext4', uuid: 'x' } }),
        partition(2, 2 * GIB, 1024),
        partition(5, 3 * GIB, GIB, { label: 'old' }),
      ],
    });
    const made = plan(ONE_DISK, [old]);
    deepEqual(shown(made.prepare).slice(1, 3), [
      '/usr/sbin/wipefs --all /dev/vda5 /dev/vda2 /dev/vda1',
      '/usr/sbin/wipefs --all /dev/vda',
    ]);
    deepEqual(made.lines.slice(0, 4), [
      '/dev/vda: 20.0 GiB, virtual, model Model, serial vda',
      '  destroys partition 1 (1.0 GiB, ext4), partition 2 (1.0 KiB), partition 5 "old" (1.0 GiB)',
      '  makes /dev/vda1 "bios": 1.0 MiB at 1.0 MiB, gpt type bios-boot',
      '  makes /dev/vda2 "esp": 512.0 MiB at 2.0 MiB, gpt type esp, vfat for /boot/efi',
    ]);
    match(
      plan(ONE_DISK, [disk('vda', { content: { type: 'LVM2_member', uuid: null } })]).lines[1]!,
      /LVM2_member on the whole disk/,
    );
  });

  test('with a DOS label starts from its first partition', () => {
    const made = plan(
      JSON.stringify({
        format: 1,
        disks: [
          {
            match: {},
            label: 'dos',
            partitions: [
              {
                name: 'root',
                size: '50%',
                fs: { type: 'xfs', mount: '/', label: 'root', mkfs: ['-i', 'size=1024'] },
              },
              { name: 'swap', size: 'rest', fs: { type: 'swap', label: 's' } },
            ],
          },
        ],
      }),
      [disk('sda', { sizeBytes: 10 * GIB + 12_345 })],
    );
    deepEqual(script(made), [
      'label: dos\nlabel-id: 0x00000001\nunit: sectors\n\n' +
        '/dev/sda1 : start=2048, size=10483712, type=83, bootable\n' +
        '/dev/sda2 : start=10485760, size=10485760, type=82\n',
    ]);
    deepEqual(
      shown(made.prepare).filter((line) => line.includes('mk')),
      [
        '/usr/sbin/mkfs.xfs -q -f -m uuid=00000002-0000-4000-8000-000000000000 -L root -i size=1024 /dev/sda1',
        '/usr/sbin/mkswap -f -U 00000003-0000-4000-8000-000000000000 -L s /dev/sda2',
        '/usr/bin/mkdir -p /a',
      ],
    );
    equal(made.fstab[0]?.pass, 0);
    deepEqual(made.bootDisks, ['/dev/sda']);
  });
});

describe('two disks with RAID 1 and LVM', () => {
  const disks = ['sda', 'sdb'].map((name) => disk(name, { type: 'ssd', sizeBytes: 200e9 }));
  const made = plan(MIRROR, disks);
  const config = `'devices{use_devicesfile=0 global_filter=["a|^/dev/md1$|","r|.*|"]} activation{monitoring=0} backup{backup=0 archive=0}'`;

  test('become arrays, a group and volumes, each wiped of what an earlier install left in it', () => {
    deepEqual(shown(made.prepare).slice(12), [
      '/usr/sbin/mdadm --create /dev/md0 --run --homehost=any --metadata=1.0 --uuid=00000009:00004000:80000000:00000000 --level=1 --raid-devices=2 --bitmap=internal /dev/sda2 /dev/sdb2',
      '/usr/sbin/wipefs --all /dev/md0',
      '/usr/sbin/mdadm --create /dev/md1 --run --homehost=any --metadata=1.2 --uuid=00000010:00004000:80000000:00000000 --level=1 --raid-devices=2 --bitmap=internal /dev/sda3 /dev/sdb3',
      '/usr/sbin/wipefs --all /dev/md1',
      `/usr/sbin/lvm pvcreate --yes --config ${config} --force /dev/md1`,
      `/usr/sbin/lvm vgcreate --yes --config ${config} system /dev/md1`,
      `/usr/sbin/lvm lvcreate --yes --config ${config} --wipesignatures n --zero n --name var --extents 10240 system`,
      '/usr/sbin/wipefs --all /dev/system/var',
      `/usr/sbin/lvm lvcreate --yes --config ${config} --wipesignatures n --zero n --name swap --extents 1024 system`,
      '/usr/sbin/wipefs --all /dev/system/swap',
      `/usr/sbin/lvm lvcreate --yes --config ${config} --wipesignatures n --zero n --name root --extents 100%FREE system`,
      '/usr/sbin/wipefs --all /dev/system/root',
      '/usr/sbin/mkfs.vfat -F 32 -i 00000011 /dev/md0',
      '/usr/sbin/mkfs.ext4 -q -F -U 00000012-0000-4000-8000-000000000000 /dev/system/root',
      '/usr/sbin/mkfs.xfs -q -f -m uuid=00000013-0000-4000-8000-000000000000 /dev/system/var',
      '/usr/sbin/mkswap -f -U 00000014-0000-4000-8000-000000000000 /dev/system/swap',
      '/usr/bin/mkdir -p /a',
      '/usr/bin/mount -t ext4 /dev/system/root /a',
      '/usr/bin/mkdir -p /a/boot/efi',
      '/usr/bin/mount -t vfat /dev/md0 /a/boot/efi',
      '/usr/bin/mkdir -p /a/var',
      '/usr/bin/mount -t xfs /dev/system/var /a/var',
    ]);
    const lvm = made.prepare.filter(({ argv }) => argv[0] === '/usr/sbin/lvm');
    ok(lvm.every(({ env }) => env?.DM_DISABLE_UDEV === '1'));
  });

  test('are let go from the top down', () => {
    deepEqual(shown(made.release), [
      '/usr/bin/umount /a/var',
      '/usr/bin/umount /a/boot/efi',
      '/usr/bin/umount /a',
      '/usr/sbin/lvm vgchange --activate n system',
      '/usr/sbin/mdadm --stop /dev/md0',
      '/usr/sbin/mdadm --stop /dev/md1',
    ]);
  });

  test('are known to the new system, which starts from either', () => {
    deepEqual(
      made.fstab.map(({ source }) => source),
      ['/dev/mapper/system-root', 'UUID=0000-0011', '/dev/mapper/system-var', '/dev/mapper/system-swap'],
    );
    equal(
      made.mdadmConf,
      'ARRAY /dev/md0 metadata=1.0 UUID=00000009:00004000:80000000:00000000\n' +
        'ARRAY /dev/md1 metadata=1.2 UUID=00000010:00004000:80000000:00000000\n',
    );
    deepEqual(made.needs, ['/usr/sbin/mdadm', '/usr/sbin/lvm']);
    deepEqual(made.bootDisks, ['/dev/sda', '/dev/sdb']);
    deepEqual(plan(MIRROR, disks, 'efi').bootDisks, ['/dev/sda', '/dev/sdb']);
  });

  test('are one disk too few when one is missing, and one too many with a third', () => {
    refused(
      () => plan(MIRROR, disks.slice(1)),
      /disks\[0\] of the layout \(type ssd, at least 186\.3 GiB\) fits 1 disk, and must fit 2 disks/,
    );
    refused(
      () => plan(MIRROR, [...disks, disk('sdc', { type: 'ssd', sizeBytes: 200e9 })]),
      /fits 3 disks, and must fit 2 disks/,
    );
  });

  test('are refused when the volumes are larger than the group', () => {
    refused(
      () => plan(MIRROR.replace('40GiB', '400GiB'), disks),
      /the volume group system is too small for volume "var": of 185\.\d GiB 185\.\d GiB are left/,
    );
  });

  test('hyphens of a group and a volume are doubled where device-mapper joins them', () => {
    const made = plan(MIRROR.replaceAll('system', 'my-vg'), disks);
    equal(made.fstab[0]?.source, '/dev/mapper/my--vg-root');
  });
});

test('a disk may be tried where its content is lost: in the largest new partition, never in a kept one', () => {
  deepEqual(plan(ONE_DISK, [disk('vda')]).trials, [
    { path: '/dev/vda', startBytes: 5_246_976 * 512, sizeBytes: 36_694_016 * 512 },
  ]);
  const twins = ['sda', 'sdb'].map((name) => disk(name, { type: 'ssd', sizeBytes: 200e9 }));
  deepEqual(
    plan(MIRROR, twins).trials.map(({ path }) => path),
    ['/dev/sda', '/dev/sdb'],
  );
  const content = { type: 'ext4', uuid: 'u' };
  const home = partition(4, 100 * GIB, 200 * GIB, { label: 'home', content });
  const there = disk('nvme0n1', { ids: ['nvme-x'], sizeBytes: 500 * GIB, label: 'gpt', partitions: [home] });
  const [trial] = plan(KEEP, [there]).trials;
  equal(trial?.sizeBytes, 40 * GIB);
  ok(trial.startBytes + trial.sizeBytes <= home.startBytes);
});
