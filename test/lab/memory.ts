// What a process has in its memory, as root can read it: the only place where some secrets of it are.

import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

const STEP_BYTES = 2 ** 20;

/** Every text that `pattern`, which has the flag g, finds in what the process can write to; each once. `longest`: of such a text. */
export function textsInMemory(pid: number, pattern: RegExp, longest: number): string[] {
  const found = new Set<string>();
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  const buffer = Buffer.alloc(STEP_BYTES + longest);
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n')) {
      const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? [];
      if (from === undefined) continue;
      const end = BigInt(`0x${to}`);
      for (let at = BigInt(`0x${from}`); at < end; at += BigInt(STEP_BYTES)) {
        const many = Math.min(buffer.length, Number(end - at));
        const length = readThere(memory, buffer.subarray(0, many), at);
        for (const [text] of buffer.toString('latin1', 0, length).matchAll(pattern)) found.add(text);
      }
    }
  } finally {
    closeSync(memory);
  }
  return [...found];
}

/** How many bytes were read; none where the process has meanwhile given the place away. */
function readThere(memory: number, buffer: Uint8Array, at: bigint): number {
  try {
    return readSync(memory, buffer, 0, buffer.length, at);
  } catch {
    return 0;
  }
}
