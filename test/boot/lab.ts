// The room of a boot test: a network, mounts and processes that nobody else sees, in the namespaces that `make boot-test`
// makes for each file, so that all of it is gone with the test's process, however that ends. In it stands an image server:
// the machine that README.md's "From nothing to an installed cluster" speaks of, with that section's own commands running,
// or one that has no more than a test of its own commands needs.

import { type ChildProcess, execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type NodeRecord, parseRecord } from '../../scripts/core/board.ts';
import { BUILD } from './image.ts';
import { Vm } from './vm.ts';

const TOP = join(import.meta.dirname, '..', '..');
const IP = '/usr/sbin/ip';
const MOUNT = '/usr/bin/mount';
const TC = '/usr/sbin/tc';
const HEADING = 'From nothing to an installed cluster';
const TAIL_LINES = 40;
const STOP_MS = 10_000;
const LOOK_MS = 200;
const DISK_BYTES = 4 * 1024 ** 3;

/** What README.md takes for granted: the interface of the nodes' network with its addresses, and a tree of the site's own. */
export const INTERFACE = 'eno1';
const ADDRESSES = ['10.9.0.1/24', 'fd09::1/64'];
const OVERRIDE = { 'srv/known/motto': "the site's own\n", 'etc/motd': 'installed from the swarm\n' };
/** Scripts of the site, one for each phase and kind of class: each adds a line of its own to the new system. */
const TRACE = 'echo "$PHASE for $HOSTNAME" >>';
const SCRIPTS = {
  'pre-install/10all.trace': `#!/bin/sh\n${TRACE} /run/trace\n`,
  'main-install/10web.trace': `#!/bin/sh -e\n${TRACE} /run/trace\ncp /run/trace "$TARGET/srv/known/scripts"\n`,
  'post-install/10node.trace': `#!/bin/bash\n${TRACE} /srv/known/scripts\n`,
};
/** As tc reads it. */
const SEEDER_RATE = '24mbit';
/** Where peers listen, the first seeder and the nodes alike. */
const PEER_PORT = '6881';
/** The repository. */
export const REPO = '/var/lib/swarmboot';

export interface MachineOptions {
  readonly name: string;
  readonly mac: string;
  readonly boots: 'BIOS' | 'UEFI' | 'UEFI HTTP';
  /** UEFI with Secure Boot, and these variables. */
  readonly secureBoot?: string;
  readonly card: 'e1000' | 'virtio-net-pci';
  readonly memoryMib: number;
  /** So many empty ones, or these. */
  readonly disks: number | readonly string[];
  /** The most that each disk writes; absent: what it can. */
  readonly diskBytesPerSec?: number;
  /** What its clock says when it is powered on; absent: the right time. */
  readonly clock?: string;
}

export class Lab {
  /** All that the image server's commands have said. */
  said = '';
  readonly #commands: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #machines: Machine[] = [];

  private constructor(script: string, log: string) {
    const commands = spawn('/bin/bash', ['-euo', 'pipefail', '-c', script], {
      cwd: TOP,
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own: its last command is told to stop with it.
      detached: true,
    });
    this.#commands = commands;
    this.#ended = once(commands, 'close');
    writeFileSync(log, '');
    for (const stream of [commands.stdout!, commands.stderr!]) {
      stream.on('data', (text: Buffer) => {
        this.said += text.toString();
        appendFileSync(log, text);
      });
    }
  }

  /**
   * Raises the network, lays the golden client's tree and the kernel where README.md finds them, and begins its commands.
   * Throws when this process has no namespaces of its own, before anything is changed.
   */
  static start(golden: string, kernel: string): Lab {
    demandNamespaces();
    raiseNetwork();
    narrowSeeder();
    // The initrd of the last run stays: what has not changed in it is not packed again.
    const repo = join(BUILD, 'repository');
    mkdirSync(repo, { recursive: true });
    for (const name of readdirSync(repo)) {
      if (name !== 'boot') rmSync(join(repo, name), { recursive: true });
    }
    hideFolders();
    bind(repo, REPO);
    furnish(golden, kernel);
    return new Lab(shellOf(readFileSync(join(TOP, 'README.md'), 'utf8'), HEADING), join(BUILD, 'readme.log'));
  }

  /**
   * Raises the same network around an image server with an empty repository, and begins the `commands` of its admin, in
   * which `swarmboot` is the program. They are logged in build/boot-lab/NAME.log. Throws as `start` does.
   */
  static serve(name: string, commands: string): Lab {
    demandNamespaces();
    raiseNetwork();
    hideFolders();
    mount('-t', 'tmpfs', 'lab', REPO);
    return new Lab(
      `swarmboot() { node scripts/swarmboot.ts "$@"; }\n${commands}`,
      join(BUILD, `${name}.log`),
    );
  }

  /** Waits until the image server's commands have said `pattern`. Throws with what they said when they end, or are too slow. */
  async until(pattern: RegExp, timeoutMs: number): Promise<void> {
    for (const since = performance.now(); !pattern.test(this.said); await sleep(LOOK_MS)) {
      const ended = this.#commands.exitCode ?? this.#commands.signalCode;
      if (ended === null && performance.now() - since < timeoutMs) continue;
      const fault = ended === null ? `have not said ${pattern} in ${timeoutMs} ms` : `ended with ${ended}`;
      throw new Error(`the image server's commands ${fault}:\n${this.said.slice(-4000)}`);
    }
  }

  /** Runs one more command of the image server and returns what it printed. Throws with what it said when it fails. */
  async swarmboot(...words: readonly string[]): Promise<string> {
    const args = [join(TOP, 'scripts', 'swarmboot.ts'), ...words];
    return (await promisify(execFile)(process.execPath, args)).stdout;
  }

  /** A machine on the nodes' network, with empty disks, still without power. */
  machine(options: MachineOptions): Machine {
    const machine = new Machine(options, `tap${this.#machines.length}`);
    this.#machines.push(machine);
    return machine;
  }

  /** Ends all that was started, and keeps the consoles in build/boot-lab. */
  async stop(): Promise<void> {
    for (const machine of this.#machines) await machine.cutPower();
    const signal = (name: NodeJS.Signals) => {
      if (this.#commands.exitCode === null && this.#commands.signalCode === null)
        process.kill(-this.#commands.pid!, name);
    };
    signal('SIGTERM');
    const timer = setTimeout(() => signal('SIGKILL'), STOP_MS);
    await this.#ended;
    clearTimeout(timer);
  }
}

/** One computer: its disks stay when it has no power. */
export class Machine {
  readonly name: string;
  readonly #options: MachineOptions;
  readonly #tap: string;
  readonly #disks: readonly string[];
  #vm: Vm | null = null;
  #starts = 0;

  constructor(options: MachineOptions, tap: string) {
    this.name = options.name;
    this.#options = options;
    this.#tap = tap;
    ip('tuntap', 'add', tap, 'mode', 'tap');
    ip('link', 'set', tap, 'master', INTERFACE, 'up');
    const { name, disks } = options;
    this.#disks = typeof disks === 'number' ? emptyDisks(name, disks) : disks;
  }

  /** Throws when it has no power. */
  get vm(): Vm {
    if (this.#vm === null) throw new Error(`${this.name} has no power`);
    return this.#vm;
  }

  /** Powered on, it boots over the network first, or from its disk if that starts. */
  powerOn(bootOrder: 'network' | 'disk' = 'network'): this {
    const { name, mac, boots, secureBoot, card, memoryMib, diskBytesPerSec, clock } = this.#options;
    // OVMF's own network boot, not the one on QEMU's cards; and no waiting for addresses that nobody gives.
    const without =
      boots === 'BIOS' ? [] : ['IPv6PXESupport', ...(boots === 'UEFI' ? [] : ['IPv4PXESupport'])];
    const extra = without.flatMap((option) => ['-fw_cfg', `name=opt/org.tianocore/${option},string=no`]);
    if (clock !== undefined) extra.push('-rtc', `base=${clock}`);
    if (boots !== 'BIOS') extra.push('-global', `${card}.romfile=`);
    this.#vm = Vm.start({
      name,
      memoryMib,
      firmware: boots === 'BIOS' ? 'bios' : 'uefi',
      ...(secureBoot === undefined ? {} : { secureBoot }),
      disks: this.#disks,
      ...(diskBytesPerSec === undefined ? {} : { diskBytesPerSec }),
      nic: { model: card, mac, tap: this.#tap },
      bootOrder,
      extra,
    });
    this.#starts += 1;
    return this;
  }

  /** Cuts the power, if it is on. What the console showed is kept. */
  async cutPower(): Promise<void> {
    if (this.#vm === null) return;
    await this.#vm.kill();
    writeFileSync(join(BUILD, `${this.name}-${this.#starts}.console`), this.#vm.console);
    this.#vm = null;
  }

  /** The end of what its console shows. */
  tail(): string {
    return this.vm.console.split('\n').slice(-TAIL_LINES).join('\n');
  }

  /** False when every disk is as empty as it came. */
  written(): boolean {
    return this.#disks.some((disk) => statSync(disk).blocks > 0);
  }

  /** Whether every byte of its disks is zero, as they came, also where something was written. */
  blank(): boolean {
    const zeros = ['--silent', `--bytes=${DISK_BYTES}`, '/dev/zero'];
    return this.#disks.every((disk) => spawnSync('/usr/bin/cmp', [...zeros, disk]).status === 0);
  }

  /** What the image server has of it; null: nothing yet. */
  record(): NodeRecord | null {
    const path = join(REPO, 'reports', `${this.#options.mac.replaceAll(':', '')}.json`);
    return existsSync(path) ? parseRecord(readFileSync(path, 'utf8')) : null;
  }

  /** Waits until the image server has heard `text` of it. Throws when that takes too long. */
  async recorded(text: RegExp, timeoutMs: number): Promise<void> {
    for (
      const since = performance.now();
      !text.test(this.record()?.message.text ?? '');
      await sleep(LOOK_MS)
    ) {
      if (performance.now() - since > timeoutMs) throw new Error(`${this.name} has not reported ${text}`);
    }
  }
}

function emptyDisks(name: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => {
    const disk = join(BUILD, `${name}-${index}.img`);
    rmSync(disk, { force: true });
    execFileSync('/usr/bin/truncate', [`--size=${DISK_BYTES}`, disk]);
    return disk;
  });
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

/**
 * What the first seeder sends goes through a narrow link, as it is beside hundreds of nodes: emulated machines take less
 * than a server can give, and would have no need of each other.
 */
function narrowSeeder(): void {
  const tc = (...words: readonly string[]) => execFileSync(TC, words, { stdio: 'ignore' });
  const parent = ['dev', INTERFACE, 'parent', '1:'];
  tc('qdisc', 'add', 'dev', INTERFACE, 'root', 'handle', '1:', 'htb', 'default', '10');
  tc('class', 'add', ...parent, 'classid', '1:10', 'htb', 'rate', '10gbit');
  tc('class', 'add', ...parent, 'classid', '1:20', 'htb', 'rate', SEEDER_RATE, 'burst', '64k');
  // The port is the seeder's own when a node has called, and the node's when the seeder has.
  for (const end of ['sport', 'dport']) {
    const match = ['u32', 'match', 'ip', end, PEER_PORT, '0xffff'];
    tc('filter', 'add', ...parent, 'protocol', 'ip', ...match, 'flowid', '1:20');
  }
}

/** What the image server makes on its own disk is seen by this process and its children only. */
function hideFolders(): void {
  for (const folder of ['/run', '/srv']) mount('-t', 'tmpfs', 'lab', folder);
  // Folders that are made for mounts are not made on the machine's own disk.
  for (const folder of ['/etc', '/usr/lib', '/var/lib']) {
    const [upper, work] = ['new', 'work'].map((name) => join('/run/lab', folder, name));
    for (const made of [upper!, work!]) mkdirSync(made, { recursive: true });
    mount('-t', 'overlay', '-o', `lowerdir=${folder},upperdir=${upper},workdir=${work}`, 'lab', folder);
  }
  mkdirSync(REPO, { recursive: true });
}

function bind(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  mount('--bind', from, to);
}

/** An image server as README.md expects it. */
function furnish(golden: string, kernel: string): void {
  bind(golden, '/srv/golden/web');
  mount('-t', 'overlay', '-o', `lowerdir=${join(kernel, 'boot')}:/boot`, 'lab', '/boot');
  bind(join(kernel, 'lib', 'modules'), '/usr/lib/modules');
  for (const [path, text] of Object.entries(OVERRIDE)) put(join('/srv/overrides/site', path), text);
  for (const [path, text] of Object.entries(SCRIPTS)) put(join(REPO, 'scripts', path), text);
}

function put(place: string, text: string): void {
  mkdirSync(dirname(place), { recursive: true });
  writeFileSync(place, text);
}

/** What the blocks marked `sh` of one section hold, in order. Throws when there are none. */
export function shellOf(text: string, heading: string): string {
  const section = text.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
  const blocks = [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block!);
  if (blocks.length === 0) throw new Error(`there are no commands under "${heading}"`);
  return blocks.join('');
}

/** Runs ip(8). */
export function ip(...words: readonly string[]): void {
  execFileSync(IP, words);
}

function mount(...words: readonly string[]): void {
  execFileSync(MOUNT, words);
}
