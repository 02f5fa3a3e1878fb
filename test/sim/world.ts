// A small virtual network for the real Swarm: an event heap, full-duplex links with one rate each way, a fixed latency,
// a tracker that knows everybody. No sockets, no bytes, no clock: a seed replays a run exactly.

import { ANNOUNCE_LIMITS, AnnounceSchedule } from '../../agent/core/announce.ts';
import { Bitfield } from '../../agent/core/bitfield.ts';
import { Budget } from '../../agent/core/budget.ts';
import type { SwarmCommand, SwarmEvent } from '../../agent/core/events.ts';
import { LIMITS } from '../../agent/core/limits.ts';
import { Rng } from '../../agent/core/rng.ts';
import { Swarm } from '../../agent/core/swarm.ts';
import { pieceSize, type Torrent } from '../../agent/core/torrent.ts';
import { BLOCK_BYTES, type Ms } from '../../agent/core/units.ts';

const LATENCY_MS = 1;

/** A torrent of zeros and no hashes: the simulation never looks at content. */
export function blankTorrent(length: number, pieceLength: number): Torrent {
  return {
    name: 'blank',
    length,
    pieceLength,
    pieceCount: Math.ceil(length / pieceLength),
    files: [{ path: ['blank'], offset: 0, length, pad: false }],
    private: true,
    announce: [['http://tracker/announce']],
    infoBytes: new Uint8Array(),
    infoHashV1: new Uint8Array(20),
    infoHashV2: null,
    piecesV1: new Uint8Array(),
    piecesV2: null,
  };
}

export interface NodeFaults {
  /** Pieces that come from this node fail their hash. */
  readonly poisons?: boolean;
  /** It takes requests and never serves them. */
  readonly stalls?: boolean;
  /** It disappears at this time. */
  readonly diesAtMs?: Ms;
}

interface Connection {
  readonly peer: Node;
  readonly peerSlot: number;
}

export class Node {
  readonly world: World;
  readonly index: number;
  readonly swarm: Swarm;
  readonly have: Bitfield;
  readonly faults: NodeFaults;
  readonly connections = new Map<number, Connection>();
  /** Who sent the bytes that lie in the buffer of a piece in progress: by piece, by offset. */
  readonly senders = new Map<number, Map<number, Node>>();
  /** Nodes that this one has banned. */
  readonly banned = new Set<Node>();
  /** Nodes from which alone a piece came that failed its hash. */
  readonly proven = new Set<Node>();
  alive = true;
  completeAtMs: Ms = Number.POSITIVE_INFINITY;
  leftAtMs: Ms = Number.POSITIVE_INFINITY;
  sentBytes = 0;
  uplinkFreeAtMs: Ms = 0;
  downlinkFreeAtMs: Ms = 0;
  wakeAtMs: Ms = Number.POSITIVE_INFINITY;
  runs = 0;

  constructor(world: World, index: number, seeder: boolean, faults: NodeFaults) {
    this.world = world;
    this.index = index;
    this.faults = faults;
    const pieces = world.torrent.pieceCount;
    this.have = seeder ? Bitfield.full(pieces) : new Bitfield(pieces);
    const rng = new Rng(world.seed * 1000 + index);
    this.swarm = new Swarm({
      torrent: world.torrent,
      have: this.have,
      limits: LIMITS,
      rng,
      budget: new Budget(0),
      schedule: new AnnounceSchedule(world.torrent.announce, ANNOUNCE_LIMITS, () => rng.next()),
      peerId: index.toString(16).padStart(40, '0'),
    });
  }

  tell(event: SwarmEvent): void {
    if (!this.alive) return;
    this.swarm.handle(event, this.world.now);
    this.run();
  }

  /** Carries out what the swarm orders until it orders nothing. */
  run(): void {
    this.runs++;
    for (;;) {
      const commands = this.swarm.take(this.world.now);
      if (commands.length === 0) break;
      for (const command of commands) this.world.carryOut(this, command);
    }
    const deadline = Math.max(this.swarm.deadline(), this.world.now);
    if (Number.isFinite(deadline) && deadline < this.wakeAtMs) {
      this.wakeAtMs = deadline;
      this.world.at(deadline, () => {
        this.wakeAtMs = Number.POSITIVE_INFINITY;
        if (this.alive) this.run();
      });
    }
  }
}

export class World {
  readonly torrent: Torrent;
  readonly seed: number;
  readonly bytesPerMs: number;
  readonly nodes: Node[] = [];
  completions = 0;
  now: Ms = 0;
  events = 0;
  #slots = 0;
  #heap: { atMs: Ms; order: number; work: () => void }[] = [];

  constructor(torrent: Torrent, seed: number, bytesPerSec: number) {
    this.torrent = torrent;
    this.seed = seed;
    this.bytesPerMs = bytesPerSec / 1000;
  }

  join(seeder: boolean, atMs: Ms, faults: NodeFaults = {}): Node {
    const node = new Node(this, this.nodes.length, seeder, faults);
    this.nodes.push(node);
    this.at(atMs, () => node.run());
    if (faults.diesAtMs !== undefined) this.at(faults.diesAtMs, () => this.kill(node));
    return node;
  }

  kill(node: Node): void {
    node.alive = false;
    for (const slot of [...node.connections.keys()]) this.#disconnect(node, slot, 'gone');
  }

  at(atMs: Ms, work: () => void): void {
    const heap = this.#heap;
    const entry = { atMs, order: this.events++, work };
    let child = heap.push(entry) - 1;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!before(entry, heap[parent]!)) break;
      heap[child] = heap[parent]!;
      child = parent;
    }
    heap[child] = entry;
  }

  /** Runs until `done` or the time is up. */
  run(done: () => boolean, untilMs: Ms): void {
    while (this.#heap.length > 0 && !done()) {
      if (this.#heap[0]!.atMs > untilMs) return;
      const next = this.#pop();
      this.now = next.atMs;
      next.work();
    }
  }

  carryOut(node: Node, command: SwarmCommand): void {
    switch (command.type) {
      case 'dial':
        return this.#dial(node, command.address.port);
      case 'announce':
        return this.#announce(node, command.url, command.event === 'stopped');
      case 'check':
        return this.#check(node, command.piece);
      case 'write':
        this.at(this.now, () => node.tell({ type: 'pieceWritten', piece: command.piece }));
        return;
      case 'complete':
        node.completeAtMs = this.now;
        this.completions++;
        return;
      case 'left':
        node.leftAtMs = this.now;
        return;
      case 'forget':
        node.senders.delete(command.piece);
        return;
    }
    if (!node.connections.has(command.slot)) return;
    if (command.type === 'drop') {
      if (command.ban) node.banned.add(node.connections.get(command.slot)!.peer);
      return this.#disconnect(node, command.slot, command.reason);
    }
    if (command.type === 'serve') return this.#serve(node, command.slot, command);
    const eventOf = this.#translate(node, command);
    if (eventOf !== null) this.#send(node, command.slot, eventOf);
  }

  #translate(node: Node, command: SwarmCommand): ((slot: number) => SwarmEvent[]) | null {
    switch (command.type) {
      case 'sendField': {
        const bytes = command.none ? new Uint8Array(node.have.bytes.length) : node.have.bytes.slice();
        return (slot) => [{ type: 'fieldArrived', slot, bytes }];
      }
      case 'choke':
        return (slot) => [{ type: 'choked', slot }];
      case 'unchoke':
        return (slot) => [{ type: 'unchoked', slot }];
      case 'interested':
        return (slot) => [{ type: 'interested', slot }];
      case 'uninterested':
        return (slot) => [{ type: 'uninterested', slot }];
      case 'have':
        return (slot) => [{ type: 'had', slot, piece: command.piece }];
      case 'request':
        return (slot) => [{ type: 'requested', slot, ...stretchOf(command) }];
      case 'cancel':
        return (slot) => [{ type: 'cancelled', slot, ...stretchOf(command) }];
      case 'reject':
        return (slot) => [{ type: 'rejected', slot, ...stretchOf(command) }];
      default:
        return null;
    }
  }

  #send(node: Node, slot: number, eventsOf: (slot: number) => SwarmEvent[]): void {
    const { peer, peerSlot } = node.connections.get(slot)!;
    this.at(this.now + LATENCY_MS, () => {
      if (!peer.alive || !peer.connections.has(peerSlot)) return;
      for (const event of eventsOf(peerSlot)) peer.swarm.handle(event, this.now);
      peer.run();
    });
  }

  #serve(node: Node, slot: number, stretch: { piece: number; begin: number; length: number }): void {
    if (node.faults.stalls === true) return;
    const { peer, peerSlot } = node.connections.get(slot)!;
    for (const block of blocksOf(stretch)) {
      const ms = block.length / this.bytesPerMs;
      node.uplinkFreeAtMs = Math.max(node.uplinkFreeAtMs, this.now) + ms;
      const outMs = node.uplinkFreeAtMs;
      this.at(outMs, () => {
        node.sentBytes += block.length;
        node.tell({ type: 'sent', slot, bytes: block.length });
        peer.downlinkFreeAtMs = Math.max(peer.downlinkFreeAtMs, outMs - ms) + ms;
        this.at(Math.max(peer.downlinkFreeAtMs, outMs) + LATENCY_MS, () =>
          this.#deliver(node, peer, peerSlot, block),
        );
      });
    }
  }

  #deliver(
    from: Node,
    to: Node,
    slot: number,
    block: { piece: number; begin: number; length: number },
  ): void {
    if (!to.alive || !to.connections.has(slot)) return;
    const wanted = to.swarm.accepts(slot, block);
    if (wanted) {
      const senders = to.senders.get(block.piece) ?? new Map<number, Node>();
      to.senders.set(block.piece, senders.set(block.begin, from));
    }
    to.tell({ type: wanted ? 'blockArrived' : 'blockUnwanted', slot, ...block });
  }

  #check(node: Node, piece: number): void {
    const senders = new Set(node.senders.get(piece)!.values());
    node.senders.delete(piece);
    const good = ![...senders].some((sender) => sender.faults.poisons === true);
    if (!good && senders.size === 1) for (const sender of senders) node.proven.add(sender);
    this.at(this.now, () => node.tell({ type: 'pieceChecked', piece, good }));
  }

  #dial(node: Node, port: number): void {
    const peer = this.nodes[port - 1]!;
    const address = { host: '127.0.0.1', port };
    this.at(this.now + 2 * LATENCY_MS, () => {
      if (!node.alive) return;
      if (!peer.alive) return node.tell({ type: 'dialFailed', address, reason: 'nobody there' });
      const [slot, peerSlot] = [this.#slots++, this.#slots++];
      node.connections.set(slot, { peer, peerSlot });
      peer.connections.set(peerSlot, { peer: node, peerSlot: slot });
      const idOf = (other: Node) => other.index.toString(16).padStart(40, '0');
      const common = { type: 'peerConnected', fast: true } as const;
      node.tell({ ...common, slot, address, peerId: idOf(peer), outgoing: true });
      const back = { host: '127.0.0.1', port: 0 };
      peer.tell({ ...common, slot: peerSlot, address: back, peerId: idOf(node), outgoing: false });
      if (!peer.connections.has(peerSlot)) return;
      peer.tell({
        type: 'extended',
        slot: peerSlot,
        uploadOnly: false,
        requestsMax: 250,
        port: node.index + 1,
      });
    });
  }

  #disconnect(node: Node, slot: number, reason: string): void {
    const connection = node.connections.get(slot);
    if (connection === undefined) return;
    node.connections.delete(slot);
    const { peer, peerSlot } = connection;
    this.at(this.now + LATENCY_MS, () => {
      if (peer.connections.delete(peerSlot)) peer.tell({ type: 'peerGone', slot: peerSlot, reason });
    });
  }

  #announce(node: Node, url: string, stopped: boolean): void {
    const others = this.nodes.filter(
      (other) => other !== node && other.alive && other.runs > 0 && other.leftAtMs === Infinity,
    );
    const wanted = others.filter((other) => !(node.have.isFull && other.have.isFull));
    const peers = stopped
      ? []
      : wanted.slice(0, 50).map((other) => ({ host: '127.0.0.1', port: other.index + 1 }));
    const seeders = others.filter((other) => other.have.isFull).length;
    const reply = {
      intervalMs: 30_000,
      minIntervalMs: null,
      seeders,
      leechers: others.length - seeders,
      peers,
      warning: null,
    };
    this.at(this.now + 2 * LATENCY_MS, () => node.tell({ type: 'announced', url, reply }));
  }

  #pop(): { atMs: Ms; work: () => void } {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let parent = 0;
    for (;;) {
      let child = 2 * parent + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[parent] = heap[child]!;
      parent = child;
    }
    heap[parent] = last;
    return first;
  }
}

function before(a: { atMs: Ms; order: number }, b: { atMs: Ms; order: number }): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

function stretchOf({ piece, begin, length }: { piece: number; begin: number; length: number }) {
  return { piece, begin, length };
}

function blocksOf({ piece, begin, length }: { piece: number; begin: number; length: number }) {
  const blocks: { piece: number; begin: number; length: number }[] = [];
  for (let at = 0; at < length; at += BLOCK_BYTES) {
    blocks.push({ piece, begin: begin + at, length: Math.min(BLOCK_BYTES, length - at) });
  }
  return blocks;
}

/** The bound of Mundinger, Weber and Weiss: (F/U)(1 + floor(log2 N)/M), in ms. */
export function boundMs(torrent: Torrent, nodes: number, bytesPerSec: number): Ms {
  return (torrent.length / bytesPerSec) * 1000 * (1 + Math.floor(Math.log2(nodes)) / torrent.pieceCount);
}

export { pieceSize };
