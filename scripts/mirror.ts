// A mirror: follows another image server and makes its own repository the same, which `serve` then offers like any other. It
// goes on with what it has when that server is gone. Tarballs come from the swarm, all else over HTTP.

import { createWriteStream } from 'node:fs';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { NO_CREDENTIALS } from '../agent/core/credentials.ts';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import type { Ms } from '../agent/core/units.ts';
import { openCatalog } from '../agent/io/catalog.ts';
import { startPeer } from '../agent/peer.ts';
import { type Arguments, usage } from './command.ts';
import {
  type BootFile,
  parseSiteState,
  SITE_STATE_BYTES_MAX,
  SITE_STATE_NAME,
  type SiteState,
} from './core/sitestate.ts';
import { Publications } from './mirrored.ts';
import { arm, disarm, nodesPath, readArmed } from './nodes.ts';
import { PassOn } from './passon.ts';
import { absent, attempt, readEntries, readSerials, settle } from './repository.ts';
import { readBootFiles } from './sitestate.ts';

const FOLLOW_MS: Ms = 1000;
const ANSWER_MAX_MS: Ms = 10_000;
/** A boot file may be large, and a link slow. */
const FILE_MAX_MS: Ms = 600_000;

export interface MirrorOptions {
  readonly repo: string;
  /** Of the server that is mirrored. */
  readonly server: URL;
  /** Address to listen on for peers while tarballs are fetched. */
  readonly host: string;
  /** Takes lines for the admin. */
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/** What `--mirror` asks for; null: nothing. Throws a usage error. */
export function mirrorOption(args: Arguments): URL | null {
  const text = args.text('mirror');
  if (text === undefined) return null;
  const url = URL.parse(/^https?:\/\//.test(text) ? text : `http://${text}:8080`);
  if (url === null) throw usage(`--mirror wants the URL of an image server, not "${text}"`);
  if (url.protocol === 'https:')
    throw usage('--mirror wants http: nodes of a closed site cannot be admitted by a mirror yet');
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url;
}

export class Mirror {
  readonly #options: MirrorOptions;
  readonly #passOn: PassOn;
  /** Since when each node has been armed there, as it was last taken over: a node that we have disarmed stays disarmed. */
  readonly #armed = new Map<string, number>();

  private constructor(options: MirrorOptions) {
    this.#options = options;
    this.#passOn = new PassOn(options.server, options.signal);
  }

  /** Throws SwarmbootError('repository') when the repository is not that of a mirror of this server. */
  static async open(options: MirrorOptions): Promise<Mirror> {
    const { repo, server } = options;
    const mark = path.join(repo, 'mirror');
    const before = await attempt(`read ${mark}`, () => fs.readFile(mark, 'utf8').catch(absent));
    if (before === undefined) {
      const own = (await readEntries(repo)).length + (await readSerials(repo)).length;
      const nodes = await attempt(`read ${repo}`, () => fs.stat(nodesPath(repo)).catch(absent));
      if (own > 0 || nodes !== undefined)
        throw wrongRepository(`${repo} has publications or nodes of its own, which a mirror would remove`);
      await attempt(`write ${mark}`, async () => {
        await fs.mkdir(repo, { recursive: true });
        await fs.writeFile(mark, `${server.href}\n`);
      });
    } else if (before.trim() !== server.href) {
      throw wrongRepository(`${repo} is the mirror of ${before.trim()}; remove ${mark} if that has moved`);
    }
    return new Mirror(options);
  }

  /**
   * The trackers of that server, at which we are one more seeder of all that it has. Image servers of one site have the same
   * ports: what we know of it is its URL alone.
   */
  trackersAt(port: number): readonly (readonly string[])[] {
    return [[`http://${this.#options.server.hostname}:${port}/announce`]];
  }

  /** Takes a message of a node, for the server that is mirrored. */
  heard = (message: Parameters<PassOn['take']>[0]): void => this.#passOn.take(message);

  /** Follows until the signal. */
  async follow(): Promise<void> {
    const { host } = this.#options;
    const engine = await startPeer({ host, port: 0, uploadBytesPerSec: 0, log: () => {} });
    const publications = new Publications({ ...this.#options, catalog: openCatalog(NO_CREDENTIALS), engine });
    try {
      await Promise.all([
        this.#again((state) => this.#followNodes(state), true),
        this.#again(async (state) => {
          await this.#followBoot(state.boot);
          await publications.follow(state.entries);
        }, false),
      ]);
    } finally {
      await engine.stop();
    }
  }

  /** What is heard of the server once a second; `tells`: what goes wrong is told, once in a row. */
  async #again(work: (state: SiteState) => Promise<void>, tells: boolean): Promise<void> {
    const { server, say, signal } = this.#options;
    let told = '';
    while (!signal.aborted) {
      try {
        await work(await this.#state());
        if (told !== '') say(`${server.origin} is followed again`);
        told = '';
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof SwarmbootError)) throw error;
        const away = error.code === 'network';
        if (told !== error.message && (tells || !away))
          say(`${error.message}${away ? '; until it is back, this mirror serves what it has' : ''}`);
        if (tells || !away) told = error.message;
      }
      await sleep(FOLLOW_MS, undefined, { signal }).catch(() => {});
    }
  }

  async #state(): Promise<SiteState> {
    const ready = await this.#get('readyz', ANSWER_MAX_MS);
    await ready.arrayBuffer();
    const response = await this.#get(SITE_STATE_NAME, ANSWER_MAX_MS);
    const length = Number(response.headers.get('content-length'));
    if (length <= SITE_STATE_BYTES_MAX) return parseSiteState(await response.text());
    throw new SwarmbootError('catalog', `${response.url} is longer than ${SITE_STATE_BYTES_MAX} bytes`);
  }

  async #followNodes({ nodes, armed }: SiteState): Promise<void> {
    const { repo } = this.#options;
    const place = nodesPath(repo);
    const before = await attempt(`read ${place}`, () => fs.readFile(place, 'utf8').catch(absent));
    if (nodes !== null && nodes !== before) {
      await attempt(`write ${place}`, async () => {
        await fs.writeFile(`${place}.new`, nodes);
        await settle(`${place}.new`, place);
      });
    }
    const here = await readArmed(repo);
    for (const { mac, sinceMs, windowHours } of armed) {
      if (this.#armed.get(mac) === sinceMs) continue;
      const since = new Date(sinceMs);
      if (here.get(mac) !== since.toISOString()) await arm(repo, mac, windowHours, since);
      this.#armed.set(mac, sinceMs);
    }
    const there = new Set(armed.map(({ mac }) => mac));
    for (const mac of here.keys()) if (!there.has(mac)) await disarm(repo, mac);
    for (const mac of this.#armed.keys()) if (!there.has(mac)) this.#armed.delete(mac);
  }

  async #followBoot(wanted: readonly BootFile[]): Promise<void> {
    const { repo } = this.#options;
    const have = new Map((await readBootFiles(repo)).map((file) => [file.name, file]));
    for (const file of wanted) {
      const { name, size, changedMs } = file;
      const own = have.get(name);
      have.delete(name);
      if (own?.size !== size || own.changedMs !== changedMs) await this.#fetchBoot(file);
    }
    for (const name of have.keys())
      await attempt(`remove ${name} from ${repo}/boot`, () => fs.rm(path.join(repo, 'boot', name)));
  }

  async #fetchBoot({ name, size, changedMs }: BootFile): Promise<void> {
    const place = path.join(this.#options.repo, 'boot', name);
    // No name that is offered.
    const draft = path.join(path.dirname(place), `.${name}.new`);
    const response = await this.#get(`boot/${name}`, FILE_MAX_MS);
    if (Number(response.headers.get('content-length')) !== size || response.body === null) {
      await response.body?.cancel();
      return;
    }
    await attempt(`write ${place}`, async () => {
      await fs.mkdir(path.dirname(place), { recursive: true });
      await pipeline(Readable.fromWeb(response.body!), createWriteStream(draft)).catch((error: unknown) => {
        throw away(response.url, error);
      });
      // It has been replaced while it came: the next time has the new one.
      if ((await fs.stat(draft)).size !== size) return;
      await fs.utimes(draft, new Date(), new Date(changedMs));
      await settle(draft, place);
    });
  }

  async #get(name: string, maxMs: Ms): Promise<Response> {
    const url = new URL(name, this.#options.server);
    const signal = AbortSignal.any([this.#options.signal, AbortSignal.timeout(maxMs)]);
    const response = await fetch(url, { signal }).catch((error: unknown) => {
      throw away(url.href, error);
    });
    if (response.ok) return response;
    await response.body?.cancel();
    throw away(url.href, new Error(`the server answered ${response.status}`));
  }
}

function away(url: string, error: unknown): SwarmbootError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return new SwarmbootError('network', `cannot get ${url}: ${messageOf(cause)}`, { cause: error });
}

function wrongRepository(what: string): SwarmbootError {
  return new SwarmbootError('repository', `${what}; give a mirror a folder of its own, by --repo`);
}
