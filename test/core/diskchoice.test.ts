import { equal } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GIB, MIB } from '../../agent/core/units.ts';
import { disk, layout, ONE_DISK, plan, refused } from '../disks.ts';

describe('a disk is refused, and nothing is planned', () => {
  test('when none or two fit: all are shown with size, model, serial and id', () => {
    const all = [
      disk('sda', { type: 'ssd', model: 'Fast one', serial: 'S1', ids: ['ata-Fast_one_S1'] }),
      disk('sdb', { type: 'ssd', model: '', serial: '', ids: [], sizeBytes: 4e12, removable: true }),
      disk('sdc', { type: 'ssd' }),
    ];
    refused(
      () => plan(ONE_DISK, all),
      /the rule disks\[0\] of the layout \(any disk that is not removable\) fits 2 disks, and must fit 1 disk; the disks of this node:\n {2}\/dev\/sda: 20\.0 GiB, ssd, model Fast one, serial S1, id ata-Fast_one_S1\n {2}\/dev\/sdb: 3\.6 TiB, ssd, removable, no model, no serial\n {2}\/dev\/sdc: .*\nname the right one in "match"/,
    );
    refused(
      () => plan(layout([], { match: { type: 'nvme' } }), all),
      /\(type nvme\) fits no disk, and must fit 1 disk/,
    );
    refused(
      () => plan(ONE_DISK, []),
      /this node has no disk; look whether the driver of its controller is loaded/,
    );
  });

  test('when two rules fit it', () => {
    const two = JSON.parse(ONE_DISK);
    two.disks.push({ match: { path: '/dev/vda' }, label: 'gpt', partitions: [{ name: 'x', size: 'rest' }] });
    refused(
      () => plan(JSON.stringify(two), [disk('vda')]),
      /the rules disks\[0\] and disks\[1\] all fit \/dev\/vda; the disks of this node:/,
    );
  });

  test('when anything uses it', () => {
    refused(
      () => plan(ONE_DISK, [disk('vda', { uses: ['vda1 is mounted at /mnt', 'vda2 is swap'] })]),
      /in use: vda1 is mounted at \/mnt, vda2 is swap; nothing was touched/,
    );
  });

  test('when the firmware could not start from it', () => {
    refused(() => plan(layout([]), [disk('vda')], 'efi'), /this node could not start: .*type "esp"/);
  });

  test('when it is too small, or too large for a DOS label', () => {
    const small = disk('vda', { sizeBytes: 2 * GIB + 515 * MIB });
    refused(
      () => plan(ONE_DISK, [small]),
      /too small for partition "root": it has not anything left for it \(\/dev\/vda: 2\.5 GiB/,
    );
    refused(
      () => plan(ONE_DISK, [disk('vda', { sizeBytes: GIB })]),
      /too small for partition "swap": it has not 2\.0 GiB for it/,
    );
    const dos = JSON.parse(layout([], { label: 'dos' }));
    dos.disks[0].partitions.shift();
    refused(
      () => plan(JSON.stringify(dos), [disk('vda', { sizeBytes: 3 * 1024 * GIB })]),
      /a DOS label cannot reach the end/,
    );
  });
});

test('a rule fits by every part that it names', () => {
  const facts = disk('sda', {
    ids: ['wwn-0x5000', 'ata-MAKER_A+B_123'],
    model: 'MAKER A+B',
    serial: '123',
    type: 'hdd',
    sizeBytes: 1e12,
  });
  const fits: object[] = [
    { id: 'ata-MAKER_A+B_*' },
    { id: 'wwn-0x?000' },
    { model: 'MAKER A*', serial: '123' },
    { path: '/dev/sda', sizeMin: '1TB', sizeMax: '1TB', type: 'hdd' },
    { removable: false },
  ];
  for (const match of fits) equal(plan(layout([], { match }), [facts]).bootDisks.length, 1);
  const not: object[] = [
    { id: 'ata-MAKER_A+B' },
    { id: 'wwn-0x?00' },
    { model: 'maker*' },
    { serial: '12?4' },
    { path: '/dev/sdb' },
    { sizeMin: '1TiB' },
    { sizeMax: '999GB' },
    { type: 'ssd' },
    { removable: true },
    { serial: '123', model: 'other' },
  ];
  for (const match of not) refused(() => plan(layout([], { match }), [facts]), /fits no disk/);
});
