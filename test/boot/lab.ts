// The room of the boot test: a network, mounts and processes that nobody else sees, in the namespaces that `make boot-test`
// makes, so that all of it is gone with the test's process, however that ends. In it the machine of README.md's "From
// nothing to an installed cluster" is set up, and that section's own commands run.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BUILD } from './image.ts';

const TOP = join(import.meta.dirname, '..', '..');
const IP = '/usr/sbin/ip';
const MOUNT = '/usr/bin/mount';
const HEADING = 'From nothing to an installed cluster';
const STOP_MS = 10_000;
const LOOK_MS = 100;

/** The repository, where the README's commands expect it. */
export const REPO = '/var/lib/swarmboot';

/** What README.md takes for granted: the interface of the nodes' network with its addresses, and trees to publish. */
const INTERFACE = 'eno1';
const ADDRESSES = ['10.9.0.1/24', 'fd09::1/64'];
const OVERRIDE = { 'srv/known/motto': "the site's own\n", 'etc/motd': 'installed from the swarm\n' };

export class Lab {
  /** All that the README's commands have said. */
  said = '';
  readonly #commands: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #madeRepo: boolean;

  private constructor(commands: ChildProcess, madeRepo: boolean) {
    this.#commands = commands;
    this.#ended = once(commands, 'close');
    this.#madeRepo = madeRepo;
    const log = join(BUILD, 'readme.log');
    writeFileSync(log, '');
    for (const stream of [commands.stdout!, commands.stderr!]) {
      stream.on('data', (text: Buffer) => {
        this.said += text.toString();
        appendFileSync(log, text);
      });
    }
  }

  /**
   * Raises the network, lays `golden` where the README finds it, and begins the README's commands. Throws when this
   * process has no namespaces of its own, before anything is changed.
   */
  static start(golden: string): Lab {
    demandNamespaces();
    raiseNetwork();
    mount('-t', 'tmpfs', 'lab', '/run');
    mount('-t', 'tmpfs', 'lab', '/srv');
    mkdirSync('/srv/golden/web', { recursive: true });
    mount('--bind', golden, '/srv/golden/web');
    for (const [path, text] of Object.entries(OVERRIDE)) {
      mkdirSync(join('/srv/overrides/site', path, '..'), { recursive: true });
      writeFileSync(join('/srv/overrides/site', path), text);
    }
    const repo = join(BUILD, 'repository');
    rmSync(repo, { recursive: true, force: true });
    mkdirSync(repo, { recursive: true });
    const madeRepo = !existsSync(REPO);
    mkdirSync(REPO, { recursive: true });
    mount('--bind', repo, REPO);
    const script = shellOf(readFileSync(join(TOP, 'README.md'), 'utf8'), HEADING);
    const commands = spawn('/bin/bash', ['-euxo', 'pipefail', '-c', script], {
      cwd: TOP,
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own: the last command is told to stop with its shell.
      detached: true,
    });
    return new Lab(commands, madeRepo);
  }

  /** Waits until the README's commands have said `pattern`. Throws with what they said when they end, or are too slow. */
  async until(pattern: RegExp, timeoutMs: number): Promise<void> {
    for (const since = performance.now(); !pattern.test(this.said); await sleep(LOOK_MS)) {
      const ended = this.#commands.exitCode ?? this.#commands.signalCode;
      if (ended === null && performance.now() - since < timeoutMs) continue;
      const fault = ended === null ? `did not say ${pattern} in ${timeoutMs} ms` : `ended with ${ended}`;
      throw new Error(`README.md's commands ${fault}:\n${this.said.slice(-4000)}`);
    }
  }

  /** A new network card's other end, on the nodes' network; its name. */
  tap(name: string): string {
    ip('tuntap', 'add', name, 'mode', 'tap');
    ip('link', 'set', name, 'master', INTERFACE, 'up');
    return name;
  }

  async stop(): Promise<void> {
    const signal = (name: NodeJS.Signals) => {
      if (this.#commands.exitCode === null && this.#commands.signalCode === null)
        process.kill(-this.#commands.pid!, name);
    };
    signal('SIGTERM');
    const timer = setTimeout(() => signal('SIGKILL'), STOP_MS);
    await this.#ended;
    clearTimeout(timer);
    execFileSync('/usr/bin/umount', [REPO]);
    if (this.#madeRepo) rmdirSync(REPO);
  }
}

function demandNamespaces(): void {
  if (process.getuid?.() !== 0) throw new Error('the boot test needs root: sudo make boot-test');
  const links = JSON.parse(execFileSync(IP, ['-json', 'link']).toString()) as { ifname: string }[];
  if (links.some(({ ifname }) => ifname !== 'lo'))
    throw new Error('this network is not the test\'s own: start it by "make boot-test"');
}

function raiseNetwork(): void {
  ip('link', 'set', 'lo', 'up');
  ip('link', 'add', INTERFACE, 'type', 'bridge');
  for (const address of ADDRESSES)
    ip('address', 'add', address, 'dev', INTERFACE, ...(address.includes(':') ? ['nodad'] : []));
  ip('link', 'set', INTERFACE, 'up');
}

/** What the blocks marked `sh` of one section hold, in order. Throws when there are none. */
export function shellOf(text: string, heading: string): string {
  const section = text.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
  const blocks = [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block!);
  if (blocks.length === 0) throw new Error(`README.md has no commands under "${heading}"`);
  return blocks.join('');
}

function ip(...words: readonly string[]): void {
  execFileSync(IP, words);
}

function mount(...words: readonly string[]): void {
  execFileSync(MOUNT, words);
}
