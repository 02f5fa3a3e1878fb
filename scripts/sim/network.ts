// The links: each node has one up and one down, racks have one each way, and every link carries one thing after another
// at its rate. Connections share an uplink by turns, each with a bounded number of bytes under way: a receiver whose
// downlink is full slows its senders down, and they serve others meanwhile, much as TCP makes them do.

import type { Ms } from '../../agent/core/units.ts';
import type { Agenda } from './agenda.ts';
import type { Pipe } from './pipe.ts';

export interface Rates {
  /** Bytes of content per second; 0 or less is no rate. */
  readonly upBytesPerSec: number;
  readonly downBytesPerSec: number;
}

/** One direction of a link. */
export class Link {
  readonly bytesPerMs: number;
  freeAtMs: Ms = 0;
  /** Time spent carrying. */
  busyMs: Ms = 0;

  constructor(bytesPerSec: number) {
    this.bytesPerMs = bytesPerSec / 1000;
  }

  /** Carries `bytes` whose first comes at `fromMs`. Returns when it began. */
  carry(bytes: number, fromMs: Ms): Ms {
    const began = Math.max(this.freeAtMs, fromMs);
    const ms = bytes / this.bytesPerMs;
    this.freeAtMs = began + ms;
    this.busyMs += ms;
    return began;
  }
}

/** Where a node, or a rack of nodes, is joined to the rest. */
export class Port {
  readonly up: Link;
  readonly down: Link;

  constructor({ upBytesPerSec, downBytesPerSec }: Rates) {
    this.up = new Link(upBytesPerSec);
    this.down = new Link(downBytesPerSec);
  }
}

/** A node's port, the rack that it stands in (null: at the switch that joins the racks), and who waits to send. */
interface Place {
  readonly port: Port;
  readonly rack: Port | null;
  readonly line: Pipe[];
  /** Who begins to send sooner than this before the downlink is free finds no room in the buffer before it. */
  readonly aheadMs: Ms;
  /** An entry in the agenda will look after the line then. */
  wakeAtMs: Ms;
}

/** The kinds of entries that the network makes. */
export const UPLINK_FREE = 1;
export const ARRIVED = 2;

export interface NetworkOptions {
  /** One way. */
  readonly latencyMs: Ms;
  /** Bytes that a connection may have under way. */
  readonly windowBytes: number;
  /** What a connection's socket holds, behind which a message waits that stands in no pipe. */
  readonly socketBytes: number;
  /** Bytes that wait for a downlink at most; who would send more serves others meanwhile. */
  readonly bufferBytes: number;
}

export class Network {
  readonly #agenda: Agenda;
  readonly #options: NetworkOptions;
  readonly #places: Place[] = [];

  constructor(agenda: Agenda, options: NetworkOptions) {
    this.#agenda = agenda;
    this.#options = options;
  }

  /** Joins the next node; nodes are numbered from 0. */
  join(port: Port, rack: Port | null): void {
    const { latencyMs, bufferBytes } = this.#options;
    const aheadMs = latencyMs + bufferBytes / port.down.bytesPerMs;
    this.#places.push({ port, rack, line: [], aheadMs, wakeAtMs: Number.POSITIVE_INFINITY });
  }

  /**
   * Books the bytes of a message that does not stand in the pipe. Returns when it has come down behind what is queued
   * there, and behind what the sender's sockets hold when the connection has chunks under way.
   */
  message(pipe: Pipe, bytes: number): Ms {
    const { now } = this.#agenda;
    const { port, line } = this.#places[pipe.from]!;
    port.up.carry(bytes, now);
    const { down } = this.#places[pipe.to]!.port;
    down.carry(bytes, now);
    if (pipe.unsentChunks === 0) return down.freeAtMs;
    return Math.max(down.freeAtMs, now + (line.length * this.#options.socketBytes) / port.up.bytesPerMs);
  }

  /** Something may have changed for the better for `pipe`: a chunk came in, its window opened, it is whole again. */
  offer(pipe: Pipe): void {
    if (pipe.inLine || !this.#maySend(pipe)) return;
    const place = this.#places[pipe.from]!;
    pipe.inLine = true;
    place.line.push(pipe);
    if (place.port.up.freeAtMs <= this.#agenda.now) this.#serve(place, pipe.from);
    else this.#wake(place, pipe.from, place.port.up.freeAtMs);
  }

  /** The node's uplink may be free, or the buffer before a receiver's downlink: sends the next chunk. */
  serve(node: number): void {
    const place = this.#places[node]!;
    if (place.wakeAtMs > this.#agenda.now) return;
    place.wakeAtMs = Number.POSITIVE_INFINITY;
    this.#serve(place, node);
  }

  #serve(place: Place, node: number): void {
    const { line, port } = place;
    const { now } = this.#agenda;
    while (line.length > 0) {
      if (port.up.freeAtMs > now) return this.#wake(place, node, port.up.freeAtMs);
      let soonest = Number.POSITIVE_INFINITY;
      let at = 0;
      for (; at < line.length; at++) {
        const roomAtMs = this.#roomAtMs(line[at]!);
        if (roomAtMs <= now) break;
        soonest = Math.min(soonest, roomAtMs);
      }
      if (at === line.length) return this.#wake(place, node, soonest);
      const pipe = line[at]!;
      line.splice(at, 1);
      pipe.inLine = false;
      if (!this.#maySend(pipe)) continue;
      this.#send(pipe, place);
      if (this.#maySend(pipe)) {
        pipe.inLine = true;
        line.push(pipe);
      }
    }
  }

  /** When what is sent through the pipe finds room in the buffer before the receiver's downlink. */
  #roomAtMs(pipe: Pipe): Ms {
    const { port, aheadMs } = this.#places[pipe.to]!;
    return port.down.freeAtMs - aheadMs;
  }

  #wake(place: Place, node: number, atMs: Ms): void {
    if (place.wakeAtMs <= atMs) return;
    place.wakeAtMs = atMs;
    this.#agenda.at(atMs, UPLINK_FREE, node);
  }

  #maySend(pipe: Pipe): boolean {
    return pipe.unsentChunks > 0 && pipe.flightBytes < this.#options.windowBytes && !pipe.closed && !pipe.cut;
  }

  #send(pipe: Pipe, from: Place): void {
    const { latencyMs } = this.#options;
    const to = this.#places[pipe.to]!;
    const bytes = pipe.sendNext();
    const firstMs = from.port.up.carry(bytes, this.#agenda.now) + latencyMs;
    const lastMs = from.port.up.freeAtMs + latencyMs;
    if (from.rack === to.rack) return this.#land(to.port.down, pipe, bytes, firstMs, lastMs);
    const between = [from.rack?.up, to.rack?.down].filter((link) => link !== undefined);
    this.#pass(between, to.port.down, pipe, bytes, firstMs, lastMs);
  }

  /** Down the last link; the chunk has arrived when all of it has come down. */
  #land(down: Link, pipe: Pipe, bytes: number, firstMs: Ms, lastMs: Ms): void {
    down.carry(bytes, firstMs);
    this.#agenda.at(Math.max(down.freeAtMs, lastMs), ARRIVED, pipe.id);
  }

  /** Through the links between the racks, then down. Each link takes what comes in the order in which it comes. */
  #pass(between: Link[], down: Link, pipe: Pipe, bytes: number, firstMs: Ms, lastMs: Ms): void {
    const [link, ...rest] = between;
    if (link === undefined) return this.#land(down, pipe, bytes, firstMs, lastMs);
    const began = link.carry(bytes, firstMs);
    const doneMs = Math.max(link.freeAtMs, lastMs);
    this.#agenda.call(began, () => this.#pass(rest, down, pipe, bytes, began, doneMs));
  }
}
