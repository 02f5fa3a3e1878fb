// The nodes as a repository keeps them: nodes.conf, who is armed (a file each in armed/, with how many hours the node may
// enrol), and the newest message of each (a JSON file in reports/). `serve` and `swarmboot node` meet here, each a process of its own.

import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import { mac12, parseMac } from '../agent/core/mac.ts';
import type { Ms } from '../agent/core/units.ts';
import { type NodeRecord, parseRecord } from './core/board.ts';
import { type Arming, WINDOW_HOURS } from './core/enrolment.ts';
import { NODES_MAX, Nodes, parseNodes } from './core/nodes.ts';
import { absent, attempt, settle, syncPath } from './repository.ts';

const PROGRESS_WRITTEN_MS: Ms = 15_000;
const RECORD_FILE = /^([0-9a-f]{12})\.json$/;

export function nodesPath(repo: string): string {
  return path.join(repo, 'nodes.conf');
}

/** The nodes file; a repository without one has no nodes. Throws SwarmbootError 'nodes' or 'repository'. */
export async function readNodes(repo: string): Promise<Nodes> {
  const place = nodesPath(repo);
  const text = await attempt(`read ${place}`, () => fs.readFile(place, 'utf8').catch(absent));
  return text === undefined ? new Nodes([], []) : parseNodes(text, place);
}

/**
 * Makes the next network boot of a node install it; it may enrol for so long. `since`: when another server has armed it.
 * Throws SwarmbootError('repository').
 */
export async function arm(
  repo: string,
  mac: string,
  windowHours = WINDOW_HOURS,
  since: Date | null = null,
): Promise<void> {
  const place = armedPath(repo, mac);
  await attempt(`write ${place}`, async () => {
    await fs.mkdir(path.dirname(place), { recursive: true });
    // A new file each time: armed once more, it is armed from now on, and its folder shows that something has changed.
    await fs.writeFile(`${place}.new`, `${windowHours}\n`);
    // Root arms beside a service that is not root, and its umask may be a strict one.
    await fs.chmod(`${place}.new`, 0o644);
    if (since !== null) await fs.utimes(`${place}.new`, since, since);
    await settle(`${place}.new`, place);
  });
}

/** False when it was not armed. Throws SwarmbootError('repository'). */
export async function disarm(repo: string, mac: string): Promise<boolean> {
  const place = armedPath(repo, mac);
  return attempt(`remove ${place}`, async () => {
    const removed = await fs.unlink(place).then(() => true, absent);
    if (removed !== true) return false;
    await syncPath(path.dirname(place));
    return true;
  });
}

/** Since when a node is armed; null: it is not. Throws SwarmbootError('repository'). */
export async function armedSince(repo: string, mac: string): Promise<Date | null> {
  const place = armedPath(repo, mac);
  const stat = await attempt(`read ${place}`, () => fs.stat(place).catch(absent));
  return stat?.mtime ?? null;
}

/** How a node is armed; null: it is not. Throws SwarmbootError('repository'). */
export async function readArming(repo: string, mac: string): Promise<Arming | null> {
  const since = await armedSince(repo, mac);
  if (since === null) return null;
  const place = armedPath(repo, mac);
  const text = (await attempt(`read ${place}`, () => fs.readFile(place, 'utf8').catch(absent))) ?? '';
  // An empty file, as older versions have left it, says nothing of a window.
  const hours = Number(text.trim() || WINDOW_HOURS);
  return { sinceMs: since.getTime(), windowHours: hours > 0 ? hours : 0 };
}

/** Since when each armed node is, by MAC: `2026-01-31T12:00:00.000Z`. Throws SwarmbootError('repository'). */
export async function readArmed(repo: string): Promise<ReadonlyMap<string, string>> {
  const folder = armedFolder(repo);
  const names = (await attempt(`read ${folder}`, () => fs.readdir(folder).catch(absent))) ?? [];
  const armed = new Map<string, string>();
  for (const mac of names.flatMap((name) => (name.includes('.') ? [] : (parseMac(name) ?? [])))) {
    const since = await armedSince(repo, mac);
    if (since !== null) armed.set(mac, since.toISOString());
  }
  return armed;
}

/**
 * The newest record of each node that has spoken, by MAC. A file that cannot be read as one is left out and told to
 * `problem`. Throws SwarmbootError('repository') when the folder cannot be read.
 */
export async function readRecords(
  repo: string,
  problem: (text: string) => void,
): Promise<Map<string, NodeRecord>> {
  const folder = path.join(repo, 'reports');
  const names = (await attempt(`read ${folder}`, () => fs.readdir(folder).catch(absent))) ?? [];
  const records = new Map<string, NodeRecord>();
  for (const name of names.sort()) {
    const mac = parseMac(RECORD_FILE.exec(name)?.[1] ?? '');
    if (mac === null) continue;
    const place = path.join(folder, name);
    try {
      const record = parseRecord(await fs.readFile(place, 'utf8'));
      if (record.message.mac !== mac) throw new Error(`it speaks of ${record.message.mac}`);
      records.set(mac, record);
    } catch (error) {
      problem(`${place} is no record of a node: ${messageOf(error)}; remove the file`);
    }
  }
  return records;
}

/**
 * The records while `serve` runs: in memory, and behind that on disk. What changes a node's state is written at once, its
 * progress now and then: a server that is killed loses some seconds of it, and the next message brings it again. One file
 * is written at a time.
 */
export class Records {
  readonly #repo: string;
  readonly #records: Map<string, NodeRecord>;
  readonly #problem: (text: string) => void;
  /** Those that are to be written; true: what has changed is more than progress. */
  readonly #dirty = new Map<string, boolean>();
  readonly #timer: NodeJS.Timeout;
  #writing: Promise<void> | null = null;

  private constructor(repo: string, records: Map<string, NodeRecord>, problem: (text: string) => void) {
    this.#repo = repo;
    this.#records = records;
    this.#problem = problem;
    this.#timer = setInterval(() => this.#flush([...this.#dirty.keys()]), PROGRESS_WRITTEN_MS).unref();
  }

  static async open(repo: string, problem: (text: string) => void): Promise<Records> {
    return new Records(repo, await readRecords(repo, problem), problem);
  }

  get(mac: string): NodeRecord | null {
    return this.#records.get(mac) ?? null;
  }

  all(): Iterable<NodeRecord> {
    return this.#records.values();
  }

  /** How many nodes have spoken since `at`. */
  countSince(at: string): number {
    let count = 0;
    for (const record of this.#records.values()) if (record.at >= at) count++;
    return count;
  }

  /** Keeps a node's newest record. Throws SwarmbootError('repository') when it is one too many, of a node not `known`. */
  add(record: NodeRecord, known: boolean): void {
    const { mac, status, stage } = record.message;
    const before = this.get(mac)?.message;
    if (before === undefined && !known && this.#records.size >= NODES_MAX) {
      const folder = path.join(this.#repo, 'reports');
      throw new SwarmbootError(
        'repository',
        `reports of ${NODES_MAX} nodes are kept; remove some from ${folder}`,
      );
    }
    this.#records.set(mac, record);
    // Percents of progress are no other state.
    const state = (value: number) => (value >= 1 && value <= 99 ? 1 : value);
    const news = before === undefined || state(before.status) !== state(status) || before.stage !== stage;
    this.#dirty.set(mac, news || this.#dirty.get(mac) === true);
    if (news) this.#flushNews();
  }

  /** Returns when everything is on disk, or has failed to get there. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#writing;
    await this.#write([...this.#dirty.keys()]);
  }

  #flushNews(): void {
    this.#flush([...this.#dirty].flatMap(([mac, news]) => (news ? mac : [])));
  }

  #flush(macs: readonly string[]): void {
    if (macs.length > 0)
      this.#writing ??= this.#write(macs).finally(() => {
        this.#writing = null;
        this.#flushNews();
      });
  }

  /** What is more than progress outlives a power cut of this machine; mere progress, the end of this process. */
  async #write(macs: readonly string[]): Promise<void> {
    const folder = path.join(this.#repo, 'reports');
    for (const mac of macs) {
      const news = this.#dirty.get(mac);
      this.#dirty.delete(mac);
      const place = path.join(folder, `${mac12(mac)}.json`);
      try {
        const text = `${JSON.stringify(this.#records.get(mac), null, 2)}\n`;
        await fs.writeFile(`${place}.new`, text).catch(async (error: NodeJS.ErrnoException) => {
          if (error.code !== 'ENOENT') throw error;
          await fs.mkdir(folder, { recursive: true });
          await fs.writeFile(`${place}.new`, text);
        });
        if (news) await settle(`${place}.new`, place);
        else await fs.rename(`${place}.new`, place);
      } catch (error) {
        this.#problem(`cannot write ${place} (${messageOf(error)}); check its rights and its free space`);
      }
    }
  }
}

/** Its files are the armed nodes; its time of change is that of the last arming or disarming. */
export function armedFolder(repo: string): string {
  return path.join(repo, 'armed');
}

function armedPath(repo: string, mac: string): string {
  return path.join(armedFolder(repo), mac12(mac));
}
