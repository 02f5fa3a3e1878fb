// A program of the fault lab: what it says goes line by line to who listens and into a file, what it takes of memory and
// descriptors is watched, and who ended it is known.

import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ms } from '../../agent/core/units.ts';

export interface End {
  readonly status: number | null;
  readonly signal: string | null;
}

export class Child {
  readonly pid: number;
  /** Resolves once it has ended and all that it said has been heard. */
  readonly ended: Promise<End>;
  /** Null: it runs. */
  end: End | null = null;
  /** Whether somebody here ended it. */
  isKilled = false;
  /** What it said on standard error. */
  complaints = '';
  /** The most that it has taken, as far as anybody looked. */
  peakRssBytes = 0;
  peakFds = 0;
  readonly #child: ChildProcess;

  /** `log`: a file for all that it says; `hear` gets each line of standard output, and of standard error too when told so. */
  constructor(
    command: readonly string[],
    { log, hear, both = false }: { log: string; hear: (line: string) => void; both?: boolean },
  ) {
    const [path, ...args] = command;
    const child = spawn(path!, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    });
    this.#child = child;
    this.pid = child.pid ?? -1;
    const file = createWriteStream(log, { flags: 'a' });
    createInterface({ input: child.stdout }).on('line', (line) => {
      file.write(`${line}\n`);
      hear(line);
    });
    createInterface({ input: child.stderr }).on('line', (line) => {
      file.write(`${line}\n`);
      this.complaints += `${line}\n`;
      if (both) hear(line);
    });
    this.ended = new Promise((resolve) => {
      const end = (status: number | null, signal: string | null) => {
        this.end ??= { status, signal };
        file.end();
        resolve(this.end);
      };
      child.once('close', end);
      child.once('error', (error) => {
        this.complaints += `${error.message}\n`;
        end(null, null);
      });
    });
  }

  get isRunning(): boolean {
    return this.end === null;
  }

  /** Looks what it has now. Its launchers end in exec, so its pid is the program's. */
  look(): void {
    if (!this.isRunning) return;
    try {
      const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
      const peak = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
      this.peakRssBytes = Math.max(this.peakRssBytes, peak);
      this.peakFds = Math.max(this.peakFds, readdirSync(`/proc/${this.pid}/fd`).length);
    } catch {
      // It has ended meanwhile.
    }
  }

  signal(name: 'SIGTERM' | 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    if (this.isRunning) this.#child.kill(name);
  }

  /** At once, as if the power went. */
  async kill(): Promise<void> {
    if (!this.isRunning) return;
    this.isKilled = true;
    this.signal('SIGKILL');
    await this.ended;
  }

  /** Resolves with true when it has ended by then. */
  endsWithin(ms: Ms): Promise<boolean> {
    return within(this.ended, ms);
  }

  /** Politely, then by force. */
  async stop(ms: Ms = 5000): Promise<void> {
    if (!this.isRunning) return;
    this.isKilled = true;
    this.signal('SIGTERM');
    if (!(await this.endsWithin(ms))) await this.kill();
  }
}

/** Whether `promise` resolves within so long. */
export async function within(promise: Promise<unknown>, ms: Ms): Promise<boolean> {
  const late = new AbortController();
  const first = await Promise.race([
    promise.then(() => true),
    sleep(ms, false, { signal: late.signal }).catch(() => false),
  ]);
  late.abort();
  return first;
}
