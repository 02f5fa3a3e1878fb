// What a disk layout says, in the words of the field, and what follows from it alone: what lies on what, and whether a machine
// can start from it. Reading a layout file is disklayout's, applying it to disks diskplan's.

import type { DiskType, Firmware, Label } from './diskfacts.ts';

export type FileSystemType = 'ext4' | 'xfs' | 'vfat' | 'swap';
export type RaidLevel = 0 | 1 | 5 | 6 | 10;
export type PartitionType = 'esp' | 'bios-boot' | 'linux' | 'swap' | 'raid' | 'lvm';

/** How large: bytes, percent of the whole (disk or volume group), or all that is left. */
export type Size =
  | { readonly kind: 'bytes'; readonly bytes: number }
  | { readonly kind: 'percent'; readonly percent: number }
  | { readonly kind: 'rest' };

export interface FileSystem {
  readonly type: FileSystemType;
  /** Absolute path in the new system; null for swap, and for one that the new system does not mount by itself. */
  readonly mount: string | null;
  /** Fourth field of fstab(5). */
  readonly options: string;
  readonly label: string | null;
  /** More arguments for the program that makes it. */
  readonly mkfs: readonly string[];
}

/** Which disks a rule is for; what is null does not matter. Patterns: `*` stands for any text, `?` for one character. */
export interface Match {
  readonly id: string | null;
  readonly serial: string | null;
  readonly model: string | null;
  readonly path: string | null;
  readonly sizeMinBytes: number | null;
  readonly sizeMaxBytes: number | null;
  readonly type: DiskType | null;
  readonly removable: boolean;
}

export interface PartitionRule {
  /** Unique in the layout; its label in a GPT. */
  readonly name: string;
  /** Null for a kept one of any size. For a kept one: the least that it must have. */
  readonly size: Size | null;
  /** One of ours, or a GUID of GPT's. */
  readonly type: string;
  readonly fs: FileSystem | null;
  /** It is there already and survives. */
  readonly keep: boolean;
  /** Which one is kept; null: the one whose label is `name`. */
  readonly number: number | null;
}

export interface DiskRule {
  readonly match: Match;
  /** It must fit exactly so many disks, and all get the same partitions. */
  readonly count: number;
  readonly label: Label;
  readonly partitions: readonly PartitionRule[];
}

export interface RaidRule {
  /** `md0`. */
  readonly name: string;
  readonly level: RaidLevel;
  /** Names of partitions; one of a rule for several disks stands for all of them. */
  readonly members: readonly string[];
  /** Null: it is a physical volume. */
  readonly fs: FileSystem | null;
}

export interface VolumeRule {
  readonly name: string;
  readonly size: Size;
  readonly fs: FileSystem;
}

export interface GroupRule {
  readonly group: string;
  /** Names of partitions and arrays. */
  readonly devices: readonly string[];
  readonly volumes: readonly VolumeRule[];
}

export interface Layout {
  readonly disks: readonly DiskRule[];
  readonly raid: readonly RaidRule[];
  readonly lvm: readonly GroupRule[];
}

/** A file system with what it lies on: a partition or an array by name, a logical volume as `GROUP/NAME`. */
export interface Placement {
  readonly device: string;
  readonly fs: FileSystem;
}

/** Every file system, in the order of the layout. */
export function fileSystemsOf(layout: Layout): Placement[] {
  const partitions = layout.disks.flatMap((rule) => rule.partitions);
  const volumes = layout.lvm.flatMap(({ group, volumes }) =>
    volumes.map(({ name, fs }) => ({ device: `${group}/${name}`, fs })),
  );
  return [
    ...[...partitions, ...layout.raid].flatMap(({ name, fs }) => (fs === null ? [] : [{ device: name, fs }])),
    ...volumes,
  ];
}

/** The names of the partitions that hold the content of `device`. */
export function partitionsUnder(layout: Layout, device: string): readonly string[] {
  const below = layout.lvm.find(({ group }) => device.startsWith(`${group}/`))?.devices ?? [device];
  return below.flatMap((name) => layout.raid.find((array) => array.name === name)?.members ?? [name]);
}

/** The rules for the disks that a machine with this firmware starts from; none when it cannot start from this layout. */
export function bootRules(layout: Layout, firmware: Firmware): readonly DiskRule[] {
  const mounted = (...folders: readonly string[]) =>
    folders
      .map((folder) => fileSystemsOf(layout).find(({ fs }) => fs.mount === folder))
      .find((placement) => placement !== undefined);
  const boot = firmware === 'efi' ? mounted('/boot/efi') : mounted('/boot', '/');
  const under = boot === undefined ? [] : partitionsUnder(layout, boot.device);
  return layout.disks.filter(({ label, partitions }) => {
    const holds = partitions.some(({ name }) => under.includes(name));
    if (firmware === 'efi') return holds;
    return partitions.some(({ type }) => type === 'bios-boot') || (label === 'dos' && holds);
  });
}

/** Why a machine with this firmware cannot start from the layout, and what to change; null when it can. */
export function bootFault(layout: Layout, firmware: Firmware): string | null {
  if (bootRules(layout, firmware).length > 0) return null;
  return firmware === 'efi'
    ? 'UEFI starts from an EFI system partition, and the layout has none that is mounted: add a partition of type "esp" with a vfat file system mounted at "/boot/efi"'
    : 'a BIOS starts GRUB from a GPT disk by a BIOS boot partition, and the layout has none: add a partition of type "bios-boot" and size "1MiB"';
}
