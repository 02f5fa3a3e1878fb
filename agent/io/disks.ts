// The disks of this machine, from the kernel's own files (/sys/block, /proc) and the first bytes of each disk and partition:
// no lsblk and no udev, which a RAM disk does not have.

import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { DiskFacts, DiskType, Firmware, PartitionFacts } from '../core/diskfacts.ts';
import { contentOf, labelOf, namesOf, SIGNATURE_BYTES } from '../core/signature.ts';

/** Block devices that are no disks, or none of this machine's own; boot areas of eMMC; hidden paths of NVMe. */
const NO_DISK = /^(?:loop|ram|zram|sr|fd|dm-|md|nbd|rbd|drbd|mtdblock)\d|^mmcblk\d+(?:boot|rpmb)|^nvme\d+c\d/;
/** sysfs counts in these whatever the disk's own sectors are. */
const SYSFS_SECTOR = 512;
const VIRTUAL_MAKERS = /^(?:QEMU|VMware|VBOX|Msft|Virtual|Google|Amazon)\b/i;

/** How this machine was started. `root` stands for `/`, below which the kernel's files are. */
export function firmware(root = '/'): Firmware {
  return existsSync(join(root, 'sys/firmware/efi')) ? 'efi' : 'bios';
}

/** Every disk of this machine, by name. Content of disks that this user may not read is unknown. */
export async function diskFacts(root = '/'): Promise<DiskFacts[]> {
  const mounts = readMounts(root);
  const names = list(join(root, 'sys/block')).filter((name) => !NO_DISK.test(name));
  const found: DiskFacts[] = [];
  for (const name of names) {
    const disk = await readDisk(root, name, mounts);
    if (disk !== null) found.push(disk);
  }
  return found;
}

async function readDisk(root: string, name: string, mounts: readonly Mount[]): Promise<DiskFacts | null> {
  const folder = join(root, 'sys/block', name);
  const sizeBytes = number(folder, 'size') * SYSFS_SECTOR;
  // A drive without a medium.
  if (sizeBytes === 0) return null;
  const sectorBytes = number(folder, 'queue/logical_block_size') || SYSFS_SECTOR;
  const start = await firstBytes(join(root, 'dev', name));
  const label = labelOf(start, sectorBytes);
  // The kernel forgets the names when a tool, not itself, has told it of the partitions.
  const names = namesOf(start, sectorBytes);
  const partitions: PartitionFacts[] = [];
  for (const part of list(folder).filter((item) => existsSync(join(folder, item, 'partition')))) {
    const place = join(folder, part);
    partitions.push({
      number: number(place, 'partition'),
      startBytes: number(place, 'start') * SYSFS_SECTOR,
      sizeBytes: number(place, 'size') * SYSFS_SECTOR,
      label: names.get(number(place, 'partition')) ?? '',
      content: contentOf(await firstBytes(join(root, 'dev', part))),
    });
  }
  partitions.sort((a, b) => a.number - b.number);
  return {
    name,
    path: `/dev/${name}`,
    ...identityOf(folder, name),
    sizeBytes,
    sectorBytes,
    type: typeOf(folder, name),
    removable: number(folder, 'removable') === 1 || realpathSync(folder).includes('/usb'),
    label,
    content: label === null ? contentOf(start) : null,
    partitions,
    uses: usesOf(root, name, mounts),
  };
}

function typeOf(folder: string, name: string): DiskType {
  if (name.startsWith('nvme')) return 'nvme';
  const maker = `${text(folder, 'device/vendor')} ${text(folder, 'device/model')}`.trim();
  if (/^x?vd/.test(name) || VIRTUAL_MAKERS.test(maker)) return 'virtual';
  return number(folder, 'queue/rotational') === 1 ? 'hdd' : 'ssd';
}

/** Model, serial, and the names that udev's rules for persistent storage would give. */
function identityOf(folder: string, name: string): Pick<DiskFacts, 'ids' | 'model' | 'serial'> {
  const model = text(folder, 'device/model');
  const serial = text(folder, 'serial') || text(folder, 'device/serial');
  const under = (...words: readonly string[]) => words.join('_').replace(/\s+/g, '_');
  if (/^x?vd/.test(name)) return { model, serial, ids: serial === '' ? [] : [`virtio-${under(serial)}`] };
  if (name.startsWith('nvme')) {
    const wwid = text(folder, 'wwid');
    const ids = [`nvme-${under(model, serial)}`, ...(wwid === '' ? [] : [`nvme-${wwid}`])];
    return { model, serial, ids: serial === '' ? ids.slice(1) : ids };
  }
  if (name.startsWith('mmcblk')) {
    const card = text(folder, 'device/name');
    return { model: card, serial, ids: serial === '' ? [] : [`mmc-${under(card, serial)}`] };
  }
  return scsiIdentity(folder, model);
}

/** SCSI, SAS, SATA and USB disks tell who they are in the pages 0x80 and 0x83 of their vital product data. */
function scsiIdentity(folder: string, model: string): Pick<DiskFacts, 'ids' | 'model' | 'serial'> {
  const serial = Buffer.from(bytes(folder, 'device/vpd_pg80').subarray(4)).toString('latin1').trim();
  const page = bytes(folder, 'device/vpd_pg83');
  const ids: string[] = [];
  let full = model;
  for (let at = 4; at + 4 <= page.length; at += 4 + page[at + 3]!) {
    const [association, kind] = [page[at + 1]! & 0x30, page[at + 1]! & 0x0f];
    const value = page.subarray(at + 4, at + 4 + page[at + 3]!);
    // Only what names the disk itself, not the port that it hangs on.
    if (association !== 0) continue;
    const words = value.toString('latin1');
    if (kind === 3) ids.push(`wwn-0x${value.toString('hex')}`, `scsi-3${value.toString('hex')}`);
    // SATA disks, as the kernel shows them: the maker ATA, then model and serial number as long as ATA has them.
    if (kind === 1 && words.startsWith('ATA     ')) {
      full = words.slice(8, 48).trim();
      ids.push(`ata-${`${full}_${words.slice(48).trim()}`.replace(/\s+/g, '_')}`);
    }
  }
  return { model: full, serial, ids };
}

/** A mounted file system: what it is on, by the kernel's number and by name. */
interface Mount {
  readonly device: string;
  readonly source: string;
  readonly folder: string;
}

/** Why a disk must be left alone: mounts, swap and devices that are built on it or its partitions. */
function usesOf(root: string, name: string, mounts: readonly Mount[]): string[] {
  const folder = join(root, 'sys/block', name);
  const parts = list(folder).filter((item) => existsSync(join(folder, item, 'partition')));
  const swaps = text(root, 'proc/swaps');
  const backing = list(join(root, 'sys/block')).map((loop) =>
    text(join(root, 'sys/block', loop), 'loop/backing_file'),
  );
  const uses = number(folder, 'ro') === 1 ? [`${name} is read-only`] : [];
  for (const [device, place] of [
    [name, folder],
    ...parts.map((part) => [part, join(folder, part)]),
  ] as const) {
    const path = `/dev/${device}`;
    const numbers = text(place, 'dev');
    for (const mount of mounts.filter(({ device, source }) => device === numbers || source === path)) {
      uses.push(`${device} is mounted at ${mount.folder}`);
    }
    if (swaps.split('\n').some((line) => line.split(/\s/)[0] === path)) uses.push(`${device} is swap`);
    for (const holder of list(join(place, 'holders'))) {
      const called = text(join(root, 'sys/block', holder), 'dm/name');
      uses.push(`${device} is part of ${holder}${called === '' ? '' : ` (${called})`}`);
    }
    if (backing.includes(path)) uses.push(`${device} is behind a loop device`);
  }
  return uses;
}

/** The fields of proc_pid_mountinfo(5) that matter here. */
function readMounts(root: string): Mount[] {
  return text(root, 'proc/self/mountinfo')
    .split('\n')
    .flatMap((line) => {
      const [places = '', file = ''] = line.split(' - ');
      const [, , device, , folder] = places.split(' ');
      const source = file.split(' ')[1];
      if (device === undefined || folder === undefined || source === undefined) return [];
      return [{ device, folder, source }];
    });
}

/** Zeros where nothing can be read: what a kernel or a disk does not tell is not known, here and in all that follow. */
async function firstBytes(path: string): Promise<Uint8Array> {
  const bytes = new Uint8Array(SIGNATURE_BYTES);
  try {
    await using file = await open(path, 'r');
    await file.read(bytes, 0, bytes.length, 0);
  } catch {
    return bytes.fill(0);
  }
  return bytes;
}

function bytes(folder: string, name: string): Buffer {
  try {
    return readFileSync(join(folder, name));
  } catch {
    return Buffer.alloc(0);
  }
}

function text(folder: string, name: string): string {
  return bytes(folder, name).toString('latin1').trim();
}

function number(folder: string, name: string): number {
  return Number(text(folder, name)) || 0;
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}
