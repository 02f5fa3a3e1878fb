// The tracker's book: which peer is in which swarm, who is told of whom, and when each should ask again. It speaks no
// protocol, opens no socket and reads no clock. A peer is an address and a port: what it says of itself cannot make it
// someone else, and nobody can strike out a peer of another address.

import { assert } from '../../agent/core/errors.ts';
import { insideOf } from '../../agent/core/networks.ts';
import type { AnnounceEvent, PeerAddress } from '../../agent/core/tracker.ts';
import { hex, type Ms } from '../../agent/core/units.ts';
import { SERVER_BOUNDS } from './bounds.ts';

/** Every number of the tracker's policy. */
export interface RosterLimits {
  readonly peersPerTorrentMax: number;
  /** Peers of one address in one torrent: one machine must not fill the book. */
  readonly peersPerAddressMax: number;
  /** Peers handed out to who names no number, and to who asks for too many. */
  readonly handoutDefault: number;
  readonly handoutMax: number;
  /** Intervals grow with all the peers in the book, so that about this many announces come in a second. */
  readonly announcesPerSec: number;
  /** The least interval while a swarm is young or somebody still downloads, and while only seeders are left. */
  readonly busyIntervalMs: Ms;
  readonly idleIntervalMs: Ms;
  readonly intervalMaxMs: Ms;
  /** A swarm is young for this long after its first peer came. */
  readonly youngMs: Ms;
  /** The min interval is this part of the interval: a node without peers may ask that much earlier. */
  readonly hurryShare: number;
  /** A peer is gone when it was silent for this many of its intervals. */
  readonly silentIntervals: number;
}

export const ROSTER_LIMITS: RosterLimits = {
  peersPerTorrentMax: SERVER_BOUNDS.swarmPeers,
  peersPerAddressMax: SERVER_BOUNDS.addressPeers,
  handoutDefault: 50,
  handoutMax: SERVER_BOUNDS.handoutPeers,
  announcesPerSec: 50,
  busyIntervalMs: 60_000,
  idleIntervalMs: 120_000,
  intervalMaxMs: 1_800_000,
  youngMs: 60_000,
  hurryShare: 1 / 60,
  silentIntervals: 2,
};

/** One announce as it reached the tracker. */
export interface Visit {
  /** 20 bytes. */
  readonly infoHash: Uint8Array;
  /** The address that the socket saw, an IPv4 or IPv6 literal. */
  readonly host: string;
  readonly port: number;
  readonly event: AnnounceEvent;
  /** Nothing is left to download. */
  readonly seeder: boolean;
  /** Peers wanted; null when the visitor named no number. */
  readonly numWant: number | null;
}

/** Counts of one swarm, as BEP 48 names them. */
export interface Census {
  readonly complete: number;
  readonly incomplete: number;
  /** How often a download has ended. */
  readonly downloaded: number;
}

/** What a visitor is told. */
export interface Handout extends Census {
  readonly intervalMs: Ms;
  readonly minIntervalMs: Ms;
  /** Peers of the visitor's own address family, in no order. */
  readonly peers: readonly PeerAddress[];
}

/** Why a visitor is told nothing. */
export interface Refusal {
  readonly refused: string;
}

interface Entry extends PeerAddress {
  seeder: boolean;
  /** Index in its line. */
  at: number;
  expiresAt: Ms;
}

/** The peers of one address family. */
interface Family {
  readonly leechers: Entry[];
  readonly seeders: Entry[];
}

interface Book {
  /** Tells whether a host may be in it. */
  readonly takes: (host: string) => boolean;
  readonly entries: Map<string, Entry>;
  readonly byHost: Map<string, number>;
  readonly ipv4: Family;
  readonly ipv6: Family;
  downloaded: number;
  firstAt: Ms | null;
  /** No entry expires before this time. */
  quietUntil: Ms;
}

/** The book of all registered torrents. */
export class Roster {
  readonly #limits: RosterLimits;
  readonly #random: () => number;
  readonly #books = new Map<string, Book>();
  #peers = 0;

  /** @param random numbers from 0 up to but not including 1 */
  constructor(limits: RosterLimits, random: () => number) {
    this.#limits = limits;
    this.#random = random;
  }

  /**
   * Registers a torrent by its info hash of 20 bytes, for peers in these networks; null: for all. Others are refused.
   * Registering twice changes nothing.
   */
  allow(infoHash: Uint8Array, networks: readonly string[] | null = null): void {
    assert(infoHash.length === 20, 'an info hash has 20 bytes');
    const key = hex(infoHash);
    if (this.#books.has(key)) return;
    this.#books.set(key, {
      takes: networks === null ? () => true : insideOf(networks),
      entries: new Map(),
      byHost: new Map(),
      ipv4: { leechers: [], seeders: [] },
      ipv6: { leechers: [], seeders: [] },
      downloaded: 0,
      firstAt: null,
      quietUntil: Number.POSITIVE_INFINITY,
    });
  }

  /** Strikes out a torrent and all its peers. */
  forget(infoHash: Uint8Array): void {
    const key = hex(infoHash);
    this.#peers -= this.#books.get(key)?.entries.size ?? 0;
    this.#books.delete(key);
  }

  /** Writes the visitor into the book, or strikes it out when it stops, and tells it of others. */
  announce(visit: Visit, now: Ms): Handout | Refusal {
    const book = this.#book(visit.infoHash, now);
    if (book === null) return { refused: 'this tracker does not serve that torrent' };
    if (visit.port < 1 || visit.port > 65_535)
      return { refused: `port ${visit.port} is not from 1 to 65535` };
    if (!book.takes(visit.host)) return { refused: `${visit.host} lies outside the networks of this swarm` };
    const key = `${visit.host} ${visit.port}`;
    let entry = book.entries.get(key);
    const wasSeeder = entry?.seeder === true;
    if (entry !== undefined) this.#strike(book, key, entry);
    if (visit.event === 'stopped') return { ...this.#intervals(book, now), ...census(book), peers: [] };

    if (book.entries.size >= this.#limits.peersPerTorrentMax) return { refused: 'the swarm is full' };
    const sameHost = book.byHost.get(visit.host) ?? 0;
    if (sameHost >= this.#limits.peersPerAddressMax) {
      return {
        refused: `${visit.host} has ${sameHost} peers in this swarm already, the most that one may have`,
      };
    }
    if (visit.event === 'completed' && !wasSeeder) book.downloaded++;
    book.firstAt ??= now;
    entry = { host: visit.host, port: visit.port, seeder: visit.seeder, at: 0, expiresAt: 0 };
    this.#enter(book, key, entry);
    const intervals = this.#intervals(book, now);
    entry.expiresAt = now + this.#limits.silentIntervals * intervals.intervalMs;
    book.quietUntil = Math.min(book.quietUntil, entry.expiresAt);
    return { ...intervals, ...census(book), peers: this.#handout(book, entry, visit.numWant) };
  }

  /** Counts of one swarm; null when the torrent is not registered. */
  scrape(infoHash: Uint8Array, now: Ms): Census | null {
    const book = this.#book(infoHash, now);
    return book === null ? null : census(book);
  }

  /** How many torrents are registered, and how many peers are in the whole book. */
  totals(now: Ms): { torrents: number; peers: number } {
    for (const book of this.#books.values()) this.#expire(book, now);
    return { torrents: this.#books.size, peers: this.#peers };
  }

  #book(infoHash: Uint8Array, now: Ms): Book | null {
    const book = this.#books.get(hex(infoHash));
    if (book === undefined) return null;
    this.#expire(book, now);
    return book;
  }

  #enter(book: Book, key: string, entry: Entry): void {
    const line = lineOf(book, entry);
    entry.at = line.push(entry) - 1;
    book.entries.set(key, entry);
    book.byHost.set(entry.host, (book.byHost.get(entry.host) ?? 0) + 1);
    this.#peers++;
  }

  #strike(book: Book, key: string, entry: Entry): void {
    const line = lineOf(book, entry);
    const last = line.pop()!;
    if (last !== entry) {
      line[entry.at] = last;
      last.at = entry.at;
    }
    book.entries.delete(key);
    const sameHost = book.byHost.get(entry.host)! - 1;
    if (sameHost === 0) book.byHost.delete(entry.host);
    else book.byHost.set(entry.host, sameHost);
    this.#peers--;
  }

  /** Looks through the whole book, but only when somebody may have expired: about once in an interval. */
  #expire(book: Book, now: Ms): void {
    if (now < book.quietUntil) return;
    book.quietUntil = Number.POSITIVE_INFINITY;
    for (const [key, entry] of book.entries) {
      if (entry.expiresAt <= now) this.#strike(book, key, entry);
      else book.quietUntil = Math.min(book.quietUntil, entry.expiresAt);
    }
  }

  #intervals(book: Book, now: Ms): { intervalMs: Ms; minIntervalMs: Ms } {
    const { announcesPerSec, busyIntervalMs, idleIntervalMs, intervalMaxMs, youngMs, hurryShare } =
      this.#limits;
    const young = book.firstAt === null || now - book.firstAt < youngMs;
    const busy = young || book.ipv4.leechers.length + book.ipv6.leechers.length > 0;
    const loadMs = (1000 * this.#peers) / announcesPerSec;
    const intervalMs = Math.min(intervalMaxMs, Math.max(busy ? busyIntervalMs : idleIntervalMs, loadMs));
    return { intervalMs, minIntervalMs: intervalMs * hurryShare };
  }

  /** A random choice of the others; a seeder needs no seeders. */
  #handout(book: Book, asker: Entry, numWant: number | null): PeerAddress[] {
    const { handoutDefault, handoutMax } = this.#limits;
    const { leechers, seeders } = familyOf(book, asker.host);
    const wanted = numWant === null || numWant < 0 ? handoutDefault : Math.min(handoutMax, numWant);
    const others = asker.seeder ? leechers.length : leechers.length + seeders.length - 1;
    const peers: PeerAddress[] = [];
    for (const choice of sample(others, Math.min(wanted, others), this.#random)) {
      // The asker, when a leecher itself, is stepped over.
      const index = !asker.seeder && choice >= asker.at ? choice + 1 : choice;
      const { host, port } = leechers[index] ?? seeders[index - leechers.length]!;
      peers.push({ host, port });
    }
    return peers;
  }
}

function familyOf(book: Book, host: string): Family {
  return host.includes(':') ? book.ipv6 : book.ipv4;
}

function lineOf(book: Book, entry: Entry): Entry[] {
  const family = familyOf(book, entry.host);
  return entry.seeder ? family.seeders : family.leechers;
}

function census(book: Book): Census {
  const complete = book.ipv4.seeders.length + book.ipv6.seeders.length;
  return { complete, incomplete: book.entries.size - complete, downloaded: book.downloaded };
}

/** `count` different numbers below `bound`, every set equally likely (Floyd's method: work grows with `count` only). */
function sample(bound: number, count: number, random: () => number): Set<number> {
  const chosen = new Set<number>();
  for (let top = bound - count; top < bound; top++) {
    const draw = Math.floor(random() * (top + 1));
    chosen.add(chosen.has(draw) ? top : draw);
  }
  return chosen;
}
