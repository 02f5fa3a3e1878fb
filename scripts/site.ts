// What the image server answers beside the catalog and the torrents: how a machine boots, enrols and reports, the site's files,
// and the files of REPO/boot. The routes, and what a report changes.

import * as fs from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import * as path from 'node:path';
import type { SiteFile } from '../agent/core/catalog.ts';
import { ENROL_BYTES_MAX, parseEnrolRequest, proofIn } from '../agent/core/enrolment.ts';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import { parseMac } from '../agent/core/mac.ts';
import {
  MESSAGE_BYTES_MAX,
  type Message,
  type NodeAnswer,
  parseMessage,
  REPORT_AFTER,
  WAITING,
} from '../agent/core/monitor.ts';
import { plainText } from '../agent/core/report.ts';
import { formatBytes } from '../agent/core/units.ts';
import type { Asker } from './core/access.ts';
import { begunMs, hasCome, isSuccess } from './core/board.ts';
import { bootEntry, decideBoot, type Loader, type ServerAddresses } from './core/bootentry.ts';
import { SERVER_BOUNDS } from './core/bounds.ts';
import { ENROLMENTS_AT_ONCE_MAX, ENROLMENTS_PER_SEC_MAX, RequestRates } from './core/httplimits.ts';
import type { Nodes } from './core/nodes.ts';
import { BOOT_FILE } from './core/sitestate.ts';
import type { Answer, Enrolments } from './enrolment.ts';
import type { Metrics } from './metrics.ts';
import type { ClusterMonitor } from './monitor.ts';
import { armedSince, disarm, nodesPath, readNodes } from './nodes.ts';
import { absent } from './repository.ts';
import { SiteFiles } from './sitefiles.ts';

/** An answer, to be sent by `serve`. */
export interface Reply {
  readonly status: number;
  readonly type: string;
  /** `size` bytes of the file from `begin`, which is 0 unless it is given. */
  readonly body:
    | string
    | Uint8Array
    | { readonly path: string; readonly size: number; readonly begin?: number };
  readonly headers?: Readonly<Record<string, string>>;
}

/** Senders of messages that cannot be read are told of once each, so many of them. */
const COMPLAINTS_MAX = SERVER_BOUNDS.complaints;
/** What was not read to its end would keep the connection until it is idle for long enough. */
const HANG_UP = { connection: 'close' };

export interface SiteOptions {
  readonly repo: string;
  readonly monitor: ClusterMonitor;
  readonly metrics: Metrics;
  readonly enrolments: Enrolments;
  /** Hears each message that was kept. */
  readonly onMessage: (message: Message) => void;
  /** Takes lines for the admin. */
  readonly say: (line: string) => void;
}

export class Site {
  readonly #repo: string;
  readonly #say: (line: string) => void;
  readonly #files: SiteFiles;
  readonly #monitor: ClusterMonitor;
  readonly #metrics: Metrics;
  readonly #enrolments: Enrolments;
  readonly #onMessage: (message: Message) => void;
  readonly #enrolling = new RequestRates(ENROLMENTS_PER_SEC_MAX, ENROLMENTS_AT_ONCE_MAX);
  /** Why a node was refused to enrol, as it was last told. */
  readonly #refused = new Map<string, string>();
  readonly #complained = new Set<string>();
  /** The last nodes.conf that was right; null: there was none yet. */
  #nodes: Nodes | null = null;
  #nodesState = '';

  constructor({ repo, monitor, metrics, enrolments, onMessage, say }: SiteOptions) {
    this.#repo = repo;
    this.#monitor = monitor;
    this.#metrics = metrics;
    this.#enrolments = enrolments;
    this.#onMessage = onMessage;
    this.#say = say;
    this.#files = new SiteFiles(repo, say);
  }

  /** The site's files that the catalog lists. */
  get files(): readonly SiteFile[] {
    return this.#files.files;
  }

  /** Reads anew what has changed. Throws SwarmbootError('repository'). */
  async follow(): Promise<void> {
    await this.#files.follow();
    await this.#followNodes();
  }

  /** Which of the files that a node boots are there, in one line. */
  async bootFiles(): Promise<string> {
    const names = ['kernel', 'initrd.img'];
    const sizes = await Promise.all(names.map((name) => this.#bootFile(name)));
    const told = names.map((name, i) => {
      const found = sizes[i];
      return found === null || found === undefined ? `no ${name}` : `${name} ${formatBytes(found.size)}`;
    });
    const missing = sizes.some((found) => found === null) ? '; make them with swarmboot initrd build' : '';
    return `boot files in ${path.join(this.#repo, 'boot')}: ${told.join(', ')}${missing}`;
  }

  /** The answer to a GET; null when the path is nothing of ours. */
  async get(url: string, server: ServerAddresses): Promise<Reply | null> {
    const [, folder = '', rest = ''] = /^\/(boot|nodes|files)\/(.+)$/.exec(url) ?? [];
    if (folder === 'files') {
      const content = await this.#files.read(rest);
      return content === null ? null : { status: 200, type: 'application/octet-stream', body: content };
    }
    if (folder === 'nodes') return this.#answerNode(rest);
    const [, loader, name = ''] = /^(ipxe|grub|pxelinux\.cfg)\/(.+)$/.exec(rest) ?? [];
    if (folder === 'boot' && loader !== undefined) return this.#answerBoot(loader, name, server);
    const found = folder === 'boot' ? await this.#bootFile(rest) : null;
    return found === null ? null : { status: 200, type: 'application/octet-stream', body: found };
  }

  /** The answer to a POST to /enrol, of somebody who has come over TLS if the site is closed. */
  async enrol(request: IncomingMessage, asker: Asker): Promise<Reply> {
    if (asker.is === 'anybody') return { status: 204, type: 'text/plain', body: '' };
    const from = request.socket.remoteAddress ?? 'somewhere';
    if (!this.#enrolling.take(from, performance.now())) return plain(429, 'too many enrolments; wait');
    try {
      const { mac, serial } = parseEnrolRequest(await readBody(request, ENROL_BYTES_MAX));
      if (this.#nodes === null) return this.#noNodes();
      const listedSerial = this.#nodes.byMac(mac)?.serial;
      const answer = await this.#enrolments.enrol({ mac, from, serial, listedSerial });
      this.#tellEnrolment(mac, answer);
      if (!answer.granted) return plain(403, answer.reason);
      const body = `${JSON.stringify(answer.enrolled)}\n`;
      return { status: 200, type: 'application/json', body, headers: { 'Cache-Control': 'no-store' } };
    } catch (error) {
      if (!(error instanceof SwarmbootError)) throw error;
      return plain(error.code === 'report' ? 400 : 503, error.message);
    }
  }

  /** The answer to a POST to /reports. Never rejects for what was sent. */
  async report(request: IncomingMessage, asker: Asker): Promise<Reply> {
    try {
      const body = await readBody(request, MESSAGE_BYTES_MAX);
      const message = parseMessage(body);
      const answer = await this.#judge(message, body, asker);
      if (answer !== null) return answer;
      const before = this.#monitor.get(message.mac)?.message ?? null;
      await this.#take(message);
      this.#onMessage(message);
      this.#metrics.countMessage('kept');
      this.#metrics.countInstall(before, message);
      const headers = { [REPORT_AFTER]: `${this.#monitor.reportAfterMs}` };
      return { status: 204, type: 'text/plain', body: '', headers };
    } catch (error) {
      if (!(error instanceof SwarmbootError)) throw error;
      const from = request.socket.remoteAddress ?? 'somebody';
      if (!this.#complained.has(from) && this.#complained.size < COMPLAINTS_MAX) {
        this.#complained.add(from);
        this.#say(`a report from ${from} is refused: ${plainText(error.message)}`);
      }
      const status = error.code === 'report' ? 400 : 503;
      this.#metrics.countMessage(status === 400 ? 'refused' : 'failed');
      return { status, type: 'text/plain', body: `${error.message}\n`, headers: HANG_UP };
    }
  }

  /** Sends back what came: by this a node finds out whether large packets get through. */
  async echo(request: IncomingMessage): Promise<Reply> {
    try {
      const body = await readBody(request, MESSAGE_BYTES_MAX);
      return { status: 200, type: 'application/octet-stream', body };
    } catch (error) {
      if (!(error instanceof SwarmbootError)) throw error;
      return { status: 400, type: 'text/plain', body: `${error.message}\n`, headers: HANG_UP };
    }
  }

  /** The answer to a message that is not to be kept; null: it is what its sender may say. */
  async #judge(message: Message, body: string, asker: Asker): Promise<Reply | null> {
    switch (asker.is) {
      case 'anybody':
        return null;
      case 'node':
        return message.mac === asker.mac ? null : plain(403, `this is the token of ${asker.mac}`);
      case 'stranger':
        // A machine that nobody has named yet can show no token, and is to be seen all the same.
        if (message.stage === WAITING && this.#nodes?.byMac(message.mac) === null) return null;
        return plain(401, 'this site is closed: enrol first, then show the token');
      case 'plain': {
        const proof = hasCome(message) ? proofIn(body) : null;
        if (proof === null) return plain(403, 'this site is closed, and takes reports over TLS alone');
        const boot = await this.#enrolments.firstBoot(message.mac, proof);
        if (boot === 'first') return null;
        // The answer to the first may have been lost: who asks again must come to an end.
        return boot === 'again' ? plain(204, '') : plain(403, 'the proof is not that of this node');
      }
    }
  }

  #tellEnrolment(mac: string, answer: Answer): void {
    const node = this.#nodes?.byMac(mac);
    if (node == null) return;
    const who = `${node.name} (${mac})`;
    if (answer.granted) {
      this.#refused.delete(mac);
      return this.#say(`${who} has enrolled`);
    }
    if (answer.alarm !== null) this.#say(`ALARM: somebody would be ${who}: ${plainText(answer.alarm.text)}`);
    else if (this.#refused.get(mac) !== answer.reason)
      this.#say(`${who} may not enrol: ${answer.reason}; swarmboot node arm lets it`);
    this.#refused.set(mac, answer.reason);
  }

  async #take(message: Message): Promise<void> {
    const { mac, status } = message;
    const node = this.#nodes?.byMac(mac) ?? null;
    const now = new Date();
    const before = this.#monitor.get(mac);
    await this.#monitor.take(message);
    const who = node === null ? mac : `${node.name} (${mac})`;
    if (isSuccess(message) && (await this.#disarmDone(message, now))) {
      this.#say(`${who} has its image and boots from its own disk from now on`);
    }
    if (status === before?.message.status) return;
    if (status < 0) this.#say(`${who} failed in ${message.stage}: ${message.text.split('\n')[0]}`);
    if (hasCome(message)) this.#say(`${who} is installed`);
  }

  /** What was armed after this install began is for the next one: it stays. A clock set back must not keep it for ever. */
  async #disarmDone(message: Message, now: Date): Promise<boolean> {
    const armedAt = await armedSince(this.#repo, message.mac);
    if (armedAt === null) return false;
    const begun = begunMs(message, now.getTime()) ?? Number.POSITIVE_INFINITY;
    const since = armedAt.getTime();
    return since > begun && since <= now.getTime() ? false : disarm(this.#repo, message.mac);
  }

  async #answerNode(text: string): Promise<Reply | null> {
    const mac = parseMac(text);
    if (mac === null) return null;
    if (this.#nodes === null) return this.#noNodes();
    const name = this.#nodes.byMac(mac)?.name ?? null;
    const since = name === null ? null : await armedSince(this.#repo, mac);
    const answer: NodeAnswer = {
      known: name !== null,
      armed: since !== null,
      name,
      armedSince: since?.toISOString() ?? null,
    };
    return { status: 200, type: 'application/json', body: `${JSON.stringify(answer)}\n` };
  }

  async #answerBoot(folder: string, name: string, server: ServerAddresses): Promise<Reply | null> {
    // PXELINUX asks for 01-MAC, after a UUID and before its address: the others are not ours.
    const loader: Loader = folder === 'pxelinux.cfg' ? 'pxelinux' : folder === 'grub' ? 'grub' : 'ipxe';
    const mac = parseMac(loader === 'pxelinux' ? name.replace(/^01-/, '') : name);
    if (mac === null || (loader === 'pxelinux' && !name.startsWith('01-'))) return null;
    if (this.#nodes === null) return this.#noNodes();
    const armed = (await armedSince(this.#repo, mac)) !== null;
    const text = bootEntry(loader, decideBoot(this.#nodes, mac, armed), server);
    return { status: 200, type: 'text/plain', body: text };
  }

  /** A wrong nodes.conf must not send installed machines into the RAM disk: the loader asks again. */
  #noNodes(): Reply {
    return { status: 503, type: 'text/plain', body: 'nodes.conf is wrong; see what swarmboot serve says\n' };
  }

  async #bootFile(name: string): Promise<{ path: string; size: number } | null> {
    if (!BOOT_FILE.test(name)) return null;
    const place = path.join(this.#repo, 'boot', name);
    const stat = await fs.stat(place).catch(absent);
    return stat?.isFile() ? { path: place, size: stat.size } : null;
  }

  async #followNodes(): Promise<void> {
    const stat = await fs.stat(nodesPath(this.#repo)).catch(absent);
    const state = stat === undefined ? 'none' : [stat.ino, stat.size, stat.mtimeMs, stat.ctimeMs].join(' ');
    if (state === this.#nodesState) return;
    this.#nodesState = state;
    try {
      this.#nodes = await readNodes(this.#repo);
      this.#monitor.list(this.#nodes);
      this.#say(`${this.#nodes.all.length} nodes in ${nodesPath(this.#repo)}`);
    } catch (error) {
      if (!(error instanceof SwarmbootError)) throw error;
      const kept = this.#nodes === null ? '' : '\n  Until then the nodes are as they were before.';
      this.#say(`${error.message}${kept}`);
    }
  }
}

function plain(status: number, line: string): Reply {
  return { status, type: 'text/plain', body: line === '' ? '' : `${line}\n` };
}

/** The whole body. Throws SwarmbootError('report') when it is too long or breaks off. */
async function readBody(request: IncomingMessage, bytesMax: number): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  try {
    // What is too long is read no further, yet answered.
    for await (const part of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      length += part.length;
      if (length > bytesMax) break;
      parts.push(part);
    }
  } catch (error) {
    throw new SwarmbootError('report', `the report broke off: ${messageOf(error)}`, { cause: error });
  }
  if (length <= bytesMax) return Buffer.concat(parts).toString();
  throw new SwarmbootError('report', `the report is longer than ${bytesMax} bytes`);
}
