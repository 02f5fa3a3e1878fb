// Drives swarms: what happens on wires, disks and trackers goes in as events, what the swarms order is carried out
// through ports. It decides nothing about peers or pieces; it holds the bytes, and the only clock and timer.

import { admittedLink } from './core/admission.ts';
import { ANNOUNCE_LIMITS, AnnounceSchedule } from './core/announce.ts';
import type { Bitfield } from './core/bitfield.ts';
import { Budget } from './core/budget.ts';
import { assert, SwarmbootError } from './core/errors.ts';
import { LIMITS, type Limits } from './core/limits.ts';
import type { Magnet } from './core/magnet.ts';
import { insideOf } from './core/networks.ts';
import type {
  Company,
  DiscoveryPort,
  Link,
  LogFact,
  OpenWire,
  Party,
  PeerMessage,
  PeersPort,
  StorePort,
  TrackerPort,
  WebPort,
  WireListener,
  WirePort,
} from './core/ports.ts';
import { Rng } from './core/rng.ts';
import { swarmHash, type Torrent } from './core/torrent.ts';
import type { AnnounceReply, PeerAddress } from './core/tracker.ts';
import { hex, type Ms } from './core/units.ts';
import { InfoSearch } from './infosearch.ts';
import { LocalSearch } from './localsearch.ts';
import { Transfer } from './transfer.ts';

const OUTSIDE = 'lies outside the networks of this swarm';

export interface EngineOptions {
  readonly peers: PeersPort;
  readonly openWire: OpenWire;
  readonly tracker: TrackerPort;
  readonly web: WebPort;
  /** Null: peers are not looked for on the network segment. */
  readonly discovery: DiscoveryPort | null;
  /** Monotonic. */
  readonly clock: () => Ms;
  /** Chance in the policies; any 32 bits. */
  readonly seed: number;
  /** Ours in every swarm, 20 bytes. */
  readonly peerId: Uint8Array;
  readonly log: LogFact;
  /** Cap on what all swarms together upload; 0 for none. */
  readonly uploadBytesPerSec: number;
  readonly limits?: Partial<Limits>;
}

export class Engine {
  readonly port: number;
  readonly #options: EngineOptions;
  readonly #limits: Limits;
  readonly #rng: Rng;
  readonly #budget: Budget;
  readonly #localSearch: LocalSearch | null;
  readonly #parties = new Map<string, Party>();
  readonly #transfers = new Set<Transfer>();
  readonly #dirty = new Set<Transfer>();
  /** Conversations whose peer has not said yet who it is. */
  readonly #greeting = new Set<WirePort>();
  #immediate: ReturnType<typeof setImmediate> | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #timerAt: Ms = Number.POSITIVE_INFINITY;
  #slots = 0;
  #company: Company = { networks: null, admission: null };
  #inside: (host: string) => boolean = () => true;

  private constructor(options: EngineOptions, port: number) {
    this.#options = options;
    this.#limits = { ...LIMITS, ...options.limits };
    this.#rng = new Rng(options.seed);
    this.#budget = new Budget(options.uploadBytesPerSec);
    this.port = port;
    const { discovery, clock, log, seed } = options;
    this.#localSearch = discovery === null ? null : new LocalSearch({ discovery, port, clock, log, seed });
  }

  /** Listens, and resolves when callers can get through. Throws SwarmbootError('network') when the port is taken. */
  static async start(options: EngineOptions): Promise<Engine> {
    const early: Link[] = [];
    let arrived = (link: Link): void => void early.push(link);
    const port = await options.peers.listen((link) => arrived(link));
    const engine = new Engine(options, port);
    arrived = (link) => engine.#converse(link, null);
    for (const link of early) arrived(link);
    return engine;
  }

  /** From now on shares swarms with that company alone; conversations that have just begun are ended. In no swarm as yet. */
  keepTo(company: Company): void {
    assert(this.#parties.size === 0, 'whoever is in a swarm already has met others');
    this.#company = company;
    this.#inside = company.networks === null ? () => true : insideOf(company.networks);
    for (const wire of this.#greeting) wire.close('the rules have changed');
  }

  /** Enters the swarm of `torrent`. `have` names the pieces that `store` holds; it goes on being filled in. */
  join(torrent: Torrent, store: StorePort, have: Bitfield): Transfer {
    const key = hex(swarmHash(torrent));
    if (this.#parties.has(key)) {
      throw new SwarmbootError('torrent', `${torrent.name}: torrent ${key} is being transferred already`);
    }
    const rng = new Rng(this.#rng.below(2 ** 32));
    // BEP 27: a private torrent names its peers by its tracker alone, or whoever asks could be one of them. Here whoever
    // is a peer has been admitted.
    const exchanges = !torrent.private || this.#company.admission !== null;
    const transfer = new Transfer({
      torrent,
      store,
      have,
      limits: this.#limits,
      rng,
      budget: this.#budget,
      schedule: new AnnounceSchedule(torrent.announce, ANNOUNCE_LIMITS, () => rng.next()),
      peerId: this.#options.peerId,
      port: this.port,
      clock: this.#options.clock,
      log: this.#options.log,
      exchanges,
      tracker: this.#tracker,
      web: this.#options.web,
      slot: () => this.#slots++,
      touch: (touched) => this.#touch(touched),
      dial: (address, party) => this.#dial(address, party),
      left: (gone) => {
        this.#parties.delete(key);
        this.#localSearch?.leave(key);
        this.#transfers.delete(gone);
        this.#dirty.delete(gone);
      },
    });
    this.#parties.set(key, transfer);
    this.#transfers.add(transfer);
    if (exchanges) this.#localSearch?.join(key, this.#seeker(transfer));
    this.#touch(transfer);
    return transfer;
  }

  /**
   * Asks the peers of a magnet link for the info dictionary (BEP 9). The bytes match the link's info hash. Rejects
   * when `signal` is aborted; until then it goes on looking.
   */
  async fetchInfo(
    magnet: Magnet,
    sha1: (bytes: Uint8Array) => Uint8Array,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const rng = new Rng(this.#rng.below(2 ** 32));
    const search = new InfoSearch(magnet, {
      sha1,
      rng,
      schedule: new AnnounceSchedule(
        magnet.trackers.map((url) => [url]),
        ANNOUNCE_LIMITS,
        () => rng.next(),
      ),
      tracker: this.#tracker,
      peerId: this.#options.peerId,
      port: this.port,
      clock: this.#options.clock,
      log: this.#options.log,
      dial: (address, party) => this.#dial(address, party),
    });
    const key = hex(search.subject.infoHash);
    this.#parties.set(key, search);
    try {
      return await search.run(signal);
    } finally {
      this.#parties.delete(key);
    }
  }

  /**
   * Asks the tracker at `url` once about a swarm that is not joined yet. It hears of a leecher that comes and goes: whoever
   * asks meanwhile may call us in vain. Rejects as `TrackerPort` does.
   */
  async askTracker(
    torrent: Torrent,
    url: string,
    peersWanted: number,
    signal: AbortSignal,
  ): Promise<AnnounceReply> {
    const tracker = this.#tracker;
    const { peerId } = this.#options;
    const counts = { uploaded: 0, downloaded: 0, left: torrent.length };
    const request = { url, infoHash: swarmHash(torrent), peerId, port: this.port, ...counts };
    const reply = await tracker.announce({ ...request, event: 'started', numWant: peersWanted }, signal);
    // A farewell that gets lost does no harm: the tracker forgets who is silent.
    await tracker.announce({ ...request, event: 'stopped', numWant: 0 }, signal).catch(() => {});
    return reply;
  }

  /** Leaves every swarm in good order and closes the port. */
  async stop(): Promise<void> {
    const listening = this.#options.peers.close();
    this.#localSearch?.close();
    for (const wire of this.#greeting) wire.close('leaving');
    await Promise.all([...this.#transfers].map((transfer) => transfer.leave()));
    await listening;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#immediate !== null) clearImmediate(this.#immediate);
  }

  /** All that happened in this turn of the event loop is answered at its end, so that answers share messages. */
  #touch(transfer: Transfer): void {
    this.#dirty.add(transfer);
    this.#immediate ??= setImmediate(() => {
      this.#immediate = null;
      const dirty = [...this.#dirty];
      this.#dirty.clear();
      for (const one of dirty) one.work();
      this.#wind();
    });
  }

  #wind(): void {
    let next = Number.POSITIVE_INFINITY;
    for (const transfer of this.#transfers) next = Math.min(next, transfer.deadline());
    if (next === this.#timerAt) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#timerAt = next;
    if (next === Number.POSITIVE_INFINITY) return;
    const waitMs = Math.min(Math.max(0, Math.ceil(next - this.#options.clock())), 2 ** 31 - 1);
    this.#timer = setTimeout(() => {
      this.#timerAt = Number.POSITIVE_INFINITY;
      for (const transfer of this.#transfers)
        if (transfer.deadline() <= this.#options.clock()) this.#touch(transfer);
      this.#wind();
    }, waitMs);
  }

  /** Trackers name nobody who lies outside. */
  get #tracker(): TrackerPort {
    return {
      announce: async (request, signal) => {
        const reply = await this.#options.tracker.announce(request, signal);
        return { ...reply, peers: reply.peers.filter(({ host }) => this.#inside(host)) };
      },
    };
  }

  #seeker(transfer: Transfer) {
    return {
      seeks: () => {
        const { peers, bytesLeft } = transfer.view();
        return bytesLeft > 0 && peers < this.#limits.searchPeers;
      },
      found: (address: PeerAddress) => {
        if (this.#inside(address.host)) transfer.addPeers([address]);
      },
    };
  }

  /** Peers name nobody who lies outside. */
  #within(message: PeerMessage): PeerMessage {
    if (message.type !== 'exchanged') return message;
    return { ...message, addresses: message.addresses.filter(({ host }) => this.#inside(host)) };
  }

  async #dial(address: PeerAddress, party: Party): Promise<void> {
    if (!this.#inside(address.host)) throw new Error(OUTSIDE);
    this.#converse(await this.#options.peers.dial(address), party);
  }

  /** Opens a conversation; one that came in finds its party by the info hash of the handshake. */
  #converse(link: Link, dialed: Party | null): void {
    if (!this.#inside(link.remote.host)) return link.close(OUTSIDE);
    let party: WireListener | null = null;
    let wire: WirePort | null = null;
    const timer = setTimeout(() => wire?.close('did not greet in time'), this.#limits.greetingMs);
    const greeted = () => {
      clearTimeout(timer);
      if (wire !== null) this.#greeting.delete(wire);
    };
    const meet = (found: Party) => found.meet(link, () => wire!);
    const listener: WireListener = {
      asked: (infoHash) => {
        const found = this.#parties.get(hex(infoHash)) ?? null;
        if (found !== null) party = meet(found);
        return found?.subject ?? null;
      },
      ready: (peerId, fast) => {
        greeted();
        party?.ready(peerId, fast);
      },
      said: (message) => party?.said(this.#within(message)),
      accepts: (stretch) => party?.accepts(stretch) ?? false,
      block: (stretch, bytes) => party?.block(stretch, bytes),
      info: (bytes) => party?.info(bytes),
      closed: (reason) => {
        greeted();
        if (party === null)
          this.#options.log('caller gone', { peer: `${link.remote.host} ${link.remote.port}`, reason });
        else party.closed(reason);
      },
    };
    if (dialed !== null) party = meet(dialed);
    const self = { peerId: this.#options.peerId, port: this.port, requestsMax: this.#limits.queueMax };
    const subject = dialed?.subject ?? null;
    const { admission } = this.#company;
    const line = admission === null ? link : admittedLink(link, self, subject?.infoHash ?? null, admission);
    wire = this.#options.openWire(line, self, subject, listener);
    this.#greeting.add(wire);
  }
}
