// The form of a layout file, as a JSON schema: docs/layout.schema.json is printed from it, and parseLayout checks by it. What
// the parts mean together is judged in layoutrules.ts.

import type { FlagSchema, ListSchema, NumberSchema, ObjectSchema, Schema, TextSchema } from './schema.ts';

/** Names of partitions: also the label in a GPT, which holds 36 characters. */
const NAME = '^[A-Za-z0-9][A-Za-z0-9._-]{0,35}$';
const SIZE_UNITS = '(?:MiB|GiB|TiB|MB|GB|TB)';
const GLOB = '^[A-Za-z0-9._:+*?@= -]{1,128}$';

function text(description: string, pattern: string): TextSchema {
  return { description, type: 'string', pattern };
}

function choice(description: string, ...values: readonly string[]): TextSchema {
  return { description: `${description}: ${values.join(', ')}`, type: 'string', enum: values };
}

function whole(description: string, minimum: number, maximum: number): NumberSchema {
  return { description, type: 'integer', minimum, maximum };
}

function list(description: string, items: Schema, minItems: number, maxItems: number): ListSchema {
  return { description, type: 'array', minItems, maxItems, items };
}

function fields(
  description: string,
  required: readonly string[],
  properties: Readonly<Record<string, Schema>>,
): ObjectSchema {
  return { description, type: 'object', additionalProperties: false, required, properties };
}

const flag = (description: string): FlagSchema => ({ description, type: 'boolean' });

const size = text(
  'a size like "512MiB", "20GiB", "10%" of the disk or group, or "rest"',
  `^(?:[1-9]\\d{0,6}${SIZE_UNITS}|[1-9]\\d?%|100%|rest)$`,
);
const bound = text('a size like "100GiB" or "480GB"', `^[1-9]\\d{0,6}${SIZE_UNITS}$`);
const pattern = (what: string) => text(`${what}; * stands for any text, ? for one character`, GLOB);

const fileSystem = fields('a file system', ['type'], {
  type: choice('the kind of file system', 'ext4', 'xfs', 'vfat', 'swap'),
  mount: text(
    'where the new system mounts it, an absolute path like "/" or "/var/log"',
    '^(?:/|(?:/[A-Za-z0-9_][A-Za-z0-9._-]{0,63}){1,8})$',
  ),
  options: text('mount options like "noatime,nodev"', '^[A-Za-z0-9_=.:/%+@-]+(?:,[A-Za-z0-9_=.:/%+@-]+)*$'),
  label: text('the label of the file system', '^[A-Za-z0-9][A-Za-z0-9._-]{0,15}$'),
  mkfs: list(
    'more arguments for the program that makes it, at most 32',
    text('an argument of printable ASCII', '^[ -~]{1,200}$'),
    0,
    32,
  ),
});

const match = fields('what tells the disk from the others; every part must fit', [], {
  id: pattern('a name as in /dev/disk/by-id'),
  serial: pattern('the serial number'),
  model: pattern('the model'),
  path: text('a device like "/dev/sda"', '^/dev/[a-z][a-z0-9]{1,31}$'),
  sizeMin: bound,
  sizeMax: bound,
  type: choice('the kind of disk', 'nvme', 'ssd', 'hdd', 'virtual'),
  removable: flag('true for a disk that can be pulled out or hangs on USB; such disks fit no other rule'),
});

const GUID = '[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}';
const partition = fields('a partition', ['name'], {
  name: text('a name of letters, digits, ". _ -", at most 36', NAME),
  size,
  type: text(
    'esp, bios-boot, linux, swap, raid, lvm, or the GUID of a partition type',
    `^(?:esp|bios-boot|linux|swap|raid|lvm|${GUID})$`,
  ),
  fs: fileSystem,
  keep: flag('true for a partition that is there and must survive'),
  number: whole('the number of the partition that is kept, when its label is not its name', 1, 128),
});

const disk = fields('a rule for disks', ['match', 'label', 'partitions'], {
  match,
  count: whole('how many disks it is for, all alike; 1 when left out', 1, 64),
  label: choice('the kind of partition table', 'gpt', 'dos'),
  partitions: list('1 to 128 partitions', partition, 1, 128),
});

const array = fields('a RAID array', ['name', 'level', 'members'], {
  name: text('the name of the array: md0, md1 ...', '^md(?:0|[1-9]\\d?)$'),
  level: { description: 'a RAID level: 0, 1, 5, 6, 10', type: 'integer', enum: [0, 1, 5, 6, 10] },
  members: list('names of partitions', text('the name of a partition', NAME), 1, 64),
  fs: fileSystem,
});

const volume = fields('a logical volume', ['name', 'size', 'fs'], {
  name: text('a name of letters, digits, ". _ -"', NAME),
  size,
  fs: fileSystem,
});

const group = fields('a volume group', ['group', 'devices', 'volumes'], {
  group: text('a name of letters, digits, ". _ -"', NAME),
  devices: list('names of partitions and arrays', text('the name of a partition or an array', NAME), 1, 64),
  volumes: list('1 to 64 logical volumes', volume, 1, 64),
});

/** The whole file. */
export const LAYOUT_SCHEMA: ObjectSchema = fields('a layout: a JSON object', ['format', 'disks'], {
  $schema: text('where the schema lies, for editors', '^[ -~]{1,300}$'),
  format: { description: '1: the format that this version reads', type: 'integer', enum: [1] },
  disks: list('1 to 64 rules for disks', disk, 1, 64),
  raid: list('at most 32 RAID arrays', array, 0, 32),
  lvm: list('at most 32 volume groups', group, 0, 32),
});

/** The text of docs/layout.schema.json. */
export function formatLayoutSchema(): string {
  const head = { $schema: 'https://json-schema.org/draft/2020-12/schema', title: 'Swarmboot disk layout' };
  return `${JSON.stringify({ ...head, ...LAYOUT_SCHEMA }, null, 2)}\n`;
}
