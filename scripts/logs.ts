// The logs of installs as a repository keeps them, a file of JSON lines for each node: REPO/logs/525400090001.jsonl. When one has
// grown long it becomes 525400090001.jsonl.1, in the place of an older one.

import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { mac12 } from '../agent/core/mac.ts';
import type { LogLine } from '../agent/core/monitor.ts';
import type { Ms } from '../agent/core/units.ts';
import type { LogEntry } from './core/board.ts';
import { SERVER_BOUNDS } from './core/bounds.ts';
import { absent, attempt } from './repository.ts';

/** An install has some hundreds of lines. */
const FILE_BYTES_MAX = SERVER_BOUNDS.logFileBytes;
const LOOK_MS: Ms = 500;
const GAP = /^\(lines missing here: (\d+)\)$/;

/** What one message adds to a log. */
export interface LogPart {
  readonly at: string;
  readonly install: string | null;
  readonly lines: readonly LogLine[];
  /** Lines before these that were too many to be sent. */
  readonly missed: number;
}

/** Writes the logs of all nodes, one part at a time for each. */
export class Logs {
  readonly #repo: string;
  /** By node: what was begun last, and how long its file is. */
  readonly #files = new Map<string, { last: Promise<void>; bytes: number | null }>();

  constructor(repo: string) {
    this.#repo = repo;
  }

  /** Returns when the part is in the file. Throws SwarmbootError('repository') when it cannot be written. */
  async append(mac: string, { at, install, lines, missed }: LogPart): Promise<void> {
    if (lines.length === 0) return;
    const gap = missed === 0 ? [] : [{ atMs: lines[0]!.atMs, text: `(lines missing here: ${missed})` }];
    const entries = [...gap, ...lines].map(({ atMs, text }): LogEntry => ({ at, install, atMs, text }));
    const text = entries.map((entry) => `${JSON.stringify(entry)}\n`).join('');
    const place = logPath(this.#repo, mac);
    const file = this.#files.get(mac) ?? { last: Promise.resolve(), bytes: null };
    this.#files.set(mac, file);
    const done = file.last.then(() =>
      attempt(`write ${place}`, async () => {
        file.bytes = await write(place, text, file.bytes);
      }),
    );
    file.last = done.catch(() => {
      file.bytes = null;
    });
    return done;
  }
}

/** All lines that are kept of a node, oldest first. Throws SwarmbootError('repository'). */
export async function readLog(repo: string, mac: string): Promise<readonly LogEntry[]> {
  const place = logPath(repo, mac);
  const texts = await attempt(`read ${place}`, () =>
    Promise.all([`${place}.1`, place].map((file) => fs.readFile(file, 'utf8').catch(absent))),
  );
  return texts.flatMap((text) => parseEntries(text ?? ''));
}

/** How many lines of an install have come, by what is kept; gaps count what they say. Throws SwarmbootError('repository'). */
export async function countLines(repo: string, mac: string, install: string): Promise<number> {
  const entries = (await readLog(repo, mac)).filter((entry) => entry.install === install);
  return entries.reduce((sum, { text }) => sum + Number(GAP.exec(text)?.[1] ?? 1), 0);
}

/** All lines that are kept, then each that comes, until `signal` says so. Throws SwarmbootError('repository'). */
export async function* followLog(repo: string, mac: string, signal: AbortSignal): AsyncGenerator<LogEntry> {
  const place = logPath(repo, mac);
  const older = await attempt(`read ${place}.1`, () => fs.readFile(`${place}.1`, 'utf8').catch(absent));
  yield* parseEntries(older ?? '');
  for (;;) {
    const file = await attempt(`read ${place}`, () => fs.open(place).catch(absent));
    if (file === undefined) {
      await sleep(LOOK_MS, undefined, { signal });
      continue;
    }
    try {
      yield* followFile(place, file, signal);
    } finally {
      await file.close();
    }
  }
}

/** The lines of one file, until another has its name. */
async function* followFile(
  place: string,
  file: fs.FileHandle,
  signal: AbortSignal,
): AsyncGenerator<LogEntry> {
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(FILE_BYTES_MAX);
  const { ino } = await file.stat();
  let rest = '';
  for (;;) {
    const stat = await fs.stat(place).catch(absent);
    const { bytesRead } = await file.read(chunk);
    if (bytesRead > 0) {
      rest += decoder.decode(chunk.subarray(0, bytesRead), { stream: true });
      const end = rest.lastIndexOf('\n') + 1;
      yield* parseEntries(rest.slice(0, end));
      rest = rest.slice(end);
    } else if (stat !== undefined && stat.ino !== ino) return;
    else await sleep(LOOK_MS, undefined, { signal });
  }
}

/** Appends and returns how long the file is then; `bytes` is how long it was, if that is known. */
async function write(place: string, text: string, bytes: number | null): Promise<number> {
  let length = bytes;
  if (length === null) {
    await fs.mkdir(path.dirname(place), { recursive: true });
    length = (await fs.stat(place).catch(absent))?.size ?? 0;
  }
  if (length >= FILE_BYTES_MAX) {
    await fs.rename(place, `${place}.1`).catch(absent);
    length = 0;
  }
  await fs.appendFile(place, text);
  return length + Buffer.byteLength(text);
}

/** A server that was killed while it wrote may have left half a line. */
function parseEntries(text: string): LogEntry[] {
  return text.split('\n').flatMap((line) => {
    try {
      return line === '' ? [] : [JSON.parse(line) as LogEntry];
    } catch {
      return [];
    }
  });
}

function logPath(repo: string, mac: string): string {
  return path.join(repo, 'logs', `${mac12(mac)}.jsonl`);
}
