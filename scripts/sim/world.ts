// The virtual world: an agenda, links, a tracker with the policy of the real one, and nodes that each hold a real Swarm.
// No sockets, no bytes, no clock: a seed replays a run exactly.

import type { Announce } from '../../agent/core/events.ts';
import type { Limits } from '../../agent/core/limits.ts';
import { LIMITS } from '../../agent/core/limits.ts';
import { Rng } from '../../agent/core/rng.ts';
import { swarmHash, type Torrent } from '../../agent/core/torrent.ts';
import type { PeerAddress } from '../../agent/core/tracker.ts';
import { BLOCK_BYTES, type Ms } from '../../agent/core/units.ts';
import { ROSTER_LIMITS, Roster } from '../core/roster.ts';
import { Agenda } from './agenda.ts';
import { ARRIVED, Network, Port, type Rates, UPLINK_FREE } from './network.ts';
import { type NodeFaults, SimNode, type Surroundings } from './node.ts';
import { Pipe } from './pipe.ts';

/** Kinds of entries in the agenda; the network has its own. */
const LISTEN = 3;
const WAKE = 4;

/** Of a step: times that differ by less are the same. */
const ROUNDING = 1e-6;

const PEER_PORT = 6881;
/** How long a call or an announce into nothing takes to fail. */
const NO_ANSWER_MS = 10_000;

/** A torrent without hashes: the simulation never looks at content. */
export function blankTorrent(length: number, pieceLength: number): Torrent {
  return {
    name: 'blank',
    length,
    pieceLength,
    pieceCount: Math.ceil(length / pieceLength),
    files: [{ path: ['blank'], offset: 0, length, pad: false }],
    private: true,
    announce: [['http://tracker/announce']],
    webSeeds: [],
    infoBytes: new Uint8Array(),
    infoHashV1: new Uint8Array(20),
    infoHashV2: null,
    piecesV1: new Uint8Array(),
    piecesV2: null,
  };
}

export interface WorldOptions {
  readonly torrent: Torrent;
  /** Any 32 bits. */
  readonly seed: number;
  /** One way; also how often a node listens to messages. */
  readonly latencyMs: Ms;
  /** Bytes that a connection may have under way. */
  readonly windowBytes: number;
  /** What a connection's socket holds, behind which messages wait. */
  readonly socketBytes: number;
  /** Bytes that wait for a downlink at most. */
  readonly bufferBytes: number;
  /** Bytes that the kernel takes of a connection before the other end has them. */
  readonly sendBufferBytes: number;
  /** One byte of a chunk stands for so many; messages are as long as they are. */
  readonly scale: number;
}

/** What an uncommon node is like. */
export interface Joining extends Rates {
  readonly seeder: boolean;
  readonly atMs: Ms;
  readonly rack?: Port | null;
  readonly limits?: Limits;
  readonly faults?: NodeFaults;
}

export class World implements Surroundings {
  readonly torrent: Torrent;
  readonly seed: number;
  readonly sendBufferBytes: number;
  readonly scale: number;
  readonly hasCoarseChunks: boolean;
  readonly nodes: SimNode[] = [];
  readonly ports: Port[] = [];
  hasPoisoners = false;
  completions = 0;
  /** Called for each node whose download ends. */
  onComplete: (node: SimNode) => void = () => {};
  readonly #latencyMs: Ms;
  readonly #agenda = new Agenda((kind, id) => this.#perform(kind, id));
  readonly #network: Network;
  readonly #roster: Roster;
  readonly #pipes: Pipe[] = [];
  readonly #byHost = new Map<string, SimNode>();
  #fieldIds = 0;
  readonly #fields = new Map<number, Uint8Array>();
  /** The nodes on the far side of a partition. */
  #apart: ReadonlySet<SimNode> = new Set();

  constructor(options: WorldOptions) {
    this.torrent = options.torrent;
    this.seed = options.seed;
    this.sendBufferBytes = options.sendBufferBytes;
    this.scale = options.scale;
    this.hasCoarseChunks = options.socketBytes < BLOCK_BYTES;
    this.#latencyMs = options.latencyMs;
    this.#network = new Network(this.#agenda, options);
    const rng = new Rng(options.seed);
    this.#roster = new Roster(ROSTER_LIMITS, () => rng.next());
    this.#roster.allow(swarmHash(options.torrent));
  }

  get now(): Ms {
    return this.#agenda.now;
  }

  /** Entries ever made in the agenda: with the seed, the fingerprint of a run. */
  get events(): number {
    return this.#agenda.entered;
  }

  join(joining: Joining): SimNode {
    const { seeder, atMs, rack = null, limits = LIMITS, faults = {} } = joining;
    const index = this.nodes.length;
    const seed = Math.imul(this.seed + 1, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b);
    const node = new SimNode(this, index, { torrent: this.torrent, seeder, limits, seed, faults });
    const port = new Port(joining);
    this.nodes.push(node);
    this.ports.push(port);
    this.#network.join(port, rack);
    this.#byHost.set(node.host, node);
    if (faults.poisons === true) this.hasPoisoners = true;
    node.startsAtMs = atMs;
    this.at(atMs, () => {
      node.started = true;
      node.run();
    });
    if (faults.diesAtMs !== undefined) this.at(faults.diesAtMs, () => node.die());
    return node;
  }

  at(atMs: Ms, work: () => void): void {
    this.#agenda.call(atMs, work);
  }

  /** Runs until `done` or the time is up. */
  run(done: () => boolean, untilMs: Ms): void {
    this.#agenda.run(done, untilMs);
  }

  /** Nothing passes between these nodes and the others (the tracker is among the others) until `heal`. */
  part(apart: ReadonlySet<SimNode>): void {
    this.#apart = apart;
    for (const pipe of this.#pipes) pipe.cut = this.#isApart(this.nodes[pipe.from]!, this.nodes[pipe.to]!);
  }

  heal(): void {
    this.#apart = new Set();
    for (const pipe of this.#pipes) {
      if (!pipe.cut) continue;
      pipe.cut = false;
      this.node(pipe.to).release(pipe);
      this.#network.offer(pipe);
    }
  }

  dial(node: SimNode, address: PeerAddress): void {
    const peer = this.#byHost.get(address.host);
    const fail = () => node.tell({ type: 'dialFailed', address, reason: 'no answer' });
    if (peer === undefined || this.#isApart(node, peer)) return this.at(this.now + NO_ANSWER_MS, fail);
    this.at(this.now + 4 * this.#latencyMs, () => {
      if (!node.alive || node.leftAtMs < this.now) return;
      const there = peer.alive && peer.started && peer.leftAtMs === Number.POSITIVE_INFINITY;
      if (!there || this.#isApart(node, peer)) return fail();
      this.#connect(node, peer);
    });
  }

  announce(node: SimNode, { url, event, peersWanted }: Announce): void {
    if (this.#apart.has(node)) {
      const failed = () => node.tell({ type: 'announceFailed', url, reason: 'no answer' });
      return this.at(this.now + NO_ANSWER_MS, failed);
    }
    const handout = this.#roster.announce(
      {
        infoHash: swarmHash(this.torrent),
        host: node.host,
        port: PEER_PORT,
        event,
        seeder: node.have.isFull,
        numWant: peersWanted,
      },
      this.now,
    );
    const answer = (): void => {
      if ('refused' in handout) return node.tell({ type: 'announceFailed', url, reason: handout.refused });
      const { complete: seeders, incomplete: leechers } = handout;
      node.tell({ type: 'announced', url, reply: { ...handout, seeders, leechers, warning: null } });
    };
    this.at(this.now + 4 * this.#latencyMs, answer);
  }

  offer(pipe: Pipe): void {
    this.#network.offer(pipe);
  }

  message(pipe: Pipe, bytes: number): Ms {
    return this.#network.message(pipe, bytes);
  }

  node(index: number): SimNode {
    return this.nodes[index]!;
  }

  stir(node: SimNode, dueMs: Ms): void {
    if (node.stirred) return;
    node.stirred = true;
    // What is due in this very step waits for the next, lest answers come without any delay; rounding may place the
    // clock just before the step that is being made.
    const next = Math.floor(this.now / this.#latencyMs + ROUNDING) + 1;
    const step = Math.max(next, Math.ceil(dueMs / this.#latencyMs - ROUNDING));
    this.#agenda.at(step * this.#latencyMs, LISTEN, node.index);
  }

  wake(node: SimNode, atMs: Ms): void {
    this.#agenda.at(atMs, WAKE, node.index);
  }

  completed(node: SimNode): void {
    this.completions++;
    this.onComplete(node);
  }

  keepField(bytes: Uint8Array): number {
    this.#fields.set(++this.#fieldIds, bytes);
    return this.#fieldIds;
  }

  takeField(id: number): Uint8Array {
    const bytes = this.#fields.get(id)!;
    this.#fields.delete(id);
    return bytes;
  }

  #perform(kind: number, id: number): void {
    switch (kind) {
      case UPLINK_FREE:
        return this.#network.serve(id);
      case ARRIVED:
        return this.#arrived(this.#pipes[id]!);
      case LISTEN:
        return this.nodes[id]!.listen();
      case WAKE: {
        const node = this.nodes[id]!;
        if (node.wakeAtMs > this.now) return;
        node.wakeAtMs = Number.POSITIVE_INFINITY;
        if (node.alive) node.run();
      }
    }
  }

  #arrived(pipe: Pipe): void {
    if (pipe.closed) return;
    this.nodes[pipe.to]!.receive(pipe);
    if (pipe.closed) return;
    this.nodes[pipe.from]!.accept(pipe);
    this.#network.offer(pipe);
  }

  #isApart(a: SimNode, b: SimNode): boolean {
    return this.#apart.has(a) !== this.#apart.has(b);
  }

  #connect(node: SimNode, peer: SimNode): void {
    const [out, back] = [node.pipes.length, peer.pipes.length];
    node.pipes.push(this.#pipe(node, out, peer, back));
    peer.pipes.push(this.#pipe(peer, back, node, out));
    const now = this.now;
    const address = { host: peer.host, port: PEER_PORT };
    const arrival = { type: 'peerConnected', fast: true } as const;
    node.swarm.handle({ ...arrival, slot: out, address, peerId: peer.peerId, outgoing: true }, now);
    node.swarm.handle(greetingOf(peer, out), now);
    const back0 = { host: node.host, port: 0 };
    peer.swarm.handle({ ...arrival, slot: back, address: back0, peerId: node.peerId, outgoing: false }, now);
    peer.swarm.handle(greetingOf(node, back), now);
    node.run();
    peer.run();
  }

  #pipe(from: SimNode, fromSlot: number, to: SimNode, toSlot: number): Pipe {
    const pipe = new Pipe(this.#pipes.length, from.index, fromSlot, to.index, toSlot);
    this.#pipes.push(pipe);
    return pipe;
  }
}

/** The extension handshake of `peer` (BEP 10). */
function greetingOf(peer: SimNode, slot: number) {
  return {
    type: 'extended',
    slot,
    uploadOnly: peer.swarm.uploadOnly,
    requestsMax: peer.limits.queueMax,
    exchanges: false,
    port: PEER_PORT,
  } as const;
}
