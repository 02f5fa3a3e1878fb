// A virtual machine under QEMU: started, watched and typed at over its serial line, stopped by pid. Always emulated in
// software: where a KVM is there but does not work, QEMU would hang.

import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const QEMU = '/usr/bin/qemu-system-x86_64';
const OVMF_CODE = '/usr/share/OVMF/OVMF_CODE_4M.fd';
const OVMF_SECURE = '/usr/share/OVMF/OVMF_CODE_4M.secboot.fd';
/**
 * A word for kernels in these machines. They count on interrupts of a timer within some milliseconds of their own, and panic
 * when a busy host lets them wait.
 */
export const UNTIMED = 'no_timer_check';
/** A firmware's variables as they are in a new machine: no key is enrolled. */
export const OVMF_VARS = '/usr/share/OVMF/OVMF_VARS_4M.fd';
const IP = '/usr/sbin/ip';
/** How much of the console an error shows. */
const SHOWN_LINES = 40;
const ESCAPE = String.fromCharCode(27);
/** Colours, cursor moves and screen modes: a firmware draws with them even on a serial line. */
const CONTROLS = new RegExp(`${ESCAPE}(?:\\[[0-9;?=]*[ -/]*[@-~]|[()][0-9A-B]|[=>78cDEHM])|[\\r\\0]`, 'g');
/** The beginning of one, at the end of what has come so far. */
const CONTROL_BEGUN = new RegExp(`${ESCAPE}(?:\\[[0-9;?=]*[ -/]*|[()])?$`);

/** A network card: on a tap device that exists, or on QEMU's own network (DHCP, 10.0.2.0/24), which needs no root. */
export interface Nic {
  readonly model: 'e1000' | 'virtio-net-pci';
  readonly mac: string;
  /** Null: QEMU's own network. */
  readonly tap: string | null;
}

export interface VmOptions {
  /** For messages. */
  readonly name: string;
  readonly memoryMib: number;
  readonly cpus?: number;
  readonly firmware: 'bios' | 'uefi';
  /** UEFI with Secure Boot, and these variables; they stay as they are. */
  readonly secureBoot?: string;
  /** Raw files, as virtio disks: vda, vdb ... */
  readonly disks: readonly string[];
  /** The most that each of them writes; absent: what it can. */
  readonly diskBytesPerSec?: number;
  readonly nic: Nic | null;
  /** The network namespace to run in; it must exist. */
  readonly netns?: string;
  readonly bootOrder: 'network' | 'disk';
  /** Started in place of what the firmware would boot. */
  readonly kernel?: { readonly kernel: string; readonly initrd: string; readonly append: string };
  /** More of QEMU's arguments. */
  readonly extra?: readonly string[];
}

interface Waiter {
  readonly pattern: RegExp;
  readonly done: (found: RegExpExecArray) => void;
  readonly failed: (error: Error) => void;
}

export class Vm {
  readonly name: string;
  /** All that the serial line has shown so far, as plain text with `\n` line ends. */
  console = '';
  /** Resolves once QEMU is gone, with its exit status (null when a signal ended it). */
  readonly ended: Promise<number | null>;
  readonly #child: ChildProcess;
  /** What QEMU itself said. */
  #said = '';
  #running = true;
  /** A control sequence whose end has not come yet. */
  #unread = '';
  /** Where the text after the last match begins. */
  #seen = 0;
  #waiter: Waiter | null = null;
  #runs = 0;

  /** Throws when QEMU or its firmware is not installed. */
  static start(options: VmOptions): Vm {
    need(QEMU, 'qemu-system-x86');
    if (options.firmware === 'uefi') need(OVMF_CODE, 'ovmf');
    return new Vm(options);
  }

  private constructor(options: VmOptions) {
    const folder = mkdtempSync(join(tmpdir(), 'swarmboot-vm-'));
    const command = [QEMU, ...qemuArguments(options, folder)];
    if (options.netns !== undefined) command.unshift(IP, 'netns', 'exec', options.netns);
    this.name = options.name;
    // `ip netns exec` becomes QEMU: the child's pid is QEMU's own.
    const child = spawn(command[0]!, command.slice(1), { stdio: 'pipe' });
    this.#child = child;
    child.stdout.setEncoding('utf8').on('data', (text: string) => this.#hear(text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#said = (this.#said + text).slice(-4000);
    });
    // Whoever types at a machine that has just ended learns it from `ended`.
    child.stdin.on('error', () => {});
    this.ended = new Promise((resolve) => {
      const end = (status: number | null) => {
        this.#running = false;
        rmSync(folder, { recursive: true, force: true });
        resolve(status);
        this.#fail(`has ended with status ${status}: ${this.#said}`);
      };
      child.once('close', end);
      child.once('error', (error) => {
        this.#said += error.message;
        end(null);
      });
    });
  }

  /**
   * The first match in what came after the last match; an unfinished line counts. Rejects when the machine ends or
   * `timeoutMs` have passed, with the end of the console.
   */
  until(pattern: RegExp, timeoutMs: number): Promise<RegExpExecArray> {
    if (this.#waiter !== null)
      throw new Error(`${this.name}: somebody waits already for ${this.#waiter.pattern}`);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#fail(`has not shown ${pattern} in ${timeoutMs} ms`), timeoutMs);
      const settle = () => {
        clearTimeout(timer);
        this.#waiter = null;
      };
      this.#waiter = {
        pattern,
        done: (found) => {
          settle();
          resolve(found);
        },
        failed: (error) => {
          settle();
          reject(error);
        },
      };
      this.#look();
      if (!this.#running) this.#fail(`has ended without ${pattern}: ${this.#said}`);
    });
  }

  /** Types at the serial line; `\n` is Enter. */
  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Logs in at the `login:` that comes next, and leaves a shell that `run` works with. */
  async login(user: string, password: string, ms: number): Promise<void> {
    await this.until(/login: $/, ms);
    this.type(`${user}\n`);
    await this.until(/Password: $/, ms);
    this.type(`${password}\n`);
    await this.until(/[$#] $/, ms);
  }

  /**
   * Runs one line in the shell at the console and resolves with what it printed. Rejects when its status is not 0. What
   * the kernel says meanwhile is part of the output.
   */
  async run(shellCommand: string, ms: number): Promise<string> {
    this.#runs += 1;
    const mark = `run-${this.#runs}`;
    // The words of a mark are put together by printf, so that the line's own echo is no mark.
    this.type(`printf '<%s>\\n' ${mark}; ${shellCommand}; printf '<%s:%d>\\n' ${mark} $?\n`);
    await this.until(new RegExp(`<${mark}>\\n`), ms);
    const [whole, status] = await this.until(new RegExp(`<${mark}:(\\d+)>\\n`), ms);
    const begin = this.console.lastIndexOf(`<${mark}>\n`) + `<${mark}>\n`.length;
    const output = this.console.slice(begin, this.#seen - whole.length);
    if (status !== '0')
      throw new Error(`${this.name}: "${shellCommand}" ended with status ${status}: ${output}`);
    return output;
  }

  /** Cuts the power. Resolves when QEMU is gone. */
  async kill(): Promise<void> {
    if (this.#running) this.#child.kill('SIGKILL');
    await this.ended;
  }

  #hear(text: string): void {
    const all = this.#unread + text;
    this.#unread = CONTROL_BEGUN.exec(all)?.[0] ?? '';
    this.console += all.slice(0, all.length - this.#unread.length).replace(CONTROLS, '');
    this.#look();
  }

  #look(): void {
    const waiter = this.#waiter;
    const found = waiter?.pattern.exec(this.console.slice(this.#seen));
    if (!waiter || !found) return;
    this.#seen += found.index + found[0].length;
    waiter.done(found);
  }

  #fail(what: string): void {
    const end = this.console.split('\n').slice(-SHOWN_LINES).join('\n');
    this.#waiter?.failed(new Error(`${this.name} ${what}\n--- the end of its console\n${end}`));
  }
}

function qemuArguments(options: VmOptions, folder: string): string[] {
  const {
    memoryMib,
    cpus = 1,
    firmware,
    secureBoot,
    disks,
    diskBytesPerSec,
    nic,
    bootOrder,
    kernel,
    extra = [],
  } = options;
  const slow = diskBytesPerSec === undefined ? '' : `,throttling.bps-write=${diskBytesPerSec}`;
  const networkFirst = bootOrder === 'network';
  const args = ['-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', `${cpus}`, '-m', `${memoryMib}`];
  args.push('-nographic', '-monitor', 'none', '-serial', 'stdio', '-device', 'virtio-rng-pci');
  if (firmware === 'uefi') {
    const vars = join(folder, 'vars.fd');
    copyFileSync(secureBoot ?? OVMF_VARS, vars);
    args.push('-machine', 'q35');
    // Only the firmware itself may write its variables.
    if (secureBoot !== undefined) args.push('-global', 'driver=cfi.pflash01,property=secure,value=on');
    args.push(
      '-drive',
      `if=pflash,format=raw,readonly=on,file=${secureBoot === undefined ? OVMF_CODE : OVMF_SECURE}`,
    );
    args.push('-drive', `if=pflash,format=raw,file=${vars}`);
  }
  for (const [index, file] of disks.entries()) {
    const bootIndex = (networkFirst ? 2 : 1) + index;
    args.push('-drive', `file=${file},format=raw,if=none,id=disk${index},cache=unsafe${slow}`);
    args.push('-device', `virtio-blk-pci,drive=disk${index},bootindex=${bootIndex}`);
  }
  if (nic === null) {
    args.push('-nic', 'none');
  } else {
    const bootIndex = networkFirst ? 1 : disks.length + 1;
    const backend = nic.tap === null ? 'user' : `tap,ifname=${nic.tap},script=no,downscript=no`;
    args.push('-netdev', `${backend},id=net0`);
    args.push('-device', `${nic.model},netdev=net0,mac=${nic.mac},bootindex=${bootIndex}`);
  }
  if (kernel) args.push('-kernel', kernel.kernel, '-initrd', kernel.initrd, '-append', kernel.append);
  return [...args, ...extra];
}

function need(path: string, debianPackage: string): void {
  if (!existsSync(path)) throw new Error(`${path} is not there: apt-get install ${debianPackage}`);
}
