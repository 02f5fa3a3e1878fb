import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeMessage, type Message } from '../../agent/core/monitor.ts';
import type { Cluster, ClusterChange, NodeDetail } from '../../scripts/core/cluster.ts';
import { arm } from '../../scripts/nodes.ts';
import { noise, scratch } from '../content.ts';
import { INVENTORY, lines, message } from '../core/messages.ts';
import { published, swarmboot } from './commands.ts';
import { lastMessage, macOf } from './core/installs.ts';
import { serveRepository } from './server.ts';

const NODES = [1, 2, 3].map((number) => `node${number} mac=${macOf(number)} image=web groups=web\n`).join('');

/** A served repository with an image and three nodes. */
async function watched(t: TestContext) {
  const repo = scratch(t);
  const tree = join(repo, 'tree');
  mkdirSync(tree);
  writeFileSync(join(tree, 'noise'), noise(200_000, 3));
  await published('web', '--kind', 'image', '--from', tree, '--repo', repo);
  writeFileSync(join(repo, 'nodes.conf'), NODES);
  const server = await serveRepository(t, repo);
  await server.manifest(({ entries }) => entries.length === 1);
  const say = async (one: Message) => {
    const response = await fetch(`${server.url}/reports`, { method: 'POST', body: encodeMessage(one) });
    assert.equal(response.status, 204, await response.text());
    return response;
  };
  const json = async <T>(path: string): Promise<T> => (await (await fetch(server.url + path)).json()) as T;
  return { repo, server, say, json };
}

/** The events of a stream, one by one. */
async function* events(url: string, signal: AbortSignal): AsyncGenerator<ClusterChange> {
  const response = await fetch(`${url}/events`, { signal });
  assert.equal(response.headers.get('content-type'), 'text/event-stream');
  let text = '';
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const data = /^data: (.*)$/m.exec(text.slice(0, end))?.[1];
      text = text.slice(end + 2);
      yield JSON.parse(data!) as ClusterChange;
    }
  }
}

test('the cluster as JSON: listed, armed, installing, failed', async (t) => {
  const { repo, say, json } = await watched(t);
  const states = async () =>
    (await json<Cluster>('/cluster.json')).nodes.map(({ name, state }) => `${name} ${state}`);
  await say(message({ mac: macOf(1), install: 'i1' }));
  await say(message({ mac: macOf(9), host: 'stranger', status: 0, stage: 'waiting' }));
  await arm(repo, macOf(2));
  while (!(await states()).includes('node2 armed')) await sleep(50, undefined, { signal: t.signal });
  assert.deepEqual(await states(), ['node1 installing', 'node2 armed', 'node3 idle', 'stranger unknown']);
  await say(message({ mac: macOf(1), install: 'i1', status: -1, text: 'no disk' }));
  assert.equal((await json<Cluster>('/cluster.json')).counts.failed, 1);
  rmSync(join(repo, 'armed'), { recursive: true });
  while ((await states()).includes('node2 armed')) await sleep(50, undefined, { signal: t.signal });
});

test('who follows the events gets the whole picture first, then what changes', async (t) => {
  const { server, say } = await watched(t);
  const stop = new AbortController();
  const stream = events(server.url, stop.signal);
  const first = (await stream.next()).value as ClusterChange;
  assert.deepEqual([first.whole, first.nodes.length], [true, 3]);
  await stream.next();
  await say(message({ mac: macOf(2), install: 'i2', image: 'web' }));
  for await (const { whole, nodes } of stream) {
    assert.equal(whole, false);
    if (nodes.length === 0) continue;
    assert.deepEqual(
      nodes.map(({ name, state }) => [name, state]),
      [['node2', 'installing']],
    );
    break;
  }
  stop.abort();
});

test('one machine, its run, and the run as a page that can be mailed', async (t) => {
  const { server, say, json } = await watched(t);
  const { message: last } = lastMessage({ number: 1 });
  await say({ ...last, inventory: INVENTORY, log: lines('disks ...', 'done') });
  const detail = await json<{ runId: string; listed: { name: string }; log: { text: string }[] }>(
    '/nodes/52-54-00-09-00-01.json',
  );
  assert.equal(detail.listed.name, 'node1');
  assert.deepEqual(
    detail.log.map(({ text }) => text),
    ['disks ...', 'done'],
  );
  const { report, run } = await json<{ report: { counts: { imaged: number } }; run: object }>(
    `/runs/${detail.runId}.json`,
  );
  assert.equal(report.counts.imaged, 1);
  assert.ok('curves' in run && !('nodes' in run));
  const [facts] = await json<{ name: string }[]>(`/runs/${detail.runId}/nodes.json`);
  assert.equal(facts!.name, 'node1');
  assert.ok('curves' in (await json<object>(`/runs/${detail.runId}/${macOf(1)}.json`)));
  const [head] = await json<{ id: string }[]>('/runs.json');
  assert.equal(head!.id, detail.runId);
  const html = await (await fetch(`${server.url}/runs/${detail.runId}.html`)).text();
  assert.match(html, /<title>Swarmboot: run web-\d+T\d+Z<\/title>/);
  for (const path of [
    '/nodes/52-54-00-09-00-99.json',
    '/runs/none.json',
    `/runs/${detail.runId}/x.json`,
    '/runs/%2e%2e.json',
  ]) {
    assert.equal((await fetch(server.url + path)).status, 404, path);
  }
});

test('the page and all its parts are served, and may fetch nothing from elsewhere', async (t) => {
  const { server } = await watched(t);
  const wanted = new Set(['/']);
  for (const path of wanted) {
    const response = await fetch(server.url + path);
    assert.equal(response.status, 200, path);
    const policy = response.headers.get('content-security-policy')!;
    assert.match(policy, /^default-src 'none'; script-src 'self';/);
    assert.doesNotMatch(policy, /unsafe/);
    assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
    const text = await response.text();
    for (const [, found] of text.matchAll(/(?:href|src)="(\/[^"#]+)"|from '([^']+)'/g))
      if (found) wanted.add(found);
    for (const [, found] of text.matchAll(/from '([^']+)'/g))
      wanted.add(new URL(found!, `http://x${path}`).pathname);
    if (path.startsWith('/packages/')) continue;
    assert.doesNotMatch(text.replaceAll('http://www.w3.org/2000/svg', ''), /https?:/, path);
  }
  assert.ok(wanted.size > 12, [...wanted].join(' '));
  for (const secret of [
    '/scripts/serve.ts',
    '/package.json',
    '/scripts/page/../serve.ts',
    '/scripts/page/tsconfig.json',
  ]) {
    assert.equal((await fetch(server.url + secret)).status, 404, secret);
  }
});

test('health, readiness, and the reason when it is not ready', async (t) => {
  const { repo, server } = await watched(t);
  assert.equal((await fetch(`${server.url}/healthz`)).status, 200);
  assert.equal((await fetch(`${server.url}/readyz`)).status, 200);
  writeFileSync(join(repo, 'catalog', 'broken.json'), '{');
  let status = 200;
  while (status === 200) {
    await sleep(50, undefined, { signal: t.signal });
    const response = await fetch(`${server.url}/readyz`);
    status = response.status;
    if (status === 503) assert.match(await response.text(), /broken\.json is no catalog entry/);
  }
  assert.equal((await fetch(`${server.url}/healthz`)).status, 200);
});

test('a server that is killed and comes back knows its nodes, their run and their ends', async (t) => {
  const { repo, server, say } = await watched(t);
  await say({ ...lastMessage({ number: 1, end: null }).message });
  await say({ ...lastMessage({ number: 2 }).message });
  server.child.kill('SIGTERM');
  await once(server.child, 'close');
  const again = await serveRepository(t, repo);
  const { nodes, runs } = (await (await fetch(`${again.url}/cluster.json`)).json()) as Cluster;
  assert.deepEqual(nodes.map(({ name, state }) => [name, state]).slice(0, 2), [
    ['node1', 'installing'],
    ['node2', 'imaged'],
  ]);
  assert.equal(runs[0]!.report.counts.installing, 1);
});

test('a server that was killed before it wrote what it had answered neither repeats nor misses a line', async (t) => {
  const { repo, server, say } = await watched(t);
  const told = (logFrom: number, ...texts: string[]) =>
    message({ mac: macOf(1), install: 'i1', log: lines(...texts), logFrom });
  await say(told(0, 'one', 'two'));
  const place = join(repo, 'reports', '525400090001.json');
  while (!existsSync(place)) await sleep(10, undefined, { signal: t.signal });
  // Mere progress: in the log at once, in the record later.
  await say(told(2, 'three'));
  server.child.kill('SIGKILL');
  await once(server.child, 'close');
  const again = await serveRepository(t, repo);
  // The answer to the last one may have been lost, and then come the next.
  for (const next of [told(2, 'three'), told(3, 'four')]) {
    const body = encodeMessage(next);
    assert.equal((await fetch(`${again.url}/reports`, { method: 'POST', body })).status, 204);
  }
  const detail = (await (await fetch(`${again.url}/nodes/${macOf(1)}.json`)).json()) as NodeDetail;
  assert.deepEqual(
    detail.log.map(({ text }) => text),
    ['one', 'two', 'three', 'four'],
  );
});

test('status shows the cluster and one machine, as text and as JSON', async (t) => {
  const { server, say } = await watched(t);
  const status = (...words: string[]) => swarmboot(['status', ...words, '--server', server.url]);
  await say({ ...lastMessage({ number: 1 }).message, inventory: INVENTORY, log: lines('one', 'two') });
  await say(message({ mac: macOf(2), status: -1, text: 'no disk\nfits', install: 'i2' }));
  const { out } = await status();
  assert.match(out, /^\d\d:\d\d:\d\d UTC {2}3 nodes: 1 failed, 1 imaged, 1 idle\n/);
  assert.match(out, /\nrun web-\d+T\d+Z: 1 of 2 have the image after /);
  assert.match(out, /\nnode2 +failed: no disk +image /);
  const one = (await status('node1')).out;
  assert.match(one, /^node1 \(52:54:00:09:00:01\)\n {2}state +imaged\n/);
  for (const row of [
    'image        web',
    'groups       web',
    'stages          0:00  parameters',
    'memory       1.0 GiB',
    'log          one',
  ]) {
    assert.ok(one.includes(`\n  ${row}\n`), `${row}\n${one}`);
  }
  assert.match((await status('525400090002')).out, /state +failed: no disk\n(.*\n)*? +no disk\n +fits\n/);
  assert.equal(JSON.parse((await status('--json')).out).nodes.length, 3);
  assert.equal(JSON.parse((await status('node1', '--json')).out).node.name, 'node1');
  assert.match((await status('nobody')).err, /nothing is known of "nobody"; see swarmboot status/);
  const away = await swarmboot(['status', '--server', 'http://127.9.9.9:6970']);
  assert.deepEqual(
    [away.status, /cannot get .*ECONNREFUSED.*start swarmboot serve there/.test(away.err)],
    [11, true],
  );
});

test('report tells of the last run, or of the one that is named, as text, JSON and HTML', async (t) => {
  const { repo, server, say } = await watched(t);
  const report = (...words: string[]) => swarmboot(['report', ...words, '--repo', repo]);
  assert.match((await report()).err, /no run is kept in .*; see swarmboot report --list/);
  for (const number of [1, 2, 3]) await say(lastMessage({ number }).message);
  server.child.kill('SIGTERM');
  await once(server.child, 'close');
  assert.match(
    (await report()).out,
    /^run web-\d+T\d+Z\n {2}image +web, .*\n(.*\n)*no node was slower than the median by a tenth\n$/,
  );
  const [{ id }] = JSON.parse((await report('--list', '--json')).out);
  assert.match((await report('--list')).out, new RegExp(`\\n${id} +web `));
  assert.equal(JSON.parse((await report(id, '--json')).out).counts.imaged, 3);
  const file = join(repo, 'report.html');
  assert.equal((await report(id, '--html', file)).status, 0);
  assert.match((await report('web-20000101T000000Z')).err, /no run "web-20000101T000000Z" in /);
  assert.match(
    (await report('--html', '/nowhere/x.html')).err,
    /cannot write \/nowhere\/x\.html.*; choose another --html/,
  );
});
