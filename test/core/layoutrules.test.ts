import { equal, match } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseLayout } from '../../agent/core/disklayout.ts';
import { bootFault, type Layout } from '../../agent/core/diskrules.ts';
import { BIOS, faults, type Part, ROOT, rule, text } from '../disks.ts';

describe('a fault of sense', () => {
  const swap = { type: 'swap' };
  const cases: [string, string, RegExp[]][] = [
    ['no root', text([rule([BIOS])]), [/^ mounts nothing at "\/"/]],
    [
      'two roots, two rests',
      text([rule([ROOT, { ...ROOT, name: 'again' }])]),
      [/partitions says "rest" more than once/, /^ mounts root and again at "\/"/],
    ],
    [
      'more than all',
      text([rule([ROOT, { name: 'a', size: '60%' }, { name: 'b', size: '41%' }])]),
      [/gives away 101 %/],
    ],
    [
      'a name twice',
      text([rule([ROOT]), rule([{ ...BIOS, name: 'root' }])]),
      [/^disks\[1\]\.partitions\[0\]\.name is "root" like disks\[0\]\.partitions\[0\]\.name/],
    ],
    ['no size', text([rule([ROOT, { name: 'a' }])]), [/partitions\[1\]\.size is missing/]],
    [
      'a root of vfat',
      text([rule([{ ...ROOT, fs: { type: 'vfat', mount: '/' } }])]),
      [/fs\.type is not one for the root/],
    ],
    [
      'swap that is mounted',
      text([rule([ROOT, { name: 'a', size: '1GiB', fs: { ...swap, mount: '/s' } }])]),
      [/swap is mounted nowhere/],
    ],
    [
      'a mount in /proc',
      text([rule([ROOT, { name: 'a', size: '1GiB', fs: { type: 'xfs', mount: '/proc/x' } }])]),
      [/the kernel's place/],
    ],
    [
      'a long label',
      text([rule([{ ...ROOT, fs: { type: 'xfs', mount: '/', label: 'abcdefghijklm' } }])]),
      [/label has 13 characters; xfs holds 12/],
    ],
    [
      'an ESP of ext4',
      text([rule([ROOT, { name: 'e', type: 'esp', size: '1GiB', fs: { type: 'ext4' } }])]),
      [/fs\.type is not vfat/],
    ],
    [
      '/boot/efi elsewhere than on an ESP',
      text([rule([ROOT, { name: 'e', size: '1GiB', fs: { type: 'vfat', mount: '/boot/efi' } }])]),
      [/^ mounts e at "\/boot\/efi", which is for vfat on a partition of type "esp"/],
    ],
    [
      'a file system on bios-boot',
      text([rule([ROOT, { ...BIOS, fs: swap }])]),
      [/cannot be on a BIOS boot partition/],
    ],
    [
      'a DOS label with what it cannot hold',
      text([
        rule(
          [
            ROOT,
            BIOS,
            { name: 'g', size: '1GiB', type: '0fc63daf-8483-4772-8e79-3d69d8477de4' },
            { name: 'c', size: '1MiB' },
            { name: 'd', size: '1MiB' },
          ],
          { label: 'dos' },
        ),
      ]),
      [
        /partitions has 5 items; a DOS label holds 4/,
        /partitions\[1\]\.type is for gpt/,
        /partitions\[2\]\.type is a GUID/,
      ],
    ],
    ['a mount on two disks', text([rule([ROOT], { count: 2 })]), [/fs\.mount is on 2 disks at once/]],
    [
      'sizeMin above sizeMax',
      text([rule([ROOT], { match: { sizeMin: '2GB', sizeMax: '1GB' } })]),
      [/match\.sizeMin is more than sizeMax/],
    ],
    [
      'kept ones that are changed',
      text([
        rule([
          ROOT,
          {
            name: 'k',
            keep: true,
            type: 'swap',
            size: '10%',
            fs: { type: 'ext4', mount: '/k', label: 'k', mkfs: ['-m0'] },
          },
          { name: 'l', size: '1GiB', number: 3 },
        ]),
      ]),
      [
        /k?partitions\[1\]\.size is for a kept/,
        /partitions\[1\]\.type is for new/,
        /fs\.mkfs is for new/,
        /fs\.label is for new/,
        /partitions\[2\]\.number is for partitions to "keep"/,
      ],
    ],
    [
      'a kept root, and numbers of a DOS label',
      text([
        rule(
          [
            { name: 'a', keep: true, fs: { type: 'ext4', mount: '/' } },
            { name: 'b', keep: true, number: 5 },
            { name: 'c', keep: true, number: 5 },
          ],
          {
            label: 'dos',
          },
        ),
      ]),
      [
        /partitions\[0\]\.number is missing/,
        /fs\.mount is the root/,
        /partitions\[1\]\.number is that of a logical/,
        /partitions\[2\]\.number is that/,
        /keeps the same number twice/,
      ],
    ],
    [
      'arrays of too few, of unknown, of taken, and of no use',
      text([rule([ROOT, { name: 'a', size: '1GiB' }])], {
        raid: [
          { name: 'md0', level: 5, members: ['a', 'none'], fs: { type: 'ext4', mount: '/x' } },
          { name: 'md1', level: 1, members: ['a', 'root'] },
          { name: 'md1', level: 1, members: ['md0', 'md1'], fs: swap },
        ],
      }),
      [
        /^raid\[0\]\.members are 2 partitions; RAID 5 wants 3/,
        /^raid\[1\] is used by nothing/,
        /^raid\[2\]\.name is "md1" like raid\[1\]/,
        /^raid\[0\]\.members\[1\] is "none", and no partition/,
        /^raid\[1\]\.members\[0\] is "a", which is taken by the array md0/,
        /^raid\[1\]\.members\[1\] is "root", which is taken by its own file system/,
        /^raid\[2\]\.members\[0\] is "md0", and no partition/,
        /^raid\[2\]\.members\[1\] is "md1", and no partition/,
      ],
    ],
    [
      'an ESP in an array that firmware cannot read',
      text([rule([ROOT]), rule([{ name: 'e', type: 'esp', size: '1GiB' }], { count: 2 })], {
        raid: [{ name: 'md0', level: 0, members: ['e'], fs: { type: 'vfat', mount: '/boot/efi' } }],
      }),
      [/^raid\[0\] holds an EFI system partition/],
    ],
    [
      'groups of LVM',
      text([rule([ROOT, { name: 'e', type: 'esp', size: '1GiB' }, BIOS, { name: 'k', keep: true }])], {
        lvm: [
          {
            group: 'snapshot1',
            devices: ['e', 'none', 'bios', 'k'],
            volumes: [
              { name: 'a_rimage_0', size: 'rest', fs: swap },
              { name: 'a_rimage_0', size: 'rest', fs: { type: 'swap', mount: '/x' } },
            ],
          },
        ],
      }),
      [
        /lvm\[0\]\.group is a name that LVM keeps/,
        /volumes\[0\]\.name is a name that LVM keeps/,
        /volumes\[1\]\.name is a name that LVM keeps/,
        /volumes\[1\]\.name is "a_rimage_0" like another/,
        /volumes\[1\]\.fs\.mount is given, but swap/,
        /volumes says "rest" more than once/,
        /devices\[0\] is "e", an EFI system partition/,
        /devices\[1\] is "none", and no partition or array/,
        /devices\[2\] is "bios", a BIOS boot partition/,
        /devices\[3\] is "k", which is kept as it is/,
      ],
    ],
  ];
  for (const [name, layout, expected] of cases) {
    test(`${name}: every one is told with its place`, () => {
      const found = faults(layout);
      equal(found.length, expected.length, found.join('\n'));
      for (const [i, pattern] of expected.entries()) match(found[i]!, pattern);
    });
  }
});

describe('what a machine can start from', () => {
  const esp = { name: 'esp', type: 'esp', size: '1GiB', fs: { type: 'vfat', mount: '/boot/efi' } };
  const layout = (label: string, ...partitions: Part[]): Layout =>
    parseLayout(text([rule(partitions, { label })]), 'x');

  test('a BIOS: GPT with a BIOS boot partition, or a DOS label', () => {
    match(bootFault(layout('gpt', ROOT, esp), 'bios') ?? '', /add a partition of type "bios-boot"/);
    equal(bootFault(layout('gpt', BIOS, ROOT), 'bios'), null);
    equal(bootFault(layout('dos', ROOT), 'bios'), null);
  });

  test('UEFI: an ESP, whatever the label', () => {
    match(bootFault(layout('gpt', BIOS, ROOT), 'efi') ?? '', /add a partition of type "esp"/);
    equal(bootFault(layout('gpt', ROOT, esp), 'efi'), null);
    equal(bootFault(layout('dos', ROOT, esp), 'efi'), null);
  });
});
