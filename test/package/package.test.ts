import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import https from 'node:https';
import { text } from 'node:stream/consumers';
import { before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseEnrolled } from '../../agent/core/enrolment.ts';
import { parseManifest } from '../../agent/core/manifest.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { lines, message, REPORT } from '../core/messages.ts';
import { kernelPackage } from '../initrd-builder/kernels.ts';
import { builtPackages, chrooted, ENVIRONMENT, Root } from './root.ts';

const [FIRST, NEXT] = builtPackages();
const REPO = '/var/lib/swarmboot';
const CONFIG = '/etc/swarmboot/swarmboot.json';
/** Of the units, as systemd-analyze counts it: ten times what it prints. */
const EXPOSURE_MAX = { 'swarmboot.service': 20, 'swarmboot-dnsmasq.service': 30 };

// The test has a network of its own.
before(() => execFileSync('/usr/sbin/ip', ['link', 'set', 'lo', 'up']));

test('the package is installed, used, upgraded and purged', { timeout: 180_000 }, async (t) => {
  const root = new Root(t);
  const fresh = root.paths();
  install(root, FIRST);

  await t.test('a user, folders that are his, an enabled service, and no DHCP server', () => {
    match(
      root.must('getent', 'passwd', 'swarmboot'),
      /^swarmboot:x:\d{3}:\d{3}:[^:]*:\/var\/lib\/swarmboot:.*nologin$/m,
    );
    for (const folder of ['', '/armed', '/reports', '/logs', '/runs'])
      equal(root.must('stat', '-c', '%U:%G %a', REPO + folder), 'swarmboot:swarmboot 755\n');
    const wanted = '/etc/systemd/system/multi-user.target.wants';
    equal(root.run('test', '-L', `${wanted}/swarmboot.service`).status, 0);
    equal(root.run('test', '-L', `${wanted}/swarmboot-dnsmasq.service`).status, 1);
    match(root.must('dpkg', '--status', 'swarmboot'), new RegExp(CONFIG));
  });

  await t.test('units are right to systemd and expose little', () => {
    for (const [unit, most] of Object.entries(EXPOSURE_MAX)) {
      const verified = root.run('systemd-analyze', 'verify', '--man=no', `/lib/systemd/system/${unit}`);
      // dnsmasq is recommended only, and not in this root.
      equal(verified.err.replace(/^.*dnsmasq is not executable: No such file or directory\n/m, ''), '', unit);
      const judged = root.run(
        'systemd-analyze',
        'security',
        '--offline=true',
        `--threshold=${most}`,
        `/lib/systemd/system/${unit}`,
      );
      equal(judged.status, 0, judged.out);
      t.diagnostic(judged.out.trimEnd().split('\n').at(-1)!);
    }
  });

  await t.test('the command has all that it needs', () => {
    equal(root.must('swarmboot', '--version'), `swarmboot ${packageJson.version}\n`);
    match(root.must('swarmboot', 'serve', '--help'), /--http-port PORT/);
    // Recommended tools are not in this root: they are named.
    const boel = root.run('swarmboot', 'boel', 'build');
    equal(boel.status, 21);
    match(boel.err, /install the Debian packages: .*mdadm/);
    kernelPackage(root.path('/srv/kernel'), '6.1.0-9-amd64');
    const built = root.must('swarmboot', 'initrd', 'build', '--kernel', '/srv/kernel', '--level', '1');
    match(built, /^agent +1 /m);
    match(built, /^skeleton +\d+ /m);
  });

  await t.test('what root publishes is served by the unit, as its user', async (t) => {
    mkdirSync(root.path('/srv/tree'));
    writeFileSync(root.path('/srv/tree/known'), 'what every node must hold\n');
    // As root of a machine on which nobody else may read what root writes.
    const line = 'umask 077; swarmboot publish web --kind image --from /srv/tree';
    match(root.must('sh', '-c', line), /published image web/);
    match(root.must('swarmboot', 'list'), /^web +image/m);
    writeFileSync(root.path(`${REPO}/nodes.conf`), `node001 mac=${message().mac} image=web\n`);
    root.must('swarmboot', 'node', 'arm', 'node001');
    writeFileSync(root.path(CONFIG), '{ "serve": { "http-port": 18080 } }\n');
    await usedService(t, root);
  });

  await t.test('in a closed site the unit reads what root keeps secret from all others', async (t) => {
    root.must('swarmboot', 'init', '--name', '127.0.0.1');
    match(root.must('stat', '-c', '%a %G', `${REPO}/tls/server.key`), /^640 swarmboot\n$/);
    root.must('swarmboot', 'publish', 'web', '--kind', 'image', '--from', '/srv/tree', '--encrypt');
    root.must('swarmboot', 'keygen', '/srv/release', '--unencrypted');
    root.must('swarmboot', 'sign', '--closed', '--key', '/srv/release.key');
    root.must('swarmboot', 'node', 'arm', 'node001');
    writeFileSync(root.path(CONFIG), '{ "serve": { "http-port": 18080, "https-port": 18443 } }\n');
    await withService(t, root, () => closedService(root));
    writeFileSync(root.path(CONFIG), '{ "serve": { "http-port": 18080 } }\n');
  });

  await t.test('an upgrade keeps state and configuration', () => {
    install(root, NEXT);
    match(root.must('dpkg', '--status', 'swarmboot'), /^Version: .*~test2$/m);
    match(root.must('swarmboot', 'list'), /^web +image/m);
    match(root.must('swarmboot', 'node', 'list'), /^node001 /m);
    equal(readFileSync(root.path(CONFIG), 'utf8'), '{ "serve": { "http-port": 18080 } }\n');
    equal(root.must('stat', '-c', '%U', `${REPO}/reports`), 'swarmboot\n');
  });

  await t.test('removed, it keeps both; purged, only what people have made', () => {
    root.must('dpkg', '--remove', 'swarmboot');
    ok(root.has(CONFIG));
    match(root.must('dpkg', '--purge', 'swarmboot'), new RegExp(`${REPO} is kept`));
    const made =
      /^\/srv\/|^\/etc\/(?:passwd|group|g?shadow)-$|^\/var\/lib\/swarmboot\/(?:boot|keys|signed|tarballs|tls|torrents)\//;
    const left = root.paths().filter((path) => !fresh.includes(path) && !made.test(path));
    const folders = ['/keys', '/nodes.conf', '/signed', '/tarballs', '/tls', '/torrents'];
    const kept = ['', '/boot', '/catalog', '/catalog/web.json', ...folders];
    deepEqual(
      left,
      kept.map((path) => REPO + path),
    );
    match(
      root.must('ls', `${REPO}/tarballs`, `${REPO}/torrents`),
      /image-web-.*\.tar\.zst\.age\n[\s\S]*image-web-.*\.torrent\n/,
    );
  });
});

test('purged before anything was published, it leaves nothing but its user', { timeout: 60_000 }, (t) => {
  const root = new Root(t);
  const fresh = root.paths();
  install(root, FIRST);
  root.must('dpkg', '--purge', 'swarmboot');
  deepEqual(
    root.paths().filter((path) => !fresh.includes(path) && !/^\/etc\/(?:passwd|group|g?shadow)-$/.test(path)),
    [],
  );
  equal(root.run('getent', 'passwd', 'swarmboot').status, 0);
});

function install(root: Root, file: string): void {
  cpSync(file, root.path('/tmp/swarmboot.deb'));
  root.must('dpkg', '--install', '/tmp/swarmboot.deb');
}

/** Starts what the unit starts, as the unit's user, and ends it as systemd does. */
async function withService(
  t: { diagnostic(text: string): void },
  root: Root,
  use: (child: ChildProcess) => Promise<void>,
): Promise<void> {
  const unit = readFileSync(root.path('/lib/systemd/system/swarmboot.service'), 'utf8');
  const value = (key: string) => new RegExp(`^${key}=(.*)$`, 'm').exec(unit)![1]!;
  const words = chrooted(root.folder, `${value('User')}:${value('Group')}`, value('ExecStart').split(' '));
  const child = spawn(words[0]!, words.slice(1), { env: ENVIRONMENT, stdio: ['ignore', 'inherit', 'pipe'] });
  const closed = once(child, 'close');
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  try {
    const started = performance.now();
    while (!said.includes('seeding image web')) {
      if (child.exitCode !== null) throw new Error(`it ended: ${said}`);
      await sleep(20);
    }
    t.diagnostic(`seeding after ${Math.round(performance.now() - started)} ms`);
    await use(child);
  } finally {
    child.kill('SIGTERM');
  }
  const [status] = await closed;
  equal(status, 0, said);
  match(said, /stopped\n$/);
}

/** Asks for the catalog, and reports. */
async function usedService(t: { diagnostic(text: string): void }, root: Root): Promise<void> {
  await withService(t, root, async (child) => {
    const url = 'http://127.0.0.1:18080';
    const manifest = parseManifest(await (await fetch(`${url}/manifest`)).text());
    deepEqual(
      manifest.entries.map(({ name }) => name),
      ['web'],
    );
    for (const path of ['/', '/scripts/page/app.ts', '/metrics'])
      equal((await fetch(`${url}${path}`)).status, 200, path);
    // Root has armed the node; the service, which is not root, takes that back when the install is done, and keeps its log.
    ok(root.has(`${REPO}/armed/525400090001`));
    const done = message({ status: 100, report: { ...REPORT, elapsedMs: 0 }, log: lines('done') });
    const answer = await fetch(`${url}/reports`, { method: 'POST', body: JSON.stringify(done) });
    equal(answer.status, 204);
    ok(!root.has(`${REPO}/armed/525400090001`));
    match(root.must('swarmboot', 'logs', 'node001'), /done/);
    const resident = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))![1];
    t.diagnostic(`resident: ${Math.round(Number(resident) / 1024)} MiB`);
  });
}

/** A node enrols, gets the key of its image, is revoked, armed anew, and enrols again. */
async function closedService(root: Root): Promise<void> {
  const ca = readFileSync(root.path(`${REPO}/tls/authority.pem`), 'utf8');
  const ask = async (path: string, method: 'GET' | 'POST', token: string, body = '') => {
    const headers = token === '' ? {} : { authorization: `Bearer ${token}` };
    const options = { method, headers, ca, agent: false } as const;
    const request = https.request(new URL(path, 'https://127.0.0.1:18443'), options).end(body);
    const [answer] = (await once(request, 'response')) as [IncomingMessage];
    return { status: answer.statusCode, body: await text(answer) };
  };
  const { mac } = message();
  const enrol = async () => {
    const answer = await ask('/enrol', 'POST', '', JSON.stringify({ mac, serial: 'S1' }));
    equal(answer.status, 200, answer.body);
    return parseEnrolled(answer.body).token;
  };
  const first = await enrol();
  equal((await ask('/manifest', 'GET', first)).status, 200);
  equal((await ask('/keys/web', 'GET', first)).status, 200);
  root.must('swarmboot', 'node', 'revoke', 'node001');
  equal((await ask('/manifest', 'GET', first)).status, 401);
  root.must('swarmboot', 'node', 'arm', 'node001');
  const second = await enrol();
  equal((await ask('/manifest', 'GET', second)).status, 200);
  equal(root.must('stat', '-c', '%U %a', `${REPO}/enrolled`), 'swarmboot 700\n');
}
