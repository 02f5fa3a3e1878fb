// A shell on the console, for an admin who wants to look before or after a stage.

import { spawn } from 'node:child_process';
import { SwarmbootError } from '../core/errors.ts';

const BUSYBOX = '/usr/bin/busybox';

/**
 * A shell on the standard streams; on the console it gets the terminal behind it, so that Ctrl-C works.
 * Resolves when it ends, whatever its status. Throws SwarmbootError 'system' when it cannot be started.
 */
export function openShell(): Promise<void> {
  const child = spawn(BUSYBOX, process.stdin.isTTY ? ['setsid', 'cttyhack', BUSYBOX, 'sh'] : ['sh'], {
    stdio: 'inherit',
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', TERM: process.env.TERM ?? 'linux' },
  });
  return new Promise((resolve, reject) => {
    child.on('close', () => resolve());
    child.on('error', (error) =>
      reject(
        new SwarmbootError(
          'system',
          `no shell on the console: ${BUSYBOX} cannot be started (${error.message}); put busybox into the RAM disk`,
          { cause: error },
        ),
      ),
    );
  });
}
