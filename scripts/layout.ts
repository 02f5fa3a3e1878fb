// `swarmboot layout check`: what a disk layout would do, in words, or everything that is wrong with it.

import { readFileSync } from 'node:fs';
import { SITE_FILE_BYTES_MAX } from '../agent/core/catalog.ts';
import { describeMatch } from '../agent/core/diskchoice.ts';
import { readLayout } from '../agent/core/disklayout.ts';
import {
  bootFault,
  type DiskRule,
  type FileSystem,
  type Layout,
  type Size,
} from '../agent/core/diskrules.ts';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import type { Fault } from '../agent/core/schema.ts';
import { formatBytes } from '../agent/core/units.ts';
import { type Command, usage } from './command.ts';

export const layoutCheck: Command = {
  name: 'layout check',
  synopsis: 'FILE... [--json]',
  summary: 'Says what disk layouts would do, or everything that is wrong with them.',
  options: [{ name: 'json', kind: 'flag', help: 'print JSON: for each file its lines, or its faults' }],
  run: async (args, terminal) => {
    if (args.words.length === 0) throw usage('FILE is missing; see --help');
    const checks = args.words.map(check);
    terminal.out.write(
      args.flag('json') ? `${JSON.stringify(checks, null, 2)}\n` : checks.map(page).join(''),
    );
    const bad = checks.filter(({ faults }) => faults.length > 0);
    if (bad.length === 0) return;
    const count = bad.reduce((sum, { faults }) => sum + faults.length, 0);
    throw new SwarmbootError(
      'layout',
      `${count === 1 ? '1 fault' : `${count} faults`} in ${bad.map(({ file }) => file).join(', ')}; docs/layouts.md tells how a layout is written`,
    );
  },
};

interface Check {
  readonly file: string;
  readonly lines: readonly string[];
  readonly faults: readonly Fault[];
}

function check(file: string): Check {
  const read = readLayout(textOf(file));
  return 'layout' in read
    ? { file, lines: linesOf(read.layout), faults: [] }
    : { file, lines: [], faults: read.faults };
}

function page({ file, lines, faults }: Check): string {
  const told = faults.map(({ path, text }) => `${path === '' ? 'the file' : path} ${text}`);
  return `${[file, ...lines, ...told].join('\n  ')}\n`;
}

function textOf(file: string): string {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new SwarmbootError('missing', `cannot read ${file} (${messageOf(error)}); name a layout file`, {
      cause: error,
    });
  }
  if (text.length <= SITE_FILE_BYTES_MAX) return text;
  throw new SwarmbootError(
    'layout',
    `${file} has ${formatBytes(text.length)}, more than the ${formatBytes(SITE_FILE_BYTES_MAX)} that a node reads; write it shorter`,
  );
}

/** The layout for people. */
function linesOf(layout: Layout): string[] {
  const starts = (['bios', 'efi'] as const).map((firmware) => {
    const fault = bootFault(layout, firmware);
    const name = firmware === 'efi' ? 'UEFI' : 'BIOS';
    return fault === null ? `starts by ${name}` : `does not start by ${name}: ${fault}`;
  });
  return [
    ...layout.disks.flatMap(diskLines),
    ...layout.raid.map(
      ({ name, level, members, fs }) => `/dev/${name}: RAID ${level} of ${members.join(', ')}${fsWords(fs)}`,
    ),
    ...layout.lvm.flatMap(({ group, devices, volumes }) => [
      `volume group ${group}: ${devices.join(', ')}`,
      ...volumes.map(({ name, size, fs }) => `  ${group}/${name}: ${sizeWords(size)}${fsWords(fs)}`),
    ]),
    ...starts,
  ];
}

function diskLines({ match, count, label, partitions }: DiskRule): string[] {
  const kept = partitions.some(({ keep }) => keep);
  const which = count === 1 ? 'the one disk that fits' : `each of the ${count} disks that fit`;
  const what = kept ? `keeps its ${label} table and deletes what is not kept` : `gets a new ${label} table`;
  return [
    `${which} (${describeMatch(match)}) ${what}:`,
    ...partitions.map(({ name, keep, size, type, fs }) =>
      keep
        ? `  keeps "${name}"${size === null ? '' : ` of at least ${sizeWords(size)}`}${fsWords(fs)}`
        : `  makes "${name}": ${sizeWords(size)}, type ${type}${fsWords(fs)}`,
    ),
  ];
}

function sizeWords(size: Size | null): string {
  switch (size?.kind) {
    case 'bytes':
      return formatBytes(size.bytes);
    case 'percent':
      return `${size.percent} %`;
    default:
      return 'what is left';
  }
}

function fsWords(fs: FileSystem | null): string {
  return fs === null ? '' : `, ${fs.type}${fs.mount === null ? '' : ` for ${fs.mount}`}`;
}
