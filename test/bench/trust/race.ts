// One measured run: an image server that has just been started, and agents that install from it all at once. What is counted
// begins when the server seeds and ends when the last agent has ended: start, enrolment, download, extraction, reports.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { CatalogEntry } from '../../../agent/core/catalog.ts';
import type { Ms } from '../../../agent/core/units.ts';
import { compareTrees } from '../../../scripts/trees.ts';
import { believing } from '../../agentprocess.ts';
import { Program } from '../../foreign/process.ts';
import { ROOM_MEMORY, warmMemory } from '../../lab/room.ts';
import { runIn } from '../../scripts/closedsite.ts';
import { AGENT, IMAGE, IMAGE_NAME, installedBytes, SWARMBOOT } from '../install/published.ts';
import { livingSec, reapedSec } from '../meter.ts';
import { HTTP_PORT, HTTPS_PORT, macOf, type TrustSite } from './sites.ts';

const HOST = '127.0.0.1';
const READY_MS: Ms = 60_000;
const PATIENCE_MS: Ms = 120_000;

/** What an install of all nodes took. */
export interface TrustRun {
  readonly site: TrustSite['name'];
  /** CPU seconds, user and system, of the image server and of all agents together. */
  readonly serverSec: number;
  readonly agentsSec: number;
  /** Until the last node had its image extracted. */
  readonly installedMs: Ms;
  /** What the nodes gave to each other. */
  readonly uploadedBytes: number;
}

/** Installs `entry` from `site` on so many nodes. With `compared` their trees are compared with the image afterwards. */
export async function installFrom(
  site: TrustSite,
  entry: CatalogEntry,
  nodes: number,
  compared: boolean,
): Promise<TrustRun> {
  const folder = mkdtempSync(join(ROOM_MEMORY, 'install-'));
  const programs: Program[] = [];
  try {
    const numbers = Array.from({ length: nodes }, (_, index) => index + 1);
    await runIn(site.repository, 'node', 'arm', ...numbers.map((number) => `node${number}`));
    warmMemory(nodes * installedBytes(entry));
    const server = await serve(site, programs);
    const agents = numbers.map((number) => agentOf(site, folder, number));
    const [beganMs, serverBefore, agentsBefore] = [performance.now(), livingSec(server.pid), reapedSec()];
    const installs = agents.map(async (start) => {
      const agent = start();
      programs.push(agent);
      const done = () => /"fact":"installed"/.test(agent.output);
      await agent.until('the end of the install', done, PATIENCE_MS);
      const installedMs = performance.now() - beganMs;
      await agent.success(PATIENCE_MS);
      return { installedMs, uploadedBytes: uploadedBy(agent) };
    });
    const ended = await Promise.all(installs);
    const [serverSec, agentsSec] = [livingSec(server.pid) - serverBefore, reapedSec() - agentsBefore];
    if (compared) for (const number of numbers) await compare(join(folder, `a${number}`));
    return {
      site: site.name,
      serverSec,
      agentsSec,
      installedMs: Math.max(...ended.map(({ installedMs }) => installedMs)),
      uploadedBytes: ended.reduce((sum, { uploadedBytes }) => sum + uploadedBytes, 0),
    };
  } finally {
    await Promise.all(programs.map((program) => program.stop()));
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The image server of a site, once it seeds. */
async function serve({ repository }: TrustSite, programs: Program[]): Promise<Program> {
  const ports = Object.entries({ http: HTTP_PORT, https: HTTPS_PORT, tracker: 6969, peer: 6881 });
  const flags = ports.flatMap(([name, port]) => [`--${name}-port`, String(port)]);
  const words = ['serve', '--repo', repository, '--host', HOST, ...flags];
  const server = new Program(process.execPath, [SWARMBOOT, ...words]);
  programs.push(server);
  await server.until('seeding', () => server.output.includes('seeding image'), READY_MS);
  return server;
}

/** What starts the agent of a node; its folders are made now. */
function agentOf({ server, trust }: TrustSite, folder: string, number: number): () => Program {
  const [target, staging] = [join(folder, `a${number}`), join(folder, `pool${number}`)];
  for (const made of [target, staging]) mkdirSync(made);
  const parameters = {
    IMAGESERVER: server,
    IMAGENAME: IMAGE_NAME,
    TARGET: target,
    BITTORRENT_STAGING: staging,
    BITTORRENT_PORT: 0,
    BITTORRENT_POLLING_TIME: 1,
    BIND: HOST,
    BOOTIF: `01-${macOf(number).replaceAll(':', '-')}`,
    CONSOLE: 'json',
    // Not parked: this machine is not to be started anew.
    SHELL_ON_FAIL: 'y',
  };
  const flags = Object.entries(parameters).map(([name, value]) => `--${name}=${value}`);
  const launcher = believing(join(folder, `etc${number}`), trust);
  return () => new Program(AGENT, flags, { launcher });
}

function uploadedBy(agent: Program): number {
  const [, bytes] = /"fact":"leaving".*?"uploadedBytes":(\d+)/.exec(agent.output) ?? [];
  if (bytes === undefined) throw agent.error('has not told what it gave');
  return Number(bytes);
}

/** Throws when a node's tree is not the image. */
async function compare(tree: string): Promise<void> {
  const differences = await compareTrees(IMAGE, tree);
  if (differences.length > 0) throw new Error(`${tree} differs:\n${differences.slice(0, 10).join('\n')}`);
}
