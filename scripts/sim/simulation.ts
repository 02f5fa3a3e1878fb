// One run: an image, image servers that have it, nodes that want it. What `swarmboot simulate`, tests and the search for
// policies call.

import { LIMITS, type Limits } from '../../agent/core/limits.ts';
import { Rng } from '../../agent/core/rng.ts';
import { BLOCK_BYTES, KIB, type Ms } from '../../agent/core/units.ts';
import { boundMs } from '../core/bound.ts';
import { SEEDER_LIMITS } from '../seeder.ts';
import { type FaultPlan, type FaultShares, planFaults } from './faults.ts';
import { Port, type Rates } from './network.ts';
import type { SimNode } from './node.ts';
import type { Outcome } from './outcome.ts';
import { coarsenessFor, scaledLimits } from './scale.ts';
import { blankTorrent, World } from './world.ts';

/** The image servers are up and known to the tracker before the first node starts. */
const SERVERS_AHEAD_MS: Ms = 1000;
const LATENCY_MS: Ms = 0.5;
/** Of a run in coarser grain: each time that a node listens costs time to simulate. */
const COARSE_LATENCY_MS: Ms = 1;
const WINDOW_BYTES = 64 * KIB;
const BUFFER_BYTES = 512 * KIB;

export interface Simulation extends Rates {
  readonly nodes: number;
  readonly sizeBytes: number;
  readonly pieceBytes: number;
  /** Of each image server, both ways; a node's uplink unless it is given. */
  readonly serverBytesPerSec?: number;
  readonly imageServers?: number;
  /** Any 32 bits. */
  readonly seed: number;
  /** Departures from the policy, for everybody, and further ones for the image servers. */
  readonly limits?: Partial<Limits>;
  readonly serverLimits?: Partial<Limits>;
  /** Nodes are spread evenly over racks, the image servers stand outside. Each rack's link carries so much each way. */
  readonly racks?: { readonly count: number; readonly bytesPerSec: number };
  /** Nodes start at random times within this span. */
  readonly staggerMs?: Ms;
  /** Nodes leave so long after their download; without it they stay. */
  readonly leaveAfterMs?: Ms;
  /** Rates of single nodes where they differ; null for one like all others. */
  readonly ratesOf?: (node: number) => Rates | null;
  readonly faults?: FaultShares;
  /** What moves at once: a block, or some for large swarms. Must divide the piece. */
  readonly grainBytes?: number;
  readonly latencyMs?: Ms;
  /** Bytes that one connection may have under way. */
  readonly windowBytes?: number;
  /** Bytes that wait for a downlink at most. */
  readonly bufferBytes?: number;
  /** Virtual time from the first start, after which a run ends whoever is not ready. */
  readonly patienceMs?: Ms;
}

/** Runs until every node that lives and does no harm is complete, or until patience ends. */
export function simulate(options: Simulation): Outcome {
  const run = new Run(options);
  while (!run.advance(Number.POSITIVE_INFINITY));
  return run.outcome();
}

/** A run that can be interrupted. */
export class Run {
  readonly world: World;
  /** Those that want the image. */
  readonly nodes: readonly SimNode[];
  readonly #options: Simulation;
  /** One byte in the world stands for so many. */
  readonly #scale: number;
  /** One piece in the world stands for so much. */
  readonly #pieceBytes: number;
  readonly #racks: readonly Port[];
  readonly #faults: FaultPlan;
  /** Those whose end is waited for: not the faulty ones, unless they are just slow or cut off. */
  readonly #awaited: readonly SimNode[];

  constructor(options: Simulation) {
    const { nodes, sizeBytes, upBytesPerSec, seed, racks } = options;
    const { grainBytes, pieceBytes } =
      options.grainBytes === undefined
        ? coarsenessFor(nodes, sizeBytes, options.pieceBytes)
        : { grainBytes: options.grainBytes, pieceBytes: options.pieceBytes };
    const scale = grainBytes / BLOCK_BYTES;
    const windowBytes = Math.max(2 * BLOCK_BYTES, (options.windowBytes ?? WINDOW_BYTES) / scale);
    this.#options = options;
    this.#scale = scale;
    this.#pieceBytes = pieceBytes;
    this.world = new World({
      torrent: blankTorrent(Math.max(1, Math.round(sizeBytes / scale)), pieceBytes / scale),
      seed,
      latencyMs: options.latencyMs ?? (scale === 1 ? LATENCY_MS : COARSE_LATENCY_MS),
      windowBytes,
      socketBytes: (options.windowBytes ?? WINDOW_BYTES) / scale,
      bufferBytes: Math.max(BLOCK_BYTES, (options.bufferBytes ?? BUFFER_BYTES) / scale),
      sendBufferBytes: 2 * windowBytes,
      scale,
    });
    const rackRate = (racks?.bytesPerSec ?? 0) / scale;
    this.#racks = Array.from(
      { length: racks?.count ?? 0 },
      () => new Port({ upBytesPerSec: rackRate, downBytesPerSec: rackRate }),
    );
    this.#faults = planFaults(options.faults ?? {}, nodes, (2 * sizeBytes * 1000) / upBytesPerSec, seed);
    this.#joinServers();
    this.nodes = this.#joinNodes();
    this.#awaited = this.nodes.filter(({ faults }) => Object.keys(faults).length === 0);
    this.#planPartition();
    const { leaveAfterMs } = options;
    if (leaveAfterMs !== undefined) {
      const { world } = this;
      world.onComplete = (node) => world.at(world.now + leaveAfterMs, () => node.tell({ type: 'leave' }));
    }
  }

  /** Virtual time from the first start. */
  get nowMs(): Ms {
    return this.world.now - SERVERS_AHEAD_MS;
  }

  /** Content that the nodes have by now. */
  get bytesHeld(): number {
    return this.#pieceBytes * sum(this.nodes.map(({ have }) => have.count));
  }

  /** Goes on until the run is over (true) or until `untilMs`. */
  advance(untilMs: Ms): boolean {
    const { patienceMs = 3_600_000 } = this.#options;
    const isOver = () => this.world.completions >= this.#awaited.length && this.#awaited.every(isComplete);
    this.world.run(isOver, SERVERS_AHEAD_MS + Math.min(patienceMs, untilMs));
    return untilMs >= patienceMs || isOver();
  }

  outcome(): Outcome {
    const { world, nodes } = this;
    const finishMs = Float64Array.from(nodes, (node) => node.completeAtMs - SERVERS_AHEAD_MS);
    const startMs = Float64Array.from(nodes, (node) => node.startsAtMs - SERVERS_AHEAD_MS);
    return {
      startMs,
      finishMs,
      ownMs: finishMs.map((finish, index) => finish - startMs[index]!),
      unfinished: this.#awaited.filter((node) => !isComplete(node)).map((node) => nodes.indexOf(node)),
      seederBytes: this.#scale * sum(this.#servers.map((node) => node.sentBytes)),
      wastedBytes: this.#scale * sum(nodes.map((node) => node.swarm.view(world.now).wastedBytes)),
      pieceBytes: this.#pieceBytes,
      boundMs: this.#boundMs(),
      load: this.#load(),
      events: world.events,
    };
  }

  get #servers(): readonly SimNode[] {
    return this.world.nodes.slice(0, this.#options.imageServers ?? 1);
  }

  #joinServers(): void {
    const { imageServers = 1, serverBytesPerSec, upBytesPerSec, limits, serverLimits } = this.#options;
    const rate = (serverBytesPerSec ?? upBytesPerSec) / this.#scale;
    for (let server = 0; server < imageServers; server++) {
      this.world.join({
        seeder: true,
        atMs: 0,
        upBytesPerSec: rate,
        downBytesPerSec: rate,
        limits: this.#scaled({ ...LIMITS, ...SEEDER_LIMITS, ...limits, ...serverLimits }),
      });
    }
  }

  #joinNodes(): SimNode[] {
    const { nodes, staggerMs = 0, seed, ratesOf } = this.#options;
    const rng = new Rng(seed);
    const starts = Array.from({ length: nodes }, () => rng.next() * staggerMs);
    const first = starts.reduce((least, start) => Math.min(least, start), Number.POSITIVE_INFINITY);
    const limits = this.#scaled({ ...LIMITS, ...this.#options.limits });
    return starts.map((start, index) => {
      const rates = ratesOf?.(index) ?? this.#options;
      const share = this.#faults.rateShareOf(index) / this.#scale;
      const { diesAtMs, ...faults } = this.#faults.faultsOf(index);
      return this.world.join({
        seeder: false,
        atMs: SERVERS_AHEAD_MS + start - first,
        upBytesPerSec: rates.upBytesPerSec * share,
        downBytesPerSec: rates.downBytesPerSec * share,
        rack: this.#racks[index % Math.max(1, this.#racks.length)] ?? null,
        limits,
        faults: diesAtMs === undefined ? faults : { ...faults, diesAtMs: SERVERS_AHEAD_MS + diesAtMs },
      });
    });
  }

  #scaled(limits: Limits): Limits {
    return scaledLimits(limits, this.#scale, this.#pieceBytes / this.#options.pieceBytes);
  }

  #planPartition(): void {
    const { partition } = this.#faults;
    if (partition === null) return;
    const apart = new Set([...partition.nodes].map((index) => this.nodes[index]!));
    this.world.at(SERVERS_AHEAD_MS + partition.fromMs, () => this.world.part(apart));
    this.world.at(SERVERS_AHEAD_MS + partition.untilMs, () => this.world.heal());
  }

  #boundMs(): Ms {
    const { sizeBytes, upBytesPerSec, serverBytesPerSec, imageServers = 1, racks } = this.#options;
    const ports = this.world.ports.slice(imageServers);
    const downs = ports.map(({ down }) => down.bytesPerMs);
    return boundMs({
      nodes: this.nodes.length,
      imageServers,
      sizeBytes,
      pieceCount: this.world.torrent.pieceCount,
      downMinBytesPerSec: 1000 * this.#scale * downs.reduce((least, rate) => Math.min(least, rate)),
      serverBytesPerSec: serverBytesPerSec ?? upBytesPerSec,
      upTotalBytesPerSec: 1000 * this.#scale * sum(this.world.ports.map(({ up }) => up.bytesPerMs)),
      rackBytesPerSec: racks?.bytesPerSec ?? Number.POSITIVE_INFINITY,
    });
  }

  #load(): Outcome['load'] {
    const servers = this.world.ports.slice(0, this.#servers.length);
    const ports = this.world.ports.slice(servers.length);
    const mean = (busyMs: number[]) => sum(busyMs) / busyMs.length / this.nowMs;
    return {
      server: mean(servers.map(({ up }) => up.busyMs)),
      rack: Math.max(0, ...this.#racks.flatMap(({ up, down }) => [up.busyMs, down.busyMs])) / this.nowMs,
      down: mean(ports.map(({ down }) => down.busyMs)),
      up: mean(ports.map(({ up }) => up.busyMs)),
    };
  }
}

function isComplete(node: SimNode): boolean {
  return Number.isFinite(node.completeAtMs);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
