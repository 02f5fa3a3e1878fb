// One disk's partition table: where each partition goes, and the commands that make it so. Kept partitions are never moved,
// formatted or written anew in the table: the others are deleted around them.

import type { Command } from './command.ts';
import { type DiskFacts, describeDisk, type PartitionFacts, partitionName } from './diskfacts.ts';
import type { DiskRule, PartitionRule } from './diskrules.ts';
import { SwarmbootError } from './errors.ts';
import { formatBytes, MIB } from './units.ts';

export interface PlacedPartition {
  readonly rule: PartitionRule;
  readonly number: number;
  /** `/dev/sda1`. */
  readonly path: string;
  readonly startBytes: number;
  readonly sizeBytes: number;
  /** What is there now, when it is kept. */
  readonly kept: PartitionFacts | null;
}

export interface Table {
  readonly disk: DiskFacts;
  readonly rule: DiskRule;
  /** In the order of the rule. */
  readonly partitions: readonly PlacedPartition[];
}

/** Room between kept partitions. */
interface Gap {
  readonly startBytes: number;
  readonly endBytes: number;
  readonly rules: PartitionRule[];
  freeBytes: number;
}

/** Sectors are numbered in 32 bits there. */
const DOS_SECTORS_MAX = 2 ** 32;
/** The second copy of a GPT, at the end: the header and 128 entries, at most so many sectors of any size. */
const GPT_END_SECTORS = 33;

/** Places a rule's partitions on the disk. Throws SwarmbootError 'disk' when they do not fit, or a kept one is not there. */
export function placePartitions(rule: DiskRule, disk: DiskFacts): Table {
  const kept = findKept(rule, disk);
  const gaps = gapsOf(rule, disk, [...kept.values()]);
  const wholeBytes = usableEnd(rule, disk) - MIB;
  const sizes = new Map<PartitionRule, number>();
  let rest: PartitionRule | null = null;
  for (const partition of rule.partitions.filter(({ keep }) => !keep)) {
    if (partition.size?.kind === 'rest') {
      rest = partition;
      continue;
    }
    const sizeBytes = sizeIn(partition, wholeBytes);
    const gap = gaps.find(({ freeBytes }) => freeBytes >= sizeBytes);
    if (gap === undefined) throw tooSmall(partition, disk, `${formatBytes(sizeBytes)} for it`);
    gap.rules.push(partition);
    gap.freeBytes -= sizeBytes;
    sizes.set(partition, sizeBytes);
  }
  if (rest !== null) {
    const gap = gaps.reduce((best, next) => (next.freeBytes > best.freeBytes ? next : best));
    if (gap.freeBytes < MIB) throw tooSmall(rest, disk, 'anything left for it');
    gap.rules.push(rest);
    sizes.set(rest, gap.freeBytes);
  }
  return { disk, rule, partitions: numbered(rule, disk, kept, startsIn(gaps, rule, sizes), sizes) };
}

function sizeIn({ size }: PartitionRule, wholeBytes: number): number {
  if (size?.kind === 'percent') return Math.max(MIB, floorMib((wholeBytes * size.percent) / 100));
  return size?.kind === 'bytes' ? Math.max(MIB, floorMib(size.bytes)) : 0;
}

function tooSmall({ name }: PartitionRule, disk: DiskFacts, wanted: string): SwarmbootError {
  return new SwarmbootError(
    'disk',
    `the disk is too small for partition "${name}": it has not ${wanted} (${describeDisk(disk)}); make the partitions of the layout smaller, or match a larger disk`,
  );
}

/** The partitions that are there and shall stay. */
function findKept(rule: DiskRule, disk: DiskFacts): Map<PartitionRule, PartitionFacts> {
  const kept = new Map<PartitionRule, PartitionFacts>();
  const fault = (text: string) =>
    new SwarmbootError(
      'disk',
      `${text} (${describeDisk(disk)}); nothing was touched; the layout and the disk must agree on what is kept`,
    );
  for (const partition of rule.partitions.filter(({ keep }) => keep)) {
    const { name, number, size, fs } = partition;
    if (disk.label !== rule.label) {
      throw fault(
        `partition "${name}" shall be kept, but the disk has ${disk.label === null ? 'no partition table' : `a ${disk.label} label`}, not ${rule.label}`,
      );
    }
    const found = disk.partitions.filter((there) =>
      number === null ? there.label === name : there.number === number,
    );
    const [there] = found;
    const who = number === null ? `with the label "${name}"` : `of number ${number}`;
    if (there === undefined || found.length > 1) {
      throw fault(`partition "${name}" shall be kept, but ${found.length} partitions ${who} are on the disk`);
    }
    if (size?.kind === 'bytes' && there.sizeBytes < size.bytes) {
      throw fault(
        `partition "${name}" has ${formatBytes(there.sizeBytes)}, less than the ${formatBytes(size.bytes)} of the layout`,
      );
    }
    if (fs !== null && (there.content?.type !== fs.type || there.content.uuid === null)) {
      throw fault(
        `partition "${name}" holds ${there.content?.type ?? 'nothing known'}, not the ${fs.type} of the layout`,
      );
    }
    if ([...kept.values()].includes(there)) throw fault(`partition ${there.number} shall be kept twice`);
    kept.set(partition, there);
  }
  return kept;
}

function usableEnd(rule: DiskRule, disk: DiskFacts): number {
  if (rule.label === 'gpt') return floorMib(disk.sizeBytes - GPT_END_SECTORS * disk.sectorBytes);
  if (disk.sizeBytes / disk.sectorBytes > DOS_SECTORS_MAX) {
    throw new SwarmbootError(
      'disk',
      `a DOS label cannot reach the end of this disk (${describeDisk(disk)}); say "label": "gpt" in the layout`,
    );
  }
  return floorMib(disk.sizeBytes);
}

function gapsOf(rule: DiskRule, disk: DiskFacts, kept: readonly PartitionFacts[]): Gap[] {
  const gaps: Gap[] = [];
  const add = (startBytes: number, endBytes: number) => {
    const freeBytes = Math.max(0, endBytes - startBytes);
    gaps.push({ startBytes, endBytes, freeBytes, rules: [] });
  };
  let start = MIB;
  for (const { startBytes, sizeBytes } of [...kept].sort((a, b) => a.startBytes - b.startBytes)) {
    add(start, floorMib(startBytes));
    start = Math.ceil((startBytes + sizeBytes) / MIB) * MIB;
  }
  add(start, usableEnd(rule, disk));
  return gaps;
}

/** Where each new partition starts: in its gap, in the order of the layout. */
function startsIn(
  gaps: readonly Gap[],
  { partitions }: DiskRule,
  sizes: ReadonlyMap<PartitionRule, number>,
): Map<PartitionRule, number> {
  const starts = new Map<PartitionRule, number>();
  for (const gap of gaps) {
    let start = gap.startBytes;
    for (const rule of gap.rules.sort((a, b) => partitions.indexOf(a) - partitions.indexOf(b))) {
      starts.set(rule, start);
      start += sizes.get(rule)!;
    }
  }
  return starts;
}

/** Kept partitions have their numbers, new ones get the lowest that are free. */
function numbered(
  { partitions }: DiskRule,
  disk: DiskFacts,
  kept: ReadonlyMap<PartitionRule, PartitionFacts>,
  starts: ReadonlyMap<PartitionRule, number>,
  sizes: ReadonlyMap<PartitionRule, number>,
): PlacedPartition[] {
  const taken = new Set([...kept.values()].map((there) => there.number));
  return partitions.map((rule) => {
    const there = kept.get(rule) ?? null;
    let number = there?.number ?? 1;
    while (there === null && taken.has(number)) number++;
    taken.add(number);
    return {
      rule,
      number,
      path: `/dev/${partitionName(disk.name, number)}`,
      startBytes: there?.startBytes ?? starts.get(rule)!,
      sizeBytes: there?.sizeBytes ?? sizes.get(rule)!,
      kept: there,
    };
  });
}

function floorMib(bytes: number): number {
  return Math.floor(bytes / MIB) * MIB;
}

const GPT_TYPES: Readonly<Record<string, string>> = {
  esp: 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B',
  'bios-boot': '21686148-6449-6E6F-744E-656564454649',
  linux: '0FC63DAF-8483-4772-8E79-3D69D8477DE4',
  swap: '0657FD6D-A4AB-43C4-84E5-0933C84B4F4F',
  raid: 'A19D880F-05FC-4D3B-A006-743F0F84911E',
  lvm: 'E6D6D379-F507-44C2-A23C-238F2A3DF928',
};
const DOS_TYPES: Readonly<Record<string, string>> = {
  esp: 'ef',
  linux: '83',
  swap: '82',
  raid: 'fd',
  lvm: '8e',
};

/**
 * Boot code for a BIOS: `int 18h`, which asks it to go on to the next device. Code of zeros would hang the machine; with this,
 * one whose install was cut off goes on to the network and installs again.
 */
const BOOT_NEXT = Uint8Array.of(0xcd, 0x18, ...new Uint8Array(438));

/** Makes the table. `uuid` gives a new one at each call. */
export function partitionCommands({ disk, rule, partitions }: Table, uuid: () => string): Command[] {
  const { path } = disk;
  const kept = partitions.flatMap((partition) => partition.kept ?? []);
  const made = partitions.filter((partition) => partition.kept === null);
  // The last first: deleting a logical partition of a DOS label renumbers those behind it.
  const gone = disk.partitions.filter((there) => !kept.includes(there)).sort((a, b) => b.number - a.number);
  const pathOf = ({ number }: { readonly number: number }) => `/dev/${partitionName(disk.name, number)}`;
  const commands = [bootNext(path)];
  if (gone.length > 0) {
    commands.push({
      argv: ['/usr/sbin/wipefs', '--all', ...gone.map(pathOf)],
      why: `wipe the old signatures on the partitions of ${path}`,
    });
  }
  if (kept.length === 0) {
    commands.push({ argv: ['/usr/sbin/wipefs', '--all', path], why: `wipe the old signatures on ${path}` });
  } else if (gone.length > 0) {
    commands.push({
      argv: ['/usr/sbin/sfdisk', '--delete', path, ...gone.map((there) => String(there.number))],
      why: `delete the partitions of ${path} that are not kept`,
    });
  }
  if (made.length > 0) {
    // Only what the script names is wiped; with --append that is no kept partition.
    const table = kept.length === 0 ? ['--wipe', 'always'] : ['--append', '--wipe', 'never'];
    commands.push({
      argv: ['/usr/sbin/sfdisk', ...table, '--wipe-partitions', 'always', path],
      input: sfdiskScript({ disk, rule, partitions }, uuid),
      why: `make the partitions of ${path}`,
    });
  }
  return [
    ...commands,
    // sfdisk ends well though the kernel still has the old table; this does not.
    { argv: ['/usr/bin/partx', '--update', path], why: `make the kernel see the partitions of ${path}` },
    {
      argv: ['/usr/sbin/blockdev', '--getsize64', ...partitions.map((partition) => partition.path)],
      why: `find the partitions of ${path} in /dev`,
    },
    bootNext(path),
  ];
}

function bootNext(path: string): Command {
  return {
    argv: ['/usr/bin/dd', `of=${path}`, 'bs=440', 'count=1', 'conv=notrunc,fsync'],
    input: BOOT_NEXT,
    why: `keep the BIOS from starting what is on ${path} before the install is done`,
  };
}

/** For sfdisk(8), in sectors. */
function sfdiskScript({ disk, rule, partitions }: Table, uuid: () => string): string {
  const gpt = rule.label === 'gpt';
  const fresh = partitions.every((partition) => partition.kept === null);
  const id = () => (gpt ? uuid().toUpperCase() : `0x${uuid().slice(0, 8)}`);
  const head = fresh ? [`label: ${rule.label}`, `label-id: ${id()}`] : [];
  const rows = partitions
    .filter((partition) => partition.kept === null)
    .map(({ rule: { name, type }, path, startBytes, sizeBytes }, index) => {
      const place = `start=${startBytes / disk.sectorBytes}, size=${sizeBytes / disk.sectorBytes}`;
      const kind = `type=${(gpt ? GPT_TYPES : DOS_TYPES)[type] ?? type.toUpperCase()}`;
      // Some BIOSes start only disks that have an active partition.
      const more = gpt
        ? `, uuid=${uuid().toUpperCase()}, name="${name}"`
        : fresh && index === 0
          ? ', bootable'
          : '';
      return `${path} : ${place}, ${kind}${more}`;
    });
  return `${[...head, 'unit: sectors', '', ...rows].join('\n')}\n`;
}
