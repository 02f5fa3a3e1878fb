import { readFileSync } from 'node:fs';
import type { Program } from '../foreign/process.ts';

/** True when somebody listens on `port` in the network of `program`. The kernel is asked: socat serves its first caller only. */
export function listening(program: Program, port: number): boolean {
  const address = `:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000 0A`;
  return readFileSync(`/proc/${program.pid}/net/tcp`, 'utf8').includes(address);
}
