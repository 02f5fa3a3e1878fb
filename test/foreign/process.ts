// Programs of other makers as children: started, awaited, stopped by pid; what they said is part of every error.

import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const OUTPUT_KEPT = 4000;
const STOP_MS = 5000;

export interface Launch {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Put before the command, with its arguments: a launcher that ends in exec. */
  readonly launcher?: readonly string[];
  /** Opens its standard input, for `tell`. */
  readonly told?: boolean;
}

export class Program {
  readonly name: string;
  readonly pid: number;
  /** Resolves with the exit status once it has ended (null when a signal did it). */
  readonly ended: Promise<number | null>;
  /** The end of what it printed. */
  output = '';
  readonly #child: ChildProcess;
  #running = true;

  constructor(path: string, args: readonly string[], { env, cwd, launcher = [], told = false }: Launch = {}) {
    const [command, ...rest] = [...launcher, path, ...args];
    const child = spawn(command!, rest, {
      stdio: [told ? 'pipe' : 'ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
      ...(cwd === undefined ? {} : { cwd }),
    });
    this.name = path.split('/').at(-1)!;
    this.#child = child;
    this.pid = child.pid ?? -1;
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.on('data', (chunk: Buffer) => {
        this.output = (this.output + chunk.toString('latin1')).slice(-OUTPUT_KEPT);
      });
    }
    // Who has ended reads no more, and `ended` tells of that.
    child.stdin?.on('error', () => {});
    this.ended = new Promise((resolve) => {
      const end = (status: number | null, reason = '') => {
        this.#running = false;
        this.output += reason;
        resolve(status);
      };
      child.once('close', (status) => end(status));
      child.once('error', (error) => end(null, error.message));
    });
  }

  get running(): boolean {
    return this.#running;
  }

  /** Waits until `ready` is true. Throws when the program ends first, or after `timeoutMs`. */
  async until(
    what: string,
    ready: () => boolean | Promise<boolean>,
    timeoutMs: number,
    everyMs = 20,
  ): Promise<void> {
    for (const since = performance.now(); !(await ready()); await sleep(everyMs)) {
      if (!this.#running) throw this.error(`ended before ${what}`);
      if (performance.now() - since > timeoutMs)
        throw this.error(`did not get to ${what} in ${timeoutMs} ms`);
    }
  }

  /** Writes a line to its standard input. */
  tell(line: string): void {
    this.#child.stdin!.write(`${line}\n`);
  }

  /** Waits for a good end. Throws when it ends otherwise, or after `timeoutMs`. */
  async success(timeoutMs: number): Promise<void> {
    const late = new AbortController();
    const status = await Promise.race([
      this.ended,
      sleep(timeoutMs, 'late' as const, { signal: late.signal }).catch(() => 'late' as const),
    ]);
    late.abort();
    if (status === 'late') throw this.error(`did not end in ${timeoutMs} ms`);
    if (status !== 0) throw this.error(`ended with status ${status}`);
  }

  error(fault: string): Error {
    return new Error(`${this.name} ${fault}; it said:\n${this.output}`);
  }

  /** Ends it: politely, then by force. */
  async stop(): Promise<void> {
    if (!this.#running) return;
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS);
    await this.ended;
    clearTimeout(timer);
  }
}

/** A TCP port of `host` that nobody listens on now. */
export function freePort(host = '127.0.0.1'): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, host, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
