// One run of a row: a lab of its own, an image server, machines that install, whatever the row does to them, and what is
// found at the end.

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { withAnnounce } from '../../agent/core/metainfo.ts';
import { Rng } from '../../agent/core/rng.ts';
import type { Ms } from '../../agent/core/units.ts';
import { tarballPath, torrentPath } from '../../scripts/repository.ts';
import { Lab, type LabNode } from '../lab/lab.ts';
import { Child } from './child.ts';
import { Machine } from './machine.ts';
import { on } from './network.ts';
import { HTTP_PORT, PEER_PORT, TRACKER_PORT } from './ports.ts';
import { IMAGE_NAME, type Published } from './published.ts';
import type { Behaviour } from './rogue.ts';
import { Server } from './server.ts';

/** Where the lab's switch itself can be reached, and reaches all nodes: for who looks on. */
const SWITCH_ADDRESS = '10.78.250.250/16';
/** Bytes on the wire for bytes of the file: TCP, IP and Ethernet headers around full packets. */
const WIRE_SHARE = 1514 / 1448;
const IP = '/usr/sbin/ip';
const LOOK_MS: Ms = 500;
const POLL_MS: Ms = 100;
/** An agent that has its image leaves when nobody needs it any more, and waits half a minute for a server that is gone. */
const LEAVE_MS: Ms = 90_000;
export const ROGUE = new URL('./rogue.ts', import.meta.url).pathname;

export interface Setting {
  /** Machines beside the image server. */
  readonly nodes: number;
  readonly bitsPerSec: number;
  readonly published: Published;
  /** The agent, bundled. */
  readonly agent: string;
  /** Put before what may write below `machines` only. */
  readonly sealed: readonly string[];
  /** The folder of all machines. */
  readonly machines: string;
  /** What all programs said is kept here, a folder for each run. */
  readonly logs: string;
  /** Ends what keeps the seal. */
  close(): Promise<void>;
}

export class Scene {
  readonly setting: Setting;
  readonly lab: Lab;
  readonly server: Server;
  /** Those that are honest. */
  machines: Machine[];
  readonly rogues: Child[] = [];
  readonly rogueHosts = new Set<string>();
  readonly rng: Rng;
  /** What did not hold, in words. */
  readonly broken: string[] = [];
  /** What this run may take until all is installed. */
  patienceMs: Ms;
  /** Run backwards at the end. */
  readonly undo: (() => void | Promise<void>)[] = [];
  /** What can be removed only once all programs have ended. */
  readonly removals: (() => void)[] = [];
  readonly logs: string;
  readonly #began = performance.now();
  readonly #folder: string;
  readonly #watch: NodeJS.Timeout;

  constructor(setting: Setting, name: string, seed: number) {
    const { nodes, bitsPerSec, published, agent, sealed } = setting;
    this.setting = setting;
    this.rng = new Rng(seed);
    this.patienceMs = 60_000 + 20 * this.idealMs;
    this.logs = join(setting.logs, name);
    rmSync(this.logs, { recursive: true, force: true });
    mkdirSync(this.logs, { recursive: true });
    this.#folder = mkdtempSync(join(setting.machines, 'run-'));
    this.lab = Lab.raise({ bitsPerSec: new Array<number>(nodes + 1).fill(bitsPerSec), lossShare: 0 });
    execFileSync(IP, ['address', 'add', SWITCH_ADDRESS, 'dev', 'hub']);
    const now = () => this.now();
    const [serving, ...others] = this.lab.nodes as [LabNode, ...LabNode[]];
    this.server = new Server(serving, published.repo, join(this.logs, 'server.log'), now);
    const imageServer = `${serving.host}:${HTTP_PORT}`;
    const course = { agent, sealed, imageServer, imageName: IMAGE_NAME, now };
    this.machines = others.map((node, at) => {
      const folder = join(this.#folder, node.name);
      return new Machine(at + 1, node, folder, join(this.logs, `${node.name}.log`), course);
    });
    this.#watch = setInterval(() => this.#look(), LOOK_MS);
  }

  now(): Ms {
    return performance.now() - this.#began;
  }

  get sizeBytes(): number {
    return this.setting.published.entry.size;
  }

  /** What one plain copy of the image over one link takes. */
  get idealMs(): Ms {
    const { published, bitsPerSec } = this.setting;
    return (published.entry.size * WIRE_SHARE * 8000) / bitsPerSec;
  }

  /** The server seeds, and all machines begin. */
  async begin(): Promise<void> {
    await this.server.start();
    for (const machine of this.machines) machine.start();
  }

  /** Notes what did not hold; the run goes on. */
  must(holds: boolean, what: string): void {
    if (!holds) this.broken.push(what);
  }

  /** Takes `count` machines by chance, in an order by chance. */
  some(count: number): Machine[] {
    const rest = [...this.machines];
    return Array.from({ length: Math.min(count, rest.length) }, () =>
      rest.splice(this.rng.below(rest.length), 1),
    ).flat();
  }

  /** Part of the image that has come to the machines' links, on average. */
  share(machines: readonly Machine[] = this.machines): number {
    const received = this.lab.receivedBytes();
    const bytes = machines.reduce((sum, { index }) => sum + received[index]!, 0);
    return bytes / (machines.length * this.sizeBytes * WIRE_SHARE);
  }

  /** Resolves when so much of the image has come. */
  progress(share: number, machines: readonly Machine[] = this.machines): Promise<void> {
    return this.until(`${share * 100} % of the image`, () => this.share(machines) >= share);
  }

  /** Resolves when all have their image or have ended otherwise; notes who has not, in time. */
  async installed(machines: readonly Machine[] = this.machines): Promise<void> {
    const open = () => machines.filter((machine) => machine.isRunning && !machine.isInstalled);
    await this.until('every image', () => open().length === 0).catch(() => {
      const names = open().map(({ name, life }) => `${name} (in ${life.stages.at(-1)})`);
      this.must(false, `I2: neither installed nor failed in time: ${names.join(', ')}`);
    });
  }

  /** Waits. Throws when it takes longer than this run may. */
  async until(what: string, test: () => boolean | Promise<boolean>, ms = this.patienceMs): Promise<void> {
    for (const since = this.now(); !(await test()); await sleep(POLL_MS)) {
      if (this.now() - since > ms) throw new Error(`no ${what} in ${Math.round(ms / 1000)} s`);
    }
  }

  /** Puts a peer of bad manners in the place of a machine that has not begun. It is found by the tracker. */
  rogue(machine: Machine, behaviour: Behaviour): Child {
    const { repo, entry } = this.setting.published;
    const torrent = join(this.logs, 'rogue.torrent');
    const server = this.server.node.host;
    const announce = `http://${server}:${TRACKER_PORT}/announce`;
    writeFileSync(torrent, withAnnounce(readFileSync(torrentPath(repo, entry)), [[announce]]));
    const victims = this.machines.filter((other) => other !== machine).map(({ node }) => node.host);
    const job = {
      torrent,
      tarball: tarballPath(repo, entry),
      host: machine.node.host,
      port: PEER_PORT,
      server,
      victims,
      behaviour,
      seed: this.rng.below(2 ** 31),
    };
    this.retire(machine);
    this.rogueHosts.add(machine.node.host);
    const command = [process.execPath, '--disable-warning=ExperimentalWarning', ROGUE, JSON.stringify(job)];
    return this.run(machine.node, command, `${machine.name}-rogue`);
  }

  /** This machine takes no part: its node is for something else. */
  retire(machine: Machine): void {
    this.machines = this.machines.filter((other) => other !== machine);
  }

  /** Runs a program on a node until the end. What it says goes into the log of that name. */
  run(node: LabNode, command: readonly string[], name: string): Child {
    const log = join(this.logs, `${name}.log`);
    const child = new Child([...node.launcher, ...command], { log, hear: () => {} });
    this.rogues.push(child);
    return child;
  }

  /** Takes the address of a machine away and gives it another one so much later; the others know of it at once. */
  async renumber(machine: Machine, afterMs: Ms): Promise<void> {
    const { node } = machine;
    on(node, IP, ['address', 'flush', 'dev', 'eth0']);
    await sleep(afterMs);
    const host = node.host.replace(/^10\.78\.\d+/, '10.78.200');
    const { address } = JSON.parse(on(node, IP, ['-json', 'link', 'show', 'eth0']))[0] as { address: string };
    on(node, IP, ['address', 'add', `${host}/16`, 'dev', 'eth0', 'noprefixroute']);
    on(node, IP, ['route', 'replace', '10.78.0.0/16', 'dev', 'eth0', 'src', host]);
    for (const other of this.lab.nodes)
      if (other !== node)
        on(other, IP, ['neigh', 'replace', host, 'lladdr', address, 'dev', 'eth0', 'nud', 'permanent']);
  }

  /** Takes a fault back at the end, if the row does not before. */
  fault(undo: () => void): () => void {
    let open = true;
    const once = () => {
      if (open) undo();
      open = false;
    };
    this.undo.push(once);
    return once;
  }

  /**
   * All faults are over: the server is up, whoever failed is started once more, and everybody ends by itself. Notes who
   * does not.
   */
  async heal(): Promise<void> {
    for (const step of this.undo.toReversed()) await step();
    if (!this.server.isRunning) await this.server.start();
    const again = this.machines.filter(({ lives }) => {
      const life = lives.at(-1);
      return life !== undefined && !life.child.isRunning && !life.child.isKilled && life.installedMs === null;
    });
    for (const machine of again) machine.start();
    await this.installed();
    const endless = await Promise.all(
      this.machines.map(async ({ name, lives }) => {
        const child = lives.at(-1)?.child;
        return child === undefined || (await child.endsWithin(LEAVE_MS)) ? [] : [name];
      }),
    );
    this.must(endless.flat().length === 0, `I5: installed, and did not end: ${endless.flat().join(', ')}`);
  }

  /** Ends all that still runs. */
  async stop(): Promise<void> {
    for (const step of this.undo.toReversed()) await step();
    await Promise.all(this.rogues.map((child) => child.kill()));
    await Promise.all(this.machines.map(({ lives }) => lives.at(-1)?.child.kill()));
    await this.server.stop();
  }

  /** Removes the lab and what the machines hold. */
  close(): void {
    clearInterval(this.#watch);
    for (const step of this.removals) step();
    this.lab.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #look(): void {
    for (const { lives } of this.machines) lives.at(-1)?.child.look();
    this.server.children.at(-1)?.look();
  }
}
