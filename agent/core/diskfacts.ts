// What is known of a node's disks before anything is done to them. Types, and how people are told of a disk; reading them
// from the kernel is agent/io/disks's.

import { formatBytes } from './units.ts';

export type Firmware = 'bios' | 'efi';
export type Label = 'gpt' | 'dos';
export type DiskType = 'nvme' | 'ssd' | 'hdd' | 'virtual';

/** What the first bytes of a partition say that it holds. */
export interface Content {
  /** As blkid(8) calls it: ext4, xfs, vfat, swap, linux_raid_member, LVM2_member, crypto_LUKS, ntfs, btrfs ... */
  readonly type: string;
  /** As it stands behind `UUID=` in fstab(5); null when it has none that we read. */
  readonly uuid: string | null;
}

/** A partition that is on a disk now. */
export interface PartitionFacts {
  readonly number: number;
  readonly startBytes: number;
  readonly sizeBytes: number;
  /** Its name in a GPT; empty when it has none. */
  readonly label: string;
  readonly content: Content | null;
}

export interface DiskFacts {
  /** Kernel's name: `sda`, `nvme0n1`. */
  readonly name: string;
  /** `/dev/sda`. */
  readonly path: string;
  /** The names that udev would put into /dev/disk/by-id: `virtio-SERIAL`, `nvme-MODEL_SERIAL`, `wwn-0x...`. */
  readonly ids: readonly string[];
  readonly sizeBytes: number;
  /** Logical sector. */
  readonly sectorBytes: number;
  /** Empty when the disk does not tell. */
  readonly model: string;
  readonly serial: string;
  readonly type: DiskType;
  readonly removable: boolean;
  /** The partition table that is on it now. */
  readonly label: Label | null;
  /** What it holds as a whole, without a partition table. */
  readonly content: Content | null;
  readonly partitions: readonly PartitionFacts[];
  /** Why it must not be touched, a phrase each: `vda1 is mounted at /`, `vda2 is part of md0`. Empty: nobody uses it. */
  readonly uses: readonly string[];
}

/** `/dev/vda: 20.0 GiB, virtual, no model, serial d1`. */
export function describeDisk(disk: DiskFacts): string {
  const told = (what: string, value: string) => (value === '' ? `no ${what}` : `${what} ${value}`);
  const kind = disk.removable ? `${disk.type}, removable` : disk.type;
  return `${disk.path}: ${formatBytes(disk.sizeBytes)}, ${kind}, ${told('model', disk.model)}, ${told('serial', disk.serial)}`;
}

/** The kernel's name of a partition: `sda1`, `nvme0n1p1`. */
export function partitionName(disk: string, number: number): string {
  return /\d$/.test(disk) ? `${disk}p${number}` : `${disk}${number}`;
}
