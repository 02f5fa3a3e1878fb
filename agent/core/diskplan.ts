// From a layout and the disks that are there: the commands that make it so, or the reason why not.

import type { Command } from './command.ts';
import type { Firmware } from './diskfacts.ts';

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

export interface DiskPlan {
  /** In this order; the first that fails ends the install. Afterwards the target is mounted. */
  readonly prepare: readonly Command[];
  /** In this order, each whatever became of the one before: it may be that `prepare` did not get that far. */
  readonly release: readonly Command[];
  readonly fstab: readonly FstabLine[];
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
