// How many nodes one image server can listen to: a thousand and ten thousand report every two seconds for a minute while a
// browser shows them and somebody clicks. Processor time of the server, and how long the page takes to answer a click.

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { formatBytes, type Ms } from '../../agent/core/units.ts';
import { openPage } from '../page/browser.ts';
import { PROGRAM, swarmboot } from '../scripts/commands.ts';

const SIZES = (process.env.NODES ?? '1000,10000').split(',').map(Number);
const WATCHED_MS: Ms = 60_000;
const SETTLE_MS: Ms = 10_000;
/** Of a tick in /proc/PID/stat. */
const TICK_MS: Ms = 10;
/** The browser tells of answers that took at least so long. */
const SLOW_MS: Ms = 16;

interface Row {
  readonly nodes: number;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly messagesPerSec: number;
  readonly clicks: readonly Ms[];
}

async function measure(nodes: number): Promise<Row> {
  const repo = mkdtempSync(join(tmpdir(), 'swarmboot-watch-'));
  const ended: (() => void | Promise<void>)[] = [];
  const test = { after: (done: () => void | Promise<void>) => void ended.unshift(done) };
  try {
    mkdirSync(join(repo, 'tree'));
    writeFileSync(join(repo, 'tree', 'file'), 'content');
    await swarmboot(['publish', 'web', '--kind', 'image', '--from', join(repo, 'tree'), '--repo', repo]);
    const ports = ['--http-port', '0', '--tracker-port', '0', '--peer-port', '0'];
    const server = spawn(process.execPath, [
      PROGRAM,
      'serve',
      '--repo',
      repo,
      '--host',
      '127.0.0.1',
      ...ports,
    ]);
    test.after(() => void server.kill('SIGKILL'));
    let said = '';
    server.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    while (!said.includes('seeding image web')) await sleep(50);
    const url = `http://127.0.0.1:${/http port (\d+)/.exec(said)![1]}`;
    const words = [join(import.meta.dirname, 'watch', 'reporters.ts'), url, `${nodes}`, `${2 * WATCHED_MS}`];
    const reporters = spawn(process.execPath, words, { stdio: 'inherit' });
    test.after(() => void reporters.kill('SIGKILL'));
    const { page } = await openPage(test, url);
    await page.evaluate(`globalThis.took = []; new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (entry.name === 'click' || entry.name === 'keydown') globalThis.took.push(entry.duration);
    }).observe({ type: 'event', durationThreshold: ${SLOW_MS} })`);
    await sleep(SETTLE_MS);
    const [cpuBefore, keptBefore, began] = [cpuMs(server.pid!), await kept(url), performance.now()];
    let clicks = 0;
    for (let round = 0; performance.now() - began < WATCHED_MS; round++) {
      await page
        .locator(['.tile.installing', 'th button >> nth=3', 'th button >> nth=0'][round % 3]!)
        .click();
      await page.getByLabel('Search').press(round % 2 === 0 ? '1' : 'Backspace');
      clicks += 2;
      await sleep(1500);
    }
    const tookMs = performance.now() - began;
    const cores = (cpuMs(server.pid!) - cpuBefore) / tookMs;
    const messagesPerSec = (1000 * ((await kept(url)) - keptBefore)) / tookMs;
    const slow = await page.evaluate<number[]>('globalThis.took');
    const quick = Array<number>(Math.max(0, clicks - slow.length)).fill(SLOW_MS);
    return {
      nodes,
      cores,
      messagesPerSec,
      memoryBytes: memory(server.pid!),
      clicks: [...slow, ...quick].sort((a, b) => a - b),
    };
  } finally {
    for (const done of ended) await done();
    rmSync(repo, { recursive: true, force: true });
  }
}

/** User and system time of a process so far. */
function cpuMs(pid: number): Ms {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return TICK_MS * (Number(fields[11]) + Number(fields[12]));
}

function memory(pid: number): number {
  return 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]);
}

/** Messages that the server has kept so far. */
async function kept(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^swarmboot_messages_total\{result="kept"\} (\d+)/m.exec(text)?.[1] ?? 0);
}

const lines = [
  '| nodes | server, cores | most memory | messages kept /s | click to paint, median | slowest of all |',
  '| ---: | ---: | ---: | ---: | ---: | ---: |',
];
for (const nodes of SIZES) {
  const { cores, memoryBytes, messagesPerSec, clicks } = await measure(nodes);
  const cells = [
    `${nodes}`,
    cores.toFixed(2),
    formatBytes(memoryBytes),
    messagesPerSec.toFixed(0),
    `${clicks[clicks.length >> 1]} ms`,
    `${clicks.at(-1)} ms`,
  ];
  lines.push(`| ${cells.join(' | ')} |`);
  process.stdout.write(`${lines.at(-1)}\n`);
}
const [cpu] = cpus();
lines.push(
  '',
  `One page open in Chromium on the same machine, ${WATCHED_MS / 1000} s each; every node has a connection of its own.`,
  `${new Date().toISOString().slice(0, 10)}, ${cpus().length} x ${cpu!.model.trim()}, ${formatBytes(totalmem())}, Linux ${release()}, Node ${process.version}.`,
);
mkdirSync('build/bench', { recursive: true });
writeFileSync('build/bench/watch.md', `${lines.join('\n')}\n`);
process.stdout.write(`\n${lines.join('\n')}\n\nbuild/bench/watch.md\n`);
