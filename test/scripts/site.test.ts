import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { NO_CREDENTIALS } from '../../agent/core/credentials.ts';
import { encodeMessage, type Message } from '../../agent/core/monitor.ts';
import { Monitor } from '../../agent/io/monitor.ts';
import { readLog } from '../../scripts/logs.ts';
import { arm, armedSince } from '../../scripts/nodes.ts';
import { noise, scratch } from '../content.ts';
import { INVENTORY, lines, message, REPORT } from '../core/messages.ts';
import { serveRepository } from './server.ts';

const MAC = '52:54:00:09:00:01';
const STRANGER = '52:54:00:09:00:09';

/** A served repository with one node, and what is asked of it. */
async function site(t: TestContext, nodes = `node001 mac=${MAC} image=web\n`) {
  const repo = scratch(t);
  mkdirSync(join(repo, 'boot'));
  writeFileSync(join(repo, 'nodes.conf'), nodes);
  const server = await serveRepository(t, repo);
  const said = async (pattern: RegExp) => {
    while (!pattern.test(server.said())) await sleep(10, undefined, { signal: t.signal });
  };
  const get = async (path: string) => {
    const response = await fetch(`${server.url}${path}`);
    return { status: response.status, text: await response.text() };
  };
  const post = async (body: string | Uint8Array<ArrayBuffer>) => {
    const response = await fetch(`${server.url}/reports`, { method: 'POST', body });
    return { status: response.status, text: await response.text() };
  };
  const report = async (more: Partial<Message>) => {
    assert.equal((await post(encodeMessage(message(more)))).status, 204);
  };
  const record = async (mac: string, when: (message: Message) => boolean): Promise<Message> => {
    const place = join(repo, 'reports', `${mac.replaceAll(':', '')}.json`);
    for (;;) {
      const found: Message | null = existsSync(place)
        ? JSON.parse(readFileSync(place, 'utf8')).message
        : null;
      if (found !== null && when(found)) return found;
      await sleep(10, undefined, { signal: t.signal });
    }
  };
  await said(/\d+ nodes in |is wrong/);
  return { repo, server, said, get, post, report, record };
}

test('a node is installed once it is armed, and boots from its own disk after it reported success', async (t) => {
  const { repo, server, get, report, said } = await site(t);
  const kernel =
    /\nkernel (http:\/\/127\.0\.0\.1:\d+)\/boot\/kernel initrd=initrd\.img .* IMAGENAME=web HOSTNAME=node001 /;
  const entry = async () => (await get('/boot/ipxe/52-54-00-09-00-01')).text;
  assert.match(await entry(), /node001 is not armed.*\n.*exit 1.*\nsanboot/);
  const answer = async () => JSON.parse((await get(`/nodes/${MAC}`)).text);
  assert.deepEqual(await answer(), { known: true, armed: false, name: 'node001', armedSince: null });
  await arm(repo, MAC);
  assert.equal(kernel.exec(await entry())?.[1], server.url);
  const since = (await armedSince(repo, MAC))?.toISOString();
  assert.deepEqual(await answer(), { known: true, armed: true, name: 'node001', armedSince: since });
  for (const status of [0, 42, 107, 101, 109]) await report({ status });
  assert.match(await entry(), kernel);
  await report({ status: -1, text: 'no disk\nfits' });
  assert.match(await entry(), kernel);
  await report({ status: 100 });
  assert.match(await entry(), /node001 is not armed/);
  await report({ status: 102, stage: 'rebooted' });
  await said(/node001 \(52:54:00:09:00:01\) failed in image: no disk\n/);
  await said(/node001 .* has its image and boots from its own disk from now on\n/);
  await said(/node001 .* is installed\n/);
});

test('what is armed while an install still reports its success stays armed', async (t) => {
  const { repo, report } = await site(t);
  await report({ status: 100, report: { ...REPORT, elapsedMs: 60_000 } });
  await arm(repo, MAC);
  await report({ status: 104, report: { ...REPORT, elapsedMs: 60_000 } });
  assert.notEqual(await armedSince(repo, MAC), null);
  await report({ status: 104, report: { ...REPORT, elapsedMs: 0 } });
  assert.equal(await armedSince(repo, MAC), null);
});

test('a machine that nobody knows waits, whatever asks for it', async (t) => {
  const { get } = await site(t, '* param=console=ttyS0\n');
  for (const path of [
    'ipxe/52:54:00:09:00:09',
    'ipxe/525400090009',
    'pxelinux.cfg/01-52-54-00-09-00-09',
    `grub/${STRANGER}`,
  ]) {
    const { status, text } = await get(`/boot/${path}`);
    assert.equal(status, 200, path);
    assert.match(text, /WAIT=y console=ttyS0 BOOTIF=01-52-54-00-09-00-09/);
  }
  assert.deepEqual(JSON.parse((await get(`/nodes/${STRANGER}`)).text), {
    known: false,
    armed: false,
    name: null,
    armedSince: null,
  });
});

test('inventory and log outlive later reports and the server', async (t) => {
  const { repo, server, report, record } = await site(t);
  await report({ mac: STRANGER, status: 0, stage: 'waiting', inventory: INVENTORY });
  await report({ status: -1, text: 'broken', install: 'i1', log: lines('one', 'two') });
  await report({ status: 3, install: 'i1' });
  server.child.kill('SIGTERM');
  await once(server.child, 'close');
  assert.deepEqual((await record(STRANGER, () => true)).inventory, INVENTORY);
  const again = await serveRepository(t, repo);
  const monitor = new Monitor([new URL(again.url)], NO_CREDENTIALS);
  monitor.send(message({ status: 7, install: 'i1', log: lines('two', 'three'), logFrom: 1 }));
  await monitor.flush(10_000);
  await record(MAC, ({ status }) => status === 7);
  const texts = (await readLog(repo, MAC)).map(({ text }) => text);
  assert.deepEqual(texts, ['one', 'two', 'three']);
});

test('hostile reports are refused, told of once, and change nothing', async (t) => {
  const { repo, server, get, post, said } = await site(t);
  const body = (change: object) => JSON.stringify({ ...message(), ...change });
  const hostile = [
    '',
    '{',
    'null',
    '<script>alert(1)</script>',
    body({ mac: '../../../etc/passwd' }),
    body({ mac: `${MAC}\u0000` }),
    body({ mac: 'AA:BB:CC:DD:EE:FF' }),
    body({ status: 1e9 }),
    body({ host: '\u001b]0;evil\u0007' }),
    body({ text: 'x'.repeat(100_000) }),
    body({ report: { ...REPORT, percent: -1 } }),
    `{"format":1,"mac":${'['.repeat(100_000)}`,
    body({ log: Array(10_000).fill({ atMs: 0, text: 'x' }) }),
    body({ log: [{ atMs: 0, text: '\u001b[2J' }] }),
    body({ log: [{ atMs: 0, text: 'one\ntwo' }] }),
    'x'.repeat(300_000),
  ];
  for (const text of hostile) {
    const answer = await post(text);
    assert.equal(answer.status, 400, text.slice(0, 60));
  }
  assert.equal((await post(Buffer.from(noise(200_000, 3)))).status, 400);
  assert.deepEqual(readdirSync(repo).sort(), ['boot', 'nodes.conf']);
  assert.equal((await get(`/nodes/${MAC}`)).status, 200);
  await said(/a report from 127\.0\.0\.1 is refused: /);
  assert.equal(server.said().split('is refused').length, 2);
});

test('lines that cannot be kept are not answered, and come again', async (t) => {
  const { repo, post, report, said } = await site(t);
  const sent = encodeMessage(message({ install: 'i1', log: lines('one') }));
  writeFileSync(join(repo, 'logs'), 'a file where the folder should be');
  assert.equal((await post(sent)).status, 503);
  await said(/a report from 127\.0\.0\.1 is refused: cannot write .*525400090001\.jsonl/);
  rmSync(join(repo, 'logs'));
  await report({ install: 'i1', log: lines('one') });
  assert.deepEqual(
    (await readLog(repo, MAC)).map(({ text }) => text),
    ['one'],
  );
});

test('a name with HTML is kept as text', async (t) => {
  const { report, record } = await site(t);
  await report({ host: '<b>x</b>', text: '<script>alert(1)</script>' });
  assert.equal((await record(MAC, () => true)).host, '<b>x</b>');
});

test('a report that breaks off, or never ends, leaves the server as it was', async (t) => {
  const { server, get } = await site(t);
  const port = Number(new URL(server.url).port);
  const head = 'POST /reports HTTP/1.1\r\nhost: localhost\r\n';
  const broken = connect(port, '127.0.0.1');
  await once(broken, 'connect');
  broken.end(`${head}content-length: 1000\r\n\r\n{"format"`);
  broken.resume();
  await once(broken, 'close');
  const endless = connect(port, '127.0.0.1');
  await once(endless, 'connect');
  endless.write(`${head}content-length: 100000000\r\n\r\n${'x'.repeat(400_000)}`);
  const [answer] = await once(endless, 'data');
  assert.match(String(answer), /^HTTP\/1\.1 400 .*\r\nconnection: close\r\n/is);
  endless.destroy();
  assert.equal((await get(`/nodes/${MAC}`)).status, 200);
});

test('files of boot/ are streamed by plain names, and nothing else is', async (t) => {
  const { repo, server, get } = await site(t);
  const kernel = noise(3_000_000, 5);
  writeFileSync(join(repo, 'boot/kernel'), kernel);
  writeFileSync(join(repo, 'boot/empty'), '');
  const response = await fetch(`${server.url}/boot/kernel`);
  assert.equal(response.headers.get('content-length'), '3000000');
  assert.ok(kernel.equals(Buffer.from(await response.arrayBuffer())));
  const head = await fetch(`${server.url}/boot/kernel`, { method: 'HEAD' });
  assert.equal(head.headers.get('content-length'), '3000000');
  assert.equal((await get('/boot/empty')).text, '');
  const paths = [
    '/boot/../nodes.conf',
    '/boot/%2e%2e/nodes.conf',
    '/boot/.',
    '/boot/',
    '/boot',
    '/boot/none',
  ];
  const others = [
    '/files/nodes.conf',
    '/nodes/x',
    '/boot/ipxe/x',
    '/boot/pxelinux.cfg/default',
    '/reports',
    '/files/',
  ];
  for (const path of [...paths, ...others]) assert.equal((await get(path)).status, 404, path);
  assert.equal((await fetch(`${server.url}/boot/kernel`, { method: 'POST' })).status, 405);
});

test('it says at its start which boot files are there', async (t) => {
  const { repo, said } = await site(t);
  await said(/boot files in .*\/boot: no kernel, no initrd\.img; make them with swarmboot initrd build\n/);
  writeFileSync(join(repo, 'boot/kernel'), 'x');
  writeFileSync(join(repo, 'boot/initrd.img'), 'x'.repeat(2048));
  const again = await serveRepository(t, repo);
  while (!/boot files in .*: kernel 1 B, initrd\.img 2\.0 KiB\n/.test(again.said()))
    await sleep(10, undefined, { signal: t.signal });
});

test('a wrong nodes.conf is told; the last right one counts, and before there was one nothing is decided', async (t) => {
  const { repo, get, said } = await site(t, 'node001\n');
  await said(/nodes\.conf is wrong:\n {2}line 1: nothing is said of "node001"/);
  assert.equal((await get('/boot/ipxe/525400090001')).status, 503);
  writeFileSync(join(repo, 'nodes.conf'), `node001 mac=${MAC} image=web\n`);
  await said(/1 nodes in /);
  writeFileSync(join(repo, 'nodes.conf'), 'nonsense!\n');
  await said(/"nonsense!" is no host name[\s\S]*Correct it.*\n {2}Until then/);
  assert.match((await get('/boot/ipxe/525400090001')).text, /node001 is not armed/);
});

test('layouts and scripts are in the catalog and can be got', async (t) => {
  const { repo, server, get } = await site(t);
  mkdirSync(join(repo, 'scripts/post-install'), { recursive: true });
  writeFileSync(join(repo, 'scripts/post-install/10all.motd'), '#!/bin/sh\n');
  const { files } = await server.manifest((manifest) => manifest.files.length === 1);
  assert.equal(files[0]!.path, 'scripts/post-install/10all.motd');
  assert.deepEqual(await get(`/files/${files[0]!.path}`), { status: 200, text: '#!/bin/sh\n' });
});
