// A run: one image and the nodes that install it at about the same time, folded from their messages into what is worth
// keeping. Reads no clock: times are given, as milliseconds since 1970. What a run teaches is said by runreport.ts.

import type { LinkSight } from '../../agent/core/inventory.ts';
import { type Message, STATUS, type StageBegin } from '../../agent/core/monitor.ts';
import type { NodeReport } from '../../agent/core/report.ts';
import type { Ms } from '../../agent/core/units.ts';
import { hasCome, LOST_MS } from './board.ts';
import { SERVER_BOUNDS } from './bounds.ts';
import { Series, type SeriesData } from './series.ts';

/** A run is over when nobody has installed for so long. */
const QUIET_MS: Ms = 60_000;
/** Of more installs of one node in one run the oldest are forgotten. */
const INSTALLS_PER_NODE = SERVER_BOUNDS.installsPerNode;

/** Curves of a node, in the order of its series' columns. */
export const NODE_CURVES = ['downBytesPerSec', 'upBytesPerSec', 'percent'] as const;
/** Curves of a run: the sums over its nodes, what the first seeder sends, and how many install. */
export const RUN_CURVES = ['downBytesPerSec', 'upBytesPerSec', 'seederBytesPerSec', 'installing'] as const;
/** A node reports every two seconds; of thousands of them the curves must be short. */
const NODE_SHAPE = { columns: NODE_CURVES.length, stepMs: 2000, stepsMax: 120 };
const RUN_SHAPE = { columns: RUN_CURVES.length, stepMs: 1000, stepsMax: 240 };

/** A run's curves at one moment. */
export interface RunRates {
  /** Since the run began. */
  readonly atMs: Ms;
  readonly downBytesPerSec: number;
  readonly upBytesPerSec: number;
  readonly seederBytesPerSec: number;
  readonly installing: number;
}

/** How an install ended: the image is on the target, the new system has come up, or it failed. */
export type End = 'imaged' | 'installed' | 'failed';

/** One install of one node, without its curves. Times count from the beginning of the run. */
export interface InstallFacts {
  readonly mac: string;
  readonly name: string;
  /** Its id. */
  readonly install: string;
  readonly beganMs: Ms;
  readonly heardMs: Ms;
  /** When the image was on its target, or the install had failed; null before. */
  readonly endedMs: Ms | null;
  readonly end: End | null;
  readonly stage: string;
  /** By the node's own clock, since its install began. */
  readonly stages: readonly StageBegin[];
  /** Why it failed, or what is tried again. */
  readonly text: string;
  readonly code: string | null;
  readonly report: NodeReport | null;
  /** Bytes that it had when it began to fetch the image: the tools of the install. */
  readonly fetchedBefore: number;
  readonly peersMost: number;
  readonly downMostBytesPerSec: number;
  /** The link by which it booted; null: not told. */
  readonly link: LinkSight | null;
}

/** One install of one node as it is kept and sent. */
export interface NodeInstall extends InstallFacts {
  readonly curves: SeriesData;
}

/** What is being installed. */
export interface RunImage {
  readonly name: string;
  readonly sizeBytes: number;
  readonly pieceCount: number;
}

/** A run without its nodes. */
export interface RunHead {
  readonly format: 1;
  /** `web-20260131T120000Z`. */
  readonly id: string;
  readonly image: RunImage;
  /** `2026-01-31T12:00:00.000Z`, and the same as ms since 1970. */
  readonly began: string;
  readonly beganAt: number;
  /** Of what is known, in ms since the run began. */
  readonly untilMs: Ms;
  /** Payload of the image that the first seeder has sent in this run. */
  readonly seederBytes: number;
  readonly curves: SeriesData;
}

/** A run as it is kept and sent. */
export interface RunData extends RunHead {
  readonly nodes: readonly NodeInstall[];
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** A node's install while it goes on. */
interface Following extends Mutable<InstallFacts> {
  readonly series: Series;
}

export class Run {
  readonly id: string;
  readonly image: RunImage;
  readonly began: string;
  readonly beganAt: number;
  readonly #series: Series;
  /** By id of the install. */
  readonly #installs = new Map<string, Following>();
  /** The newest of each node. */
  readonly #byMac = new Map<string, Following>();
  readonly #idsByMac = new Map<string, readonly string[]>();
  #seederBytes = 0;
  /** What the first seeder had sent when it was last asked; it begins anew with the server. */
  #seederTotal: number | null = null;
  #sampledMs: Ms = 0;
  #rates: RunRates = { atMs: 0, downBytesPerSec: 0, upBytesPerSec: 0, seederBytesPerSec: 0, installing: 0 };
  /** When somebody last installed. */
  #activeMs: Ms = 0;

  private constructor(head: Omit<RunHead, 'curves'>, curves: SeriesData | null) {
    this.id = head.id;
    this.image = head.image;
    this.began = head.began;
    this.beganAt = head.beganAt;
    this.#seederBytes = head.seederBytes;
    this.#sampledMs = head.untilMs;
    this.#series = new Series(RUN_SHAPE, curves);
  }

  /** A new run, which begins with the first install of its image. `began` and `beganAt` are one moment. */
  static begin(image: RunImage, began: string, beganAt: number): Run {
    const id = `${image.name}-${began.replace(/[-:]|\.\d+/g, '')}`;
    return new Run({ format: 1, id, image, began, beganAt, untilMs: 0, seederBytes: 0 }, null);
  }

  /** A run as it was kept. */
  static from({ nodes, ...head }: RunData): Run {
    const run = new Run(head, head.curves);
    for (const { curves, ...install } of nodes) {
      run.#add({ ...install, series: new Series(NODE_SHAPE, curves) });
      if (install.end === null) run.#activeMs = Math.max(run.#activeMs, install.heardMs);
    }
    return run;
  }

  /** Whether it has this install. */
  has(install: string): boolean {
    return this.#installs.has(install);
  }

  /** Somebody installs, or did a moment ago: who begins now belongs to it. */
  isOpen(at: number): boolean {
    return at - this.beganAt - this.#activeMs < QUIET_MS;
  }

  /** Takes a message of an install of its image, or of a node that has come up after one. The same one twice is as once. */
  take(message: Message, name: string, at: number): void {
    const now = Math.max(0, at - this.beganAt);
    const { install } = message;
    const following =
      install === null ? this.#byMac.get(message.mac) : this.#following(install, message, name, now);
    if (following === undefined) return;
    if (hasCome(message) && following.end === 'imaged') following.end = 'installed';
    if (install === null) return;
    following.heardMs = Math.max(following.heardMs, now);
    if (following.end === null) this.#activeMs = Math.max(this.#activeMs, now);
    following.stage = message.stage;
    following.stages = message.stages;
    if (message.text !== '') [following.text, following.code] = [message.text, message.code];
    const { inventory, report } = message;
    following.link = inventory?.links.find(({ mac }) => mac === message.mac) ?? following.link;
    if (report !== null) takeReport(following, report, now);
    const end = endOf(message);
    if (end === null || following.end !== null) return;
    following.end = end;
    const ownMs =
      end === 'imaged' ? message.stages.find(({ stage }) => stage === 'seed-wait')?.atMs : undefined;
    following.endedMs = ownMs === undefined ? now : following.beganMs + ownMs;
  }

  /** Once a second while it is open. `seederTotal`: payload of the image that the first seeder has sent since it started. */
  sample(at: number, seederTotal: number): void {
    const now = at - this.beganAt;
    const sent = Math.max(0, seederTotal - (this.#seederTotal ?? seederTotal));
    this.#seederTotal = seederTotal;
    this.#seederBytes += sent;
    const elapsedMs = now - this.#sampledMs;
    this.#sampledMs = now;
    let [down, up, installing] = [0, 0, 0];
    for (const { heardMs, end, report } of this.#byMac.values()) {
      if (now - heardMs > LOST_MS) continue;
      up += end === 'failed' || end === 'installed' ? 0 : (report?.upBytesPerSec ?? 0);
      if (end !== null) continue;
      down += report?.downBytesPerSec ?? 0;
      installing += 1;
    }
    const seederBytesPerSec = elapsedMs > 0 ? (1000 * sent) / elapsedMs : 0;
    this.#rates = { atMs: now, downBytesPerSec: down, upBytesPerSec: up, seederBytesPerSec, installing };
    this.#series.add(
      now,
      RUN_CURVES.map((curve) => this.#rates[curve]),
    );
  }

  /** As they were last sampled. */
  get rates(): RunRates {
    return this.#rates;
  }

  head(): RunHead {
    const { id, image, began, beganAt } = this;
    return {
      format: 1,
      id,
      image,
      began,
      beganAt,
      untilMs: this.#sampledMs,
      seederBytes: this.#seederBytes,
      curves: this.#series.data(),
    };
  }

  /** The newest install of each node, without its curves. What is given changes when the next message is taken. */
  facts(): Iterable<InstallFacts> {
    return this.#byMac.values();
  }

  /** Its installs in the order in which they were first heard of; one at a time, for there may be thousands. */
  *installs(): Generator<NodeInstall> {
    for (const { series, ...install } of this.#installs.values()) yield { ...install, curves: series.data() };
  }

  /** The newest install of a node; null: it has none here. */
  installOf(mac: string): NodeInstall | null {
    const following = this.#byMac.get(mac);
    if (following === undefined) return null;
    const { series, ...install } = following;
    return { ...install, curves: series.data() };
  }

  data(): RunData {
    return { ...this.head(), nodes: [...this.installs()] };
  }

  #following(install: string, message: Message, name: string, now: Ms): Following {
    const known = this.#installs.get(install);
    if (known !== undefined) return known;
    const following: Following = {
      mac: message.mac,
      name,
      install,
      beganMs: Math.max(0, now - (message.report?.elapsedMs ?? 0)),
      heardMs: now,
      endedMs: null,
      end: null,
      stage: message.stage,
      stages: [],
      text: '',
      code: null,
      report: null,
      fetchedBefore: 0,
      peersMost: 0,
      downMostBytesPerSec: 0,
      link: null,
      series: new Series(NODE_SHAPE),
    };
    this.#add(following);
    return following;
  }

  #add(following: Following): void {
    const { mac, install } = following;
    this.#installs.set(install, following);
    this.#byMac.set(mac, following);
    const own = [...(this.#idsByMac.get(mac) ?? []), install];
    if (own.length > INSTALLS_PER_NODE) this.#installs.delete(own.shift()!);
    this.#idsByMac.set(mac, own);
  }
}

function takeReport(following: Following, report: NodeReport, now: Ms): void {
  const before = following.report;
  // What is verified when the image's stage has just begun is of other tarballs.
  if (report.stage === 'image' && before?.stage !== 'image')
    following.fetchedBefore = before?.bytesVerified ?? 0;
  following.report = report;
  following.peersMost = Math.max(following.peersMost, report.peers);
  following.downMostBytesPerSec = Math.max(following.downMostBytesPerSec, report.downBytesPerSec);
  const values = NODE_CURVES.map((curve) => report[curve]);
  following.series.add(now - following.beganMs, values);
}

function endOf({ status }: Message): 'imaged' | 'failed' | null {
  if (status < 0) return 'failed';
  const done: readonly number[] = [STATUS.imaged, STATUS.rebooting, STATUS.shutdown, STATUS.shell];
  return done.includes(status) ? 'imaged' : null;
}
