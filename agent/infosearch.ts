// Finds the info dictionary of a magnet link: asks trackers for peers and peers for the dictionary (BEP 9), a few at a
// time, until one gives bytes that match the info hash.

import type { AnnounceSchedule } from './core/announce.ts';
import { Dialer } from './core/dialer.ts';
import { assert, messageOf } from './core/errors.ts';
import type { Magnet } from './core/magnet.ts';
import type { Link, LogFact, Party, Subject, TrackerPort, WireListener, WirePort } from './core/ports.ts';
import type { Rng } from './core/rng.ts';
import type { AnnounceEvent, PeerAddress } from './core/tracker.ts';
import { hex, type Ms } from './core/units.ts';

/** Each may hold up to 10 MB of a dictionary that nobody has checked yet. */
const WIRES_MAX = 4;
/** A peer that has not delivered by then is let go. */
const PATIENCE_MS = 20_000;
const PEERS_WANTED = 20;

export interface InfoSearchOptions {
  readonly sha1: (bytes: Uint8Array) => Uint8Array;
  readonly rng: Rng;
  readonly schedule: AnnounceSchedule;
  readonly tracker: TrackerPort;
  readonly peerId: Uint8Array;
  readonly port: number;
  readonly clock: () => Ms;
  readonly log: LogFact;
  readonly dial: (address: PeerAddress, party: Party) => Promise<void>;
}

export class InfoSearch implements Party {
  readonly subject: Subject;
  readonly #options: InfoSearchOptions;
  readonly #dialer: Dialer;
  readonly #wires = new Map<WirePort, ReturnType<typeof setTimeout>>();
  readonly #abort = new AbortController();
  readonly #found = Promise.withResolvers<Uint8Array>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #over = false;

  constructor(magnet: Magnet, options: InfoSearchOptions) {
    assert(magnet.infoHashV1 !== null, 'a magnet link that was read has a v1 info hash');
    this.subject = {
      infoHash: magnet.infoHashV1,
      pieceCount: null,
      infoBytes: null,
      uploadOnly: false,
      // Whether it is private is what we do not know yet.
      exchanges: false,
    };
    this.#options = options;
    this.#dialer = new Dialer(options.rng);
    this.#dialer.found(magnet.peers);
  }

  async run(signal: AbortSignal): Promise<Uint8Array> {
    const aborted = () => this.#found.reject(signal.reason);
    if (signal.aborted) aborted();
    signal.addEventListener('abort', aborted, { once: true });
    this.#step();
    try {
      return await this.#found.promise;
    } finally {
      this.#over = true;
      signal.removeEventListener('abort', aborted);
      clearTimeout(this.#timer);
      this.#abort.abort();
      for (const wire of this.#wires.keys()) wire.close('the search is over');
    }
  }

  meet(link: Link, wire: () => WirePort): WireListener {
    return {
      asked: () => this.subject,
      ready: () => this.#ask(wire()),
      said: () => {},
      accepts: () => false,
      block: () => {},
      info: (bytes) => this.#check(wire(), link, bytes),
      closed: () => {
        clearTimeout(this.#wires.get(wire()));
        this.#wires.delete(wire());
        if (link.outgoing) this.#dialer.failed(link.remote, this.#options.clock());
        this.#step();
      },
    };
  }

  #ask(wire: WirePort): void {
    if (this.#over || this.#wires.size >= WIRES_MAX) return wire.close('asking enough peers for metadata');
    this.#wires.set(
      wire,
      setTimeout(() => wire.close('did not send the metadata in time'), PATIENCE_MS),
    );
    wire.fetchInfo();
  }

  #check(wire: WirePort, link: Link, bytes: Uint8Array): void {
    if (hex(this.#options.sha1(bytes)) === hex(this.subject.infoHash)) this.#found.resolve(bytes.slice());
    else {
      if (link.outgoing) this.#dialer.never(link.remote);
      wire.close('sent metadata that does not match the info hash');
    }
  }

  #step(): void {
    if (this.#over) return;
    const now = this.#options.clock();
    for (const address of this.#dialer.take(WIRES_MAX - this.#wires.size - this.#dialer.dialing, now)) {
      this.#options.dial(address, this).then(
        () => this.#dialer.connected(address),
        () => {
          this.#dialer.failed(address, this.#options.clock());
          this.#step();
        },
      );
    }
    const announce = this.#options.schedule.take(now);
    if (announce !== null) void this.#announce(announce.url, announce.event);
    clearTimeout(this.#timer);
    const room = WIRES_MAX - this.#wires.size - this.#dialer.dialing;
    const dialAt = room > 0 ? this.#dialer.deadline() : Number.POSITIVE_INFINITY;
    const next = Math.min(dialAt, this.#options.schedule.deadline());
    if (Number.isFinite(next)) this.#timer = setTimeout(() => this.#step(), Math.max(0, next - now));
  }

  async #announce(url: string, event: AnnounceEvent): Promise<void> {
    const { tracker, schedule, clock, peerId, port, log } = this.#options;
    const { infoHash } = this.subject;
    // How much is left is not known yet; any number but 0 says that we are a leecher.
    const counts = { uploaded: 0, downloaded: 0, left: 1, numWant: PEERS_WANTED };
    try {
      const reply = await tracker.announce(
        { url, event, infoHash, peerId, port, ...counts },
        this.#abort.signal,
      );
      schedule.succeeded(url, reply, clock());
      this.#dialer.found(reply.peers);
    } catch (error) {
      log('announce failed', { url, reason: messageOf(error) });
      schedule.failed(url, messageOf(error), clock());
    }
    this.#step();
  }
}
