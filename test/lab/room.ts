// Namespaces that die with one process: what is made in them needs no cleaning up, whatever happens to their maker.

import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Below it lies memory that is the room's own. */
export const ROOM_MEMORY = '/dev/shm';

const MEMORY_SHARE = '95%';

/**
 * Makes the room of this process, which the Makefile's OWN_ROOM has given it, ready for a lab: names of namespaces and
 * memory that nobody outside sees. Throws when the process has no room of its own, before anything is changed.
 */
export function enterRoom(command: string): void {
  if (process.getuid?.() !== 0) throw new Error(`network namespaces need root: sudo ${command}`);
  const links = JSON.parse(execFileSync('/usr/sbin/ip', ['-json', 'link']).toString()) as {
    ifname: string;
  }[];
  if (links.some(({ ifname }) => ifname !== 'lo'))
    throw new Error(`this network is the machine's; start it by "${command}"`);
  mountMemory('/run', '5%');
  mountMemory(ROOM_MEMORY, MEMORY_SHARE);
  // The first process of a room is not ended by a signal that it does not listen to; all others end with it.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
}

/** Memory that nobody used lately has to be fetched from the host of a virtual machine, which nothing measured shall wait for. */
export function warmMemory(bytes: number): void {
  const path = join(ROOM_MEMORY, 'warm');
  writeFileSync(path, '');
  execFileSync('/usr/bin/fallocate', ['--length', String(bytes), path]);
  rmSync(path);
}

function mountMemory(place: string, share: string): void {
  execFileSync('/usr/bin/mount', ['-t', 'tmpfs', '-o', `size=${share},mode=1777`, 'lab', place]);
}
