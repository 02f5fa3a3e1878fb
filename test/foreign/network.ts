// A network namespace with nothing but a loopback device, and on it addresses outside 127.0.0.0/8: Transmission calls no
// peer in that range. Root is not needed where the kernel lets everyone make user namespaces, as Debian's does.

import { execFileSync } from 'node:child_process';

/** Two addresses for the two sides. */
export const HOSTS = ['10.77.0.1', '10.77.0.2'] as const;

const MARK = 'SWARMBOOT_OWN_NETWORK';

/** True in a process that `ownNetwork` describes; the addresses are there then. */
export function inOwnNetwork(): boolean {
  return process.env[MARK] !== undefined;
}

/** The command that runs `script` with this Node in a network of its own. */
export function ownNetwork(script: string): { path: string; args: string[]; env: NodeJS.ProcessEnv } {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const asRoot = process.getuid!() === 0 ? [] : ['--map-current-user', '--keep-caps'];
  return {
    path: '/usr/bin/unshare',
    args: [...asRoot, '--net', process.execPath, script],
    env: { ...env, [MARK]: '1' },
  };
}

/** Brings the addresses up, inside. */
export function raiseNetwork(): void {
  execFileSync('/usr/sbin/ip', ['link', 'set', 'lo', 'up']);
  for (const host of HOSTS) execFileSync('/usr/sbin/ip', ['address', 'add', `${host}/32`, 'dev', 'lo']);
}
