import { equal } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { transmission } from '../foreign/clients.ts';
import { HOSTS, inOwnNetwork, ownNetwork, raiseNetwork } from '../foreign/network.ts';
import { interop } from './cases.ts';

if (inOwnNetwork()) {
  raiseNetwork();
  describe('transmission', { concurrency: true }, () => interop(transmission, ...HOSTS));
} else {
  test('transmission and we feed each other, on addresses that it does not shun', (t) => {
    const { path, args, env } = ownNetwork(import.meta.filename);
    const { status, stdout, stderr } = spawnSync(path, args, { env, encoding: 'utf8' });
    equal(status, 0, stdout + stderr);
    t.diagnostic(stdout);
  });
}
