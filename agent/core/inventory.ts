// What a machine is made of: what an admin wants to know of one that nobody has told him of. Decides how much of it is
// told; looking at the machine is agent/io/host's.

import { BOUNDS } from './bounds.ts';
import type { DiskType } from './diskfacts.ts';
import { boundText, Fields } from './fields.ts';

const WORD_MAX = 128;
const DISKS_MAX = BOUNDS.reportedDisks;
const LINKS_MAX = BOUNDS.reportedLinks;
const ADDRESSES_MAX = 8;
const ADDRESS_MAX = 64;
const CORES_MAX = 65_536;
const MTU_MAX = 65_536;
const DISK_TYPES: readonly DiskType[] = ['nvme', 'ssd', 'hdd', 'virtual'];

/** Texts that the machine does not tell are empty. */
export interface Inventory {
  readonly vendor: string;
  readonly model: string;
  readonly serial: string;
  readonly uuid: string;
  /** Vendor, version and date of its firmware. */
  readonly firmware: string;
  readonly cpu: string;
  /** Threads that the kernel runs. */
  readonly cores: number;
  readonly memoryBytes: number;
  readonly disks: readonly DiskSight[];
  readonly links: readonly LinkSight[];
}

/** A disk, as a list shows it. */
export interface DiskSight {
  readonly name: string;
  readonly sizeBytes: number;
  readonly type: DiskType;
  readonly model: string;
  readonly serial: string;
}

/** A network interface that is a device. */
export interface LinkSight {
  readonly name: string;
  /** `aa:bb:cc:dd:ee:ff`. */
  readonly mac: string;
  /** It has a carrier. */
  readonly up: boolean;
  /** Null when it does not say. */
  readonly megabitPerSec: number | null;
  /** Both ways at once; null when it does not say. */
  readonly fullDuplex: boolean | null;
  /** Most bytes of a packet. */
  readonly mtu: number;
  readonly addresses: readonly string[];
}

/** The same, with every text and list within its limit. */
export function boundInventory(found: Inventory): Inventory {
  return {
    vendor: word(found.vendor),
    model: word(found.model),
    serial: word(found.serial),
    uuid: word(found.uuid),
    firmware: word(found.firmware),
    cpu: word(found.cpu),
    cores: found.cores,
    memoryBytes: found.memoryBytes,
    disks: found.disks.slice(0, DISKS_MAX).map(({ name, sizeBytes, type, model, serial }) => ({
      name: word(name),
      sizeBytes,
      type,
      model: word(model),
      serial: word(serial),
    })),
    links: found.links.slice(0, LINKS_MAX).map(({ name, addresses, ...link }) => ({
      ...link,
      name: word(name),
      addresses: addresses.slice(0, ADDRESSES_MAX).map((address) => boundText(address, ADDRESS_MAX)),
    })),
  };
}

/** Checks what is said to be an inventory. Throws SwarmbootError('report') that names the field. */
export function readInventory(value: unknown): Inventory {
  const fields = new Fields(value, 'the inventory');
  return {
    vendor: fields.text('vendor', WORD_MAX),
    model: fields.text('model', WORD_MAX),
    serial: fields.text('serial', WORD_MAX),
    uuid: fields.text('uuid', WORD_MAX),
    firmware: fields.text('firmware', WORD_MAX),
    cpu: fields.text('cpu', WORD_MAX),
    cores: fields.whole('cores', 0, CORES_MAX),
    memoryBytes: fields.amount('memoryBytes'),
    disks: fields.list('disks', DISKS_MAX, readDisk),
    links: fields.list('links', LINKS_MAX, readLink),
  };
}

function readDisk(value: unknown): DiskSight {
  const fields = new Fields(value, 'a disk');
  return {
    name: fields.text('name', WORD_MAX),
    sizeBytes: fields.amount('sizeBytes'),
    type: fields.oneOf('type', DISK_TYPES),
    model: fields.text('model', WORD_MAX),
    serial: fields.text('serial', WORD_MAX),
  };
}

function readLink(value: unknown): LinkSight {
  const fields = new Fields(value, 'a link');
  return {
    name: fields.text('name', WORD_MAX),
    mac: fields.mac('mac'),
    up: fields.flag('up'),
    megabitPerSec: fields.orNull('megabitPerSec', () => fields.amount('megabitPerSec')),
    fullDuplex: fields.orNull('fullDuplex', () => fields.flag('fullDuplex')),
    mtu: fields.whole('mtu', 0, MTU_MAX),
    addresses: fields.texts('addresses', ADDRESSES_MAX, ADDRESS_MAX),
  };
}

const word = (text: string) => boundText(text, WORD_MAX);
