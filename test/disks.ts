// Disks and layouts for tests: facts as the kernel would tell them, the layouts of the guide, UUIDs that count.

import { match, ok, throws } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, formatCommand } from '../agent/core/command.ts';
import type { DiskFacts, PartitionFacts } from '../agent/core/diskfacts.ts';
import { parseLayout, readLayout } from '../agent/core/disklayout.ts';
import { type DiskPlan, planDisks } from '../agent/core/diskplan.ts';
import { SwarmbootError } from '../agent/core/errors.ts';
import { GIB } from '../agent/core/units.ts';

/** An empty disk of 20 GiB, with changes. */
export function disk(name: string, changes: Partial<DiskFacts> = {}): DiskFacts {
  return {
    name,
    path: `/dev/${name}`,
    ids: [`virtio-${name}`],
    sizeBytes: 20 * GIB,
    sectorBytes: 512,
    model: 'Model',
    serial: name,
    type: 'virtual',
    removable: false,
    label: null,
    content: null,
    partitions: [],
    uses: [],
    ...changes,
  };
}

/** A partition that is there, from one whole MiB to another. */
export function partition(
  number: number,
  startBytes: number,
  sizeBytes: number,
  changes: Partial<PartitionFacts> = {},
): PartitionFacts {
  return { number, startBytes, sizeBytes, label: '', content: null, ...changes };
}

/** 00000001-0000-4000-8000-000000000000 and so on. */
export function countingUuid(): () => string {
  let count = 0;
  return () => `${String(++count).padStart(8, '0')}-0000-4000-8000-000000000000`;
}

const GUIDE = readFileSync(join(import.meta.dirname, '../docs/layouts.md'), 'utf8');

/** The three layouts of docs/layouts.md: one disk, RAID 1 with LVM, a kept partition. */
export const GUIDE_LAYOUTS: readonly string[] = [...GUIDE.matchAll(/^```json\n(.*?)^```$/gms)].map(
  ([, text]) => text ?? '',
);

/** A part of a layout file, right or wrong. */
export interface Part {
  [key: string]: unknown;
}

export const ROOT: Part = { name: 'root', size: 'rest', fs: { type: 'ext4', mount: '/' } };
export const BIOS: Part = { name: 'bios', type: 'bios-boot', size: '1MiB' };
export const rule = (partitions: readonly Part[], more: Part = {}): Part => ({
  match: {},
  label: 'gpt',
  partitions,
  ...more,
});
/** The text of a layout file. */
export const text = (disks: readonly Part[], more: Part = {}) =>
  JSON.stringify({ format: 1, disks, ...more });
/** What is wrong with it, a line each. */
export const faults = (layout: string): readonly string[] => {
  const read = readLayout(layout);
  return 'faults' in read ? read.faults.map(({ path, text }) => `${path} ${text}`) : [];
};

export const [ONE_DISK, MIRROR, KEEP] = GUIDE_LAYOUTS as [string, string, string];

/** The plan for the target /a. */
export function plan(
  layout: string,
  disks: readonly DiskFacts[],
  firmware: 'bios' | 'efi' = 'bios',
): DiskPlan {
  return planDisks(parseLayout(layout, 'x'), disks, firmware, '/a', countingUuid());
}

export const shown = (commands: readonly Command[]) => commands.map(formatCommand);

/** A layout of one disk with a root and these partitions before it. */
export function layout(partitions: readonly object[], more: object = {}): string {
  const root = { name: 'root', size: 'rest', fs: { type: 'ext4', mount: '/' } };
  const bios = { name: 'bios', type: 'bios-boot', size: '1MiB' };
  const rule = { match: {}, label: 'gpt', partitions: [bios, ...partitions, root], ...more };
  return JSON.stringify({ format: 1, disks: [rule] });
}

/** What sfdisk is given to make partitions. */
export const script = (made: DiskPlan) =>
  made.prepare
    .filter(({ argv }) => argv[0] === '/usr/sbin/sfdisk' && argv[1] !== '--delete')
    .map(({ input }) => input);

/** Asserts that it throws SwarmbootError 'disk' with this reason. */
export const refused = (run: () => unknown, reason: RegExp) =>
  throws(run, (error) => {
    ok(error instanceof SwarmbootError && error.code === 'disk', String(error));
    match(error.message, reason);
    return true;
  });
