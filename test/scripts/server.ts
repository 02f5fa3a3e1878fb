// `swarmboot serve` as a process of its own, for tests.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Manifest, parseManifest, splitSigned } from '../../agent/core/manifest.ts';
import { PROGRAM } from './commands.ts';

export interface Served {
  readonly child: ChildProcess;
  readonly url: string;
  readonly trackerPort: number;
  readonly peerPort: number;
  /** All that it said so far. */
  said(): string;
  /** The manifest, once `true` is said of it. */
  manifest(when: (manifest: Manifest) => boolean): Promise<Manifest>;
}

interface Test {
  after(done: () => void | Promise<void>): void;
}

/** Where a server listens; a port of 0, or none, takes a free one. */
export interface Ports {
  /** 127.0.0.1, or another address of this machine. */
  readonly host?: string;
  readonly http?: number;
  readonly https?: number;
  readonly tracker?: number;
  readonly peer?: number;
}

/** Starts it with `more` words; it is killed when the test ends, if it still runs. */
export async function serveRepository(
  test: Test,
  repo: string,
  { host = '127.0.0.1', http = 0, https = 0, tracker = 0, peer = 0 }: Ports = {},
  more: readonly string[] = [],
): Promise<Served> {
  const ports = Object.entries({ http, https, tracker, peer }).flatMap(([name, port]) => [
    `--${name}-port`,
    `${port}`,
  ]);
  const words = [PROGRAM, 'serve', '--repo', repo, '--host', host, ...ports, ...more];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'inherit', 'pipe'] });
  const closed = once(child, 'close');
  test.after(async () => {
    child.kill('SIGKILL');
    await closed;
  });
  let text = '';
  const port = (pattern: RegExp) => Number(pattern.exec(text)?.[1]);
  child.stderr.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  while (!/first seeder: port \d+\n/.test(text)) {
    if (child.exitCode !== null) throw new Error(`swarmboot serve ended: ${text}`);
    await sleep(10);
  }
  const url = `http://${host}:${port(/http port (\d+)/)}`;
  return {
    child,
    url,
    trackerPort: port(/tracker: port (\d+)/),
    peerPort: port(/first seeder: port (\d+)/),
    said: () => text,
    manifest: async (when) => {
      for (;;) {
        const response = await fetch(`${url}/manifest`);
        const bytes = new Uint8Array(await response.arrayBuffer());
        if (response.ok) {
          const manifest = parseManifest(new TextDecoder().decode(splitSigned(bytes).manifest));
          if (when(manifest)) return manifest;
        }
        await sleep(20);
      }
    },
  };
}
