// From a layout and the disks that are there: the commands that make it so, or the reason why not. Everything is decided
// before the first command runs, so that a refusal leaves the disks as they were.

import type { Command } from './command.ts';
import { chooseDisks } from './diskchoice.ts';
import { type DiskFacts, describeDisk, type Firmware } from './diskfacts.ts';
import { bootFault, bootRules, type FileSystem, fileSystemsOf, type Layout } from './diskrules.ts';
import { SwarmbootError } from './errors.ts';
import { type PlacedPartition, partitionCommands, placePartitions, type Table } from './partitioning.ts';
import { formatBytes } from './units.ts';
import { type Device, planArray, planFileSystem, planGroup, releaseGroup } from './volumes.ts';

/** A line of fstab(5); `dump` is always 0. */
export interface FstabLine {
  /** `UUID=...`; `/dev/mapper/GROUP-VOLUME` for a logical volume, whose snapshots bear the same UUID. */
  readonly source: string;
  /** `none` for swap. */
  readonly mountPoint: string;
  readonly type: string;
  readonly options: string;
  readonly pass: 0 | 1 | 2;
}

/** A stretch of a disk. */
export interface Stretch {
  /** `/dev/vda`. */
  readonly path: string;
  readonly startBytes: number;
  readonly sizeBytes: number;
}

export interface DiskPlan {
  /** In this order; the first that fails ends the install. Afterwards the target is mounted. */
  readonly prepare: readonly Command[];
  /** In this order, each whatever became of the one before: it may be that `prepare` did not get that far. */
  readonly release: readonly Command[];
  readonly fstab: readonly FstabLine[];
  /** Of each disk the largest stretch that loses its content: there it may be tried beforehand. */
  readonly trials: readonly Stretch[];
  /** Where GRUB for BIOS goes (`/dev/vda`), or the disks of the ESP. */
  readonly bootDisks: readonly string[];
  readonly firmware: Firmware;
  /** What mdadm.conf of the new system has to say; empty without arrays. */
  readonly mdadmConf: string;
  /** Programs that the image must bring to start from what this plan makes, absolute paths. */
  readonly needs: readonly string[];
  /** Bytes of all mounted file systems together before anything is on them: an image that unpacks to more cannot fit. */
  readonly capacityBytes: number;
  /** The plan for people. */
  readonly lines: readonly string[];
}

/**
 * The plan that puts `layout` on these disks and mounts it below the folder `target`. `uuid` gives a new one at each call.
 * Throws SwarmbootError 'disk' when a rule fits too few or too many disks, one is in use or too small, what shall be kept is
 * not there, or this firmware could not start from it.
 */
export function planDisks(
  layout: Layout,
  disks: readonly DiskFacts[],
  firmware: Firmware,
  target: string,
  uuid: () => string,
): DiskPlan {
  const fault = bootFault(layout, firmware);
  if (fault !== null) throw new SwarmbootError('disk', `this node could not start: ${fault}`);
  const tables = chooseDisks(layout, disks).flatMap((choice) =>
    choice.disks.map((disk) => placePartitions(choice.rule, disk)),
  );
  const build = new Build(tables, uuid);
  build.arrays(layout);
  build.groups(layout);
  const mounts = build.fileSystems(layout, target);
  const boot = bootRules(layout, firmware);
  const bootDisks = tables.flatMap(({ rule, disk }) => (boot.includes(rule) ? disk.path : []));
  return {
    prepare: [...build.commands, ...mounts.mount],
    release: [...mounts.unmount, ...build.release],
    fstab: mounts.fstab,
    trials: tables.flatMap(trialOf),
    bootDisks,
    firmware,
    mdadmConf: build.conf.map((line) => `${line}\n`).join(''),
    needs: [
      ...(layout.raid.length > 0 ? ['/usr/sbin/mdadm'] : []),
      ...(layout.lvm.length > 0 ? ['/usr/sbin/lvm'] : []),
    ],
    capacityBytes: mounts.capacityBytes,
    lines: [
      ...tables.flatMap(linesOf),
      ...build.lines,
      `the boot loader is for ${firmware === 'efi' ? 'UEFI' : 'BIOS'}, on ${bootDisks.join(', ')}`,
    ],
  };
}

/** None when all partitions of the disk are kept. */
function trialOf({ disk, partitions }: Table): readonly Stretch[] {
  const [largest] = partitions.filter(({ kept }) => kept === null).sort((a, b) => b.sizeBytes - a.sizeBytes);
  if (largest === undefined) return [];
  return [{ path: disk.path, startBytes: largest.startBytes, sizeBytes: largest.sizeBytes }];
}

interface Mounts {
  readonly mount: readonly Command[];
  readonly unmount: readonly Command[];
  readonly fstab: readonly FstabLine[];
  readonly capacityBytes: number;
}

/** The plan as it grows upwards: partitions, arrays on them, groups on both, file systems on all. */
class Build {
  readonly commands: Command[] = [];
  readonly release: Command[] = [];
  readonly conf: string[] = [];
  readonly lines: string[] = [];
  /** By the layout's names; a partition of a rule for several disks stands for several devices. */
  readonly #devices = new Map<string, readonly Device[]>();
  readonly #partitions: readonly PlacedPartition[];
  readonly #uuid: () => string;

  constructor(tables: readonly Table[], uuid: () => string) {
    this.#uuid = uuid;
    this.#partitions = tables.flatMap(({ partitions }) => partitions);
    for (const table of tables) this.commands.push(...partitionCommands(table, uuid));
    for (const partition of this.#partitions) {
      const { name } = partition.rule;
      this.#devices.set(name, [...(this.#devices.get(name) ?? []), partition]);
    }
  }

  arrays(layout: Layout): void {
    for (const rule of layout.raid) {
      const members = rule.members.flatMap((name) => this.#devices.get(name) ?? []);
      const esp = this.#partitions.some(
        ({ rule: { name, type } }) => type === 'esp' && rule.members.includes(name),
      );
      const { device, commands, conf } = planArray(rule, members, this.#uuid(), esp);
      this.#devices.set(rule.name, [device]);
      this.commands.push(...commands);
      this.conf.push(conf);
      // An array can be stopped when what lies on it is: groups come before, of arrays the order is all the same.
      this.release.push({ argv: ['/usr/sbin/mdadm', '--stop', device.path], why: `stop ${device.path}` });
      const over = members.map(({ path }) => path).join(', ');
      this.lines.push(`${device.path}: RAID ${rule.level} of ${over}${describe(rule.fs)}`);
    }
  }

  groups(layout: Layout): void {
    for (const rule of layout.lvm) {
      const devices = rule.devices.flatMap((name) => this.#devices.get(name) ?? []);
      this.lines.push(`volume group ${rule.group}: ${devices.map(({ path }) => path).join(', ')}`);
      for (const [name, { device, commands }] of planGroup(rule, devices)) {
        this.#devices.set(name, [device]);
        this.commands.push(...commands);
        const fs = rule.volumes.find((volume) => name === `${rule.group}/${volume.name}`)?.fs ?? null;
        this.lines.push(`  ${name}: ${formatBytes(device.sizeBytes)}${describe(fs)}`);
      }
    }
    this.release.unshift(...layout.lvm.map(({ group }) => releaseGroup(group)));
  }

  /** Makes the file systems, and tells what is mounted, parents before children. */
  fileSystems(layout: Layout, target: string): Mounts {
    const lines: FstabLine[] = [];
    const mounts: { readonly line: FstabLine; readonly device: Device }[] = [];
    for (const { device: name, fs } of fileSystemsOf(layout)) {
      const kept = this.#partitions.find(({ rule }) => rule.name === name)?.kept?.content?.uuid ?? null;
      for (const device of this.#devices.get(name) ?? []) {
        const made = kept === null ? planFileSystem(fs, device, this.#uuid()) : null;
        if (made !== null) this.commands.push(made.command);
        const source = name.includes('/') ? mapperPath(name) : `UUID=${made?.uuid ?? kept}`;
        const line = fstabLine(fs, source);
        if (line === null) continue;
        lines.push(line);
        if (fs.mount !== null) mounts.push({ line, device });
      }
    }
    const path = ({ line }: { readonly line: FstabLine }) => line.mountPoint;
    mounts.sort((a, b) => (path(a) < path(b) ? -1 : 1));
    const folderOf = (mountPoint: string) => (mountPoint === '/' ? target : `${target}${mountPoint}`);
    return {
      mount: mounts.flatMap(({ line, device }) => mountCommands(line, device, folderOf(line.mountPoint))),
      unmount: mounts
        .map(({ line }) => ({
          argv: ['/usr/bin/umount', folderOf(line.mountPoint)],
          why: `unmount ${line.mountPoint}`,
        }))
        .reverse(),
      fstab: [...mounts.map(({ line }) => line), ...lines.filter(({ type }) => type === 'swap')],
      capacityBytes: mounts.reduce((sum, { device }) => sum + device.sizeBytes, 0),
    };
  }
}

/** Null for a file system that the new system does not mount by itself. */
function fstabLine({ type, mount, options }: FileSystem, source: string): FstabLine | null {
  if (type === 'swap') return { source, mountPoint: 'none', type, options, pass: 0 };
  if (mount === null) return null;
  // XFS looks after itself when it is mounted.
  const pass = type === 'xfs' ? 0 : mount === '/' ? 1 : 2;
  return { source, mountPoint: mount, type, options, pass };
}

function mountCommands(line: FstabLine, device: Device, folder: string): Command[] {
  return [
    { argv: ['/usr/bin/mkdir', '-p', folder], why: `make the folder for ${line.mountPoint}` },
    {
      argv: ['/usr/bin/mount', '-t', line.type, device.path, folder],
      why: `mount ${line.mountPoint}`,
    },
  ];
}

/** `vg0/root` as device-mapper calls it: hyphens within a name are doubled. */
function mapperPath(volume: string): string {
  return `/dev/mapper/${volume
    .split('/')
    .map((name) => name.replaceAll('-', '--'))
    .join('-')}`;
}

/** What is lost, what stays and what is made on one disk. */
function linesOf({ disk, rule, partitions }: Table): string[] {
  const lost = disk.partitions
    .filter((there) => partitions.every(({ kept }) => kept !== there))
    .map(({ number, label, sizeBytes, content }) => {
      const named = label === '' ? '' : ` "${label}"`;
      return `partition ${number}${named} (${formatBytes(sizeBytes)}${content === null ? '' : `, ${content.type}`})`;
    });
  if (disk.content !== null) lost.push(`${disk.content.type} on the whole disk`);
  return [
    describeDisk(disk),
    `  destroys ${lost.length === 0 ? 'nothing' : lost.join(', ')}`,
    ...partitions.map(({ rule: { name, type, fs }, path, startBytes, sizeBytes, kept }) => {
      const what = kept === null ? 'makes' : 'keeps';
      return `  ${what} ${path} "${name}": ${formatBytes(sizeBytes)} at ${formatBytes(startBytes)}, ${rule.label} type ${type}${describe(fs)}`;
    }),
  ];
}

function describe(fs: FileSystem | null): string {
  if (fs === null) return '';
  return `, ${fs.type}${fs.mount === null ? '' : ` for ${fs.mount}`}`;
}
