// A whole install in a closed site: the agent as a process of its own that believes what its RAM disk would, `swarmboot serve`
// over TLS, and nothing of a secret anywhere but where it belongs.

import { deepEqual, equal, match } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { EXIT_STATUS } from '../agent/core/errors.ts';
import { startAgent } from './agentprocess.ts';
import { type ClosedSite, closedSite, MAC } from './scripts/closedsite.ts';

/** Enough to be worth a swarm. */
const NOISE = createHash('shake256', { outputLength: 500_000 }).update('image').digest();

async function install(t: TestContext, site: ClosedSite) {
  const agent = startAgent(t, site, {
    IMAGESERVER: site.secured.origin,
    IMAGENAME: 'web',
    BOOTIF: `01-${MAC.replaceAll(':', '-')}`,
    CONSOLE: 'json',
  });
  const status = await agent.ended;
  return { out: agent.out(), err: agent.err(), status, target: agent.target };
}

test('a node enrols, installs by a swarm that names peers to it alone, and no secret is left anywhere', async (t) => {
  const site = await closedSite(t, { files: { noise: NOISE, motd: 'closed\n' } });
  await site.run('node', 'arm', 'node001');
  const { out, err, status, target } = await install(t, site);
  deepEqual([status, err], [0, ''], out);
  execFileSync('/usr/bin/diff', ['-r', site.tree, target]);
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
});

test('a node that may not enrol ends with its reason, and has asked for nothing', async (t) => {
  const site = await closedSite(t);
  const { err, status, target } = await install(t, site);
  equal(status, EXIT_STATUS.enrolment);
  match(err, /does not let 52:54:00:09:00:01 enrol: it is not armed; .*swarmboot node arm\n$/);
  deepEqual(readdirSync(target), []);
});
