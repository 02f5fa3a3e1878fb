import { deepEqual, equal, match, ok, throws } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseLayout, readLayout } from '../../agent/core/disklayout.ts';
import { bootFault, type Layout } from '../../agent/core/diskrules.ts';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { formatLayoutSchema } from '../../agent/core/layoutschema.ts';
import { GIB, MIB } from '../../agent/core/units.ts';
import { GUIDE_LAYOUTS } from '../disks.ts';

interface Part {
  [key: string]: unknown;
}

const ROOT: Part = { name: 'root', size: 'rest', fs: { type: 'ext4', mount: '/' } };
const BIOS: Part = { name: 'bios', type: 'bios-boot', size: '1MiB' };
const rule = (partitions: readonly Part[], more: Part = {}): Part => ({
  match: {},
  label: 'gpt',
  partitions,
  ...more,
});
const text = (disks: readonly Part[], more: Part = {}) => JSON.stringify({ format: 1, disks, ...more });
const faults = (layout: string): readonly string[] => {
  const read = readLayout(layout);
  return 'faults' in read ? read.faults.map(({ path, text }) => `${path} ${text}`) : [];
};

describe('a good layout', () => {
  test('is one of the guide, and starts by BIOS and by UEFI', () => {
    equal(GUIDE_LAYOUTS.length, 3);
    for (const layout of GUIDE_LAYOUTS) {
      const read = parseLayout(layout, 'the guide');
      equal(bootFault(read, 'bios'), null);
      equal(bootFault(read, 'efi'), null);
    }
  });

  test('has its sizes in bytes, and types that follow from the use', () => {
    const layout = parseLayout(
      text(
        [
          rule(
            [
              ROOT,
              { name: 'a', size: '10GB', fs: { type: 'swap' } },
              { name: 'b', size: '5%' },
              { name: 'c', size: '2TiB' },
            ],
            { count: 2, match: { sizeMin: '3MiB' } },
          ),
        ].map((disk) => ({ ...disk, partitions: (disk.partitions as Part[]).slice(1) })),
        {
          raid: [{ name: 'md0', level: 1, members: ['b'], fs: { type: 'xfs', mount: '/' } }],
          lvm: [
            {
              group: 'vg',
              devices: ['c'],
              volumes: [{ name: 'v', size: '1GiB', fs: { type: 'vfat', mount: '/v' } }],
            },
          ],
        },
      ),
      'x',
    );
    deepEqual(
      layout.disks[0]?.partitions.map(({ type, size }) => [type, size]),
      [
        ['swap', { kind: 'bytes', bytes: 10e9 }],
        ['raid', { kind: 'percent', percent: 5 }],
        ['lvm', { kind: 'bytes', bytes: 2048 * GIB }],
      ],
    );
    equal(layout.disks[0]?.match.sizeMinBytes, 3 * MIB);
    equal(layout.lvm[0]?.volumes[0]?.fs.options, 'umask=0077');
  });

  test('may name its schema', () => {
    deepEqual(faults(text([rule([ROOT])], { $schema: '../docs/layout.schema.json' })), []);
  });
});

test('the schema in docs is the one of the code: `make manual` prints it', () => {
  equal(
    readFileSync(join(import.meta.dirname, '../../docs/layout.schema.json'), 'utf8'),
    formatLayoutSchema(),
  );
});

describe('a fault of form', () => {
  const cases: [string, string, string[]][] = [
    ['no JSON', '{', [' is not JSON']],
    ['no object', '[]', [' is []; wanted: a layout']],
    ['nothing', '{}', ['format is missing', 'disks is missing']],
    ['another format', text([rule([ROOT])], { format: 2 }), ['format is 2; wanted: 1']],
    ['no disks', text([]), ['disks has 0 items']],
    [
      'an unknown word',
      text([rule([{ ...ROOT, colour: 1 }])]),
      ['disks[0].partitions[0].colour is not known here; there are: name, size'],
    ],
    [
      'several at once',
      text([rule([{ ...ROOT, size: '5', name: 'a b' }], { label: 'mbr', match: { type: 'tape' } })]),
      [
        'disks[0].match.type is "tape"; wanted: the kind of disk: nvme, ssd, hdd, virtual',
        'disks[0].label is "mbr"',
        'disks[0].partitions[0].name is "a b"',
        'disks[0].partitions[0].size is "5"',
      ],
    ],
    [
      'mounts with dots',
      text([rule([{ ...ROOT, fs: { type: 'ext4', mount: '/a/../b' } }])]),
      ['disks[0].partitions[0].fs.mount is "/a/../b"'],
    ],
    [
      'options with blanks',
      text([rule([{ ...ROOT, fs: { type: 'ext4', mount: '/', options: 'ro 0 0\n' } }])]),
      ['disks[0].partitions[0].fs.options'],
    ],
    [
      'sizes of nothing or too much',
      text([
        rule([ROOT, { name: 'a', size: '0%' }, { name: 'b', size: '101%' }, { name: 'c', size: '0GiB' }]),
      ]),
      ['disks[0].partitions[1].size', 'disks[0].partitions[2].size', 'disks[0].partitions[3].size'],
    ],
    [
      'fields of the prototype',
      '{"__proto__":{"format":1},"disks":[]}',
      ['format is missing', '__proto__ is not known', 'disks has 0'],
    ],
  ];
  for (const [name, layout, expected] of cases) {
    test(`${name} is told with its place`, () => {
      const found = faults(layout);
      equal(found.length, expected.length, found.join('\n'));
      for (const [i, start] of expected.entries()) ok(found[i]!.startsWith(start), `${found[i]} <> ${start}`);
    });
  }

  test('a thousand faults are told as a hundred and a number', () => {
    const found = faults(
      text([rule([ROOT], Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`k${i}`, 1])))]),
    );
    equal(found.length, 101);
    equal(found[100], ' has 900 more faults');
  });
});

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

test('a layout that is refused names the file, every fault, and the command to look with', () => {
  throws(
    () => parseLayout(text([rule([BIOS], { colour: 1, more: 2 })]), 'layouts/web.json'),
    (error) =>
      error instanceof SwarmbootError &&
      error.code === 'layout' &&
      /^layouts\/web\.json is no disk layout:\n {2}disks\[0\]\.colour .*\n {2}disks\[0\]\.more .*\nmend it, then look with: swarmboot layout check FILE$/.test(
        error.message,
      ),
  );
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

/** Every place in a JSON value, as a path of keys. */
function places(value: unknown, path: readonly (string | number)[] = []): (readonly (string | number)[])[] {
  if (typeof value !== 'object' || value === null) return [path];
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return [path, ...entries.flatMap(([key, item]) => places(item, [...path, key]))];
}

function replaced(value: unknown, [key, ...rest]: readonly (string | number)[], by: unknown): unknown {
  if (key === undefined) return by;
  const copy = structuredClone(value) as Record<string | number, unknown>;
  copy[key] = replaced(copy[key], rest, by);
  return copy;
}

test('a layout of the guide with anything else anywhere is a layout or a list of faults, nothing else', () => {
  const strange = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom('rest', '100%', 'root', 'md1', 'esp', 'swap', '/', true, 2),
  );
  const mutant = fc.constantFrom(...GUIDE_LAYOUTS).chain((layout) => {
    const value: unknown = JSON.parse(layout);
    return fc
      .tuple(fc.constantFrom(...places(value)), strange, fc.constantFrom(...places(value)), strange)
      .map(([first, one, second, two]) => {
        try {
          return replaced(replaced(value, first, one), second, two);
        } catch {
          return one;
        }
      });
  });
  fc.assert(
    fc.property(mutant, (value) => {
      const layout = JSON.stringify(value);
      const found = faults(layout);
      try {
        parseLayout(layout, 'x');
        return found.length === 0;
      } catch (error) {
        return (
          error instanceof SwarmbootError &&
          error.code === 'layout' &&
          found.every((fault) => error.message.includes(fault.trim()))
        );
      }
    }),
    { numRuns: 2000 },
  );
});
