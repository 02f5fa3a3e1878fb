// A node of the simulation: a real Swarm, and what carries its orders out on the virtual network as the engine does on
// the real one. It holds no content; a piece is bad when a poisoner sent part of it.

import { ANNOUNCE_LIMITS, AnnounceSchedule } from '../../agent/core/announce.ts';
import { Bitfield } from '../../agent/core/bitfield.ts';
import { Budget } from '../../agent/core/budget.ts';
import type { Announce, SwarmCommand, SwarmEvent } from '../../agent/core/events.ts';
import type { Limits } from '../../agent/core/limits.ts';
import { Rng } from '../../agent/core/rng.ts';
import { Swarm } from '../../agent/core/swarm.ts';
import type { Torrent } from '../../agent/core/torrent.ts';
import type { PeerAddress } from '../../agent/core/tracker.ts';
import { BLOCK_BYTES, type Ms } from '../../agent/core/units.ts';
import { Inbox, type Message } from './inbox.ts';
import { CHUNK, type Entry, type Pipe } from './pipe.ts';

/** Kinds of messages, as they lie in pipes and inboxes; CHUNK is 0. */
const HAVE = 1;
const REQUEST = 2;
const CANCEL = 3;
const REJECT = 4;
const CHOKE = 5;
const UNCHOKE = 6;
const INTERESTED = 7;
const UNINTERESTED = 8;
const KEEP_ALIVE = 9;
/** Its piece is the number under which the world keeps the bitfield. */
const FIELD = 10;
const HAVE_ALL = 11;
const HAVE_NONE = 12;
/** The other end has closed the connection. */
const GONE = 13;
/** To the sender itself: its kernel has taken bytes. */
const SENT = 14;
/** The handshake of the extension protocol once more. */
const UPLOAD_ONLY = 15;

/** Bytes of the messages on the wire (BEP 3, 6, 10), by kind; a bitfield's content and repeated requests come on top. */
const MESSAGE_BYTES = [13, 9, 17, 17, 17, 5, 5, 5, 5, 4, 5, 5, 5, 0, 0, 110];
/** Ethernet, IP and TCP headers of a packet that carries messages only, and of one that acknowledges. */
const PACKET_BYTES = 66;
/** A timer of the engine's does not ring sooner. */
const TIMER_MS: Ms = 1;

export interface NodeFaults {
  /** Pieces that come from this node fail their hash. */
  readonly poisons?: boolean;
  /** It takes requests and never serves them. */
  readonly stalls?: boolean;
  /** It disappears at this time. */
  readonly diesAtMs?: Ms;
}

export interface NodeOptions {
  readonly torrent: Torrent;
  readonly seeder: boolean;
  readonly limits: Limits;
  /** Any 32 bits. */
  readonly seed: number;
  readonly faults: NodeFaults;
}

/** What a node needs of the world. */
export interface Surroundings {
  readonly now: Ms;
  /** Bytes of orders to serve that the kernel takes ahead of the other end. */
  readonly sendBufferBytes: number;
  /** How many bytes one of a chunk stands for; messages are as long as they are. */
  readonly scale: number;
  /** A chunk stands for more than a connection's socket holds. */
  readonly hasCoarseChunks: boolean;
  readonly hasPoisoners: boolean;
  dial(node: SimNode, address: PeerAddress): void;
  announce(node: SimNode, announce: Announce): void;
  /** Chunks were added to the pipe. */
  offer(pipe: Pipe): void;
  /** Books a message of so many bytes that follows no chunk. Returns when it is due at the other end. */
  message(pipe: Pipe, bytes: number): Ms;
  node(index: number): SimNode;
  /** The node has something in its inbox that is due then. */
  stir(node: SimNode, dueMs: Ms): void;
  wake(node: SimNode, atMs: Ms): void;
  completed(node: SimNode): void;
  keepField(bytes: Uint8Array): number;
  takeField(id: number): Uint8Array;
}

export class SimNode {
  readonly index: number;
  readonly host: string;
  readonly swarm: Swarm;
  readonly have: Bitfield;
  readonly limits: Limits;
  readonly faults: NodeFaults;
  /** Out of every open connection, by our slot. Slots are given once, so most of a long list may be empty. */
  readonly pipes: (Pipe | undefined)[] = [];
  /** Nodes that this one has banned. */
  readonly banned = new Set<SimNode>();
  /** Nodes from which alone a piece came that failed its hash. */
  readonly proven = new Set<SimNode>();
  startsAtMs: Ms = 0;
  started = false;
  alive = true;
  completeAtMs: Ms = Number.POSITIVE_INFINITY;
  leftAtMs: Ms = Number.POSITIVE_INFINITY;
  sentBytes = 0;
  /** The world will look at the inbox. */
  stirred = false;
  wakeAtMs: Ms = Number.POSITIVE_INFINITY;
  readonly #world: Surroundings;
  readonly #inbox = new Inbox();
  readonly #message: Message = { slot: 0, kind: 0, piece: 0, begin: 0, length: 0 };
  readonly #entry: Entry = { kind: 0, piece: 0, begin: 0, length: 0 };
  /** Who sent parts of a piece in progress. Kept only where there are poisoners. */
  readonly #senders = new Map<number, Set<number>>();
  readonly #written: number[] = [];
  #answered = false;
  #turn = 0;

  constructor(world: Surroundings, index: number, options: NodeOptions) {
    const { torrent, seeder, limits } = options;
    this.#world = world;
    this.index = index;
    this.host = `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`;
    this.limits = limits;
    this.faults = options.faults;
    this.have = seeder ? Bitfield.full(torrent.pieceCount) : new Bitfield(torrent.pieceCount);
    const rng = new Rng(options.seed);
    this.swarm = new Swarm({
      torrent,
      have: this.have,
      limits,
      rng,
      budget: new Budget(0),
      schedule: new AnnounceSchedule(torrent.announce, ANNOUNCE_LIMITS, () => rng.next()),
      peerId: this.peerId,
    });
  }

  get peerId(): string {
    return this.index.toString(16).padStart(40, '0');
  }

  /** The connections that are open. */
  get connections(): Pipe[] {
    return this.pipes.filter((pipe) => pipe !== undefined);
  }

  tell(event: SwarmEvent): void {
    if (!this.alive) return;
    this.swarm.handle(event, this.#world.now);
    this.run();
  }

  /** Carries out what the swarm orders until it orders nothing. */
  run(): void {
    const { now } = this.#world;
    for (;;) {
      const commands = this.swarm.take(now);
      if (commands.length === 0) break;
      this.#answered = false;
      for (const command of commands) this.#carryOut(command);
      this.#answered ||= this.#written.length > 0;
      for (const piece of this.#written) this.swarm.handle({ type: 'pieceWritten', piece }, now);
      this.#written.length = 0;
      if (!this.#answered) break;
    }
    this.#turn++;
    const deadline = this.swarm.deadline();
    if (deadline < this.wakeAtMs) {
      this.wakeAtMs = Math.max(deadline, now + TIMER_MS);
      this.#world.wake(this, this.wakeAtMs);
    }
  }

  /** Hears what has been said, and answers. */
  listen(): void {
    this.stirred = false;
    if (this.alive && this.#hear()) this.run();
    if (!this.#inbox.isEmpty) this.#world.stir(this, this.#inbox.dueMs);
  }

  /** The first chunk of a pipe to this node has arrived, and with it the messages behind. */
  receive(pipe: Pipe): void {
    this.#receiveOne(pipe);
    this.release(pipe);
  }

  /** The messages at the head of a pipe to this node need not wait for a chunk. */
  release(pipe: Pipe): void {
    while (pipe.hasMessageFirst) this.#receiveOne(pipe);
  }

  post(due: Ms, slot: number, kind: number, piece: number, begin: number, length: number): void {
    this.#inbox.push(due, slot, kind, piece, begin, length);
    if (!this.stirred) this.#world.stir(this, this.#inbox.dueMs);
  }

  /** This node is no more; the others notice. */
  die(): void {
    this.alive = false;
    for (const pipe of this.connections) {
      pipe.closed = true;
      this.pipes[pipe.fromSlot] = undefined;
      this.#world.node(pipe.to).post(this.#world.now, pipe.toSlot, GONE, 0, 0, 0);
    }
  }

  /** The kernel may have taken orders to serve: tells the swarm so at its next turn. */
  accept(pipe: Pipe): void {
    const bytes = pipe.takeAccepted(this.#world.sendBufferBytes);
    if (bytes > 0) this.post(this.#world.now, pipe.fromSlot, SENT, 0, 0, bytes);
  }

  #hear(): boolean {
    const message = this.#message;
    let heard = false;
    while (this.#inbox.shift(this.#world.now, message)) {
      heard = true;
      this.#handle(message.slot, message);
    }
    return heard;
  }

  #receiveOne(pipe: Pipe): void {
    const entry = this.#entry;
    pipe.shift(entry);
    this.post(this.#world.now, pipe.toSlot, entry.kind, entry.piece, entry.begin, entry.length);
  }

  #handle(slot: number, { kind, piece, begin, length }: Entry): void {
    const pipe = this.pipes[slot];
    if (pipe === undefined) {
      if (kind === FIELD) this.#world.takeField(piece);
      return;
    }
    if (kind === GONE) {
      pipe.closed = true;
      this.pipes[slot] = undefined;
    }
    const event = kind === CHUNK ? this.#blockEvent(slot, piece, begin, length) : null;
    this.swarm.handle(event ?? this.#eventOf(slot, kind, piece, begin, length), this.#world.now);
  }

  #peer(slot: number): SimNode {
    return this.#world.node(this.pipes[slot]!.to);
  }

  #blockEvent(slot: number, piece: number, begin: number, length: number): SwarmEvent {
    if (!this.swarm.accepts(slot, { piece, begin, length })) {
      return { type: 'blockUnwanted', slot, piece, begin, length };
    }
    if (this.#world.hasPoisoners) {
      const senders = this.#senders.get(piece) ?? new Set();
      this.#senders.set(piece, senders.add(this.pipes[slot]!.to));
    }
    return { type: 'blockArrived', slot, piece, begin, length };
  }

  #eventOf(slot: number, kind: number, piece: number, begin: number, length: number): SwarmEvent {
    switch (kind) {
      case HAVE:
        return { type: 'had', slot, piece };
      case REQUEST:
        return { type: 'requested', slot, piece, begin, length };
      case CANCEL:
        return { type: 'cancelled', slot, piece, begin, length };
      case REJECT:
        return { type: 'rejected', slot, piece, begin, length };
      case CHOKE:
        return { type: 'choked', slot };
      case UNCHOKE:
        return { type: 'unchoked', slot };
      case INTERESTED:
        return { type: 'interested', slot };
      case UNINTERESTED:
        return { type: 'uninterested', slot };
      case FIELD:
        return { type: 'fieldArrived', slot, bytes: this.#world.takeField(piece) };
      case HAVE_ALL:
        return { type: 'hadAll', slot };
      case GONE:
        return { type: 'peerGone', slot, reason: 'closed by the peer' };
      case SENT:
        return { type: 'sent', slot, bytes: length };
      case UPLOAD_ONLY:
        return {
          type: 'extended',
          slot,
          uploadOnly: true,
          requestsMax: this.#peer(slot).limits.queueMax,
          exchanges: false,
          port: 0,
        };
      default:
        return { type: 'heard', slot };
    }
  }

  #carryOut(command: SwarmCommand): void {
    switch (command.type) {
      case 'dial':
        return this.#world.dial(this, command.address);
      case 'announce':
        return this.#world.announce(this, command);
      case 'check':
        return this.#check(command.piece);
      case 'write':
        return void this.#written.push(command.piece);
      case 'forget':
        return void this.#senders.delete(command.piece);
      case 'complete':
        this.completeAtMs = this.#world.now;
        return this.#world.completed(this);
      case 'left':
        this.leftAtMs = this.#world.now;
        return;
      case 'openWebSeed':
        throw new Error('nobody here is told of web seeds');
    }
    const pipe = this.pipes[command.slot];
    if (pipe === undefined) return;
    switch (command.type) {
      case 'drop':
        if (command.ban) this.banned.add(this.#world.node(pipe.to));
        return this.#drop(pipe);
      case 'serve':
        return this.#serve(pipe, command);
      case 'have':
        return this.#say(pipe, HAVE, command.piece);
      case 'request':
        return this.#say(pipe, REQUEST, command.piece, command.begin, command.length);
      case 'cancel':
        return this.#say(pipe, CANCEL, command.piece, command.begin, command.length);
      case 'reject':
        return this.#say(pipe, REJECT, command.piece, command.begin, command.length);
      case 'choke':
        return this.#say(pipe, CHOKE);
      case 'unchoke':
        return this.#say(pipe, UNCHOKE);
      case 'interested':
        return this.#say(pipe, INTERESTED);
      case 'uninterested':
        return this.#say(pipe, UNINTERESTED);
      case 'keepAlive':
        return this.#say(pipe, KEEP_ALIVE);
      case 'uploadOnly':
        return this.#say(pipe, UPLOAD_ONLY);
      case 'sendField':
        return this.#sayField(pipe, command.none);
    }
  }

  #check(piece: number): void {
    const senders = [...(this.#senders.get(piece) ?? [])].map((index) => this.#world.node(index));
    const good = !senders.some((sender) => sender.faults.poisons === true);
    this.#answered = true;
    if (!good && senders.length === 1) this.proven.add(senders[0]!);
    this.swarm.handle({ type: 'pieceChecked', piece, good }, this.#world.now);
  }

  #sayField(pipe: Pipe, none: boolean): void {
    if (none || this.have.count === 0) return this.#say(pipe, HAVE_NONE);
    if (this.have.isFull) return this.#say(pipe, HAVE_ALL);
    this.#say(pipe, FIELD, this.#world.keepField(this.have.bytes.slice()));
  }

  #serve(pipe: Pipe, { piece, begin, length }: { piece: number; begin: number; length: number }): void {
    if (this.faults.stalls === true) return;
    for (let at = 0; at < length; at += BLOCK_BYTES) {
      pipe.push(CHUNK, piece, begin + at, Math.min(BLOCK_BYTES, length - at));
    }
    pipe.endOrder();
    this.sentBytes += length;
    this.accept(pipe);
    this.#world.offer(pipe);
  }

  /** Behind the chunks that wait in the pipe, or past them all into the inbox of the other end. */
  #say(pipe: Pipe, kind: number, piece = 0, begin = 0, length = 0): void {
    const world = this.#world;
    // Behind coarse chunks it would wait much longer than behind what a socket holds; a goodbye ends what is under way.
    const overtakes = world.hasCoarseChunks && kind !== GONE;
    if (pipe.cut || (pipe.chunks > 0 && !overtakes)) return pipe.push(kind, piece, begin, length);
    let bytes = MESSAGE_BYTES[kind]! * (kind === REQUEST ? Math.ceil(length / BLOCK_BYTES) * world.scale : 1);
    if (kind === FIELD) bytes += this.have.bytes.length;
    // Several messages of one turn share a packet.
    if (pipe.messageTurn !== this.#turn) bytes += PACKET_BYTES;
    pipe.messageTurn = this.#turn;
    const due = world.message(pipe, bytes / world.scale);
    world.node(pipe.to).post(due, pipe.toSlot, kind, piece, begin, length);
  }

  /** Closes the connection: what the kernel has goes out, then the other end hears of it. */
  #drop(pipe: Pipe): void {
    this.pipes[pipe.fromSlot] = undefined;
    this.#say(pipe, GONE);
  }
}
