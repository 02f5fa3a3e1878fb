// A machine of the fault lab that installs itself: the agent on its node, as often as it is started, and what it says.

import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeReport, StageName } from '../../agent/core/report.ts';
import type { Ms } from '../../agent/core/units.ts';
import { NODE_FLAGS } from '../../scripts/build.ts';
import type { LabNode } from '../lab/lab.ts';
import { Child } from './child.ts';

/** What a machine is started with. */
export interface Course {
  /** The agent, bundled. */
  readonly agent: string;
  /** Put before the agent, after the node's own launcher: what seals the machine's file systems. */
  readonly sealed: readonly string[];
  readonly imageServer: string;
  readonly imageName: string;
  /** Since the run began. */
  readonly now: () => Ms;
}

export interface Failure {
  readonly stage: StageName;
  readonly code: string | null;
  readonly error: string;
}

export interface Ban {
  readonly atMs: Ms;
  /** The address that was banned. */
  readonly host: string;
  readonly reason: string;
}

/** One life of an agent, from its start to its end. */
export class Life {
  readonly startedMs: Ms;
  readonly stages: StageName[] = [];
  readonly ended: StageName[] = [];
  report: NodeReport | null = null;
  installedMs: Ms | null = null;
  failure: Failure | null = null;
  child!: Child;

  constructor(startedMs: Ms) {
    this.startedMs = startedMs;
  }
}

export class Machine {
  readonly index: number;
  readonly node: LabNode;
  readonly mac: string;
  readonly target: string;
  readonly staging: string;
  readonly log: string;
  readonly lives: Life[] = [];
  readonly bans: Ban[] = [];
  /** When a piece failed its hash. */
  readonly badPiecesMs: Ms[] = [];
  /** Put before all that is started on it. */
  launcher: readonly string[] = [];
  /** Beside what all machines have. */
  flags: Readonly<Record<string, string>> = {};
  /** Its staging pool is memory, and gone when the machine starts anew. */
  poolIsMemory = true;
  /** Of its Node. */
  nodeFlags: readonly string[] = [];
  readonly #course: Course;

  /** `folder` is the machine's own. */
  constructor(index: number, node: LabNode, folder: string, log: string, course: Course) {
    this.index = index;
    this.node = node;
    this.mac = `02:00:00:00:00:${index.toString(16).padStart(2, '0')}`;
    this.target = join(folder, 'target');
    this.staging = join(folder, 'staging');
    this.log = log;
    this.#course = course;
    for (const place of [this.target, this.staging]) mkdirSync(place, { recursive: true });
  }

  get name(): string {
    return this.node.name;
  }

  /** The last life; a machine has been started before anybody asks. */
  get life(): Life {
    return this.lives.at(-1)!;
  }

  get isRunning(): boolean {
    return this.lives.length > 0 && this.life.child.isRunning;
  }

  get isInstalled(): boolean {
    return this.lives.length > 0 && this.life.installedMs !== null;
  }

  /** Bytes that were thrown away in all its lives. */
  get wastedBytes(): number {
    return this.lives.reduce((sum, { report }) => sum + (report?.wastedBytes ?? 0), 0);
  }

  get verifiedBytes(): number {
    return this.lives.at(-1)?.report?.bytesVerified ?? 0;
  }

  start(): void {
    const { agent, sealed, imageServer, imageName, now } = this.#course;
    if (this.poolIsMemory)
      for (const name of readdirSync(this.staging)) rmSync(join(this.staging, name), { recursive: true });
    const life = new Life(now());
    this.lives.push(life);
    const flags = {
      IMAGESERVER: imageServer,
      IMAGENAME: imageName,
      BOOTIF: this.mac,
      HOSTNAME: this.name,
      TARGET: this.target,
      BITTORRENT_STAGING: this.staging,
      BITTORRENT_POLLING_TIME: '2',
      BIND: this.node.host,
      CONSOLE: 'json',
      // Not parked: this machine is not to be started anew.
      SHELL_ON_FAIL: 'y',
      ...this.flags,
    };
    const words = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    const command = [
      ...this.launcher,
      ...this.node.launcher,
      ...sealed,
      process.execPath,
      ...NODE_FLAGS,
      ...this.nodeFlags,
      agent,
      ...words,
    ];
    life.child = new Child(command, { log: this.log, hear: (line) => this.#hear(life, line) });
  }

  #hear(life: Life, line: string): void {
    if (!line.startsWith('{')) return;
    const said = JSON.parse(line) as { fact: string; stage: StageName; peer?: string; reason?: string };
    const atMs = this.#course.now();
    switch (said.fact) {
      case 'stageBegan':
        return void life.stages.push(said.stage);
      case 'stageEnded':
        return void life.ended.push(said.stage);
      case 'stageFailed':
        life.failure = said as typeof said & Failure;
        return;
      case 'installed':
        life.installedMs = atMs;
        return;
      case 'report':
        life.report = said as typeof said & NodeReport;
        return;
      case 'piece failed its hash':
        return void this.badPiecesMs.push(atMs);
      case 'peer banned':
        this.bans.push({ atMs, host: said.peer?.split(' ')[0] ?? '', reason: said.reason ?? '' });
    }
  }
}
