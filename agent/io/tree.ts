// Writes the members of an archive below a target folder: GNU tar for images and overrides, where everything must be
// kept; plain file calls for BOEL binaries, which need no more. What may be written is decided before.

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { messageOf, SwarmbootError } from '../core/errors.ts';
import type { FileSink, TreeWriter } from '../core/judge.ts';
import { type Member, quoted } from '../core/tarhead.ts';
import { KIB } from '../core/units.ts';

const STDERR_BYTES_MAX = 16 * KIB;
const GNU_TAR = '/usr/bin/tar';
/** Records of access lists and labels by name: another machine may not have those names. */
const KEPT_AS_TEXT = /^(?:SCHILY|RHT)\./;
/** What a file is called, in its folder, until it is whole. */
const UNFINISHED = '.swarmboot-unfinished';

/** A writer that keeps all that GNU tar can keep, below an existing folder. */
export function tarWriter(target: string): TreeWriter {
  return new TarWriter(target);
}

/**
 * A writer of files, folders, links, their modes and times, below an existing folder. Devices are refused. A file that is
 * there is replaced at once when the new one is whole: it may be a program that runs, or a library that one is to load.
 */
export function streamWriter(target: string): TreeWriter {
  return new StreamWriter(target);
}

/** The folder that is written to. */
class Target {
  protected readonly target: string;

  constructor(target: string) {
    this.target = target;
  }

  readlink(path: string): string | null {
    return this.#stat(path)?.isSymbolicLink() ? fs.readlinkSync(this.place(path), 'latin1') : null;
  }

  isFolder(path: string): boolean {
    return this.#stat(path)?.isDirectory() ?? false;
  }

  #stat(path: string): fs.Stats | undefined {
    try {
      return fs.lstatSync(this.place(path), { throwIfNoEntry: false });
    } catch (error) {
      throw writeFault(`cannot look at ${quoted(path)} below ${this.target}: ${reasonOf(error)}`, error);
    }
  }

  /** Where a member lies, byte for byte. */
  protected place(name: string): Buffer {
    return Buffer.concat([Buffer.from(this.target), Buffer.from(`/${name}`, 'latin1')]);
  }
}

/** The world's fault while writing. */
function writeFault(what: string, cause?: unknown): SwarmbootError {
  return new SwarmbootError('extract', `${what}; the target is incomplete: unpack again into an empty one`, {
    cause,
  });
}

/** What is wrong, without the path that Node puts behind it, raw and in full. */
function reasonOf(error: unknown): string {
  return messageOf(error).split(', ')[0] ?? '';
}

/** GNU tar as a child: it writes what it gets on its standard input. */
class TarWriter extends Target implements TreeWriter {
  readonly #root = process.geteuid?.() === 0;
  readonly #child: ChildProcessByStdio<Writable, null, Readable>;
  readonly #exit: Promise<string | null>;
  #stderr = '';
  /** Names of the devices left out, for hard links to them. */
  readonly #leftOut = new Set<string>();
  #owners = 0;
  #attributes = 0;
  #texts = 0;

  constructor(target: string) {
    super(target);
    const rights = this.#root
      ? ['--same-owner', '--xattrs-include=*']
      : ['--no-same-owner', '--xattrs-include=user.*', '--xattrs-include=system.posix_acl_*'];
    const child = spawn(
      GNU_TAR,
      [
        '--extract',
        '--file=-',
        `--directory=${target}`,
        '--numeric-owner',
        '--same-permissions',
        '--keep-directory-symlink',
        '--delay-directory-restore',
        '--warning=no-timestamp',
        '--warning=no-unknown-keyword',
        '--xattrs',
        ...rights,
      ],
      { stdio: ['pipe', 'ignore', 'pipe'], env: { LC_ALL: 'C', TZ: 'UTC' } },
    );
    child.stderr.on('data', (text: Buffer) => {
      if (this.#stderr.length < STDERR_BYTES_MAX) this.#stderr += text.toString('latin1');
    });
    // A broken pipe is told by the exit, with the reason.
    child.stdin.on('error', () => {});
    this.#child = child;
    this.#exit = new Promise((resolve) => {
      child.on('error', (error) =>
        resolve(`${GNU_TAR} cannot be started (${error.message}): install GNU tar`),
      );
      child.on('close', (code, signal) =>
        resolve(code === 0 ? null : `GNU tar ended with ${code ?? signal}`),
      );
    });
  }

  take(member: Member): boolean {
    if (member.xattrs.some((name) => KEPT_AS_TEXT.test(name))) this.#texts++;
    if (this.#root) return true;
    const device = member.type === 'character-device' || member.type === 'block-device';
    if (device || (member.type === 'hardlink' && this.#leftOut.has(member.linkName))) {
      this.#leftOut.add(member.name);
      return false;
    }
    if (member.uid !== process.geteuid?.() || member.gid !== process.getegid?.()) this.#owners++;
    if (member.xattrs.some((name) => /^(security|trusted)\./.test(name))) this.#attributes++;
    return true;
  }

  async write(bytes: Uint8Array): Promise<void> {
    const error = await new Promise<unknown>((resolve) => this.#child.stdin.write(bytes, resolve));
    if (error) throw this.#fault((await this.#exit) ?? 'GNU tar ended early');
  }

  async finish(): Promise<readonly string[]> {
    this.#child.stdin.end();
    const wrong = await this.#exit;
    if (wrong !== null) throw this.#fault(wrong);
    const said = this.#stderr === '' ? [] : [`GNU tar said: ${this.#lines()}`];
    if (this.#texts > 0) {
      said.unshift(
        `access lists or labels of ${this.#texts} members, which the archive holds as text, were not kept: make it with --xattrs --xattrs-include='*' --no-acls`,
      );
    }
    const lost = [
      [this.#owners, 'owners'],
      [this.#leftOut.size, 'devices'],
      [this.#attributes, 'privileged attributes'],
    ] as const;
    const counts = lost.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
    return counts.length === 0 ? said : [`without root: ${counts.join(', ')} were not kept`, ...said];
  }

  async abort(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exit;
  }

  #lines(): string {
    const lines = this.#stderr.trim().split('\n');
    return lines.slice(0, 5).join(' | ') + (lines.length > 5 ? ` | and ${lines.length - 5} lines more` : '');
  }

  #fault(what: string): SwarmbootError {
    return writeFault(this.#stderr === '' ? what : `${what}: ${this.#lines()}`);
  }
}

/** Writes by itself what needs no privilege: files, folders, links, their modes and times. */
class StreamWriter extends Target implements TreeWriter {
  /**
   * Set at the end, the deepest first: a folder may forbid writing, and writing changes its time. Each under the path that
   * no link is part of: a link on the way may point elsewhere by then.
   */
  readonly #folders: { readonly member: Member; readonly place: Buffer }[] = [];
  #attributes = 0;
  #open: { readonly fd: number; readonly draft: Buffer } | null = null;

  take(member: Member): FileSink {
    if (member.xattrs.length > 0) this.#attributes++;
    return this.#make(member);
  }

  async write(): Promise<void> {}

  async finish(): Promise<readonly string[]> {
    for (const { member, place } of this.#folders.reverse()) {
      this.#tried(member, () => {
        fs.chmodSync(place, member.mode);
        fs.utimesSync(place, timeOf(member), timeOf(member));
      });
    }
    return this.#attributes === 0 ? [] : [`extended attributes of ${this.#attributes} members were not kept`];
  }

  async abort(): Promise<void> {
    if (this.#open === null) return;
    fs.closeSync(this.#open.fd);
    fs.rmSync(this.#open.draft, { force: true });
  }

  #make(member: Member): FileSink {
    const { name, type } = member;
    const [folder, last] = [name.split('/').slice(0, -1).join('/'), name.split('/').at(-1)];
    if (last === UNFINISHED) throw unfit(member, 'a file of the name that unfinished ones have');
    if (type === 'file' ? member.sparse : !/^(?:directory|symlink|hardlink)$/.test(type))
      throw unfit(member, `a ${type === 'file' ? 'sparse file' : type}`);
    const place = this.place(name);
    return this.#tried(member, () => {
      fs.mkdirSync(this.place(folder), { recursive: true });
      if (type === 'file') return this.#file(member, place, this.place(`${folder}/${UNFINISHED}`));
      if (type === 'directory') this.#folder(member, place);
      else this.#link(member, place);
      return { data: () => {}, end: () => {} };
    });
  }

  #folder(member: Member, place: Buffer): void {
    if (!fs.statSync(place, { throwIfNoEntry: false })?.isDirectory()) fs.mkdirSync(place);
    this.#folders.push({ member, place: fs.realpathSync.native(place, 'buffer') });
  }

  #link(member: Member, place: Buffer): void {
    if (fs.lstatSync(place, { throwIfNoEntry: false }) !== undefined) fs.unlinkSync(place);
    if (member.type === 'hardlink') return fs.linkSync(this.place(member.linkName), place);
    fs.symlinkSync(Buffer.from(member.linkName, 'latin1'), place);
    fs.lutimesSync(place, timeOf(member), timeOf(member));
  }

  #file(member: Member, place: Buffer, draft: Buffer): FileSink {
    // What a power cut left behind.
    fs.rmSync(draft, { force: true });
    const fd = fs.openSync(draft, 'wx', 0o600);
    this.#open = { fd, draft };
    return {
      data: (bytes) =>
        this.#tried(member, () => {
          for (let at = 0; at < bytes.length; ) at += fs.writeSync(fd, bytes, at);
        }),
      end: () =>
        this.#tried(member, () => {
          fs.fchmodSync(fd, member.mode);
          fs.futimesSync(fd, timeOf(member), timeOf(member));
          this.#open = null;
          // Closed first: nobody can run a program that somebody may write to.
          fs.closeSync(fd);
          try {
            fs.renameSync(draft, place);
          } catch (error) {
            fs.rmSync(draft);
            throw error;
          }
        }),
    };
  }

  /** What `work` gives; its errors become the world's fault, with the member's name. */
  #tried<T>(member: Member, work: () => T): T {
    try {
      return work();
    } catch (error) {
      const what = `cannot write ${quoted(member.name)} below ${this.target}: ${reasonOf(error)}`;
      throw writeFault(what, error);
    }
  }
}

/** As text, for Node takes a negative number for the present. */
function timeOf(member: Member): string {
  return String(member.mtimeSec);
}

function unfit(member: Member, what: string): SwarmbootError {
  return new SwarmbootError(
    'archive',
    `member ${quoted(member.name)}: ${what} in BOEL binaries; publish them without it`,
  );
}
