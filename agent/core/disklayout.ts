// Reads a disk layout: JSON to Layout, or everything that is wrong with it. docs/layouts.md is the manual of the file.

import type { DiskType, Label } from './diskfacts.ts';
import type {
  DiskRule,
  FileSystem,
  FileSystemType,
  GroupRule,
  Layout,
  Match,
  PartitionRule,
  RaidLevel,
  RaidRule,
  Size,
} from './diskrules.ts';
import { messageOf, SwarmbootError } from './errors.ts';
import { faultsOfLayout } from './layoutrules.ts';
import { LAYOUT_SCHEMA } from './layoutschema.ts';
import { type Fault, faultsOf } from './schema.ts';
import { GIB, MIB } from './units.ts';

// What LAYOUT_SCHEMA has let through.
interface RawLayout {
  readonly disks: readonly RawDisk[];
  readonly raid?: readonly RawArray[];
  readonly lvm?: readonly RawGroup[];
}
interface RawDisk {
  readonly match: RawMatch;
  readonly count?: number;
  readonly label: Label;
  readonly partitions: readonly RawPartition[];
}
interface RawMatch {
  readonly id?: string;
  readonly serial?: string;
  readonly model?: string;
  readonly path?: string;
  readonly sizeMin?: string;
  readonly sizeMax?: string;
  readonly type?: DiskType;
  readonly removable?: boolean;
}
interface RawPartition {
  readonly name: string;
  readonly size?: string;
  readonly type?: string;
  readonly fs?: RawFileSystem;
  readonly keep?: boolean;
  readonly number?: number;
}
interface RawFileSystem {
  readonly type: FileSystemType;
  readonly mount?: string;
  readonly options?: string;
  readonly label?: string;
  readonly mkfs?: readonly string[];
}
interface RawArray {
  readonly name: string;
  readonly level: RaidLevel;
  readonly members: readonly string[];
  readonly fs?: RawFileSystem;
}
interface RawGroup {
  readonly group: string;
  readonly devices: readonly string[];
  readonly volumes: readonly { readonly name: string; readonly size: string; readonly fs: RawFileSystem }[];
}

/** Reads a layout file. `where` names it in errors. Throws SwarmbootError 'layout' that lists every fault with its place. */
export function parseLayout(text: string, where: string): Layout {
  const read = readLayout(text);
  if ('layout' in read) return read.layout;
  const lines = read.faults.map(({ path, text }) => `\n  ${path === '' ? 'the file' : path} ${text}`);
  throw new SwarmbootError(
    'layout',
    `${where} is no disk layout:${lines.join('')}\nmend it, then look with: swarmboot layout check FILE`,
  );
}

/** The layout, or everything that is wrong: first what has a wrong form; when that is right, what makes no sense. */
export function readLayout(text: string): { layout: Layout } | { faults: readonly Fault[] } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { faults: [{ path: '', text: `is not JSON (${messageOf(error)})` }] };
  }
  const malformed = faultsOf(LAYOUT_SCHEMA, value);
  if (malformed.length > 0) return { faults: capped(malformed) };
  const layout = layoutOf(value as RawLayout);
  const senseless = faultsOfLayout(layout);
  return senseless.length > 0 ? { faults: capped(senseless) } : { layout };
}

/** So many faults are listed; a file of a megabyte can have more than anybody reads. */
const FAULTS_MAX = 100;

function capped(faults: readonly Fault[]): readonly Fault[] {
  const more = faults.length - FAULTS_MAX;
  return more > 0 ? [...faults.slice(0, FAULTS_MAX), { path: '', text: `has ${more} more faults` }] : faults;
}

function layoutOf(raw: RawLayout): Layout {
  const raid = (raw.raid ?? []).map(arrayOf);
  const lvm = (raw.lvm ?? []).map(groupOf);
  return { disks: raw.disks.map((disk) => diskOf(disk, raid, lvm)), raid, lvm };
}

function diskOf(raw: RawDisk, raid: readonly RaidRule[], lvm: readonly GroupRule[]): DiskRule {
  // What uses a partition tells its type, so nobody has to say it twice.
  const typeOf = ({ name, fs, keep }: RawPartition): string => {
    if (keep === true) return 'linux';
    if (raid.some(({ members }) => members.includes(name))) return 'raid';
    if (lvm.some(({ devices }) => devices.includes(name))) return 'lvm';
    return fs?.type === 'swap' ? 'swap' : 'linux';
  };
  const partitions = raw.partitions.map(
    (partition): PartitionRule => ({
      name: partition.name,
      size: partition.size === undefined ? null : sizeOf(partition.size),
      type: partition.type ?? typeOf(partition),
      fs: fileSystemOf(partition.fs),
      keep: partition.keep ?? false,
      number: partition.number ?? null,
    }),
  );
  return { match: matchOf(raw.match), count: raw.count ?? 1, label: raw.label, partitions };
}

function matchOf(raw: RawMatch): Match {
  return {
    id: raw.id ?? null,
    serial: raw.serial ?? null,
    model: raw.model ?? null,
    path: raw.path ?? null,
    sizeMinBytes: raw.sizeMin === undefined ? null : bytesOf(raw.sizeMin),
    sizeMaxBytes: raw.sizeMax === undefined ? null : bytesOf(raw.sizeMax),
    type: raw.type ?? null,
    removable: raw.removable ?? false,
  };
}

function arrayOf({ name, level, members, fs }: RawArray): RaidRule {
  return { name, level, members, fs: fileSystemOf(fs) };
}

function groupOf({ group, devices, volumes }: RawGroup): GroupRule {
  return {
    group,
    devices,
    volumes: volumes.map(({ name, size, fs }) => ({ name, size: sizeOf(size), fs: madeOf(fs) })),
  };
}

function fileSystemOf(raw: RawFileSystem | undefined): FileSystem | null {
  return raw === undefined ? null : madeOf(raw);
}

/** Options that suit the type stand where none are given. */
const OPTIONS: Readonly<Record<FileSystemType, string>> = {
  ext4: 'defaults',
  xfs: 'defaults',
  vfat: 'umask=0077',
  swap: 'sw',
};

function madeOf({ type, mount, options, label, mkfs }: RawFileSystem): FileSystem {
  return {
    type,
    mount: mount ?? null,
    options: options ?? OPTIONS[type],
    label: label ?? null,
    mkfs: mkfs ?? [],
  };
}

const UNITS: Readonly<Record<string, number>> = {
  MiB: MIB,
  GiB: GIB,
  TiB: 1024 * GIB,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
};

function sizeOf(text: string): Size {
  if (text === 'rest') return { kind: 'rest' };
  if (text.endsWith('%')) return { kind: 'percent', percent: Number(text.slice(0, -1)) };
  return { kind: 'bytes', bytes: bytesOf(text) };
}

function bytesOf(text: string): number {
  const [, number = '', unit = ''] = /^(\d+)(\w+)$/.exec(text) ?? [];
  return Number(number) * UNITS[unit]!;
}
