// One torrent under way: a Swarm, its store, its open wires, and the buffers of the pieces that are coming in. Carries
// orders out; the orders are the Swarm's.

import { Bitfield } from './core/bitfield.ts';
import { assert, messageOf, SwarmbootError } from './core/errors.ts';
import type { Announce, Stretch, SwarmCommand, SwarmEvent } from './core/events.ts';
import type {
  Link,
  LogFact,
  Party,
  StorePort,
  Subject,
  TrackerPort,
  WebPort,
  WireListener,
  WirePort,
} from './core/ports.ts';
import { Swarm, type SwarmOptions } from './core/swarm.ts';
import { pieceSize, swarmHash, type Torrent } from './core/torrent.ts';
import type { PeerAddress } from './core/tracker.ts';
import { hex, type Ms } from './core/units.ts';
import type { SwarmView } from './core/view.ts';
import { WebWire } from './webwire.ts';

export interface TransferOptions extends Omit<SwarmOptions, 'peerId'> {
  readonly store: StorePort;
  readonly tracker: TrackerPort;
  readonly web: WebPort;
  readonly peerId: Uint8Array;
  readonly port: number;
  readonly clock: () => Ms;
  readonly log: LogFact;
  /** Its peers may tell each other of peers. */
  readonly exchanges: boolean;
  /** A number for a new connection, never given before. */
  readonly slot: () => number;
  /** Something happened: call `work` soon. */
  readonly touch: (transfer: Transfer) => void;
  /** Rejects when nobody answers. */
  readonly dial: (address: PeerAddress, party: Party) => Promise<void>;
  /** The transfer is over. */
  readonly left: (transfer: Transfer) => void;
}

interface Front {
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class Transfer implements Party {
  readonly torrent: Torrent;
  /** Resolves when every piece is verified and written; rejects when the store fails. */
  readonly complete: Promise<void>;
  readonly #options: TransferOptions;
  readonly #swarm: Swarm;
  readonly #have: Bitfield;
  readonly #wires = new Map<number, WirePort>();
  /** Where those peers are, for the log. */
  readonly #places = new Map<number, string>();
  /** Wires with messages waiting for the end of `work`. */
  readonly #spoken = new Set<WirePort>();
  readonly #pieces = new Map<number, Uint8Array>();
  readonly #spareBuffers: Uint8Array[] = [];
  /** Serve orders that wait for a free frame of the store. */
  readonly #waiting: Extract<SwarmCommand, { type: 'serve' }>[] = [];
  readonly #abort = new AbortController();
  readonly #gone = Promise.withResolvers<void>();
  #settle: { resolve(): void; reject(error: unknown): void };
  #fronts: Front[] = [];
  #frontPieces = 0;
  #failure: unknown = null;

  constructor(options: TransferOptions) {
    this.torrent = options.torrent;
    this.#options = options;
    this.#have = options.have;
    this.#swarm = new Swarm({ ...options, peerId: hex(options.peerId) });
    const settled = Promise.withResolvers<void>();
    this.complete = settled.promise;
    // Whoever does not wait for the end (a seeder) is not to be stopped by it.
    this.complete.catch(() => {});
    this.#settle = settled;
    if (this.#have.isFull) settled.resolve();
    this.#advanceFront();
  }

  get subject(): Subject {
    return {
      infoHash: swarmHash(this.torrent),
      pieceCount: this.torrent.pieceCount,
      infoBytes: this.torrent.infoBytes,
      uploadOnly: this.#swarm.uploadOnly,
      exchanges: this.#options.exchanges,
    };
  }

  view(): SwarmView {
    return this.#swarm.view(this.#options.clock());
  }

  /** Addresses to be tried besides those that trackers give. */
  addPeers(addresses: readonly PeerAddress[]): void {
    this.#tell({ type: 'peersFound', addresses });
  }

  /**
   * URLs at which the content lies as one file (BEP 19), to be tried in this order when the swarm does not give. Of a
   * torrent of several files nothing is taken from there.
   */
  addWebSeeds(urls: readonly string[]): void {
    if (this.torrent.files.length === 1) this.#tell({ type: 'webSeedsFound', urls });
  }

  /**
   * Resolves once the first `bytes` of the content are verified and written. Rejects when the store fails, when the
   * transfer leaves before, and when `signal` is aborted.
   */
  front(bytes: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const front = { bytes, resolve, reject };
    const aborted = () => {
      this.#fronts = this.#fronts.filter((other) => other !== front);
      reject(signal.reason);
    };
    if (signal.aborted) return Promise.reject(signal.reason);
    signal.addEventListener('abort', aborted, { once: true });
    this.#fronts.push(front);
    this.#advanceFront();
    if (this.#failure !== null) this.#giveUp(this.#failure);
    return promise.finally(() => signal.removeEventListener('abort', aborted));
  }

  /** Serves what it has promised (bounded in time), says `stopped` to the trackers, closes the connections. */
  leave(): Promise<void> {
    this.#tell({ type: 'leave' });
    return this.#gone.promise;
  }

  deadline(): Ms {
    return this.#swarm.deadline();
  }

  /** Carries out what the swarm orders. Orders that are done at once cause new ones; those are carried out too. */
  work(): void {
    for (;;) {
      const commands = this.#swarm.take(this.#options.clock());
      if (commands.length === 0) break;
      for (const command of commands) this.#carryOut(command);
    }
    for (const wire of this.#spoken) wire.flush();
    this.#spoken.clear();
  }

  meet(link: Link, wire: () => WirePort): WireListener {
    const slot = this.#options.slot();
    const { log } = this.#options;
    const address = link.outgoing ? link.remote : { host: link.remote.host, port: 0 };
    const place = `${link.remote.host} ${link.remote.port}`;
    let greeted = false;
    return {
      asked: () => this.subject,
      ready: (peerId, fast) => {
        greeted = true;
        this.#wires.set(slot, wire());
        this.#places.set(slot, place);
        this.#tell({ type: 'peerConnected', slot, address, peerId, outgoing: link.outgoing, fast });
      },
      said: (message) => this.#tell(Object.assign(message, { slot })),
      accepts: (stretch) => this.#swarm.accepts(slot, stretch),
      block: (stretch, bytes) => this.#blockCame(slot, stretch, bytes),
      info: () => {},
      closed: (reason) => {
        log('peer gone', {
          torrent: this.torrent.name,
          peer: place,
          reason,
        });
        this.#wires.delete(slot);
        this.#places.delete(slot);
        if (greeted) this.#tell({ type: 'peerGone', slot, reason });
        else if (link.outgoing) this.#tell({ type: 'dialFailed', address: link.remote, reason });
      },
    };
  }

  #tell(event: SwarmEvent): void {
    this.#swarm.handle(event, this.#options.clock());
    this.#options.touch(this);
  }

  #blockCame(slot: number, stretch: Stretch, bytes: Uint8Array): void {
    const { piece, begin, length } = stretch;
    // Another peer may have sent it since this one began to.
    if (!this.#swarm.accepts(slot, stretch)) {
      return this.#tell({ type: 'blockUnwanted', slot, piece, begin, length });
    }
    let buffer = this.#pieces.get(piece);
    if (buffer === undefined) {
      buffer = this.#spareBuffers.pop() ?? new Uint8Array(this.torrent.pieceLength);
      this.#pieces.set(piece, buffer);
    }
    buffer.set(bytes, begin);
    this.#tell({ type: 'blockArrived', slot, piece, begin, length });
  }

  #carryOut(command: SwarmCommand): void {
    switch (command.type) {
      case 'dial':
        return this.#dial(command.address);
      case 'check':
        return this.#check(command.piece);
      case 'write':
        return this.#write(command.piece);
      case 'forget':
        return this.#forget(command.piece);
      case 'announce':
        return void this.#announce(command);
      case 'openWebSeed':
        return this.#openWebSeed(command);
      case 'complete':
        return this.#settle.resolve();
      case 'left':
        return this.#left();
      case 'serve':
        return this.#serve(command);
    }
    const wire = this.#wires.get(command.slot);
    if (wire === undefined) return;
    switch (command.type) {
      case 'drop':
        if (command.ban) this.#tellBan(command.slot, command.reason);
        this.#wires.delete(command.slot);
        return wire.close(command.reason);
      case 'sendField':
        wire.sendField(command.none ? new Bitfield(this.#have.length) : this.#have);
        break;
      case 'request':
        wire.request(command);
        break;
      default:
        wire.send(command);
    }
    this.#spoken.add(wire);
  }

  #tellBan(slot: number, reason: string): void {
    this.#options.log('peer banned', { torrent: this.torrent.name, peer: this.#places.get(slot), reason });
  }

  #dial(address: PeerAddress): void {
    this.#options.dial(address, this).catch((error: unknown) => {
      this.#tell({ type: 'dialFailed', address, reason: messageOf(error) });
    });
  }

  #openWebSeed({ url, reason }: Extract<SwarmCommand, { type: 'openWebSeed' }>): void {
    const { slot: newSlot, web, limits, clock, log } = this.#options;
    const slot = newSlot();
    const torrent = this.torrent;
    log('web seed', { torrent: torrent.name, url, reason });
    const wire = new WebWire({
      torrent,
      url,
      web,
      requests: limits.webRequests,
      requestBytes: limits.webRequestBytes,
      block: (stretch, bytes) => this.#blockCame(slot, stretch, bytes),
      rejected: (stretch) => this.#tell({ type: 'rejected', slot, ...stretch }),
      failed: (why, busyMs) => {
        if (busyMs === null) log('web seed failed', { torrent: torrent.name, url, reason: why });
        this.#tell({ type: 'webSeedFailed', slot, reason: why, busyMs });
      },
    });
    this.#wires.set(slot, wire);
    this.#swarm.handle({ type: 'webSeedOpened', slot }, clock());
  }

  #check(piece: number): void {
    const good = this.#options.store.verify(piece, this.#content(piece));
    if (!good) this.#options.log('piece failed its hash', { torrent: this.torrent.name, piece });
    this.#swarm.handle({ type: 'pieceChecked', piece, good }, this.#options.clock());
  }

  #write(piece: number): void {
    this.#options.store.write(piece, this.#content(piece), (error) => {
      if (error !== null) return this.#fail(error);
      this.#tell({ type: 'pieceWritten', piece });
      this.#advanceFront();
    });
  }

  /** The bytes of a piece that is whole: the buffer, or less for the last piece. */
  #content(piece: number): Uint8Array {
    const buffer = this.#pieces.get(piece);
    assert(buffer !== undefined, 'a whole piece has its bytes');
    const size = pieceSize(this.torrent, piece);
    return size === buffer.length ? buffer : buffer.subarray(0, size);
  }

  #forget(piece: number): void {
    const buffer = this.#pieces.get(piece);
    if (buffer === undefined) return;
    this.#pieces.delete(piece);
    this.#spareBuffers.push(buffer);
  }

  #serve(command: Extract<SwarmCommand, { type: 'serve' }>): void {
    const { slot, piece, begin, length } = command;
    const wire = this.#wires.get(slot);
    if (wire === undefined) return;
    try {
      const frame = this.#options.store.read(piece, begin, length);
      if (frame === null) {
        this.#waiting.push(command);
        return;
      }
      wire.serve(frame.bytes, () => {
        frame.release();
        this.#tell({ type: 'sent', slot, bytes: length });
        this.#serveNext();
      });
    } catch (error) {
      this.#fail(error);
    }
  }

  /** A frame is free: for the oldest order that waits for one and whose peer is still there. */
  #serveNext(): void {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      if (this.#wires.has(next.slot)) return this.#serve(next);
    }
  }

  async #announce({ url, event, peersWanted }: Announce): Promise<void> {
    const { tracker, peerId, port, clock, log } = this.#options;
    const view = this.view();
    try {
      const reply = await tracker.announce(
        {
          url,
          event,
          infoHash: swarmHash(this.torrent),
          peerId,
          port,
          uploaded: view.uploadedBytes,
          downloaded: view.downloadedBytes,
          left: view.bytesLeft,
          numWant: peersWanted,
        },
        this.#abort.signal,
      );
      if (reply.warning !== null) log('tracker warns', { url, warning: reply.warning });
      this.#swarm.handle({ type: 'announced', url, reply }, clock());
    } catch (error) {
      log('announce failed', { url, reason: messageOf(error) });
      this.#swarm.handle({ type: 'announceFailed', url, reason: messageOf(error) }, clock());
    }
    this.#options.touch(this);
  }

  #advanceFront(): void {
    while (this.#frontPieces < this.torrent.pieceCount && this.#have.has(this.#frontPieces))
      this.#frontPieces++;
    if (this.#fronts.length === 0) return;
    const verified = Math.min(this.#frontPieces * this.torrent.pieceLength, this.torrent.length);
    for (const front of this.#fronts) if (front.bytes <= verified) front.resolve();
    this.#fronts = this.#fronts.filter((front) => front.bytes > verified);
  }

  /** The store has failed: nothing more can be kept or served. */
  #fail(error: unknown): void {
    if (this.#failure !== null) return;
    this.#giveUp(error);
    this.#tell({ type: 'leave' });
  }

  /** Nothing more will come: whoever waits is told why. */
  #giveUp(error: unknown): void {
    this.#failure = error;
    this.#settle.reject(error);
    for (const front of this.#fronts) front.reject(error);
    this.#fronts = [];
  }

  #left(): void {
    const error = new SwarmbootError(
      'interrupted',
      `left the swarm of ${this.torrent.name} before it was complete`,
    );
    this.#giveUp(this.#failure ?? error);
    for (const wire of this.#wires.values()) wire.close('leaving');
    this.#abort.abort();
    this.#options.left(this);
    this.#gone.resolve();
  }
}
