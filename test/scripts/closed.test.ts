// A closed site as its server answers: enrolments, what a token opens, what stays shut without one, and what is told of it.

import { deepEqual, doesNotMatch, equal, match, ok, rejects } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { parseTorrent } from '../../agent/core/metainfo.ts';
import { encodeMessage, STATUS, WAITING } from '../../agent/core/monitor.ts';
import { digests, firstBootProof } from '../../agent/io/digest.ts';
import { askNode, enrol, Monitor } from '../../agent/io/monitor.ts';
import { TrackerClient } from '../../agent/io/tracker.ts';
import { WRONG_TOKENS_AT_ONCE_MAX } from '../../scripts/core/httplimits.ts';
import { message } from '../core/messages.ts';
import { finishSystem } from '../systems.ts';
import { type ClosedSite, closedSite, MAC, NUMBERED, OTHER } from './closedsite.ts';

const never = new AbortController().signal;

async function enrolled(site: ClosedSite, name = 'node001', mac = MAC): Promise<string> {
  await site.run('node', 'arm', name);
  const { status, body, token } = await site.enrol(mac);
  equal(status, 200, body);
  return token;
}

/** What `node list` says of a node. */
async function stateOf(site: ClosedSite, mac = MAC): Promise<string> {
  const list = JSON.parse(await site.run('node', 'list', '--json')) as { mac: string; state: string }[];
  return list.find((one) => one.mac === mac)!.state;
}

test('an enrolment that is replayed is refused, is an alarm in the list and on the page, and leaves the first as it is', async (t) => {
  const site = await closedSite(t);
  const token = await enrolled(site);
  const replay = await site.enrol(MAC);
  deepEqual(
    [replay.status, replay.body],
    [403, 'it has enrolled already since it was armed, and may do so once\n'],
  );
  match(site.said(), /node001 \(52:54:00:09:00:01\) has enrolled\nALARM: somebody would be node001/);
  match(await stateOf(site), /^alarm: a machine without serial number at (::ffff:)?127\.0\.0\.1 was refused/);
  const shown = async () => JSON.parse((await site.ask('/cluster.json', { plain: true })).body);
  while ((await shown()).counts.alarm !== 1) await sleep(50);
  equal((await site.ask('/manifest', { token })).status, 200);
  await enrolled(site);
  doesNotMatch(await stateOf(site), /alarm/);
});

test('of a hundred that enrol as one node at the same time exactly one gets a token', async (t) => {
  const site = await closedSite(t);
  await site.run('node', 'arm', 'node001');
  const answers = await Promise.all(Array.from({ length: 100 }, () => site.enrol(MAC)));
  equal(answers.filter(({ status }) => status === 200).length, 1);
  equal(answers.filter(({ status }) => status === 403).length, 99);
});

test('who may not enrol is told why: not listed, not armed, too late, another machine, no TLS', async (t) => {
  const site = await closedSite(t);
  match((await site.enrol('52:54:00:09:00:09')).body, /^it is not in nodes\.conf/);
  match((await site.enrol(MAC)).body, /^it is not armed/);
  await site.run('node', 'arm', 'node001', '--window', '2');
  const past = new Date(Date.now() - 3 * 3_600_000);
  utimesSync(join(site.repo, 'armed', '525400090001'), past, past);
  match((await site.enrol(MAC)).body, /^it was armed more than 2 h ago/);
  await site.run('node', 'arm', 'node001', 'node003');
  const other = await site.enrol(NUMBERED, 'S4');
  equal(other.body, 'its serial number is not the one that nodes.conf names\n');
  match(await stateOf(site, NUMBERED), /^alarm: the machine S4 at /);
  equal((await site.enrol(NUMBERED, 'S3')).status, 200);
  const plain = await site.enrol(MAC, '', { plain: true });
  deepEqual(
    [plain.status, plain.body],
    [403, 'this site is closed, and answers this over TLS alone: come by https\n'],
  );
  equal((await site.ask('/enrol', { method: 'POST', body: '{"mac":1}' })).status, 400);
  equal((await site.ask('/enrol', { method: 'POST', body: 'x'.repeat(2000) })).status, 400);
  equal((await site.enrol(MAC)).status, 200);
});

test('manifest, torrents, files, reports and tracker want a token over TLS; boot files and the page want none', async (t) => {
  const site = await closedSite(t);
  const token = await enrolled(site);
  const paths = [
    '/manifest',
    '/torrents/web.torrent',
    '/files/layouts/x.json',
    '/keys/web',
    '/announce',
    '/x',
  ];
  for (const path of paths) {
    equal((await site.ask(path, { plain: true, token })).status, 403, path);
    const without = await site.ask(path);
    deepEqual([without.status, without.headers['www-authenticate']], [401, 'Bearer'], path);
    equal((await site.ask(path, { token: `${token.slice(0, -1)}!` })).status, 401, path);
  }
  equal((await site.ask('/manifest', { token })).status, 200);
  equal((await site.ask('/torrents/web.torrent', { token })).status, 200);
  for (const path of ['/', '/cluster.json', '/metrics', '/boot/ipxe/525400090001'])
    equal((await site.ask(path, { plain: true })).status, 200, path);
  for (const path of [`/nodes/${MAC}`, '/echo']) {
    const method = path === '/echo' ? 'POST' : 'GET';
    equal((await site.ask(path, { method })).status, 200, path);
    equal((await site.ask(path, { method, plain: true })).status, 403, path);
  }
  // Whoever waits to be armed again still has the token of before.
  equal((await askNode(site.secured, MAC, { ...site.credentials, token: 'of before' }, never)).armed, true);
});

test('a node speaks for itself alone, by its token and not by its message', async (t) => {
  const site = await closedSite(t);
  const token = await enrolled(site);
  const report = (mac: string, more: object = {}) =>
    ({ method: 'POST', body: encodeMessage(message({ mac, ...more })) }) as const;
  equal((await site.ask('/reports', { ...report(MAC), token })).status, 204);
  const other = await site.ask('/reports', { ...report(OTHER), token });
  deepEqual([other.status, other.body], [403, `this is the token of ${MAC}\n`]);
  equal((await site.ask('/reports', report(MAC))).status, 401);
  equal((await site.ask('/reports', { ...report(MAC), plain: true })).status, 403);
  equal((await site.ask('/reports', { ...report(MAC), token, plain: true })).status, 403);
  equal(await stateOf(site, OTHER), 'idle');
  // A machine that nobody has named is seen all the same, and nothing that is listed can be lied about.
  const waits = { stage: WAITING, status: STATUS.started };
  equal((await site.ask('/reports', report('52:54:00:09:00:09', waits))).status, 204);
  equal((await site.ask('/reports', report('52:54:00:09:00:09'))).status, 401);
  equal((await site.ask('/reports', report(OTHER, waits))).status, 401);
  const { nodes } = JSON.parse((await site.ask('/cluster.json', { plain: true })).body);
  const stranger = nodes.find(({ mac }: { mac: string }) => mac === '52:54:00:09:00:09');
  equal(stranger.state, 'unknown');
});

test('what a node says before it has enrolled arrives when it has', async (t) => {
  const site = await closedSite(t);
  await site.run('node', 'arm', 'node001');
  const credentials = { ...site.credentials };
  const monitor = new Monitor([site.secured], credentials);
  monitor.send(message({ mac: MAC, status: 0 }));
  await sleep(700);
  equal(await stateOf(site), 'armed');
  credentials.token = (await enrol(site.secured, { mac: MAC, serial: '' }, credentials, never))!.token;
  await monitor.flush(5000);
  while (!/^installing/.test(await stateOf(site))) await sleep(50);
});

test('a node whose enrolment is refused is told so once, with the reason', async (t) => {
  const site = await closedSite(t);
  await rejects(
    enrol(site.secured, { mac: MAC, serial: '' }, site.credentials, never),
    (error) =>
      error instanceof SwarmbootError &&
      error.code === 'enrolment' &&
      /^https:.* does not let 52:54:00:09:00:01 enrol: it is not armed; .* swarmboot node arm$/.test(
        error.message,
      ),
  );
});

test('a token that is revoked, or was for the time before it was armed again, opens nothing; a server started anew knows the others', async (t) => {
  const site = await closedSite(t);
  const [first, second] = [await enrolled(site), await enrolled(site, 'node002', OTHER)];
  equal((await site.ask('/manifest', { token: first })).status, 200);
  await site.run('node', 'revoke', 'node001');
  equal((await site.ask('/manifest', { token: first })).status, 401);
  match((await site.enrol(MAC)).body, /^it is not armed/);
  site.child.kill('SIGKILL');
  await once(site.child, 'close');
  const anew = await site.again();
  equal((await anew.ask('/manifest', { token: first })).status, 401);
  equal((await anew.ask('/manifest', { token: second })).status, 200);
  equal((await anew.enrol(OTHER)).status, 403);
});

test('whoever guesses tokens is told to wait after some; nobody else is kept out, nor is he when he has the right one', async (t) => {
  const site = await closedSite(t);
  const token = await enrolled(site);
  const statuses: number[] = [];
  for (let i = 0; i < WRONG_TOKENS_AT_ONCE_MAX + 100; i++) {
    const guess = `525400090001.${String(i).padStart(43, 'A')}`;
    statuses.push((await site.ask('/manifest', { token: guess, from: '127.0.0.2' })).status);
  }
  deepEqual([...new Set(statuses)], [401, 429]);
  ok(statuses.indexOf(429) >= WRONG_TOKENS_AT_ONCE_MAX);
  for (const from of ['127.0.0.2', '127.0.0.3'])
    equal((await site.ask('/manifest', { token, from })).status, 200);
});

test('the tracker of a closed site names peers over TLS and with a token alone, by the addresses that they have', async (t) => {
  const site = await closedSite(t);
  const [token, second] = [await enrolled(site), await enrolled(site, 'node002', OTHER)];
  const bytes = (await fetchTorrent(site, token)) as Uint8Array;
  const torrent = parseTorrent(bytes, digests);
  deepEqual(torrent.announce, [[`${site.secured.origin}/announce`]]);
  const request = {
    infoHash: torrent.infoHashV1!,
    peerId: new Uint8Array(20),
    port: 7001,
    uploaded: 0,
    downloaded: 0,
    left: 1,
    event: 'started' as const,
    numWant: 10,
  };
  const announce = (url: string, shown: string | null) =>
    new TrackerClient({ credentials: { ...site.credentials, token: shown } }).announce(
      { ...request, url },
      never,
    );
  const [url = ''] = torrent.announce.flat();
  // What `ip=` says is nothing: the address is that of the socket.
  const lie = await site.ask(
    `/announce?info_hash=${escaped(torrent.infoHashV1!)}&port=7002&left=1&ip=10.1.2.3`,
    { token: second, from: '127.0.0.2' },
  );
  equal(lie.status, 200);
  const { peers } = await announce(url, token);
  deepEqual(peers.map(({ host, port }) => `${host}:${port}`).sort(), [
    `127.0.0.1:${site.peerPort}`,
    '127.0.0.2:7002',
  ]);
  await rejects(announce(url, null), /HTTP status 401/);
  const refused = /refused: "this swarm is closed: announce at the image server, over TLS and with a token"/;
  await rejects(announce(`http://127.0.0.1:${site.trackerPort}/announce`, token), refused);
  await rejects(announce(`udp://127.0.0.1:${site.trackerPort}/announce`, token), refused);
  const hash = escaped(torrent.infoHashV1!);
  match(
    await (await fetch(`http://127.0.0.1:${site.trackerPort}/scrape?info_hash=${hash}`)).text(),
    /failure reason/,
  );
});

async function fetchTorrent(site: ClosedSite, token: string): Promise<Uint8Array> {
  const { openCatalog } = await import('../../agent/io/catalog.ts');
  const catalog = openCatalog({ ...site.credentials, token });
  return catalog.fetchTorrent(site.secured, site.image, never);
}

function escaped(bytes: Uint8Array): string {
  return [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
}

test('the new system proves by its shell script alone that it is up: once, and nobody else does', {
  skip: process.getuid!() !== 0 && 'chroot needs root',
}, async (t) => {
  const site = await closedSite(t);
  const token = await enrolled(site);
  const post = (proof: string | undefined, mac = MAC) => {
    const body = JSON.stringify({
      ...JSON.parse(encodeMessage(message({ mac, status: 102, stage: 'rebooted' }))),
      proof,
    });
    return site.ask('/reports', { method: 'POST', body, plain: true });
  };
  for (const wrong of [undefined, '', 'ab'.repeat(32), firstBootProof(`${token}x`)])
    equal((await post(wrong)).status, 403);
  equal((await post(firstBootProof(token), OTHER)).status, 403);

  const target = join(site.folder, 'a');
  await finishSystem(target, MAC, site.url, firstBootProof(token));
  equal(statSync(join(target, 'usr/lib/swarmboot/rebooted.json')).mode & 0o777, 0o600);
  const child = spawn('/usr/bin/busybox', ['chroot', target, '/usr/lib/swarmboot/first-boot']);
  t.after(() => child.kill());
  deepEqual(await once(child, 'exit'), [0, null]);
  equal(existsSync(join(target, 'usr/lib/swarmboot')), false);
  equal((await site.ask('/manifest', { token })).status, 401);
  match(site.said(), /node001 \(52:54:00:09:00:01\) is installed\n/);
  // Asked once more, it is heard and changes nothing, not even when it was last heard of.
  const place = join(site.repo, 'reports', '525400090001.json');
  while (!existsSync(place)) await sleep(20);
  const before = readFileSync(place, 'utf8');
  equal((await post(firstBootProof(token))).status, 204);
  site.child.kill();
  await once(site.child, 'exit');
  equal(readFileSync(place, 'utf8'), before);
});
