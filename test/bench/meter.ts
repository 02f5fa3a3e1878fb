// CPU time and memory of a program and of all that it starts, by the kernel's own books.

import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Program } from '../foreign/process.ts';

/** Clock ticks per second of /proc/PID/stat, fixed by Linux's ABI on the machines that we measure on. */
const TICKS_PER_SEC = 100;

export interface Meter {
  /** Put before the command that is to be measured. */
  readonly launcher: readonly string[];
  /** Says which program that became. */
  follow(program: Program): void;
  /** CPU seconds, user and system, since it was started. */
  cpuSec(): number;
  close(): void;
}

/** How CPU is read here; the same for every program of a run. */
export const METHOD = cgroupFolder() === null ? 'CPU times in /proc, 10 ms steps' : 'CPU time of a cgroup';

/** A meter for one program that has not been started yet. */
export function makeMeter(name: string): Meter {
  const parent = cgroupFolder();
  return parent === null ? procMeter() : cgroupMeter(join(parent, `swarmboot-bench-${process.pid}-${name}`));
}

function cgroupMeter(folder: string): Meter {
  mkdirSync(folder);
  const v1 = join(folder, 'cpuacct.usage');
  const read = () =>
    existsSync(v1)
      ? Number(readFileSync(v1, 'utf8')) / 1e9
      : Number(/usage_usec (\d+)/.exec(readFileSync(join(folder, 'cpu.stat'), 'utf8'))?.[1]) / 1e6;
  return {
    // The shell moves itself, and becomes the program.
    launcher: ['/bin/sh', '-c', 'echo $$ > "$0" && exec "$@"', join(folder, 'cgroup.procs')],
    follow: () => {},
    cpuSec: read,
    close: () => rmdirSync(folder),
  };
}

/** A folder where we may make cgroups that count CPU time: of cgroup v1's cpuacct, or of v2. */
function cgroupFolder(): string | null {
  for (const folder of ['/sys/fs/cgroup/cpuacct', '/sys/fs/cgroup']) {
    const probe = join(folder, `swarmboot-bench-${process.pid}`);
    try {
      mkdirSync(probe);
      const counts = existsSync(join(probe, 'cpuacct.usage')) || existsSync(join(probe, 'cpu.stat'));
      rmdirSync(probe);
      if (counts) return folder;
    } catch {
      // Not there, or not ours to write: the next one, and /proc in the end.
    }
  }
  return null;
}

/** What ended children have used that is already in the book of one of them. */
let bookedSec = 0;

/** A living program by its own books; what an ended one used has been added to its parent's, and that is us. */
function procMeter(): Meter {
  let read = () => 0;
  return {
    launcher: [],
    follow(program) {
      bookedSec = reapedSec();
      read = () => livingSec(program.pid);
      void program.ended.then(() => {
        const used = reapedSec() - bookedSec;
        bookedSec += used;
        read = () => used;
      });
    },
    cpuSec: () => read(),
    close: () => {},
  };
}

/** CPU seconds of a living program and its descendants. */
export function livingSec(pid: number): number {
  return family(pid).reduce((sum, member) => sum + ticks(member, 11, 15) / TICKS_PER_SEC, 0);
}

/** CPU seconds of all the programs that we started and that have ended. */
export function reapedSec(): number {
  return ticks(process.pid, 13, 15) / TICKS_PER_SEC;
}

/** Sum of fields of /proc/PID/stat, counted behind the command's name: utime, stime, cutime, cstime are 11 to 14. */
function ticks(pid: number, from: number, to: number): number {
  const fields = readOr(`/proc/${pid}/stat`).split(') ').at(-1)!.split(' ');
  return fields.slice(from, to).reduce((sum, field) => sum + Number(field), 0);
}

/** Highest anonymous memory of a program and its children, MiB: what it allocated itself, not the file's pages. */
export class MemoryWatch {
  peakMib = 0;
  readonly #timer: NodeJS.Timeout;

  constructor(program: Program) {
    this.#timer = setInterval(() => {
      let kib = 0;
      for (const pid of family(program.pid))
        kib += Number(/RssAnon:\s+(\d+)/.exec(readOr(`/proc/${pid}/status`))?.[1] ?? 0);
      this.peakMib = Math.max(this.peakMib, kib / 1024);
    }, 50);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/** A process and all its descendants. */
function family(pid: number): number[] {
  const children = readOr(`/proc/${pid}/task/${pid}/children`).trim();
  return [pid, ...(children === '' ? [] : children.split(' ').flatMap((child) => family(Number(child))))];
}

/** A process may be gone at any moment. */
function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
