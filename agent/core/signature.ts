// What the first bytes of a disk or partition say that it holds: enough to tell people what is destroyed, and to be sure of a
// file system that is kept. Knows the superblocks of the field, and no more of them than their place, kind and UUID.

import type { Content, Label } from './diskfacts.ts';
import { hex, KIB } from './units.ts';

/** So many bytes from the start have all signatures that are looked for; whoever has fewer adds zeros. */
export const SIGNATURE_BYTES = 68 * KIB;

/** `at` the byte `offset` stands `magic`, as text of one byte a character. */
interface Signature {
  readonly type: string;
  readonly offset: number;
  readonly magic: string;
  readonly uuid?: (bytes: Uint8Array) => string;
}

const SECTOR = 512;
const EXT_SUPERBLOCK = 1024;
/** Features of ext4 that ext3 does not have: extents, 64bit, flex_bg. */
const EXT4_FEATURES = 0x2c0;

const SIGNATURES: readonly Signature[] = [
  { type: 'linux_raid_member', offset: 4 * KIB, magic: '\xfc\x4e\x2b\xa9' },
  { type: 'linux_raid_member', offset: 0, magic: '\xfc\x4e\x2b\xa9' },
  ...[0, 1, 2, 3].map((sector) => ({
    type: 'LVM2_member',
    offset: sector * SECTOR,
    magic: 'LABELONE',
  })),
  { type: 'crypto_LUKS', offset: 0, magic: 'LUKS\xba\xbe' },
  { type: 'xfs', offset: 0, magic: 'XFSB', uuid: uuidAt(32) },
  { type: 'swap', offset: 4 * KIB - 10, magic: 'SWAPSPACE2', uuid: uuidAt(1036) },
  { type: 'btrfs', offset: 64 * KIB + 64, magic: '_BHRfS_M', uuid: uuidAt(64 * KIB + 32) },
  { type: 'ntfs', offset: 3, magic: 'NTFS    ' },
  { type: 'vfat', offset: 82, magic: 'FAT32   ', uuid: serialAt(67) },
  { type: 'vfat', offset: 54, magic: 'FAT16   ', uuid: serialAt(39) },
  { type: 'vfat', offset: 54, magic: 'FAT12   ', uuid: serialAt(39) },
  { type: 'ext', offset: EXT_SUPERBLOCK + 56, magic: '\x53\xef', uuid: uuidAt(EXT_SUPERBLOCK + 104) },
];

/** What the disk or partition that starts with `bytes` holds; null when it is nothing known. */
export function contentOf(bytes: Uint8Array): Content | null {
  const found = SIGNATURES.find(({ offset, magic }) => textAt(bytes, offset, magic.length) === magic);
  if (found === undefined) return null;
  const type = found.type === 'ext' ? extVersion(bytes) : found.type;
  return { type, uuid: found.uuid?.(bytes) ?? null };
}

/** The partition table of the disk that starts with `bytes`. */
export function labelOf(bytes: Uint8Array, sectorBytes: number): Label | null {
  if (textAt(bytes, sectorBytes, 8) === 'EFI PART') return 'gpt';
  if (textAt(bytes, 510, 2) !== '\x55\xaa') return null;
  // The boot sector of FAT and NTFS ends alike; only a partition table has these marks of what is active.
  const marks = [446, 462, 478, 494].map((offset) => bytes[offset]!);
  const type = contentOf(bytes)?.type;
  return marks.every((mark) => (mark & 0x7f) === 0) && type !== 'vfat' && type !== 'ntfs' ? 'dos' : null;
}

/** The names of the partitions in a GPT, by number; those without a name are left out. */
export function namesOf(bytes: Uint8Array, sectorBytes: number): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  if (labelOf(bytes, sectorBytes) !== 'gpt') return names;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = Number(view.getBigUint64(sectorBytes + 72, true)) * sectorBytes;
  const size = view.getUint32(sectorBytes + 84, true);
  for (let number = 1; number <= view.getUint32(sectorBytes + 80, true); number++) {
    const entry = start + (number - 1) * size;
    if (size < 128 || entry + 128 > bytes.length) break;
    const name = new TextDecoder('utf-16le').decode(bytes.subarray(entry + 56, entry + 128));
    const end = name.indexOf('\0');
    if (end !== 0) names.set(number, end < 0 ? name : name.slice(0, end));
  }
  return names;
}

function extVersion(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if ((view.getUint32(EXT_SUPERBLOCK + 96, true) & EXT4_FEATURES) !== 0) return 'ext4';
  const journal = 4;
  return (view.getUint32(EXT_SUPERBLOCK + 92, true) & journal) !== 0 ? 'ext3' : 'ext2';
}

function textAt(bytes: Uint8Array, offset: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(offset, offset + length));
}

function uuidAt(offset: number): (bytes: Uint8Array) => string {
  return (bytes) =>
    hex(bytes.subarray(offset, offset + 16)).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** A FAT's serial number, little-endian, as UUID= takes it. */
function serialAt(offset: number): (bytes: Uint8Array) => string {
  return (bytes) => {
    const digits = hex(bytes.slice(offset, offset + 4).reverse()).toUpperCase();
    return `${digits.slice(0, 4)}-${digits.slice(4)}`;
  };
}
