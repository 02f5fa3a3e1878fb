// What Prometheus is told: the cluster by states and sums, installs and their stages, the first seeder, the tracker, and this
// process. No series is made per node: ten thousand of them belong on the page, not into a time series database.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Message } from '../agent/core/monitor.ts';
import packageJson from '../package.json' with { type: 'json' };
import { isSuccess } from './core/board.ts';
import { SERVER_BOUNDS } from './core/bounds.ts';
import type { Cluster } from './core/cluster.ts';
import { ownMs, stageDurations } from './core/slowness.ts';
import type { TrackerStats } from './tracker.ts';

/** From a second to a night. */
const SECONDS = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600, 14_400];

/** So many images have series of their own. */
const IMAGES_MAX = SERVER_BOUNDS.metricImages;

/** Of the defaults: gauges that are called like counters. */
const MISNAMED = ['handles', 'requests', 'resources'].map((what) => `nodejs_active_${what}_total`);

/** One publication as the first seeder sees it. */
export interface SeededSight {
  readonly name: string;
  readonly uploadedBytes: number;
  readonly connections: number;
}

/** Whom the metrics are asked of, each time that they are read. */
export interface MetricSources {
  readonly cluster: () => Cluster;
  readonly tracker: () => TrackerStats;
  readonly seeded: () => readonly SeededSight[];
  /** Bytes of tarballs that nodes took by HTTP. */
  readonly tarballBytes: () => number;
}

export class Metrics {
  readonly #register = new Registry();
  readonly #installs: Counter<'image' | 'result'>;
  readonly #installSeconds: Histogram<'image'>;
  readonly #stageSeconds: Histogram<'stage'>;
  readonly #messages: Counter<'result'>;
  /** Images that have series of their own. */
  readonly #images = new Set<string>();

  constructor(sources: MetricSources) {
    const registers = [this.#register];
    collectDefaultMetrics({ register: this.#register });
    for (const name of MISNAMED) this.#register.removeSingleMetric(name);
    this.#installs = new Counter({
      name: 'swarmboot_installs_total',
      help: 'Installs that ended, by image and result: imaged or failed.',
      labelNames: ['image', 'result'],
      registers,
    });
    this.#installSeconds = new Histogram({
      name: 'swarmboot_install_duration_seconds',
      help: 'From the start of an install until the image is on its target.',
      labelNames: ['image'],
      buckets: SECONDS,
      registers,
    });
    this.#stageSeconds = new Histogram({
      name: 'swarmboot_install_stage_duration_seconds',
      help: 'How long a stage took in the installs that ended well.',
      labelNames: ['stage'],
      buckets: SECONDS,
      registers,
    });
    this.#messages = new Counter({
      name: 'swarmboot_messages_total',
      help: 'Messages of nodes: kept, refused for what they are, or failed for lack of room.',
      labelNames: ['result'],
      registers,
    });
    this.#addBuild();
    this.#addCluster(sources);
    this.#addSwarm(sources);
  }

  /** A message of a node was `kept`, `refused` or has `failed` to be kept. */
  countMessage(result: 'kept' | 'refused' | 'failed'): void {
    this.#messages.inc({ result });
  }

  /** Follows a node from the message before to this one. */
  countInstall(before: Message | null, message: Message): void {
    const end = endOf(message);
    if (end === null || (before?.install === message.install && endOf(before) !== null)) return;
    const image = this.#imageLabel(message.image ?? '');
    this.#installs.inc({ image, result: end });
    const ms = ownMs(message);
    if (end === 'failed' || ms === null) return;
    this.#installSeconds.observe({ image }, ms / 1000);
    for (const [stage, took] of stageDurations(message)) this.#stageSeconds.observe({ stage }, took / 1000);
  }

  /** Whoever sends reports may name what he likes: after so many names all others are one. */
  #imageLabel(image: string): string {
    if (this.#images.size >= IMAGES_MAX && !this.#images.has(image)) return 'other';
    this.#images.add(image);
    return image;
  }

  /** The text exposition format. */
  async text(): Promise<{ type: string; body: string }> {
    return { type: this.#register.contentType, body: await this.#register.metrics() };
  }

  #addBuild(): void {
    new Gauge({
      name: 'swarmboot_build_info',
      help: 'The version that runs.',
      labelNames: ['version'],
      registers: [this.#register],
    }).set({ version: packageJson.version }, 1);
  }

  #addCluster({ cluster }: MetricSources): void {
    const registers = [this.#register];
    // Collected in order of registration: the first brings the picture for the others.
    let picture: Cluster | null = null;
    new Gauge({
      name: 'swarmboot_nodes',
      help: 'Nodes by where they stand.',
      labelNames: ['state'],
      registers,
      collect() {
        picture = cluster();
        for (const [state, count] of Object.entries(picture.counts)) this.set({ state }, count);
      },
    });
    new Gauge({
      name: 'swarmboot_nodes_receive_bytes_per_second',
      help: 'What all nodes receive of their torrents together.',
      registers,
      collect() {
        this.set(picture?.downBytesPerSec ?? 0);
      },
    });
    new Gauge({
      name: 'swarmboot_nodes_transmit_bytes_per_second',
      help: 'What all nodes send to each other together.',
      registers,
      collect() {
        this.set(picture?.upBytesPerSec ?? 0);
      },
    });
    new Gauge({
      name: 'swarmboot_run_link_share_ratio',
      help: 'How full the links of the nodes are while the image comes, of the runs that go on.',
      labelNames: ['image'],
      registers,
      collect() {
        this.reset();
        for (const { report } of picture?.runs ?? [])
          if (report.linkShare !== null) this.set({ image: report.image }, report.linkShare);
      },
    });
  }

  #addSwarm({ seeded, tarballBytes, tracker }: MetricSources): void {
    const registers = [this.#register];
    new Counter({
      name: 'swarmboot_tarballs_sent_bytes_total',
      help: 'Bytes of tarballs that were sent by HTTP, to nodes whose swarms gave them nothing.',
      registers,
      collect() {
        this.reset();
        this.inc(tarballBytes());
      },
    });
    new Counter({
      name: 'swarmboot_first_seeder_sent_bytes_total',
      help: 'Payload that the first seeder has sent of a publication.',
      labelNames: ['publication'],
      registers,
      collect() {
        this.reset();
        for (const { name, uploadedBytes } of seeded()) this.inc({ publication: name }, uploadedBytes);
      },
    });
    new Gauge({
      name: 'swarmboot_first_seeder_connections',
      help: 'Peers that are connected with the first seeder for a publication.',
      labelNames: ['publication'],
      registers,
      collect() {
        this.reset();
        for (const { name, connections } of seeded()) this.set({ publication: name }, connections);
      },
    });
    const counters: [keyof TrackerStats, string][] = [
      ['announces', 'Announces that the tracker has answered.'],
      ['scrapes', 'Scrapes that the tracker has answered.'],
      ['refused', 'Requests that the tracker has refused.'],
    ];
    for (const [key, help] of counters) {
      new Counter({
        name: `swarmboot_tracker_${key}_total`,
        help,
        registers,
        collect() {
          this.reset();
          this.inc(tracker()[key]);
        },
      });
    }
    new Gauge({
      name: 'swarmboot_tracker_peers',
      help: 'Peers that the tracker knows, over all torrents.',
      registers,
      collect() {
        this.set(tracker().peers);
      },
    });
  }
}

function endOf(message: Message): 'imaged' | 'failed' | null {
  if (message.install === null) return null;
  if (message.status < 0) return 'failed';
  return isSuccess(message) ? 'imaged' : null;
}
