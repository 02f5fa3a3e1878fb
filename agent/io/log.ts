// One JSON line for each fact: what a program, or a person after a failure, reads. Escaped and capped, so that nothing a
// peer or a server says can write a line of its own or fill the log.

import { messageOf } from '../core/errors.ts';
import type { LogFact } from '../core/ports.ts';
import { plainText } from '../core/report.ts';
import { hex, type Ms } from '../core/units.ts';

/** Most characters of one text in a fact. */
export const TEXT_MAX = 1000;
/** Most characters of one line; a longer fact is replaced by its name and its length. */
export const LINE_MAX = 16_000;

/** A log that hands each finished line, without its line end, to `write`. `now` is milliseconds since any start. */
export function openLog(write: (line: string) => void, now: () => Ms): LogFact {
  return (fact, values = {}) => {
    const t = Math.round(now()) / 1000;
    const encode = (more: object) => plainText(JSON.stringify({ t, fact, ...more }, shorten));
    const line = encode(values);
    write(line.length <= LINE_MAX ? line : encode({ tooLong: line.length }));
  };
}

function shorten(_key: string, value: unknown): unknown {
  if (typeof value === 'string') return value.length <= TEXT_MAX ? value : `${value.slice(0, TEXT_MAX)}...`;
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Uint8Array) return hex(value.subarray(0, TEXT_MAX / 2));
  if (value instanceof Error) return shorten('', messageOf(value));
  return value;
}
