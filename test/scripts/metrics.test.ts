import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { encodeMessage } from '../../agent/core/monitor.ts';
import { clusterOf } from '../../scripts/core/cluster.ts';
import { Metrics } from '../../scripts/metrics.ts';
import { noise, scratch } from '../content.ts';
import { message } from '../core/messages.ts';
import { published } from './commands.ts';
import { lastMessage, macOf } from './core/installs.ts';
import { serveRepository } from './server.ts';

const PROMTOOL = '/usr/bin/promtool';
const DASHBOARD = join(import.meta.dirname, '..', '..', 'docs', 'grafana.json');

/** What a server tells that has installed two nodes and seen a third one fail. */
async function metrics(t: TestContext, nodes = 3): Promise<string> {
  const repo = scratch(t);
  const tree = join(repo, 'tree');
  mkdirSync(tree);
  writeFileSync(join(tree, 'noise'), noise(100_000, 3));
  await published('web', '--kind', 'image', '--from', tree, '--repo', repo);
  const server = await serveRepository(t, repo);
  await server.manifest(({ entries }) => entries.length === 1);
  const post = (body: string) => fetch(`${server.url}/reports`, { method: 'POST', body });
  for (let number = 1; number < nodes; number++) {
    const { message: last } = lastMessage({ number });
    await post(encodeMessage(last));
    await post(encodeMessage({ ...last, status: 104, stage: 'post-action' }));
  }
  await post(encodeMessage(message({ mac: macOf(nodes), install: 'i3', status: -1, text: 'no disk' })));
  await post('nonsense');
  const response = await fetch(`${server.url}/metrics`);
  assert.match(response.headers.get('content-type')!, /^text\/plain; version=0\.0\.4/);
  return response.text();
}

test('promtool finds nothing to say about names, units and help', async (t) => {
  if (!existsSync(PROMTOOL)) throw new Error(`${PROMTOOL} is not there: apt-get install prometheus`);
  const { status, stdout, stderr } = spawnSync(PROMTOOL, ['check', 'metrics'], { input: await metrics(t) });
  assert.deepEqual([stdout.toString(), stderr.toString(), status], ['', '', 0]);
});

test('nodes by state, installs by result, stages by seconds, messages, the swarm', async (t) => {
  const text = await metrics(t);
  for (const line of [
    'swarmboot_nodes{state="imaged"} 2',
    'swarmboot_nodes{state="failed"} 1',
    'swarmboot_installs_total{image="web",result="imaged"} 2',
    'swarmboot_installs_total{image="web",result="failed"} 1',
    'swarmboot_install_duration_seconds_sum{image="web"} 40',
    'swarmboot_install_stage_duration_seconds_count{stage="image"} 2',
    'swarmboot_messages_total{result="kept"} 5',
    'swarmboot_messages_total{result="refused"} 1',
    'swarmboot_first_seeder_sent_bytes_total{publication="web"} 0',
    'swarmboot_tracker_peers 0',
  ]) {
    assert.ok(text.includes(`\n${line}\n`), `${line}\n${text}`);
  }
});

test('the number of series does not grow with the number of nodes', async (t) => {
  const series = (text: string) => text.split('\n').filter((line) => line.startsWith('swarmboot_')).length;
  assert.equal(series(await metrics(t, 30)), series(await metrics(t, 3)));
});

test('the Grafana dashboard asks for nothing that the server does not tell', async (t) => {
  const text = await metrics(t);
  const dashboard = readFileSync(DASHBOARD, 'utf8');
  const asked = new Set([...dashboard.matchAll(/\bswarmboot_[a-z_]+/g)].map(([name]) => name));
  assert.ok(asked.size > 8);
  for (const name of asked) assert.ok(new RegExp(`^${name}(?:\\{| )`, 'm').test(text), name);
});

test('nor with the names that somebody makes up for images', async () => {
  const tracker = { torrents: 0, peers: 0, announces: 0, scrapes: 0, refused: 0 };
  const told = new Metrics({
    cluster: () => clusterOf('', [], []),
    tracker: () => tracker,
    seeded: () => [],
    tarballBytes: () => 0,
  });
  for (let number = 0; number < 1000; number++) {
    told.countInstall(null, message({ install: 'i', image: `image${number}`, status: -1 }));
  }
  const { body } = await told.text();
  assert.equal([...body.matchAll(/^swarmboot_installs_total/gm)].length, 101);
  assert.match(body, /image="other",result="failed"\} 900/);
});
