// One run: an image, image servers that have it, nodes that want it. What `swarmboot simulate`, tests and the search for
// policies call.

import { LIMITS, type Limits } from '../../agent/core/limits.ts';
import { Rng } from '../../agent/core/rng.ts';
import { BLOCK_BYTES, KIB, type Ms } from '../../agent/core/units.ts';
import { boundMs } from './bound.ts';
import { Port } from './network.ts';
import type { NodeFaults, SimNode } from './node.ts';
import { scaledLimits } from './scale.ts';
import { blankTorrent, World } from './world.ts';

/** The image servers are up and known to the tracker before the first node starts. */
const SERVERS_AHEAD_MS: Ms = 1000;

export interface Simulation {
  readonly nodes: number;
  readonly sizeBytes: number;
  readonly pieceBytes: number;
  /** Content, without headers: of each node, and of each image server (default: as a node's). */
  readonly upBytesPerSec: number;
  readonly downBytesPerSec: number;
  readonly serverBytesPerSec?: number;
  readonly imageServers?: number;
  /** Any 32 bits. */
  readonly seed: number;
  /** Departures from the policy, for everybody, and further ones for the image servers. */
  readonly limits?: Partial<Limits>;
  readonly serverLimits?: Partial<Limits>;
  /** Nodes are spread evenly over the racks, the image servers stand outside. Each rack's link carries so much each way. */
  readonly racks?: number;
  readonly rackBytesPerSec?: number;
  /** Nodes start at random times within this span. */
  readonly staggerMs?: Ms;
  /** Nodes leave so long after their download; without it they stay. */
  readonly leaveAfterMs?: Ms;
  /** Rates of single nodes, where they differ. */
  readonly ratesOf?: (node: number) => { upBytesPerSec: number; downBytesPerSec: number } | null;
  readonly faultsOf?: (node: number) => NodeFaults;
  /** These nodes are cut off from the rest between two times, counted from the first start. */
  readonly partition?: { readonly share: number; readonly fromMs: Ms; readonly untilMs: Ms };
  /** What moves at once: a block, or some for large swarms. Must divide the piece. */
  readonly grainBytes?: number;
  readonly latencyMs?: Ms;
  /** Bytes that one connection may have under way. */
  readonly windowBytes?: number;
  /** Virtual time after which the run ends whoever is not ready. */
  readonly patienceMs?: Ms;
}

export interface Outcome {
  /** Per node, from the first start: when it started; when it was complete (Infinity: never). */
  readonly startMs: Float64Array;
  readonly finishMs: Float64Array;
  /** Per node, from its own start until it was complete. */
  readonly ownMs: Float64Array;
  /** Content that the image servers sent together. */
  readonly seederBytes: number;
  /** Content that nodes threw away. */
  readonly wastedBytes: number;
  /** T* of this fabric. */
  readonly boundMs: Ms;
  /** Share of the time in which links were busy: the image servers' up, the busiest rack's, the nodes' down and up. */
  readonly load: {
    readonly server: number;
    readonly rack: number;
    readonly down: number;
    readonly up: number;
  };
  /** Entries in the agenda: the fingerprint of a run. */
  readonly events: number;
  readonly world: World;
}

/** Runs until every node that lives is complete, or until patience ends. */
export function simulate(options: Simulation): Outcome {
  const scale = (options.grainBytes ?? BLOCK_BYTES) / BLOCK_BYTES;
  const pieceBytes = options.pieceBytes / scale;
  const torrent = blankTorrent(Math.max(1, Math.round(options.sizeBytes / scale)), pieceBytes);
  const { upBytesPerSec, imageServers = 1, patienceMs = 3_600_000 } = options;
  const windowBytes = Math.max(2 * BLOCK_BYTES, (options.windowBytes ?? 64 * KIB) / scale);
  const world = new World({
    torrent,
    seed: options.seed,
    latencyMs: options.latencyMs ?? 0.5,
    windowBytes,
    sendBufferBytes: 2 * windowBytes,
    scale,
  });
  const serverUp = (options.serverBytesPerSec ?? upBytesPerSec) / scale;
  const limits = { ...LIMITS, ...options.limits };
  for (let server = 0; server < imageServers; server++) {
    world.join({
      seeder: true,
      atMs: 0,
      upBytesPerSec: serverUp,
      downBytesPerSec: serverUp,
      limits: scaledLimits({ ...limits, ...options.serverLimits }, scale),
    });
  }
  const racks = racksOf(options, scale);
  const nodes = joinNodes(world, options, scaledLimits(limits, scale), racks, scale);
  if (options.partition !== undefined) planPartition(world, nodes, options.partition);
  runToEnd(world, nodes, options.leaveAfterMs, patienceMs);
  return outcomeOf(world, nodes, racks, options, scale);
}

function racksOf({ racks = 0, rackBytesPerSec = 0 }: Simulation, scale: number): Port[] {
  const rate = rackBytesPerSec / scale;
  return Array.from({ length: racks }, () => new Port({ upBytesPerSec: rate, downBytesPerSec: rate }));
}

function joinNodes(
  world: World,
  options: Simulation,
  limits: Limits,
  racks: readonly Port[],
  scale: number,
): SimNode[] {
  const rng = new Rng(options.seed);
  const starts = Array.from({ length: options.nodes }, () => rng.next() * (options.staggerMs ?? 0));
  const first = Math.min(...starts.slice(0, 1e5));
  return starts.map((start, index) => {
    const rates = options.ratesOf?.(index) ?? options;
    const faults = options.faultsOf?.(index) ?? {};
    return world.join({
      seeder: false,
      atMs: SERVERS_AHEAD_MS + start - first,
      upBytesPerSec: rates.upBytesPerSec / scale,
      downBytesPerSec: rates.downBytesPerSec / scale,
      rack: racks[index % Math.max(1, racks.length)] ?? null,
      limits,
      faults:
        faults.diesAtMs === undefined ? faults : { ...faults, diesAtMs: SERVERS_AHEAD_MS + faults.diesAtMs },
    });
  });
}

function planPartition(
  world: World,
  nodes: readonly SimNode[],
  { share, fromMs, untilMs }: NonNullable<Simulation['partition']>,
): void {
  const apart = new Set(nodes.slice(0, Math.round(share * nodes.length)));
  world.at(SERVERS_AHEAD_MS + fromMs, () => world.part(apart));
  world.at(SERVERS_AHEAD_MS + untilMs, () => world.heal());
}

function runToEnd(
  world: World,
  nodes: readonly SimNode[],
  leaveAfterMs: Ms | undefined,
  patienceMs: Ms,
): void {
  if (leaveAfterMs !== undefined) {
    world.onComplete = (node) => world.at(world.now + leaveAfterMs, () => node.tell({ type: 'leave' }));
  }
  const isDone = (node: SimNode) => Number.isFinite(node.completeAtMs) || !node.alive;
  // Looking at all nodes is dear: only when enough are complete.
  const mortal = nodes.filter((node) => node.faults.diesAtMs !== undefined).length;
  const done = () => world.completions >= nodes.length - mortal && nodes.every(isDone);
  world.run(done, SERVERS_AHEAD_MS + patienceMs);
}

function outcomeOf(
  world: World,
  nodes: readonly SimNode[],
  racks: readonly Port[],
  options: Simulation,
  scale: number,
): Outcome {
  const servers = world.nodes.slice(0, world.nodes.length - nodes.length);
  const ports = world.ports.slice(servers.length);
  const spanMs = world.now - SERVERS_AHEAD_MS;
  const finishMs = Float64Array.from(nodes, (node) => node.completeAtMs - SERVERS_AHEAD_MS);
  const startMs = Float64Array.from(nodes, (node) => node.startsAtMs - SERVERS_AHEAD_MS);
  const mean = (busy: number[]) => busy.reduce((sum, ms) => sum + ms, 0) / busy.length / spanMs;
  const most = (busy: number[]) => busy.reduce((high, ms) => Math.max(high, ms), 0) / spanMs;
  return {
    startMs,
    finishMs,
    ownMs: finishMs.map((finish, index) => finish - startMs[index]!),
    seederBytes: scale * servers.reduce((sum, node) => sum + node.sentBytes, 0),
    wastedBytes: scale * nodes.reduce((sum, node) => sum + node.swarm.view(world.now).wastedBytes, 0),
    boundMs: boundMs({
      nodes: nodes.length,
      imageServers: servers.length,
      sizeBytes: options.sizeBytes,
      pieceCount: world.torrent.pieceCount,
      downMinBytesPerSec: 1000 * scale * Math.min(...ports.slice(0, 1e5).map(({ down }) => down.bytesPerMs)),
      serverBytesPerSec: options.serverBytesPerSec ?? options.upBytesPerSec,
      upTotalBytesPerSec: 1000 * scale * world.ports.reduce((sum, { up }) => sum + up.bytesPerMs, 0),
      rackBytesPerSec: racks.length > 0 ? options.rackBytesPerSec! : Number.POSITIVE_INFINITY,
    }),
    load: {
      server: mean(world.ports.slice(0, servers.length).map(({ up }) => up.busyMs)),
      rack: most(racks.flatMap(({ up, down }) => [up.busyMs, down.busyMs])),
      down: mean(ports.map(({ down }) => down.busyMs)),
      up: mean(ports.map(({ up }) => up.busyMs)),
    },
    events: world.events,
    world,
  };
}
