// Disks and layouts for tests: facts as the kernel would tell them, the layouts of the guide, UUIDs that count.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DiskFacts, PartitionFacts } from '../agent/core/diskfacts.ts';
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
