// What the image server knows of its cluster: who is listed and armed, the newest message of each node, its log, and the
// runs. It takes messages and gives pictures; who asks for them over HTTP is answered by watch.ts and site.ts.

import * as fs from 'node:fs/promises';
import type { Message } from '../agent/core/monitor.ts';
import type { Ms } from '../agent/core/units.ts';
import { type Known, LOST_MS, type NodeRecord, recorded } from './core/board.ts';
import { SERVER_BOUNDS } from './core/bounds.ts';
import { type Cluster, type ClusterNode, clusterNode, clusterOf, type NodeDetail } from './core/cluster.ts';
import type { Alarm } from './core/enrolment.ts';
import { Nodes } from './core/nodes.ts';
import { reportOf } from './core/runreport.ts';
import { enrolledFolder, readAlarms } from './enrolment.ts';
import { countLines, Logs, readLog } from './logs.ts';
import { armedFolder, Records, readArmed } from './nodes.ts';
import { absent, attempt } from './repository.ts';
import { type ImageSource, Runs } from './runs.ts';

/** Messages of mere progress that one server takes per second, and the least that a node waits between two of its. */
const MESSAGES_PER_SEC = SERVER_BOUNDS.messagesPerSec;
const REPORT_MS: Ms = 2000;
/** A node counts as one that reports for so long after its last message. */
const REPORTING_MS: Ms = 30_000;
const SAMPLE_MS: Ms = 1000;
/** An install that has said nothing for so long does not go on. */
const RECENT_MS: Ms = 3_600_000;
/** A folder that has changed just now may change again within the same tick of its file system's clock. */
const TICK_MS: Ms = 2000;
const LOG_LINES_SHOWN = 500;
/** node2 before node10. */
const BY_NAME = new Intl.Collator('en', { numeric: true });

export class ClusterMonitor {
  readonly runs: Runs;
  readonly #repo: string;
  readonly #records: Records;
  readonly #logs: Logs;
  readonly #timer: NodeJS.Timeout;
  readonly #watchers = new Set<() => void>();
  #nodes = new Nodes([], []);
  #armed: ReadonlyMap<string, string> = new Map();
  #armedState = '';
  #alarms: ReadonlyMap<string, Alarm> = new Map();
  #enrolledState = '';
  #reporting = 0;

  private constructor(repo: string, records: Records, runs: Runs) {
    this.#repo = repo;
    this.#records = records;
    this.#logs = new Logs(repo);
    this.runs = runs;
    this.#timer = setInterval(() => this.#tick(), SAMPLE_MS).unref();
  }

  /** `say` takes lines for the admin. Throws SwarmbootError('repository') when the repository cannot be read. */
  static async open(
    repo: string,
    imageOf: (name: string) => ImageSource | null,
    say: (line: string) => void,
  ): Promise<ClusterMonitor> {
    const records = await Records.open(repo, say);
    // A server that was killed had answered for lines which its records on disk do not know of yet.
    const recent = new Date(Date.now() - RECENT_MS).toISOString();
    for (const record of [...records.all()]) {
      const { mac, install } = record.message;
      if (install === null || record.at < recent) continue;
      const kept = await countLines(repo, mac, install);
      if (kept > record.logLines) records.add({ ...record, logLines: kept }, true);
    }
    return new ClusterMonitor(repo, records, await Runs.open(repo, records.all(), imageOf, say));
  }

  /** The nodes as nodes.conf has them now. */
  list(nodes: Nodes): void {
    this.#nodes = nodes;
  }

  /** Looks at who is armed, and at alarms. Throws SwarmbootError('repository'). */
  async follow(): Promise<void> {
    const armed = await stateOfFolder(armedFolder(this.#repo));
    if (armed !== this.#armedState) this.#armed = await readArmed(this.#repo);
    this.#armedState = armed;
    const enrolled = await stateOfFolder(enrolledFolder(this.#repo));
    if (enrolled !== this.#enrolledState) this.#alarms = await readAlarms(this.#repo);
    this.#enrolledState = enrolled;
  }

  /** The newest record of a node; null: it has never spoken. */
  get(mac: string): NodeRecord | null {
    return this.#records.get(mac);
  }

  /**
   * Keeps a message. Returns when its lines are in the node's log, for the node sends no line twice that has been
   * answered. Throws SwarmbootError('repository').
   */
  async take(message: Message): Promise<void> {
    const { mac, install } = message;
    const node = this.#nodes.byMac(mac);
    const now = new Date();
    const { record, lines, missed } = recorded(this.get(mac), message, now.toISOString());
    this.#records.add(record, node !== null);
    this.runs.take(message, node?.name ?? (message.host || mac), now.getTime());
    try {
      await this.#logs.append(mac, { at: record.at, install, lines, missed });
    } catch (error) {
      this.#records.add({ ...record, logLines: record.logLines - lines.length - missed }, true);
      throw error;
    }
  }

  /** How long a node that reports is to wait before it tells of mere progress again. */
  get reportAfterMs(): Ms {
    return Math.max(REPORT_MS, Math.ceil((1000 * this.#reporting) / MESSAGES_PER_SEC));
  }

  /** The cluster now. */
  cluster(): Cluster {
    const now = new Date();
    const nodes = this.#macs().map((mac) => this.#nodeOf(mac, now));
    const runs = this.runs.recent
      .filter((run) => run.isOpen(now.getTime()))
      .map((run) => {
        const report = reportOf(run.head(), [...run.facts()], now.getTime() - run.beganAt);
        return { report, rates: run.rates };
      });
    return clusterOf(now.toISOString(), nodes, runs);
  }

  /** Null: nothing is known of it. Throws SwarmbootError('repository'). */
  async detail(mac: string): Promise<NodeDetail | null> {
    const record = this.get(mac);
    const listed = this.#nodes.byMac(mac);
    if (record === null && listed === null) return null;
    const run = this.runs.recent.find((one) => one.installOf(mac) !== null) ?? null;
    const log = await readLog(this.#repo, mac);
    return {
      node: this.#nodeOf(mac, new Date()),
      listed,
      record,
      install: run?.installOf(mac) ?? null,
      runId: run?.id ?? null,
      runBeganAt: run?.beganAt ?? null,
      log: log.slice(-LOG_LINES_SHOWN),
    };
  }

  /** Calls `watcher` once a second. Returns what ends that. */
  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  /** Returns when everything is on disk. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.runs.close();
    await this.#records.close();
  }

  #tick(): void {
    const now = Date.now();
    this.runs.sample(now);
    this.#reporting = this.#records.countSince(new Date(now - REPORTING_MS).toISOString());
    for (const watcher of this.#watchers) watcher();
  }

  /** Those of nodes.conf in its order, then the others by name. */
  #macs(): readonly string[] {
    const others = [...this.#records.all()].filter(({ message }) => this.#nodes.byMac(message.mac) === null);
    const name = ({ message }: NodeRecord) => message.host || message.mac;
    others.sort((a, b) => BY_NAME.compare(name(a), name(b)));
    return [...this.#nodes.all.map(({ mac }) => mac), ...others.map(({ message }) => message.mac)];
  }

  #nodeOf(mac: string, now: Date): ClusterNode {
    const node = this.#nodes.byMac(mac);
    const known: Known = {
      listed: node !== null,
      armedAt: this.#armed.get(mac) ?? null,
      alarm: this.#alarms.get(mac)?.text ?? null,
      lostBefore: new Date(now.getTime() - LOST_MS).toISOString(),
    };
    return clusterNode(mac, node, this.get(mac), known);
  }
}

/** Another one when files of the folder may have come, gone or been replaced since. */
async function stateOfFolder(folder: string): Promise<string> {
  const stat = await attempt(`read ${folder}`, () => fs.stat(folder).catch(absent));
  if (stat === undefined) return 'none';
  const fresh = Date.now() - stat.mtimeMs < TICK_MS;
  return `${stat.ino} ${stat.mtimeMs} ${fresh ? Date.now() : ''}`;
}
