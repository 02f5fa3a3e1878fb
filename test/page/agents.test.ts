// Sixteen real agents install a small image, and the page is watched from the first to the last of them.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Cluster } from '../../scripts/core/cluster.ts';
import type { RunReport } from '../../scripts/core/runreport.ts';
import { noise, scratch } from '../content.ts';
import { published } from '../scripts/commands.ts';
import { serveRepository } from '../scripts/server.ts';
import { assertClean, openPage } from './browser.ts';

const AGENT = fileURLToPath(new URL('../../agent/main.ts', import.meta.url));
const NODES = 16;
const IMAGE_BYTES = 12_000_000;
/** Of each node, so that the download can be watched. */
const UPLOAD_MAX_KIB = 1500;

test('sixteen agents from start to end: the page follows, and its numbers are the server\u2019s', async (t) => {
  const repo = scratch(t);
  const tree = join(repo, 'tree');
  mkdirSync(tree);
  writeFileSync(join(tree, 'noise'), noise(IMAGE_BYTES, 3));
  await published('web', '--kind', 'image', '--from', tree, '--repo', repo, '--compress', 'none');
  const server = await serveRepository(t, repo);
  await server.manifest(({ entries }) => entries.length === 1);
  const window = await openPage(t, server.url);
  const { page } = window;
  await window.text('#connection', (text) => text === 'live');
  const cluster = async () => (await (await fetch(`${server.url}/cluster.json`)).json()) as Cluster;

  const agents = Array.from({ length: NODES }, (_, index) => {
    const folder = join(repo, `node${index}`);
    const [target, staging] = [join(folder, 'target'), join(folder, 'staging')];
    for (const path of [target, staging]) mkdirSync(path, { recursive: true });
    const flags = {
      IMAGESERVER: new URL(server.url).host,
      IMAGENAME: 'web',
      BOOTIF: `02:00:00:00:00:${(index + 1).toString(16).padStart(2, '0')}`,
      HOSTNAME: `node${index + 1}`,
      TARGET: target,
      BITTORRENT_STAGING: staging,
      BITTORRENT_PORT: '0',
      BITTORRENT_UPLOAD_MAX: `${UPLOAD_MAX_KIB}`,
      BITTORRENT_SEED_WAIT: 'n',
      BIND: '127.0.0.1',
    };
    const words = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    const child = spawn(process.execPath, [AGENT, ...words], { stdio: ['ignore', 'ignore', 'inherit'] });
    t.after(() => void child.kill('SIGKILL'));
    return once(child, 'close');
  });
  await window.text('.tile.installing b', (text) => text === `${NODES}`);
  // Progress is seen while it is made.
  await window.text('.totals', (text) => /received\s+[\d.]+ [KM]iB\/s/.test(text));
  assert.equal((await page.locator('.grid .cell.fetching').count()) > 0, true);
  assert.equal(await page.locator('.uplot canvas').count(), 1);
  for (const ended of await Promise.all(agents)) assert.deepEqual(ended, [0, null]);

  await window.text('.tile.imaged b', (text) => text === `${NODES}`);
  const { counts, nodes, runs } = await cluster();
  assert.deepEqual([counts.imaged, nodes.length], [NODES, NODES]);
  assert.deepEqual(
    await page.locator('table.nodes td:first-child').allInnerTexts(),
    nodes.map(({ name }) => name).toSorted(),
  );
  const { report } = runs[0]!;
  assert.equal(report.counts.imaged, NODES);
  await page.getByRole('link', { name: 'web', exact: true }).click();
  await window.text('article dl', (text) => text.includes(`${NODES} imaged`));
  const told = (await (await fetch(`${server.url}/runs/${report.id}.json`)).json()) as { report: RunReport };
  // What went out of the first seeder and the nodes is what the nodes have, and what they threw away.
  const { seederCopies, uploadedBytes, wastedBytes } = told.report;
  const size = told.report.sizeBytes;
  const received = NODES * size + wastedBytes;
  assert.ok(
    Math.abs(seederCopies * size + uploadedBytes - received) < 0.02 * received,
    JSON.stringify(told.report),
  );
  assertClean(window);
});
