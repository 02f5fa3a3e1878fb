// A whole install in a closed site: the agent as a process of its own that believes what its RAM disk would, `swarmboot serve`
// over TLS, and nothing of a secret anywhere but where it belongs.

import { deepEqual, equal, match } from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { EXIT_STATUS } from '../agent/core/errors.ts';
import { TRUST_PATH } from '../agent/core/trust.ts';
import { type ClosedSite, closedSite, MAC } from './scripts/closedsite.ts';

const MAIN = join(import.meta.dirname, '..', 'agent', 'main.ts');
const needsRoot = { skip: process.getuid!() !== 0 && 'another /etc needs root' };
/** Enough to be worth a swarm. */
const NOISE = createHash('shake256', { outputLength: 500_000 }).update('image').digest();
/** Puts a folder in the place of /etc, for what it starts and for nobody else. */
const WITH_ETC = 'mount --bind "$0" /etc && exec "$@"';

async function install(t: TestContext, site: ClosedSite) {
  const at = (name: string) => join(site.folder, name);
  for (const name of ['a', 'pool', 'etc']) mkdirSync(at(name), { recursive: true });
  for (const name of ['passwd', 'group', 'hosts', 'nsswitch.conf'])
    cpSync(join('/etc', name), at(`etc/${name}`));
  mkdirSync(at('etc/swarmboot'), { recursive: true });
  writeFileSync(at(TRUST_PATH.slice(1)), site.trust);
  const flags = {
    IMAGESERVER: site.secured.origin,
    IMAGENAME: 'web',
    BOOTIF: `01-${MAC.replaceAll(':', '-')}`,
    TARGET: at('a'),
    BITTORRENT_STAGING: at('pool'),
    BITTORRENT_POLLING_TIME: '1',
    BITTORRENT_PORT: '0',
    BIND: '127.0.0.1',
    CONSOLE: 'json',
    // Not parked: this machine is not to be started anew.
    SHELL_ON_FAIL: 'y',
  };
  const words = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  const namespace = ['--mount', '--propagation', 'private', '/bin/sh', '-c', WITH_ETC, at('etc')];
  const child = spawn('/usr/bin/unshare', [...namespace, process.execPath, MAIN, ...words], {
    env: { PATH: '/usr/bin:/usr/sbin' },
  });
  t.after(() => child.kill('SIGKILL'));
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
  const [out, err, status] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  return { out, err, status, target: at('a') };
}

test(
  'a node enrols, installs by a swarm that names peers to it alone, and no secret is left anywhere',
  needsRoot,
  async (t) => {
    const site = await closedSite(t, { noise: NOISE, motd: 'closed\n' });
    await site.run('node', 'arm', 'node001');
    const { out, err, status, target } = await install(t, site);
    deepEqual([status, err], [0, ''], out);
    execFileSync('/usr/bin/diff', ['-r', join(site.folder, 'tree'), target]);
    const stages = [...out.matchAll(/"stageEnded","stage":"([a-z -]+)"/g)].map(([, stage]) => stage);
    deepEqual(stages.slice(0, 3), ['parameters', 'enrol', 'catalog'], out);
    match(site.said(), /node001 \(52:54:00:09:00:01\) has enrolled\n/);
    // It was heard, with the token.
    match(JSON.parse(await site.run('node', 'list', '--json'))[0].state, /^imaged/);

    const secret = readFileSync(join(site.repo, 'enrolled', 'secret'));
    const forms = [secret.toString('latin1'), secret.toString('base64url'), secret.toString('hex')];
    const files = readdirSync(site.folder, { recursive: true, withFileTypes: true })
      .filter((file) => file.isFile() && file.name !== 'secret')
      .map((file) => readFileSync(join(file.parentPath, file.name), 'latin1'));
    for (const content of [...files, out, err, site.said()]) {
      equal(/525400090001\.[A-Za-z0-9_-]{43}/.test(content), false);
      for (const form of forms) equal(content.includes(form), false);
    }
  },
);

test('a node that may not enrol ends with its reason, and has asked for nothing', needsRoot, async (t) => {
  const site = await closedSite(t);
  const { err, status, target } = await install(t, site);
  equal(status, EXIT_STATUS.enrolment);
  match(err, /does not let 52:54:00:09:00:01 enrol: it is not armed; .*swarmboot node arm\n$/);
  deepEqual(readdirSync(target), []);
});
