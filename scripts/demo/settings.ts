// What the demo may be told, as environment variables or as `make demo NAME=value`: read and checked before anything runs.

import { SwarmbootError } from '../../agent/core/errors.ts';
import { GIB, KIB, MIB } from '../../agent/core/units.ts';

/** One run of the demo. */
export interface Settings {
  /** How many nodes, all on this machine. */
  readonly nodes: number;
  /** Bytes of an incompressible file that is added to the image; 0: none. */
  readonly extraBytes: number;
  /** Cap on the upload of each node and of the first seeder; 0: no cap. */
  readonly uploadMaxMbitPerSec: number;
  /** A folder that is the image; null: a Debian is made. */
  readonly image: string | null;
}

/** More processes than one machine should be asked for. */
const MAX_NODES = 250;
const UNITS: Readonly<Record<string, number>> = { '': 1, K: KIB, M: MIB, G: GIB };

/** Reads NODES, SIZE, RATE and IMAGE. Throws SwarmbootError 'usage' that lists every fault. */
export function readSettings(environment: Readonly<Record<string, string | undefined>>): Settings {
  const faults: string[] = [];
  const given = (name: string, fallback: string) => environment[name] || fallback;
  const number = (name: string, text: string, least: number, most: number) => {
    const value = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= least && value <= most))
      faults.push(`${name}=${text}: a number from ${least} to ${most} is wanted`);
    return value;
  };
  const nodes = number('NODES', given('NODES', '8'), 1, MAX_NODES);
  if (nodes % 1 > 0) faults.push(`NODES=${nodes}: a whole number is wanted`);
  const [, amount, unit] = /^(\d+)([KMG]?)$/.exec(given('SIZE', '0')) ?? [];
  if (amount === undefined) faults.push(`SIZE=${environment.SIZE}: bytes are wanted, such as 500M or 2G`);
  const uploadMaxMbitPerSec = number('RATE', given('RATE', '0'), 0, 1_000_000);
  const image = environment.IMAGE || null;
  const extraBytes = Number(amount ?? 0) * (UNITS[unit ?? ''] ?? 1);
  if (image !== null && extraBytes > 0)
    faults.push('SIZE adds a file to the image that the demo makes; it cannot go with IMAGE');
  if (faults.length > 0)
    throw new SwarmbootError('usage', `the demo was told what it cannot do:\n  ${faults.join('\n  ')}`);
  return { nodes, extraBytes, uploadMaxMbitPerSec, image };
}

/** The cap in bytes per second; 0: no cap. */
export function uploadMaxBytesPerSec(settings: Settings): number {
  return (settings.uploadMaxMbitPerSec * 1_000_000) / 8;
}
