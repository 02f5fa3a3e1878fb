// The page in a real browser, with nodes that report: what it shows, and how one moves in it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { encodeMessage, type Message } from '../../agent/core/monitor.ts';
import type { Cluster } from '../../scripts/core/cluster.ts';
import { noise, scratch } from '../content.ts';
import { INVENTORY, lines, message } from '../core/messages.ts';
import { published } from '../scripts/commands.ts';
import { lastMessage, macOf } from '../scripts/core/installs.ts';
import { type Served, serveRepository } from '../scripts/server.ts';
import { assertClean, openPage } from './browser.ts';

/** A served repository with an image and six nodes, of which four have spoken. */
async function served(t: TestContext) {
  const repo = scratch(t);
  const tree = join(repo, 'tree');
  mkdirSync(tree);
  writeFileSync(join(tree, 'noise'), noise(100_000, 3));
  await published('web', '--kind', 'image', '--from', tree, '--repo', repo);
  const nodes = [1, 2, 3, 4, 5, 6].map(
    (number) => `node${number} mac=${macOf(number)} image=web groups=g${number % 2}\n`,
  );
  writeFileSync(join(repo, 'nodes.conf'), nodes.join(''));
  const server = await serveRepository(t, repo);
  await server.manifest(({ entries }) => entries.length === 1);
  for (const number of [1, 2]) await say(server, lastMessage({ number }).message);
  const installing = lastMessage({
    number: 3,
    end: null,
    report: { percent: 37, downBytesPerSec: 5 * 2 ** 20 },
  }).message;
  await say(server, { ...installing, inventory: INVENTORY, log: lines('disks ...', 'image ...') });
  await say(
    server,
    message({ mac: macOf(4), install: 'i4', status: -1, text: 'no disk fits\nvda', stage: 'disks' }),
  );
  return { repo, server };
}

async function say({ url }: Served, one: Message): Promise<void> {
  const response = await fetch(`${url}/reports`, { method: 'POST', body: encodeMessage(one) });
  assert.equal(response.status, 204);
}

const NODE_ROWS = 'table.nodes tbody tr';

test('the numbers of the page are those of the server', async (t) => {
  const { server } = await served(t);
  const window = await openPage(t, server.url);
  await window.text('#connection', (text) => text === 'live');
  await window.text('.tile.failed b', (text) => text === '1');
  const cluster = (await (await fetch(`${server.url}/cluster.json`)).json()) as Cluster;
  for (const [state, count] of Object.entries(cluster.counts)) {
    assert.equal(await window.page.locator(`.tile.${state} b`).innerText(), `${count}`, state);
  }
  assert.equal(await window.page.locator('.grid a:visible').count(), 6);
  const rows = await window.page.locator(NODE_ROWS).allInnerTexts();
  assert.deepEqual(
    rows.map((row) => row.split('\t').slice(0, 5)),
    cluster.nodes.map(({ name, phrase, stage, percent, downBytesPerSec }) => [
      name,
      phrase,
      stage,
      `${percent} %`,
      downBytesPerSec === 0 ? '0 B/s' : '5.0 MiB/s',
    ]),
  );
  assert.match(await window.page.locator('.run-facts').innerText(), /on disk\s+2 of 4/);
  assertClean(window);
});

test('what changes is seen without asking, and a server that comes back is found again', async (t) => {
  const { repo, server } = await served(t);
  const window = await openPage(t, server.url);
  await window.text('.tile.failed b', (text) => text === '1');
  await say(server, message({ mac: macOf(5), install: 'i5', status: -1, text: 'broken' }));
  await window.text('.tile.failed b', (text) => text === '2');
  assertClean(window);
  const port = new URL(server.url).port;
  server.child.kill('SIGKILL');
  await once(server.child, 'close');
  await window.text('#connection', (text) => text.startsWith('the server does not answer'));
  const again = await serveRepository(t, repo, { http: Number(port) });
  await window.text('#connection', (text) => text === 'live');
  await say(again, message({ mac: macOf(6), install: 'i6', status: -1, text: 'broken' }));
  await window.text('.tile.failed b', (text) => text === '3');
});

test('nodes are searched, filtered by state, and sorted', async (t) => {
  const { server } = await served(t);
  const window = await openPage(t, server.url);
  const { page } = window;
  const names = async () => (await page.locator(`${NODE_ROWS} td:first-child`).allInnerTexts()).join(' ');
  await window.text('.tile.failed b', (text) => text === '1');
  await page.getByLabel('Search').fill('g1 web');
  assert.equal(await names(), 'node1 node3 node5');
  assert.equal(await page.locator('.grid a:visible').count(), 3);
  await page.getByLabel('Search').fill('');
  await page.locator('.tile.failed').click();
  assert.equal(await names(), 'node4');
  assert.equal(await page.locator('.tile.failed').getAttribute('aria-pressed'), 'true');
  await page.locator('.tile.failed').click();
  await page.getByRole('button', { name: 'Done' }).click();
  assert.equal((await names()).split(' ').slice(0, 3).join(' '), 'node1 node2 node3');
  assert.equal(await page.locator('th[aria-sort="descending"]').innerText(), 'Done');
  await page.getByRole('button', { name: 'Done' }).click();
  assert.equal((await names()).split(' ').at(-1), 'node2');
  assertClean(window);
});

test('with the keyboard alone one gets to a node and back', async (t) => {
  const { server } = await served(t);
  const window = await openPage(t, server.url);
  const { page } = window;
  await window.text('.tile.failed b', (text) => text === '1');
  await page.keyboard.press('Tab');
  assert.equal(await page.locator(':focus').innerText(), 'To the content');
  await page.locator('.grid a').first().focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  assert.match((await page.locator(':focus').getAttribute('aria-label'))!, /^node3: installing 37 %/);
  await page.keyboard.press('Enter');
  await window.text('h1', (text) => text === 'node3');
  assert.match(await page.locator('[role=log]').innerText(), /disks \.\.\.\n.*image \.\.\./);
  assert.match(await page.locator('article').innerText(), /memory\s+1\.0 GiB/);
  const stages = await page.locator('.stages tbody tr').count();
  assert.equal(stages, 7);
  await page.goBack();
  await window.text('.tile.failed b', (text) => text === '1');
  assertClean(window);
});

test('runs are listed, one is shown with its report, and two are compared', async (t) => {
  const { server } = await served(t);
  // Another image makes another run.
  const tree = scratch(t);
  writeFileSync(join(tree, 'noise'), noise(50_000, 4));
  const { repo } = { repo: server.child.spawnargs[server.child.spawnargs.indexOf('--repo') + 1]! };
  await published('db', '--kind', 'image', '--from', tree, '--repo', repo);
  await server.manifest(({ entries }) => entries.length === 2);
  await say(server, { ...lastMessage({ number: 6 }).message, image: 'db' });
  const window = await openPage(t, `${server.url}/#/runs`);
  const { page } = window;
  await window.text('article table', (text) => /db-\d/.test(text) && /web-\d/.test(text));
  for (const box of await page.getByRole('checkbox').all()) await box.check();
  await page.getByRole('button', { name: 'Compare two' }).click();
  await window.text('h1', (text) => text === 'Two runs');
  await window.text('article table', (text) => /own time\t.*\t/.test(text));
  await page.goBack();
  await page.getByRole('link', { name: /^web-/ }).click();
  await window.text('h1', (text) => text.startsWith('Run web-'));
  await window.text('article', (text) => /Not installed/.test(text) && /no disk fits/.test(text));
  await page.waitForFunction("document.querySelectorAll('.uplot canvas').length === 2");
  assertClean(window);
});

test('colours follow the system, and the reader, who is remembered', async (t) => {
  const { server } = await served(t);
  const window = await openPage(t, server.url, { colours: 'dark' });
  const { page } = window;
  const ground = () => page.evaluate<string>('getComputedStyle(document.body).backgroundColor');
  await window.text('.tile.failed b', (text) => text === '1');
  assert.equal(await ground(), 'rgb(20, 22, 26)');
  await page.getByRole('button', { name: 'Use light colours' }).click();
  assert.equal(await ground(), 'rgb(255, 255, 255)');
  await page.reload();
  await window.text('.tile.failed b', (text) => text === '1');
  assert.equal(await ground(), 'rgb(255, 255, 255)');
  assertClean(window);
});

test('a phone shows it without scrolling sideways', async (t) => {
  const { server } = await served(t);
  const window = await openPage(t, server.url, { width: 390, height: 800 });
  await window.text('.tile.failed b', (text) => text === '1');
  const [wide, seen] = await window.page.evaluate<number[]>(
    '[document.documentElement.scrollWidth, innerWidth]',
  );
  assert.ok(wide! <= seen!, `${wide} of ${seen}`);
  assertClean(window);
});
