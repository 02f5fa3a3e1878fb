// What lies on partitions: arrays, volume groups and file systems, each as the commands that make it. There is no udev in the
// RAM disk, so the tools are told to make their device nodes themselves.

import type { Command } from './command.ts';
import type { FileSystem, GroupRule, RaidRule } from './diskrules.ts';
import { SwarmbootError } from './errors.ts';
import { formatBytes, MIB } from './units.ts';

/** A block device that is there, or will be when the plan gets there. */
export interface Device {
  readonly path: string;
  /** Of an array or a volume: the least that it will have. */
  readonly sizeBytes: number;
}

/** What a piece of the plan gives: how to make it, and what it is then. */
export interface Made {
  readonly device: Device;
  readonly commands: readonly Command[];
}

/** mdadm keeps at most this much of each member for itself (its data offset, rounded up). */
const MEMBER_OVERHEAD_BYTES = 132 * MIB;
/** Extents of LVM, and what a physical volume keeps for itself at its start. */
const EXTENT_BYTES = 4 * MIB;
const VOLUME_OVERHEAD_BYTES = MIB;

/** An array of these members. `esp`: the firmware must be able to read each of them as a plain file system. */
export function planArray(
  { name, level }: RaidRule,
  members: readonly Device[],
  uuid: string,
  esp: boolean,
): Made & { readonly conf: string } {
  const path = `/dev/${name}`;
  // At the end of the member, where firmware does not see it; else at the start, where an old one is not taken for new.
  const metadata = esp ? '1.0' : '1.2';
  const id = (uuid.replaceAll('-', '').match(/.{8}/g) ?? []).join(':');
  const create = ['--create', path, '--run', '--homehost=any', `--metadata=${metadata}`, `--uuid=${id}`];
  const shape = [`--level=${level}`, `--raid-devices=${members.length}`];
  const bitmap = level === 0 ? [] : ['--bitmap=internal'];
  return {
    device: { path, sizeBytes: arrayBytes(level, members) },
    conf: `ARRAY ${path} metadata=${metadata} UUID=${id}`,
    commands: [
      {
        argv: ['/usr/sbin/mdadm', ...create, ...shape, ...bitmap, ...members.map((member) => member.path)],
        why: `make the array ${name}`,
      },
      // An earlier install may have had the same array here; what lay on it would come to light again.
      { argv: ['/usr/sbin/wipefs', '--all', path], why: `wipe the old signatures on ${name}` },
    ],
  };
}

function arrayBytes(level: RaidRule['level'], members: readonly Device[]): number {
  const smallest = Math.min(
    ...members.map(({ sizeBytes }) =>
      Math.max(0, sizeBytes - Math.min(MEMBER_OVERHEAD_BYTES, sizeBytes / 256 + 2 * MIB)),
    ),
  );
  const data = {
    0: members.length,
    1: 1,
    5: members.length - 1,
    6: members.length - 2,
    10: members.length / 2,
  };
  return Math.floor((smallest * data[level]) / MIB) * MIB;
}

/** A volume group with its volumes, by `GROUP/NAME`. Throws SwarmbootError 'disk' when the volumes do not fit. */
export function planGroup(rule: GroupRule, devices: readonly Device[]): ReadonlyMap<string, Made> {
  const { group, volumes } = rule;
  const paths = devices.map(({ path }) => path);
  const extents = devices.reduce(
    (sum, { sizeBytes }) => sum + Math.floor((sizeBytes - VOLUME_OVERHEAD_BYTES) / EXTENT_BYTES),
    0,
  );
  const make = lvm(paths, 'pvcreate', ['--force', ...paths], `make physical volumes of ${paths.join(', ')}`);
  const gather = lvm(paths, 'vgcreate', [group, ...paths], `make the volume group ${group}`);
  const made = new Map<string, Made>();
  let leftExtents = extents;
  // What is left is known when all others have their share.
  const isRest = (size: { readonly kind: string }) => Number(size.kind === 'rest');
  for (const { name, size } of volumes.toSorted((a, b) => isRest(a.size) - isRest(b.size))) {
    const wanted =
      size.kind === 'bytes'
        ? Math.ceil(size.bytes / EXTENT_BYTES)
        : size.kind === 'percent'
          ? Math.floor((extents * size.percent) / 100)
          : leftExtents;
    if (wanted < 1 || wanted > leftExtents) {
      throw new SwarmbootError(
        'disk',
        `the volume group ${group} is too small for volume "${name}": of ${formatBytes(extents * EXTENT_BYTES)} ${formatBytes(leftExtents * EXTENT_BYTES)} are left; make the volumes of the layout smaller, or match larger disks`,
      );
    }
    leftExtents -= wanted;
    const amount =
      size.kind === 'bytes' ? `${wanted}` : size.kind === 'percent' ? `${size.percent}%VG` : '100%FREE';
    const path = `/dev/${group}/${name}`;
    const first = made.size === 0 ? [make, gather] : [];
    made.set(`${group}/${name}`, {
      device: { path, sizeBytes: wanted * EXTENT_BYTES },
      commands: [
        ...first,
        lvm(
          paths,
          'lvcreate',
          ['--wipesignatures', 'n', '--zero', 'n', '--name', name, '--extents', amount, group],
          `make the volume ${group}/${name}`,
        ),
        { argv: ['/usr/sbin/wipefs', '--all', path], why: `wipe the old signatures on ${group}/${name}` },
      ],
    });
  }
  return made;
}

/** Ends what `planGroup` made, so that its devices are free. */
export function releaseGroup(group: string): Command {
  return {
    argv: ['/usr/sbin/lvm', 'vgchange', '--activate', 'n', group],
    env: NO_UDEV,
    why: `stop the volume group ${group}`,
  };
}

const NO_UDEV = { DM_DISABLE_UDEV: '1' };

/** Sees the plan's own devices alone: a group of the same name on another disk stays out of it. */
function lvm(devices: readonly string[], verb: string, rest: readonly string[], why: string): Command {
  const filter = [...devices.map((path) => `"a|^${path}$|"`), '"r|.*|"'].join(',');
  const config = `devices{use_devicesfile=0 global_filter=[${filter}]} activation{monitoring=0} backup{backup=0 archive=0}`;
  return { argv: ['/usr/sbin/lvm', verb, '--yes', '--config', config, ...rest], env: NO_UDEV, why };
}

/** Makes a file system; `source` is its name in fstab. */
export function planFileSystem(
  { type, label, mkfs }: FileSystem,
  device: Device,
  uuid: string,
): { readonly command: Command; readonly uuid: string } {
  const why = `make the ${type} on ${device.path}`;
  const command = (program: string, labelFlag: string, ...flags: readonly string[]): Command => ({
    argv: [program, ...flags, ...(label === null ? [] : [labelFlag, label]), ...mkfs, device.path],
    why,
  });
  switch (type) {
    case 'ext4':
      return { command: command('/usr/sbin/mkfs.ext4', '-L', '-q', '-F', '-U', uuid), uuid };
    case 'xfs':
      return { command: command('/usr/sbin/mkfs.xfs', '-L', '-q', '-f', '-m', `uuid=${uuid}`), uuid };
    case 'swap':
      return { command: command('/usr/sbin/mkswap', '-L', '-f', '-U', uuid), uuid };
    case 'vfat': {
      const id = uuid.slice(0, 8).toUpperCase();
      // UEFI asks for FAT32 on disks that stay; that needs 65,525 clusters.
      const bits = device.sizeBytes >= 36 * MIB ? ['-F', '32'] : [];
      return {
        command: command('/usr/sbin/mkfs.vfat', '-n', ...bits, '-i', id),
        uuid: `${id.slice(0, 4)}-${id.slice(4)}`,
      };
    }
  }
}
