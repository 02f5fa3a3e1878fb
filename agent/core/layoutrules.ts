// What the parts of a layout must be to each other: one root, names that are there and used once, sizes that can add up. Judges
// a layout alone, whatever disks a machine has.

import {
  type DiskRule,
  type FileSystem,
  fileSystemsOf,
  type GroupRule,
  type Layout,
  type PartitionRule,
  partitionsUnder,
  type RaidRule,
  type Size,
} from './diskrules.ts';
import type { Fault } from './schema.ts';

const DOS_PARTITIONS_MAX = 4;
const MEMBERS_MIN = { 0: 2, 1: 2, 5: 3, 6: 4, 10: 2 } as const;
const LABEL_MAX = { ext4: 16, xfs: 12, vfat: 11, swap: 15 } as const;
/** lvm(8), "VALID NAMES": what LVM keeps for itself. */
const LVM_RESERVED =
  /^(?:snapshot|pvmove)|_(?:cdata|cmeta|corig|cpool|cvol|wcorig|imeta|iorig|mimage|mlog|pmspare|rimage|rmeta|tdata|tmeta|vdata|vorigin)/;
/** Places of the kernel, where nothing of the disk can be mounted. */
const KERNELS = /^\/(?:proc|sys|dev|run)(?:\/|$)/;

/** Collects faults; each checker is told where its part stands. */
type Say = (path: string, text: string) => void;

/** Everything in the layout that cannot be meant. */
export function faultsOfLayout(layout: Layout): Fault[] {
  const faults: Fault[] = [];
  const say: Say = (path, text) => faults.push({ path, text });
  for (const [i, rule] of layout.disks.entries()) checkDisk(rule, `disks[${i}]`, say);
  for (const [i, array] of layout.raid.entries()) checkArray(layout, array, `raid[${i}]`, say);
  for (const [i, group] of layout.lvm.entries()) checkGroup(group, `lvm[${i}]`, say);
  checkNames(layout, say);
  checkUses(layout, say);
  checkMounts(layout, say);
  return faults;
}

function checkDisk(rule: DiskRule, path: string, say: Say): void {
  const { match, partitions, label } = rule;
  if (match.sizeMinBytes !== null && match.sizeMaxBytes !== null && match.sizeMinBytes > match.sizeMaxBytes) {
    say(`${path}.match.sizeMin`, 'is more than sizeMax');
  }
  if (label === 'dos' && partitions.length > DOS_PARTITIONS_MAX) {
    say(`${path}.partitions`, `has ${partitions.length} items; a DOS label holds 4: take gpt`);
  }
  for (const [i, partition] of partitions.entries()) {
    const place = `${path}.partitions[${i}]`;
    if (partition.keep) checkKept(rule, partition, place, say);
    else checkMade(rule, partition, place, say);
    if (partition.fs !== null) checkFileSystem(partition.fs, `${place}.fs`, say);
    if (rule.count > 1 && partition.fs !== null && partition.fs.mount !== null) {
      say(`${place}.fs.mount`, `is on ${rule.count} disks at once; make an array of them in raid`);
    }
  }
  const kept = partitions.flatMap(({ number }) => number ?? []);
  if (new Set(kept).size < kept.length) say(`${path}.partitions`, 'keeps the same number twice');
  checkSizes(
    partitions.map(({ size }) => size),
    `${path}.partitions`,
    say,
  );
}

function checkMade({ label }: DiskRule, partition: PartitionRule, path: string, say: Say): void {
  const { type, size, fs, number } = partition;
  if (size === null) say(`${path}.size`, 'is missing; wanted: a size like "512MiB", "10%" or "rest"');
  if (number !== null) say(`${path}.number`, 'is for partitions to "keep"; others are numbered in order');
  if (label === 'dos' && type === 'bios-boot') {
    say(`${path}.type`, 'is for gpt; with a DOS label GRUB lies before the first partition: leave it out');
  }
  if (label === 'dos' && type.includes('-') && type !== 'bios-boot') {
    say(`${path}.type`, 'is a GUID, which only gpt has');
  }
  if (type === 'bios-boot' && fs !== null) say(`${path}.fs`, 'cannot be on a BIOS boot partition');
  if (type === 'esp' && fs !== null && fs.type !== 'vfat') {
    say(`${path}.fs.type`, 'is not vfat, the one that UEFI reads');
  }
}

function checkKept({ label }: DiskRule, partition: PartitionRule, path: string, say: Say): void {
  const { type, size, fs, number } = partition;
  if (size !== null && size.kind !== 'bytes') {
    say(`${path}.size`, 'is for a kept partition the least that it must have: "100GiB", or nothing');
  }
  if (label === 'dos' && number === null) {
    say(`${path}.number`, 'is missing; partitions of a DOS label have no names to find them by');
  }
  if (number !== null && label === 'dos' && number > DOS_PARTITIONS_MAX) {
    say(`${path}.number`, 'is that of a logical partition, which cannot be kept; 1 to 4 can');
  }
  if (type !== 'esp' && type !== 'linux') {
    say(`${path}.type`, 'is for new partitions; of kept ones only "esp" is to be said');
  }
  if (fs === null) return;
  if (fs.mount === '/') say(`${path}.fs.mount`, 'is the root, which is always made new');
  if (fs.mkfs.length > 0) say(`${path}.fs.mkfs`, 'is for new file systems; this one is kept');
  if (fs.label !== null) say(`${path}.fs.label`, 'is for new file systems; this one is kept');
}

function checkFileSystem(fs: FileSystem, path: string, say: Say): void {
  const { type, mount, label } = fs;
  if (type === 'swap' && mount !== null) say(`${path}.mount`, 'is given, but swap is mounted nowhere');
  if (mount === '/' && type !== 'ext4' && type !== 'xfs') {
    say(`${path}.type`, 'is not one for the root: ext4 or xfs');
  }
  if (mount !== null && KERNELS.test(mount)) say(`${path}.mount`, "is the kernel's place");
  if (label !== null && label.length > LABEL_MAX[type]) {
    say(`${path}.label`, `has ${label.length} characters; ${type} holds ${LABEL_MAX[type]}`);
  }
}

function checkSizes(sizes: readonly (Size | null)[], path: string, say: Say): void {
  if (sizes.filter((size) => size?.kind === 'rest').length > 1) {
    say(path, 'says "rest" more than once; one can have what is left');
  }
  const percent = sizes.reduce((sum, size) => sum + (size?.kind === 'percent' ? size.percent : 0), 0);
  if (percent > 100) say(path, `gives away ${percent} % of the whole`);
}

function checkArray(layout: Layout, array: RaidRule, path: string, say: Say): void {
  const { level, members, fs, name } = array;
  if (fs !== null) checkFileSystem(fs, `${path}.fs`, say);
  const devices = members.map((member) => findPartition(layout, member));
  const count = devices.reduce((sum, found) => sum + (found?.rule.count ?? 1), 0);
  if (count < MEMBERS_MIN[level]) {
    say(`${path}.members`, `are ${count} partitions; RAID ${level} wants ${MEMBERS_MIN[level]} at least`);
  }
  const esps = devices.filter((found) => found?.partition.type === 'esp').length;
  if (esps > 0 && (level !== 1 || esps < devices.length || fs?.type !== 'vfat')) {
    say(path, 'holds an EFI system partition: then all members must be such, the level 1, and vfat on it');
  }
  if (fs === null && !layout.lvm.some(({ devices }) => devices.includes(name))) {
    say(path, 'is used by nothing: give it a fs, or name it in the devices of a volume group');
  }
}

function checkGroup({ group, volumes }: GroupRule, path: string, say: Say): void {
  if (LVM_RESERVED.test(group)) say(`${path}.group`, 'is a name that LVM keeps for itself');
  for (const [i, { name, fs }] of volumes.entries()) {
    if (LVM_RESERVED.test(name)) say(`${path}.volumes[${i}].name`, 'is a name that LVM keeps for itself');
    if (volumes.findIndex((other) => other.name === name) < i) {
      say(`${path}.volumes[${i}].name`, `is "${name}" like another volume of the group`);
    }
    checkFileSystem(fs, `${path}.volumes[${i}].fs`, say);
  }
  checkSizes(
    volumes.map(({ size }) => size),
    `${path}.volumes`,
    say,
  );
}

/** Partitions and arrays share one set of names, for both can be the device of a volume group; groups have their own. */
function checkNames(layout: Layout, say: Say): void {
  const devices = [
    ...layout.disks.flatMap(({ partitions }, i) =>
      partitions.map(({ name }, j): [string, string] => [name, `disks[${i}].partitions[${j}].name`]),
    ),
    ...layout.raid.map(({ name }, i): [string, string] => [name, `raid[${i}].name`]),
  ];
  const groups = layout.lvm.map(({ group }, i): [string, string] => [group, `lvm[${i}].group`]);
  for (const names of [devices, groups]) {
    const seen = new Map<string, string>();
    for (const [name, path] of names) {
      const first = seen.get(name);
      if (first === undefined) seen.set(name, path);
      else say(path, `is "${name}" like ${first}`);
    }
  }
}

/** A partition or an array serves one purpose: a file system, an array, a volume group. */
function checkUses(layout: Layout, say: Say): void {
  const users = new Map<string, string>();
  for (const { device } of fileSystemsOf(layout)) users.set(device, 'its own file system');
  const use = (name: string, path: string, user: string) => {
    const found = findPartition(layout, name);
    const other = users.get(name);
    if (other !== undefined) say(path, `is "${name}", which is taken by ${other}`);
    if (found?.partition.keep === true) say(path, `is "${name}", which is kept as it is`);
    if (found?.partition.type === 'bios-boot') say(path, `is "${name}", a BIOS boot partition`);
    users.set(name, user);
  };
  for (const [i, { members, name }] of layout.raid.entries()) {
    for (const [j, member] of members.entries()) {
      const path = `raid[${i}].members[${j}]`;
      if (findPartition(layout, member) === null) say(path, `is "${member}", and no partition has that name`);
      else use(member, path, `the array ${name}`);
    }
  }
  for (const [i, { devices, group }] of layout.lvm.entries()) {
    for (const [j, device] of devices.entries()) {
      const path = `lvm[${i}].devices[${j}]`;
      const found = findPartition(layout, device);
      if (found === null && !layout.raid.some(({ name }) => name === device)) {
        say(path, `is "${device}", and no partition or array has that name`);
      } else if (found?.partition.type === 'esp') {
        say(path, `is "${device}", an EFI system partition, which UEFI must be able to read`);
      } else use(device, path, `the volume group ${group}`);
    }
  }
}

function checkMounts(layout: Layout, say: Say): void {
  const mounts = fileSystemsOf(layout).flatMap(({ device, fs }) =>
    fs.mount === null ? [] : [{ device, fs, mount: fs.mount }],
  );
  const roots = mounts.filter(({ mount }) => mount === '/').length;
  if (roots === 0) say('', 'mounts nothing at "/"; one file system must be the root');
  for (const folder of new Set(mounts.map(({ mount }) => mount))) {
    const here = mounts.filter(({ mount }) => mount === folder).map(({ device }) => device);
    if (here.length > 1) say('', `mounts ${here.join(' and ')} at "${folder}"`);
  }
  for (const { device, mount, fs } of mounts.filter(({ mount }) => mount === '/boot/efi')) {
    const esps = partitionsUnder(layout, device).every(
      (name) => findPartition(layout, name)?.partition.type === 'esp',
    );
    if (fs.type !== 'vfat' || !esps) {
      say('', `mounts ${device} at "${mount}", which is for vfat on a partition of type "esp"`);
    }
  }
}

function findPartition(
  layout: Layout,
  name: string,
): { readonly rule: DiskRule; readonly partition: PartitionRule } | null {
  for (const rule of layout.disks) {
    const partition = rule.partitions.find((candidate) => candidate.name === name);
    if (partition !== undefined) return { rule, partition };
  }
  return null;
}
