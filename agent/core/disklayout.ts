// The disk layout of a site: what a rule says, in the words of the field. docs/layouts.md is its manual.

import type { DiskType } from './diskfacts.ts';

export type Label = 'gpt' | 'dos';
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
