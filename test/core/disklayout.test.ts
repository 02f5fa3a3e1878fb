import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseLayout } from '../../agent/core/disklayout.ts';
import { bootFault } from '../../agent/core/diskrules.ts';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { formatLayoutSchema } from '../../agent/core/layoutschema.ts';
import { GIB, MIB } from '../../agent/core/units.ts';
import { BIOS, faults, GUIDE_LAYOUTS, type Part, ROOT, rule, text } from '../disks.ts';

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

  test('more faults in one part than a call may have arguments are no fault of ours', () => {
    const keys = Array.from({ length: 200_000 }, (_, i) => [i.toString(36), 1]);
    const found = faults(text([rule([ROOT], { match: Object.fromEntries(keys) })]));
    equal(found[100], ' has 199900 more faults');
  });
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
