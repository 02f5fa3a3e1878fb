// The units that names end in, and how people read them. Nothing here decides anything.

/** Milliseconds on a monotonic clock that starts anywhere; never a date. */
export type Ms = number;

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;

/** The unit of a request: 16 KiB (BEP 3's convention, BEP 52's leaf). */
export const BLOCK_BYTES = 16 * KIB;

/** `1536` becomes `1.5 KiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? String(Math.round(value)) : value.toFixed(1)} ${units[unit]}`;
}

const BYTES_OF: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: KIB,
  MiB: MIB,
  GiB: GIB,
  TiB: 1024 * GIB,
};

/** Bytes of `606MiB`, `1.5 GB` and the like; undefined for other text. */
export function parseBytes(text: string): number | undefined {
  const [, digits, unit = ''] = /^(\d{1,9}(?:\.\d{1,3})?) ?([kKMGT]?i?B)$/.exec(text) ?? [];
  const factor = BYTES_OF[unit];
  return digits === undefined || factor === undefined ? undefined : Math.round(Number(digits) * factor);
}

const BITS_OF: Readonly<Record<string, number>> = { k: 1e3, m: 1e6, g: 1e9 };

/** Bits per second of `20mbit`, `1Gbit/s` and the like; undefined for other text. */
export function parseBitRate(text: string): number | undefined {
  const [, digits, unit = ''] = /^(\d{1,9}(?:\.\d{1,3})?) ?([kMG])bit(?:\/s)?$/i.exec(text) ?? [];
  return digits === undefined ? undefined : Number(digits) * BITS_OF[unit.toLowerCase()]!;
}

/** Bytes per second as people read them: `1.5 MiB/s`. */
export function formatRate(bytesPerSec: number): string {
  return `${formatBytes(bytesPerSec)}/s`;
}

/** `83000` becomes `1:23`; an hour or more becomes `1:02:03`; unknown (not finite) becomes `--:--`. */
export function formatDuration(ms: Ms): string {
  if (!Number.isFinite(ms)) return '--:--';
  const seconds = Math.max(0, Math.round(ms / 1000));
  const two = (value: number) => String(value).padStart(2, '0');
  const minutes = Math.floor(seconds / 60) % 60;
  const hours = Math.floor(seconds / 3600);
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** Lower-case hexadecimal. */
export function hex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}
