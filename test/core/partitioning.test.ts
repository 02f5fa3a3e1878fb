import { deepEqual, equal, ok } from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { DiskFacts } from '../../agent/core/diskfacts.ts';
import type { DiskPlan } from '../../agent/core/diskplan.ts';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { GIB, MIB } from '../../agent/core/units.ts';
import { disk, KEEP, layout, partition, plan, refused, script, shown } from '../disks.ts';

describe('a partition that is kept', () => {
  const home = partition(3, 41 * GIB, 200 * GIB, {
    label: 'home',
    content: { type: 'ext4', uuid: 'old-uuid' },
  });
  const old = (changes: Partial<DiskFacts> = {}) =>
    disk('nvme0n1', {
      type: 'nvme',
      ids: ['nvme-Model_1'],
      sizeBytes: 500e9,
      label: 'gpt',
      partitions: [partition(1, MIB, 512 * MIB), home, partition(4, 300 * GIB, GIB)],
      ...changes,
    });
  const made = plan(KEEP, [old()]);

  test('is left out of all that is wiped, deleted, made and formatted', () => {
    deepEqual(shown(made.prepare).slice(0, 6), [
      '/usr/bin/dd of=/dev/nvme0n1 bs=440 count=1 conv=notrunc,fsync',
      '/usr/sbin/wipefs --all /dev/nvme0n1p4 /dev/nvme0n1p1',
      '/usr/sbin/sfdisk --delete /dev/nvme0n1 4 1',
      '/usr/sbin/sfdisk --append --wipe never --wipe-partitions always /dev/nvme0n1',
      '/usr/bin/partx --update /dev/nvme0n1',
      '/usr/sbin/blockdev --getsize64 /dev/nvme0n1p1 /dev/nvme0n1p2 /dev/nvme0n1p4 /dev/nvme0n1p3',
    ]);
    deepEqual(script(made), [
      'unit: sectors\n\n' +
        '/dev/nvme0n1p1 : start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649, uuid=00000001-0000-4000-8000-000000000000, name="bios"\n' +
        '/dev/nvme0n1p2 : start=4096, size=1048576, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=00000002-0000-4000-8000-000000000000, name="esp"\n' +
        '/dev/nvme0n1p4 : start=1052672, size=83886080, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=00000003-0000-4000-8000-000000000000, name="root"\n',
    ]);
    ok(
      shown(made.prepare)
        .filter((line) => line.includes('p3'))
        .every((line) => /blockdev|mount/.test(line)),
    );
  });

  test('is mounted with the UUID that it has', () => {
    deepEqual(made.fstab.at(-1), {
      source: 'UUID=old-uuid',
      mountPoint: '/home',
      type: 'ext4',
      options: 'defaults',
      pass: 2,
    });
    ok(
      made.lines.includes(
        '  keeps /dev/nvme0n1p3 "home": 200.0 GiB at 41.0 GiB, gpt type linux, ext4 for /home',
      ),
    );
  });

  test('alone on its disk needs nothing deleted', () => {
    const made = plan(KEEP, [old({ partitions: [home] })]);
    ok(shown(made.prepare).every((line) => !/--delete|wipefs/.test(line)));
    equal(made.lines[1], '  destroys nothing');
  });

  test('is found by number when the layout says one', () => {
    const byNumber = KEEP.replace('"keep": true', '"keep": true, "number": 3');
    const unnamed = old({ partitions: [{ ...home, label: '' }] });
    equal(plan(byNumber, [unnamed]).fstab.at(-1)?.source, 'UUID=old-uuid');
    refused(() => plan(KEEP, [unnamed]), /"home" shall be kept, but 0 partitions with the label "home"/);
  });

  test('that is absent, doubled, too small, of another kind, or on another label is refused', () => {
    const cases: [Partial<DiskFacts>, RegExp][] = [
      [{ partitions: [] }, /0 partitions with the label "home" are on the disk/],
      [{ partitions: [home, { ...home, number: 5 }] }, /2 partitions with the label "home"/],
      [
        { partitions: [{ ...home, sizeBytes: 99 * GIB }] },
        /"home" has 99\.0 GiB, less than the 100\.0 GiB of the layout/,
      ],
      [{ partitions: [{ ...home, content: { type: 'xfs', uuid: 'x' } }] }, /"home" holds xfs, not the ext4/],
      [{ partitions: [{ ...home, content: null }] }, /"home" holds nothing known, not the ext4/],
      [{ label: 'dos' }, /the disk has a dos label, not gpt/],
      [{ label: null, partitions: [] }, /the disk has no partition table, not gpt/],
    ];
    for (const [changes, reason] of cases) refused(() => plan(KEEP, [old(changes)]), reason);
  });

  test('leaves gaps: fixed sizes take the first that holds them, the rest takes the largest', () => {
    const text = JSON.stringify({
      format: 1,
      disks: [
        {
          match: {},
          label: 'gpt',
          partitions: [
            { name: 'home', keep: true },
            { name: 'root', size: 'rest', fs: { type: 'ext4', mount: '/' } },
            { name: 'bios', type: 'bios-boot', size: '1MiB' },
            { name: 'big', size: '4GiB' },
          ],
        },
      ],
    });
    // Its ends are no whole MiB.
    const home = partition(1, GIB + 512, GIB, { label: 'home' });
    const made = plan(text, [disk('sda', { label: 'gpt', partitions: [home] })]);
    deepEqual(
      [...String(script(made)[0]).matchAll(/sda(\d) : start=(\d+), size=(\d+)/g)].map((row) =>
        row.slice(1).map(Number),
      ),
      [
        [2, (2 * GIB + MIB) / 512, (14 * GIB - 2 * MIB) / 512],
        [3, 2048, 2048],
        [4, (16 * GIB - MIB) / 512, (4 * GIB) / 512],
      ],
    );
  });
});

test('of any sizes on any disk, partitions lie on whole MiB, within the disk, in order, apart, or are refused', () => {
  const size = fc.oneof(
    fc.integer({ min: 1, max: 40 }).map((percent) => `${percent}%`),
    fc.integer({ min: 1, max: 9000 }).map((mib) => `${mib}MiB`),
    fc.integer({ min: 1, max: 9000 }).map((mb) => `${mb}MB`),
  );
  const sector = fc.constantFrom(512, 4096);
  fc.assert(
    fc.property(
      fc.array(size, { maxLength: 6 }),
      fc.integer({ min: 4 * MIB, max: 40 * GIB }),
      sector,
      (sizes, bytes, sectorBytes) => {
        const facts = disk('vda', { sizeBytes: Math.floor(bytes / sectorBytes) * sectorBytes, sectorBytes });
        let made: DiskPlan;
        try {
          made = plan(layout(sizes.map((size, i) => ({ name: `p${i}`, size }))), [facts]);
        } catch (error) {
          return error instanceof SwarmbootError && (error.code === 'disk' || error.code === 'layout');
        }
        let end = MIB;
        for (const [, start, size] of String(script(made)[0]).matchAll(/start=(\d+), size=(\d+)/g)) {
          equal(Number(start) * sectorBytes, end);
          equal((Number(size) * sectorBytes) % MIB, 0);
          ok(Number(size) > 0);
          end += Number(size) * sectorBytes;
        }
        return end <= facts.sizeBytes - 33 * sectorBytes && end > facts.sizeBytes - 33 * sectorBytes - MIB;
      },
    ),
  );
});
