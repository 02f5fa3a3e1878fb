// The runs as a repository keeps them, a file of JSON lines for each: REPO/runs/web-20260131T120000Z.jsonl, its first line the
// run, the others one install each. While `serve` runs, those of the last hour are in memory and change.

import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { Readable } from 'node:stream';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import type { Message } from '../agent/core/monitor.ts';
import type { Ms } from '../agent/core/units.ts';
import type { NodeRecord } from './core/board.ts';
import { SERVER_BOUNDS } from './core/bounds.ts';
import { type NodeInstall, Run, type RunData, type RunHead, type RunImage } from './core/run.ts';
import { absent, attempt, settle } from './repository.ts';

/** A new system may take so long to come up and say so. */
const RECENT_MS: Ms = 3_600_000;
const WRITTEN_MS: Ms = 30_000;
/** A run begins at most so long before its first message, whatever that says. */
const ELAPSED_MAX_MS: Ms = 86_400_000;
/** Given to the file at once. */
const WRITE_CHARS = 200_000;
/** Of more runs the oldest go. */
const RUNS_MAX = SERVER_BOUNDS.runs;
const RUN_FILE = /^([A-Za-z0-9][A-Za-z0-9._-]*-\d{8}T\d{6}Z)\.jsonl$/;

/** What a run wants to know of an image. */
export interface ImageSource {
  readonly image: RunImage;
  /** Payload that the first seeder has sent of it since it started. */
  readonly uploadedBytes: number;
}

/** The runs that are in work, and their way to the disk. */
export class Runs {
  readonly #repo: string;
  readonly #imageOf: (name: string) => ImageSource | null;
  readonly #problem: (text: string) => void;
  /** The newest last. */
  #recent: Run[] = [];
  readonly #dirty = new Set<Run>();
  #writing: Promise<void> | null = null;
  #writtenAt = 0;

  private constructor(
    repo: string,
    imageOf: (name: string) => ImageSource | null,
    problem: (text: string) => void,
  ) {
    this.#repo = repo;
    this.#imageOf = imageOf;
    this.#problem = problem;
  }

  /**
   * Goes on where a server before this one ended. `records` may be newer than the runs' files: each is taken once more.
   * `imageOf` is null for what is not published. Throws SwarmbootError('repository').
   */
  static async open(
    repo: string,
    records: Iterable<NodeRecord>,
    imageOf: (name: string) => ImageSource | null,
    problem: (text: string) => void,
  ): Promise<Runs> {
    const runs = new Runs(repo, imageOf, problem);
    const now = Date.now();
    for (const { id, beganAt, untilMs } of await listRuns(repo, problem)) {
      if (now - beganAt - untilMs >= RECENT_MS) continue;
      try {
        runs.#recent.unshift(Run.from(await readRun(repo, id)));
      } catch (error) {
        // Nodes can be installed all the same.
        problem(messageOf(error));
      }
    }
    for (const { at, message } of records) {
      const run = runs.#recent.find((one) => message.install !== null && one.has(message.install));
      run?.take(message, message.host, Date.parse(at));
    }
    return runs;
  }

  /** Those that are in memory, the newest first. */
  get recent(): readonly Run[] {
    return this.#recent.toReversed();
  }

  /** Takes a message of a node that is called `name`. */
  take(message: Message, name: string, at: number): void {
    const run = this.#runOf(message, at);
    if (run === null) return;
    run.take(message, name, at);
    this.#dirty.add(run);
  }

  /** Once a second. */
  sample(at: number): void {
    for (const run of this.#recent) {
      if (!run.isOpen(at)) continue;
      run.sample(at, this.#imageOf(run.image.name)?.uploadedBytes ?? 0);
      this.#dirty.add(run);
    }
    if (at - this.#writtenAt >= WRITTEN_MS) void this.#flush(at);
  }

  /** The run by its id; null when there is none. Throws SwarmbootError('repository'). */
  async get(id: string): Promise<RunData | null> {
    const run = this.#recent.find((one) => one.id === id);
    if (run !== undefined) return run.data();
    return RUN_FILE.test(`${id}.jsonl`) ? readRun(this.#repo, id).catch(() => null) : null;
  }

  /** All runs that there are, the newest first. Throws SwarmbootError('repository'). */
  async list(): Promise<readonly RunHead[]> {
    const recent = this.recent.map((run) => run.head());
    const ids = new Set(recent.map(({ id }) => id));
    return [...recent, ...(await listRuns(this.#repo, this.#problem)).filter(({ id }) => !ids.has(id))];
  }

  /** Returns when all is on disk, or has failed to get there. */
  async close(): Promise<void> {
    await this.#writing;
    await this.#flush(Date.now());
  }

  #runOf(message: Message, at: number): Run | null {
    const { install, image, mac } = message;
    if (install === null) return this.recent.find((run) => run.installOf(mac) !== null) ?? null;
    const known = this.recent.find((run) => run.has(install));
    if (known !== undefined) return known;
    const source = image === null ? null : this.#imageOf(image);
    if (source === null) return null;
    const open = this.recent.find((run) => run.image.name === image && run.isOpen(at));
    if (open !== undefined) return open;
    const elapsedMs = message.report?.elapsedMs ?? message.stages.at(-1)?.atMs ?? 0;
    const beganAt = at - Math.min(elapsedMs, ELAPSED_MAX_MS);
    const run = Run.begin(source.image, new Date(beganAt).toISOString(), beganAt);
    run.sample(at, source.uploadedBytes);
    this.#recent.push(run);
    return run;
  }

  #flush(at: number): Promise<void> {
    this.#writing ??= this.#write(at).finally(() => {
      this.#writing = null;
    });
    return this.#writing;
  }

  async #write(at: number): Promise<void> {
    this.#writtenAt = at;
    for (const run of this.#dirty) {
      this.#dirty.delete(run);
      try {
        await writeRun(this.#repo, run);
      } catch (error) {
        this.#problem(messageOf(error));
      }
    }
    this.#recent = this.#recent.filter((run) => at - run.beganAt - run.head().untilMs < RECENT_MS);
  }
}

/** The runs that are on disk, the newest first; what is none is left out and told to `problem`. Throws SwarmbootError('repository'). */
export async function listRuns(repo: string, problem: (text: string) => void): Promise<readonly RunHead[]> {
  const folder = path.join(repo, 'runs');
  const names = (await attempt(`read ${folder}`, () => fs.readdir(folder).catch(absent))) ?? [];
  const heads: RunHead[] = [];
  for (const name of names.filter((one) => RUN_FILE.test(one))) {
    const place = path.join(folder, name);
    try {
      heads.push(parseHead(await firstLine(place)));
    } catch (error) {
      problem(`${place} is no run: ${messageOf(error)}; remove the file`);
    }
  }
  return heads.sort((a, b) => b.beganAt - a.beganAt);
}

/** A run that is on disk. Throws SwarmbootError('repository'). */
export async function readRun(repo: string, id: string): Promise<RunData> {
  const place = runPath(repo, id);
  const text = await attempt(`read ${place}`, () => fs.readFile(place, 'utf8'));
  try {
    const [head, ...nodes] = text.split('\n').filter((line) => line !== '');
    return { ...parseHead(head ?? ''), nodes: nodes.map((line) => JSON.parse(line) as NodeInstall) };
  } catch (error) {
    throw new SwarmbootError('repository', `${place} is no run: ${messageOf(error)}; remove the file`, {
      cause: error,
    });
  }
}

async function writeRun(repo: string, run: Run): Promise<void> {
  const place = runPath(repo, run.id);
  await attempt(`write ${place}`, async () => {
    await fs.mkdir(path.dirname(place), { recursive: true });
    await removeOldest(path.dirname(place));
    // In parts: of ten thousand nodes it is some twenty megabytes, and others want to be answered in between.
    const lines = Readable.from(
      (function* () {
        let text = `${JSON.stringify(run.head())}\n`;
        for (const install of run.installs()) {
          text += `${JSON.stringify(install)}\n`;
          if (text.length < WRITE_CHARS) continue;
          yield text;
          text = '';
        }
        yield text;
      })(),
    );
    await fs.writeFile(`${place}.new`, lines);
    await settle(`${place}.new`, place);
  });
}

/** By the times in their names. */
async function removeOldest(folder: string): Promise<void> {
  const names = (await fs.readdir(folder)).filter((name) => RUN_FILE.test(name));
  const time = (name: string) => name.slice(-'20260131T120000Z.jsonl'.length);
  names.sort((a, b) => (time(a) < time(b) ? -1 : 1));
  for (const name of names.slice(0, Math.max(0, names.length - RUNS_MAX)))
    await fs.rm(path.join(folder, name));
}

/** We wrote it ourselves: its form is taken as it is. */
function parseHead(line: string): RunHead {
  const head = JSON.parse(line) as Partial<RunHead>;
  if (head.format !== 1 || typeof head.id !== 'string')
    throw new Error('its first line is no run of format 1');
  return head as RunHead;
}

async function firstLine(place: string): Promise<string> {
  const file = await fs.open(place);
  try {
    for await (const line of file.readLines()) return line;
    return '';
  } finally {
    await file.close();
  }
}

function runPath(repo: string, id: string): string {
  return path.join(repo, 'runs', `${id}.jsonl`);
}
