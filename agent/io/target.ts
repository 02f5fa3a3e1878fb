// The tree of the new system, beyond what tar does: files are read and written below its root alone, with links followed
// as that system would follow them; and what still runs in it is ended.

import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { messageOf, SwarmbootError } from '../core/errors.ts';
import type { TreeRoom } from '../core/systemrooms.ts';

/** As many as the kernel follows (path_resolution(7)). */
const LINKS_MAX = 40;

/** The files below `root`, an existing folder. */
export function openTree(root: string): TreeRoom {
  return new Tree(root);
}

class Tree implements TreeRoom {
  readonly #root: string;

  constructor(root: string) {
    this.#root = fs.realpathSync(root);
  }

  has(path: string): boolean {
    try {
      return fs.existsSync(this.#resolve(path));
    } catch {
      return false;
    }
  }

  isLink(path: string): boolean {
    try {
      return fs.lstatSync(this.#place(path), { throwIfNoEntry: false })?.isSymbolicLink() === true;
    } catch {
      return false;
    }
  }

  list(path: string): readonly string[] {
    try {
      return fs.readdirSync(this.#resolve(path)).sort();
    } catch {
      return [];
    }
  }

  read(path: string): string | null {
    try {
      return fs.readFileSync(this.#resolve(path), 'utf8');
    } catch {
      return null;
    }
  }

  write(path: string, content: string | Uint8Array, mode: number): void {
    this.#attempt(`write /${path}`, () => this.#replace(path, content, mode));
  }

  copy(from: string, path: string, mode: number): void {
    this.#attempt(`copy ${from} to /${path}`, () => this.#replace(path, fs.readFileSync(from), mode));
  }

  link(path: string, to: string): void {
    this.#attempt(`make the link /${path}`, () => {
      this.folder(dirname(path));
      const place = this.#place(path);
      fs.rmSync(place, { force: true });
      fs.symlinkSync(to, place);
    });
  }

  remove(path: string): void {
    this.#attempt(`remove /${path}`, () => fs.rmSync(this.#place(path), { recursive: true, force: true }));
  }

  folder(path: string): string {
    return this.#attempt(`make the folder /${path}`, () => {
      const place = this.#resolve(path);
      fs.mkdirSync(place, { recursive: true });
      return place;
    });
  }

  /** Beside, then renamed: a file is there whole or not at all. */
  #replace(path: string, content: string | Uint8Array, mode: number): void {
    const place = this.#resolve(path);
    fs.mkdirSync(dirname(place), { recursive: true });
    const beside = `${place}.swarmboot`;
    fs.rmSync(beside, { force: true });
    const fd = fs.openSync(beside, 'wx', mode);
    try {
      fs.writeFileSync(fd, content);
      fs.fchmodSync(fd, mode);
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    fs.renameSync(beside, place);
    const folder = fs.openSync(dirname(place), fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
    try {
      fs.fsyncSync(folder);
    } finally {
      fs.closeSync(folder);
    }
  }

  /** Where a path lies when its last part is taken as it is, link or not. */
  #place(path: string): string {
    const parts = path.split('/').filter((part) => part !== '');
    return join(this.#resolve(parts.slice(0, -1).join('/')), parts.at(-1) ?? '.');
  }

  /** Where a path leads, every link on it followed inside the root; parts that are not there yet stay as they are. */
  #resolve(path: string): string {
    const ahead = path.split('/').reverse();
    const done: string[] = [];
    let links = 0;
    for (let part = ahead.pop(); part !== undefined; part = ahead.pop()) {
      if (part === '' || part === '.') continue;
      if (part === '..') {
        done.pop();
        continue;
      }
      const place = join(this.#root, ...done, part);
      const to = linkAt(place);
      if (to === null) {
        done.push(part);
        continue;
      }
      if (++links > LINKS_MAX) throw new Error(`more than ${LINKS_MAX} links on the way`);
      if (to.startsWith('/')) done.length = 0;
      ahead.push(...to.split('/').reverse());
    }
    return join(this.#root, ...done);
  }

  #attempt<T>(what: string, work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (error instanceof SwarmbootError) throw error;
      throw new SwarmbootError(
        'system',
        `cannot ${what} below ${this.#root}: ${messageOf(error)}; the new system is incomplete: look at that place in the image, then install again`,
        { cause: error },
      );
    }
  }
}

/** What a link says; null where there is none. */
function linkAt(place: string): string | null {
  const stat = fs.lstatSync(place, { throwIfNoEntry: false });
  return stat?.isSymbolicLink() ? fs.readlinkSync(place) : null;
}

/**
 * Ends every process whose root folder is `root` or lies below it: a daemon that a script has started in a chroot would
 * keep the file systems busy. Returns their names, one for each process.
 */
export function endProcesses(root: string): readonly string[] {
  const inside = fs.realpathSync(root);
  const ended: string[] = [];
  for (const id of fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const at = fs.readlinkSync(`/proc/${id}/root`);
      if (at !== inside && !at.startsWith(`${inside}/`)) continue;
      const name = fs.readFileSync(`/proc/${id}/comm`, 'utf8').trim();
      process.kill(Number(id), 'SIGKILL');
      ended.push(name);
    } catch {
      // It ended by itself, or is another user's and could not have been started from here.
    }
  }
  return ended;
}
