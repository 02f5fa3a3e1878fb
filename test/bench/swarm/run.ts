// One swarm of one contender in the lab: the first seeder is ready, everybody begins at once, and it is over when the
// last node of full rate has everything.

import { execFile, execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { messageOf } from '../../../agent/core/errors.ts';
import { hex, type Ms } from '../../../agent/core/units.ts';
import type { Client, Job, Running } from '../../foreign/clients.ts';
import { Program } from '../../foreign/process.ts';
import type { Lab } from '../../lab/lab.ts';
import { ROOM_MEMORY } from '../../lab/room.ts';
import { listening } from '../listening.ts';
import type { Sample } from '../sample.ts';
import type { SwarmContender } from './contenders.ts';
import { kindsOf, type NodeKind, type Scenario } from './scenario.ts';
import { CpuWatch, type TrafficSample, TrafficWatch } from './watches.ts';

export const TRACKER_PORT = 6969;
export const PEER_PORT = 7001;
const READY_MS = 60_000;
/** What has been started comes to rest before the word to begin. */
const SETTLE_MS = 500;
/** Programs that are being started, or files that are compared, at the same time. */
const AT_ONCE = 4;
/** Bytes on the wire for bytes of the file: TCP, IP and Ethernet headers around full packets. */
const WIRE_SHARE = 1514 / 1448;

/** What all swarms of a bench have in common. */
export interface Course {
  readonly scenario: Scenario;
  /** Node 0 is the first seeder. */
  readonly lab: Lab;
  readonly sample: Sample;
  /** The bundled tracker. */
  readonly tracker: string;
  /** A swarm that takes longer is broken off. */
  readonly timeoutMs: Ms;
}

/** One fetching node of one swarm. */
export interface NodeResult {
  readonly name: string;
  readonly kind: NodeKind;
  /** When it began, since the word was given; null: never. */
  readonly beganMs: Ms | null;
  /** From then until it had everything; null: not before the end of the swarm. */
  readonly tookMs: Ms | null;
  /** On its link, headers in. */
  readonly receivedBytes: number;
}

export interface SwarmRun {
  readonly contender: string;
  readonly round: number;
  readonly nodes: readonly NodeResult[];
  /** What the first seeder sent over its link, headers in, as a multiple of the file. */
  readonly seederShare: number;
  /** CPU seconds of all programs, by the number of nodes with the first seeder. */
  readonly cpuSecPerNode: number;
  /** Part of the machine's CPU time that was not idle. */
  readonly busyShare: number;
  readonly traffic: readonly TrafficSample[];
  /** What went wrong on a node, if anything did. */
  readonly faults: readonly string[];
}

/** Runs one swarm. Throws when it cannot begin, and when a node says that it has the file and has it not. */
export async function runSwarm(contender: SwarmContender, course: Course, round: number): Promise<SwarmRun> {
  const { keep } = course.scenario;
  const folder = mkdtempSync(join(ROOM_MEMORY, 'swarm-'));
  const swarm = new Swarm(contender, course, folder);
  try {
    await swarm.prepare();
    return await swarm.race(round);
  } finally {
    await swarm.stop();
    const name = contender.client.name.toLowerCase().replaceAll(/\W+/g, '-');
    if (keep !== null) swarm.keep(join(keep, `${name}-${round}`));
    rmSync(folder, { recursive: true, force: true });
  }
}

/** One plain TCP copy between two nodes of the lab, the measure of all: milliseconds. */
export async function copyTime(copy: Client, course: Course, from: number, to: number): Promise<Ms> {
  const folder = mkdtempSync(join(ROOM_MEMORY, 'copy-'));
  const swarm = new Swarm(
    { client: copy, torrent: null, waits: false, joins: false, ready: 'listening' },
    course,
    folder,
  );
  try {
    await swarm.prepare(from);
    const began = performance.now();
    await swarm.fetch(to);
    return performance.now() - began;
  } finally {
    await swarm.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

class Swarm {
  readonly #contender: SwarmContender;
  readonly #course: Course;
  readonly #folder: string;
  /** All that has been started: peers, and the tracker. */
  readonly #programs: Program[] = [];
  readonly #byNode = new Map<number, Program>();
  /** Leechers that wait for the word, by node. */
  readonly #waiting = new Map<number, Running>();
  #seeder = 0;

  constructor(contender: SwarmContender, course: Course, folder: string) {
    this.#contender = contender;
    this.#course = course;
    this.#folder = folder;
  }

  /** Tracker and first seeder are ready, and so are the leechers that can wait. */
  async prepare(seeder = 0): Promise<void> {
    warmMemory(join(this.#folder, 'warm'), this.#course.scenario.nodes * this.#course.sample.sizeBytes);
    const { client, torrent, waits, ready } = this.#contender;
    this.#seeder = seeder;
    const tracker = torrent === null ? null : await this.#startTracker(torrent);
    const { program } = await client.seed({ ...this.#job(seeder), folder: this.#course.sample.folder });
    this.#programs.push(program);
    this.#byNode.set(seeder, program);
    const isReady = {
      announced: () => tracker!.output.includes('seeded'),
      listening: () => listening(program, PEER_PORT),
      started: () => true,
    }[ready];
    await program.until('a seeder that can be asked', isReady, READY_MS);
    if (!waits) return;
    await inTurns([...kindsOf(this.#course.scenario).keys()], async (node) => {
      this.#waiting.set(node, await this.#start(node));
    });
    await sleep(SETTLE_MS);
  }

  /** Resolves when `node` has everything. */
  async fetch(node: number): Promise<void> {
    const running = this.#waiting.get(node) ?? (await this.#start(node));
    await running.complete(this.#course.timeoutMs);
  }

  /** Gives the word, and watches until the last node of full rate is done. */
  async race(round: number): Promise<SwarmRun> {
    const { lab, sample, scenario } = this.#course;
    const kinds = kindsOf(scenario);
    const of = (kind: NodeKind) => [...kinds.keys()].filter((node) => kinds.get(node) === kind);
    const times = new Map<number, { beganMs: Ms; tookMs: Ms | null }>();
    const faults: string[] = [];
    const cpu = new CpuWatch(this.#programs);
    const watch = new TrafficWatch(lab);
    let over = false;
    const fetch = async (node: number) => {
      const time = { beganMs: watch.ms, tookMs: null as Ms | null };
      times.set(node, time);
      try {
        await this.fetch(node);
        if (!over) time.tookMs = watch.ms - time.beganMs;
      } catch (error) {
        if (!over) faults.push(`${lab.nodes[node]!.name}: ${messageOf(error)}`);
      }
    };
    const first = Promise.all(of('full').map(fetch));
    for (const node of of('slow')) void fetch(node);
    if (this.#contender.joins && scenario.joinShare !== null) {
      const bytes = scenario.joinShare * sample.sizeBytes * WIRE_SHARE;
      await Promise.race([watch.received(of('full'), bytes), first]);
      await Promise.all(of('joined').map(fetch));
    }
    await first;
    over = true;
    watch.stop();
    const { traffic } = watch;
    const run = {
      contender: this.#contender.client.name,
      round,
      seederShare: traffic.seederBytes / sample.sizeBytes,
      cpuSecPerNode: cpu.sec / (scenario.nodes + 1),
      busyShare: cpu.busyShare,
      nodes: [...kinds].map(([node, kind]) => ({
        name: lab.nodes[node]!.name,
        kind,
        beganMs: times.get(node)?.beganMs ?? null,
        tookMs: times.get(node)?.tookMs ?? null,
        receivedBytes: traffic.receivedBytes[node]!,
      })),
      traffic: watch.samples,
      faults,
    };
    await this.#compare([...times.keys()].filter((node) => times.get(node)!.tookMs !== null));
    return run;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#programs.map((program) => program.stop()));
  }

  /** Copies what the nodes have left in their state folders, and what their programs said last. */
  keep(folder: string): void {
    cpSync(join(this.#folder, 'state'), folder, { recursive: true });
    for (const [node, program] of this.#byNode)
      writeFileSync(join(folder, this.#course.lab.nodes[node]!.name, 'said.txt'), program.output);
  }

  async #start(node: number): Promise<Running> {
    const running = await this.#contender.client.fetch(this.#job(node));
    this.#programs.push(running.program);
    this.#byNode.set(node, running.program);
    return running;
  }

  async #startTracker(torrent: 'v1' | 'hybrid'): Promise<Program> {
    const { lab, sample, tracker } = this.#course;
    const { host, launcher } = lab.nodes[0]!;
    const hash = hex(sample.hashes[torrent === 'v1' ? 0 : 1]!);
    const args = [tracker, host, String(TRACKER_PORT), String(PEER_PORT), hash];
    const program = new Program(process.execPath, args, { launcher });
    this.#programs.push(program);
    await program.until('answering', () => program.output.includes('ready'), READY_MS);
    return program;
  }

  #job(node: number): Job {
    const { lab, sample, scenario } = this.#course;
    const { name, host, launcher } = lab.nodes[node]!;
    const { torrent } = this.#contender;
    const state = join(this.#folder, 'state', name);
    const folder = join(this.#folder, 'content', name);
    for (const made of [state, folder]) mkdirSync(made, { recursive: true });
    return {
      torrent: torrent === null ? '' : sample[torrent],
      folder,
      name: sample.name,
      state,
      host,
      port: PEER_PORT,
      seeder: `${lab.nodes[this.#seeder]!.host}:${PEER_PORT}`,
      stays: !scenario.leave,
      launch: { launcher },
    };
  }

  /** Throws when one of these nodes has other bytes than the first seeder. */
  async #compare(nodes: readonly number[]): Promise<void> {
    const { lab, sample } = this.#course;
    await inTurns(nodes, async (node) => {
      const copy = join(this.#folder, 'content', lab.nodes[node]!.name, sample.name);
      await promisify(execFile)('/usr/bin/cmp', [join(sample.folder, sample.name), copy]);
    });
  }
}

/**
 * Memory that nobody used lately has to be fetched from the host of a virtual machine, which no node shall wait for: what
 * the copies will need is written once, and given back.
 */
function warmMemory(path: string, bytes: number): void {
  writeFileSync(path, '');
  execFileSync('/usr/bin/fallocate', ['--length', String(bytes), path]);
  rmSync(path);
}

/** Does `work` for each item, a few of them at the same time. */
async function inTurns<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = [...items];
  const one = async () => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
}
