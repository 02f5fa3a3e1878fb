// The agent as a process of its own that believes what its RAM disk would: its /etc is its own, in a mount namespace.

import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { TRUST_PATH } from '../agent/core/trust.ts';

const MAIN = join(import.meta.dirname, '..', 'agent', 'main.ts');
/** Puts a folder in the place of /etc, for what it starts and for nobody else. */
const WITH_ETC = 'mount --bind "$0" /etc && exec "$@"';
const FLAGS = {
  BITTORRENT_POLLING_TIME: '1',
  BITTORRENT_PORT: '0',
  BIND: '127.0.0.1',
  // Not parked: this machine is not to be started anew.
  SHELL_ON_FAIL: 'y',
};

export interface AgentProcess {
  readonly child: ChildProcess;
  /** Below the folder that was given: `a` and `pool`, with its number. */
  readonly target: string;
  readonly staging: string;
  out(): string;
  err(): string;
  /** Its exit status. */
  readonly ended: Promise<number | null>;
}

/**
 * Put before the command of an agent: it finds `trust` as the text of its trust.json, or none. Makes the folder `etc`, which
 * is the agent's /etc.
 */
export function believing(etc: string, trust: string | null): string[] {
  mkdirSync(join(etc, 'swarmboot'), { recursive: true });
  for (const name of ['passwd', 'group', 'hosts', 'nsswitch.conf'])
    cpSync(join('/etc', name), join(etc, name));
  if (trust !== null) writeFileSync(join(etc, TRUST_PATH.slice('/etc/'.length)), trust);
  const mapped = process.getuid!() === 0 ? [] : ['--map-root-user'];
  const apart = ['--mount', '--propagation', 'private'];
  return ['/usr/bin/unshare', ...mapped, ...apart, '/bin/sh', '-c', WITH_ETC, etc];
}

/** `trust`: the text of its trust.json, or none; `launcher`: put before its command. It is killed when the test ends. */
export function startAgent(
  t: TestContext,
  {
    folder,
    trust,
    number = 1,
    launcher = [],
  }: {
    readonly folder: string;
    readonly trust: string | null;
    readonly number?: number;
    readonly launcher?: readonly string[];
  },
  flags: Readonly<Record<string, string>>,
): AgentProcess {
  const [target, staging, etc] = ['a', 'pool', 'etc'].map((name) => join(folder, `${name}${number}`)) as [
    string,
    string,
    string,
  ];
  for (const place of [target, staging]) mkdirSync(place, { recursive: true });
  const words = Object.entries({ ...FLAGS, TARGET: target, BITTORRENT_STAGING: staging, ...flags });
  const [command, ...before] = [...launcher, ...believing(etc, trust)];
  const child = spawn(
    command!,
    [...before, process.execPath, MAIN, ...words.map(([name, value]) => `--${name}=${value}`)],
    { env: { PATH: '/usr/sbin:/usr/bin' }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const said = { out: '', err: '' };
  for (const [name, stream] of [
    ['out', child.stdout],
    ['err', child.stderr],
  ] as const)
    stream.setEncoding('utf8').on('data', (text: string) => {
      said[name] += text;
    });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  t.after(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return { child, target, staging, out: () => said.out, err: () => said.err, ended };
}
