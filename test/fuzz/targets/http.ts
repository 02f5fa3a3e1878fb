// The image server as it runs, over HTTP on loopback: requests, headers, paths, and the bodies of reports.

import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Rng } from '../../../agent/core/rng.ts';
import { KIB } from '../../../agent/core/units.ts';
import { type Command, parseArguments } from '../../../scripts/command.ts';
import { arm } from '../../../scripts/nodes.ts';
import { publish } from '../../../scripts/publish.ts';
import { serve } from '../../../scripts/serve.ts';
import { archive, member } from '../../core/archives.ts';
import { INVENTORY, lines, message, REPORT } from '../../core/messages.ts';
import { GUIDE_LAYOUTS } from '../../disks.ts';
import { call, statusOf } from '../call.ts';
import { oddJson } from '../generate.ts';
import { bytesOf, must, type Target, type Verdict } from '../target.ts';

const CANARY = 'this file is for nobody';
const MAC = '52:54:00:09:00:01';
const PATHS = [
  '/',
  '/manifest',
  '/torrents/web.torrent',
  '/cluster.json',
  '/runs.json',
  '/metrics',
  '/healthz',
  '/readyz',
  '/events',
  `/nodes/${MAC}`,
  `/nodes/${MAC}.json`,
  '/boot/kernel',
  '/boot/ipxe/52-54-00-09-00-01',
  '/boot/grub/525400090001',
  '/boot/pxelinux.cfg/01-52-54-00-09-00-01',
  '/files/layouts/default.json',
  '/runs/web-20260131T120000Z.json',
  '/runs/web-20260131T120000Z/nodes.json',
  '/files/../canary',
  '/boot/..%2f..%2fcanary',
];
const FULL = message({
  report: REPORT,
  inventory: INVENTORY,
  install: 'i1',
  image: 'web',
  log: lines('one', 'two'),
});
const DONE = message({ ...FULL, status: 100, stage: 'seed-wait', logFrom: 2, inventory: null });

function get(path: string, method = 'GET'): Uint8Array {
  return bytesOf(`${method} ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
}

function post(path: string, body: Uint8Array): Uint8Array {
  const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
  return Buffer.concat([bytesOf(head), body]);
}

const SEEDS = [
  ...PATHS.map((path) => get(path)),
  get('/manifest', 'HEAD'),
  get('*', 'OPTIONS'),
  post('/reports', bytesOf(JSON.stringify(FULL))),
  post('/reports', bytesOf(JSON.stringify(DONE))),
  post(
    '/reports',
    bytesOf(
      JSON.stringify(message({ install: 'i2', image: 'web', report: { ...REPORT, elapsedMs: 2 ** 53 - 1 } })),
    ),
  ),
  post('/echo', bytesOf('echo'.repeat(100))),
  post('/echo', new Uint8Array(300 * KIB)),
  post('/reports', new Uint8Array(400 * KIB)),
  bytesOf(
    'POST /reports HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n',
  ),
  bytesOf('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n'),
];

/** A path with odd characters, or a report with an odd field. */
function build(rng: Rng): Uint8Array {
  if (rng.next() < 0.6)
    return post(rng.next() < 0.9 ? '/reports' : '/echo', oddJson(rng.next() < 0.3 ? DONE : FULL, rng));
  const path = PATHS[rng.below(PATHS.length)]!;
  const at = rng.below(path.length + 1);
  const odd = ['..', '/', '%00', '%2f', '.', ':', '?', '\\', '//', '%'][rng.below(10)]!;
  return get(path.slice(0, at) + odd + path.slice(at + rng.below(4)));
}

/** What the server says to its admin. */
class Said {
  text = '';
  readonly #abort = new AbortController();
  readonly terminal = { out: this.#pen(), err: this.#pen(), signal: this.#abort.signal };

  end(): void {
    this.#abort.abort();
  }

  #pen(): Writable {
    return new Writable({
      write: (chunk, _, done) => {
        this.text = (this.text + chunk).slice(-10_000);
        done();
      },
    });
  }
}

function runCommand(command: Command, words: readonly string[], said: Said): Promise<void> {
  return command.run(parseArguments(words, command.options), said.terminal);
}

/** A repository with one image, one layout and one armed node. */
async function makeRepository(folder: string, said: Said): Promise<string> {
  const repo = join(folder, 'repo');
  for (const name of ['layouts', 'boot']) mkdirSync(join(repo, name), { recursive: true });
  writeFileSync(join(folder, 'canary'), CANARY);
  writeFileSync(join(repo, 'canary'), CANARY);
  writeFileSync(join(repo, 'nodes.conf'), `node001 mac=${MAC} image=web\n`);
  writeFileSync(join(repo, 'layouts', 'default.json'), GUIDE_LAYOUTS[0]!);
  writeFileSync(join(repo, 'boot', 'kernel'), 'kernel');
  writeFileSync(join(folder, 'web.tar'), archive(member({ name: 'a' }, 'content')));
  await runCommand(
    publish,
    ['web', '--kind', 'image', '--from', join(folder, 'web.tar'), '--repo', repo],
    said,
  );
  await arm(repo, MAC);
  return repo;
}

const WRITTEN = new Set(['reports', 'logs', 'runs', 'armed', 'known.json']);

export async function http(scratch: string): Promise<Target> {
  const folder = mkdtempSync(join(scratch, 'http-'));
  const said = new Said();
  const repo = await makeRepository(folder, said);
  const before = new Set(readdirSync(repo));
  const ports = ['http', 'tracker', 'peer'].flatMap((name) => [`--${name}-port`, '0']);
  const served = runCommand(serve, ['--repo', repo, '--host', '127.0.0.1', ...ports], said);
  while (!said.text.includes('seeding image web')) await Promise.race([sleep(10), served]);
  const port = Number(/http port (\d+)/.exec(said.text)?.[1]);
  const judge = async (bytes: Uint8Array): Promise<Verdict> => {
    const answer = await call(port, bytes);
    const status = statusOf(answer);
    must(!said.text.includes('not answered'), `the server has an answer for everything: ${said.text}`);
    must(status !== 500, 'a fault of the asker is none of the server');
    must(!answer.includes(CANARY), 'nothing is told that was not offered');
    return status !== null && status < 400 ? 'accepted' : 'refused';
  };
  return {
    seeds: SEEDS,
    words: [
      ...PATHS,
      'GET ',
      'POST ',
      ' HTTP/1.1\r\n',
      '\r\n',
      '\r\n\r\n',
      'Content-Length: ',
      'Host: attacker.example\r\n',
      'Transfer-Encoding: chunked\r\n',
      'Expect: 100-continue\r\n',
      'Connection: Upgrade\r\nUpgrade: x\r\n',
      'Range: bytes=0-\r\n',
      '"',
      '../',
      '%2e%2e/',
      '%00',
      'http://',
    ],
    build,
    bytesMax: 300 * KIB,
    // Up to ten thousand nodes that nobody has listed are remembered.
    growthMiB: 64,
    judge,
    close: async () => {
      said.end();
      await served;
      const more = readdirSync(repo).filter((name) => !before.has(name) && !WRITTEN.has(name));
      must(more.length === 0, `nothing is written elsewhere: ${more.join(', ')}`);
      must(readdirSync(folder).sort().join() === 'canary,repo,web.tar', 'nothing is written outside');
    },
  };
}
