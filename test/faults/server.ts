// The image server of the fault lab, on node 0: started, killed, started again on the same repository.

import type { Ms } from '../../agent/core/units.ts';
import type { LabNode } from '../lab/lab.ts';
import { PROGRAM } from '../scripts/commands.ts';
import { Child, within } from './child.ts';
import type { Ban } from './machine.ts';
import { HTTP_PORT } from './ports.ts';

const READY_MS: Ms = 60_000;
const ASK_MS: Ms = 2000;

export class Server {
  readonly node: LabNode;
  readonly bans: Ban[] = [];
  readonly children: Child[] = [];
  readonly #repo: string;
  readonly #log: string;
  readonly #now: () => Ms;

  constructor(node: LabNode, repo: string, log: string, now: () => Ms) {
    this.node = node;
    this.#repo = repo;
    this.#log = log;
    this.#now = now;
  }

  get isRunning(): boolean {
    return this.children.at(-1)?.isRunning ?? false;
  }

  /** Resolves when it seeds the image. */
  async start(): Promise<void> {
    const command = [
      process.execPath,
      '--disable-warning=ExperimentalWarning',
      PROGRAM,
      'serve',
      '--repo',
      this.#repo,
      '--host',
      this.node.host,
    ];
    const ready = Promise.withResolvers<void>();
    const child = new Child([...this.node.launcher, ...command], {
      log: this.#log,
      both: true,
      hear: (line) => {
        if (line.startsWith('seeding image')) ready.resolve();
        if (line.startsWith('{')) this.#hear(line);
      },
    });
    this.children.push(child);
    const isReady = await within(Promise.race([ready.promise, child.ended]), READY_MS);
    if (!isReady || !child.isRunning)
      throw new Error(`the image server does not seed; it said:\n${child.complaints}`);
  }

  /** As if its machine lost power. */
  async kill(): Promise<void> {
    await this.children.at(-1)?.kill();
  }

  async stop(): Promise<void> {
    await this.children.at(-1)?.stop();
  }

  /** Bytes that the first seeder has sent since its start. */
  async sentBytes(): Promise<number> {
    const text = await this.ask('metrics');
    const pattern = /^swarmboot_first_seeder_sent_bytes_total\{publication="web"\} ([\d.e+]+)$/m;
    return Number(pattern.exec(text)?.[1] ?? 0);
  }

  /** What it answers to whoever looks on, from outside of all nodes. */
  async ask(path: string): Promise<string> {
    const url = `http://${this.node.host}:${HTTP_PORT}/${path}`;
    const response = await fetch(url, { signal: AbortSignal.timeout(ASK_MS) });
    return await response.text();
  }

  #hear(line: string): void {
    const said = JSON.parse(line) as { fact: string; peer?: string; reason?: string };
    if (said.fact !== 'peer banned') return;
    const host = said.peer?.split(' ')[0] ?? '';
    this.bans.push({ atMs: this.#now(), host, reason: said.reason ?? '' });
  }
}
