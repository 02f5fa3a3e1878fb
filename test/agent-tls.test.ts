// The agent itself, with an authority where its RAM disk has it: it installs from the image server that `swarmboot init`
// certified, and from no other. Its /etc is its own, in a mount namespace.

import { deepEqual, equal, match } from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import http from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { EXIT_STATUS } from '../agent/core/errors.ts';
import { openCatalog } from '../agent/io/catalog.ts';
import { startAgent } from './agentprocess.ts';
import { listenTls, TestAuthority } from './certificates.ts';
import { scratch } from './content.ts';
import { message } from './core/messages.ts';
import { swarmboot } from './scripts/commands.ts';
import { serveRepository } from './scripts/server.ts';

/** Runs the agent with that trust.json to its end. */
async function agent(t: TestContext, folder: string, trust: string, flags: Record<string, string>) {
  const { ended, err } = startAgent(t, { folder, trust: readFileSync(trust, 'utf8') }, flags);
  return { status: await ended, err: err() };
}

/** An image server with one signed image, its RAM disk's trust.json, and the flags of a node. */
async function site(t: TestContext) {
  const folder = scratch(t);
  const repo = join(folder, 'repo');
  const at = (name: string) => join(folder, name);
  for (const name of ['tree', 'boel']) mkdirSync(at(name));
  writeFileSync(join(at('tree'), 'file'), 'what every node must hold\n');
  const ran = async (wanted: number, ...words: string[]) => {
    const { status, err } = await swarmboot([...words, '--repo', repo]);
    equal(status, wanted, err);
  };
  await ran(0, 'publish', 'web', '--kind', 'image', '--from', at('tree'));
  await ran(0, 'init', '--name', '127.0.0.1');
  equal((await swarmboot(['keygen', at('release'), '--unencrypted'])).status, 0);
  await ran(0, 'sign', '--key', at('release.key'));
  // No kernel is there: what nodes believe by is written nevertheless.
  await ran(EXIT_STATUS.build, 'initrd', 'build', '--kernel', '/absent', '--trust', at('release.pub'));
  const flags = {
    IMAGENAME: 'web',
    BOEL_DIR: at('boel'),
    BITTORRENT_SEED_WAIT: 'n',
    // The lease of a RAM disk has it; the agent reports when it knows who it is.
    BOOTIF: message().mac,
  };
  return { folder, repo, flags, trust: join(repo, 'boot', 'trust.json'), target: at('a1') };
}

test('an agent with the authority in its RAM disk installs over TLS', async (t) => {
  const { folder, repo, flags, trust, target } = await site(t);
  const { said, url } = await serveRepository(t, repo);
  equal(/another authority/.test(said()), false);
  const IMAGESERVER = `https://127.0.0.1:${/https port (\d+)/.exec(said())?.[1]}`;
  const { status, err } = await agent(t, folder, trust, { ...flags, IMAGESERVER });
  deepEqual([status, err], [0, '']);
  equal(readFileSync(join(target, 'file'), 'utf8'), 'what every node must hold\n');
  match(await (await fetch(`${url}/metrics`)).text(), /^swarmboot_messages_total\{result="kept"\} [1-9]/m);
});

test('an agent with the authority in its RAM disk refuses five false image servers before it asks or writes anything', async (t) => {
  const { folder, repo, flags, trust, target } = await site(t);
  const { url } = await serveRepository(t, repo);
  // Each offers what is signed: it is not the manifest that is refused.
  const document = await openCatalog({ authority: null, server: null, token: null }).fetchManifest(
    new URL(url),
    t.signal,
  );
  let asked = 0;
  const answer: RequestListener = (_, response) => {
    asked++;
    response.end(document);
  };
  const [own, other] = ['own', 'other'].map((name) => new TestAuthority(join(folder, name))) as [
    TestAuthority,
    TestAuthority,
  ];
  const believed = { ...JSON.parse(readFileSync(trust, 'utf8')), authority: own.pem };
  writeFileSync(trust, JSON.stringify(believed));
  const plain = http.createServer(answer).listen(0, '127.0.0.1');
  t.after(() => plain.close());
  await new Promise((done) => plain.once('listening', done));
  const address = plain.address();
  const expired = { from: '20200101000000Z', to: '20210101000000Z' };
  const servers: [URL, RegExp][] = [
    [await listenTls(t, other.issue(), answer), /is not believed: unable to verify the first certificate/],
    [
      await listenTls(t, own.issue({ name: 'IP:127.0.0.2' }), answer),
      /does not match certificate's altnames/,
    ],
    [
      await listenTls(t, own.issue(expired), answer),
      /certificate has expired .*the clock of this machine says/,
    ],
    [await listenTls(t, own.selfSigned(), answer), /self-signed certificate/],
    [new URL(`http://127.0.0.1:${(address as { port: number }).port}`), /is plain HTTP, and this RAM disk/],
  ];
  for (const [server, reason] of servers) {
    const { status, err } = await agent(t, folder, trust, { ...flags, IMAGESERVER: server.origin });
    equal(status, EXIT_STATUS.signature, err);
    match(err, reason);
  }
  equal(asked, 0);
  deepEqual(readdirSync(target), []);
});
