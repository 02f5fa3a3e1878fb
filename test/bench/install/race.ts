// The three things that are timed in a round, each with an image server of its own that has just been started: all nodes
// install over links without a rate; they download and do nothing else; they install over the links of the lab.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CatalogEntry } from '../../../agent/core/catalog.ts';
import { withAnnounce } from '../../../agent/core/metainfo.ts';
import type { Ms } from '../../../agent/core/units.ts';
import { torrentPath } from '../../../scripts/repository.ts';
import { compareTrees } from '../../../scripts/trees.ts';
import { Program } from '../../foreign/process.ts';
import type { Lab } from '../../lab/lab.ts';
import { ROOM_MEMORY, warmMemory } from '../../lab/room.ts';
import { ours } from '../contenders.ts';
import { CpuWatch } from '../swarm/watches.ts';
import { AGENT, IMAGE, IMAGE_NAME, installedBytes, SWARMBOOT } from './published.ts';

const HTTP_PORT = 8080;
const TRACKER_PORT = 6969;
const SEEDER_PORT = 6881;
const PEER_PORT = 7001;
const LOOPBACK = '127.0.0.1';
const READY_MS: Ms = 60_000;
const PATIENCE_MS: Ms = 240_000;

/** What all runs of a bench have in common. */
export interface Course {
  readonly lab: Lab;
  /** In the room's memory. */
  readonly repository: string;
  readonly entry: CatalogEntry;
  /** Our bare peer, bundled. */
  readonly peer: string;
}

/** What was timed, from the word to begin. */
export interface Timed {
  /** When the last node had the whole tarball. */
  readonly downloadedMs: Ms;
  /** When the last node was done. */
  readonly doneMs: Ms;
  /** Part of the machine's CPU time that was not idle. */
  readonly busyShare: number;
  /** Of all programs of the run. */
  readonly cpuSec: number;
}

/** Times of a round. */
export interface Round {
  readonly extraction: Timed;
  readonly download: Timed;
  readonly install: Timed;
}

/** Runs all three. With `compared` the trees of the install are compared with the image. */
export async function runRound(course: Course, compared: boolean): Promise<Round> {
  const extraction = await timed(course, (run) => run.install(LOOPBACK));
  const download = await timed(course, (run) => run.download());
  const install = await timed(course, async (run) => {
    const times = await run.install(null);
    return compared ? { ...times, check: () => run.compare() } : times;
  });
  return { extraction, download, install };
}

interface Times extends Timed {
  /** What remains to be looked at when the time is up. */
  readonly check?: () => Promise<void>;
}

async function timed(course: Course, work: (run: Run) => Promise<Times>): Promise<Timed> {
  const folder = mkdtempSync(join(ROOM_MEMORY, 'install-'));
  const run = new Run(course, folder);
  try {
    const { check, ...times } = await work(run);
    await run.stop();
    await check?.();
    return times;
  } finally {
    await run.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

class Run {
  readonly #course: Course;
  readonly #folder: string;
  readonly #programs: Program[] = [];

  constructor(course: Course, folder: string) {
    this.#course = course;
    this.#folder = folder;
    const { entry, lab } = course;
    warmMemory((lab.nodes.length - 1) * installedBytes(entry));
  }

  /** Agents install; all on node 0 when `host` is one of its own addresses. */
  async install(host: string | null): Promise<Times> {
    const { lab } = this.#course;
    const server = host ?? lab.nodes[0]!.host;
    await this.#serve(server);
    const starts = lab.nodes.slice(1).map((node) => () => {
      const target = join(this.#folder, node.name);
      const staging = join(this.#folder, `${node.name}-staging`);
      for (const made of [target, staging]) mkdirSync(made);
      const parameters = {
        IMAGESERVER: `${server}:${HTTP_PORT}`,
        IMAGENAME: IMAGE_NAME,
        TARGET: target,
        BITTORRENT_STAGING: staging,
        BITTORRENT_PORT: host === null ? PEER_PORT : 0,
        BIND: host ?? node.host,
        CONSOLE: 'json',
      };
      const flags = Object.entries(parameters).map(([name, value]) => `--${name}=${value}`);
      const { launcher } = host === null ? node : lab.nodes[0]!;
      return this.#start(AGENT, flags, launcher);
    });
    return this.#race(
      starts.map((start) => async (downloaded: () => void) => {
        const program = start();
        const said = (fact: RegExp) => () => fact.test(program.output);
        await program.until('the image', said(/"stageEnded","stage":"image"/), PATIENCE_MS);
        downloaded();
        await program.until('the end of the install', said(/"fact":"installed"/), PATIENCE_MS);
      }),
    );
  }

  /** Peers of ours download the tarball. */
  async download(): Promise<Times> {
    const { lab, entry, peer, repository } = this.#course;
    const [server, ...nodes] = lab.nodes;
    await this.#serve(server!.host);
    const torrent = join(this.#folder, 'image.torrent');
    const announce = `http://${server!.host}:${TRACKER_PORT}/announce`;
    writeFileSync(torrent, withAnnounce(readFileSync(torrentPath(repository, entry)), [[announce]]));
    const waiting = await Promise.all(
      nodes.map(async ({ name, host, launcher }) => {
        const folder = join(this.#folder, name);
        mkdirSync(folder);
        const job = { torrent, folder, name: entry.file, state: folder, host, port: PEER_PORT, seeder: '' };
        const running = await ours(peer, 'hybrid').fetch({ ...job, stays: true, launch: { launcher } });
        this.#programs.push(running.program);
        return running;
      }),
    );
    return this.#race(
      waiting.map((running) => async (downloaded: () => void) => {
        await running.complete(PATIENCE_MS);
        downloaded();
      }),
    );
  }

  /** Throws when a node's tree is not the image. */
  async compare(): Promise<void> {
    for (const { name } of this.#course.lab.nodes.slice(1)) {
      const differences = await compareTrees(IMAGE, join(this.#folder, name));
      if (differences.length > 0) throw new Error(`${name} differs:\n${differences.slice(0, 10).join('\n')}`);
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#programs.map((program) => program.stop()));
  }

  async #race(nodes: readonly ((downloaded: () => void) => Promise<void>)[]): Promise<Times> {
    const cpu = new CpuWatch(this.#programs);
    const beganMs = performance.now();
    const took = () => performance.now() - beganMs;
    let downloadedMs = 0;
    await Promise.all(
      nodes.map((node) =>
        node(() => {
          downloadedMs = took();
        }),
      ),
    );
    return { downloadedMs, doneMs: took(), busyShare: cpu.busyShare, cpuSec: cpu.sec };
  }

  async #serve(host: string): Promise<void> {
    const { lab, repository } = this.#course;
    const ports = Object.entries({ http: HTTP_PORT, tracker: TRACKER_PORT, peer: SEEDER_PORT });
    const words = ['serve', '--repo', repository, '--host', host];
    const flags = ports.flatMap(([name, port]) => [`--${name}-port`, String(port)]);
    const program = this.#start(process.execPath, [SWARMBOOT, ...words, ...flags], lab.nodes[0]!.launcher);
    await program.until('seeding', () => program.output.includes('seeding image'), READY_MS);
  }

  #start(path: string, args: readonly string[], launcher: readonly string[]): Program {
    const program = new Program(path, args, { launcher });
    this.#programs.push(program);
    return program;
  }
}
