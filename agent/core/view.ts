// What a swarm looks like from outside, in numbers.

import type { AnnounceSchedule } from './announce.ts';
import type { Bitfield } from './bitfield.ts';
import { Meter } from './meter.ts';
import type { Peer } from './peer.ts';
import { pieceSize, type Torrent } from './torrent.ts';
import type { PeerAddress } from './tracker.ts';
import type { Ms } from './units.ts';
import type { WebSeedSight } from './webseed.ts';

/** Counts and rates of a swarm, for reports, tests and the decision to leave. */
export interface SwarmView {
  readonly pieceCount: number;
  readonly piecesHave: number;
  readonly bytesLeft: number;
  /** Payload that entered pieces. */
  readonly downloadedBytes: number;
  readonly uploadedBytes: number;
  /** Payload thrown away: duplicates, pieces that failed their hash. */
  readonly wastedBytes: number;
  readonly hashFailures: number;
  readonly downBytesPerSec: number;
  readonly upBytesPerSec: number;
  readonly peers: number;
  readonly seedersConnected: number;
  readonly leechersConnected: number;
  /** From the last announce; null when no tracker has said. */
  readonly trackerSeeders: number | null;
  readonly trackerLeechers: number | null;
  /** What the trackers last did wrong; null when the last announce went well. */
  readonly trackerProblem: string | null;
  /** Of the bytes downloaded, those that came from web seeds (BEP 19). */
  readonly webSeedBytes: number;
  /** Why a web seed is in use, or was when the download ended; null: none is. */
  readonly webSeedReason: string | null;
  /** Where the connected peers listen, as far as they have said it. */
  readonly addresses: readonly PeerAddress[];
}

/** Bytes of the pieces that are not in `have`. */
export function bytesMissing(torrent: Torrent, have: Bitfield): number {
  const last = torrent.pieceCount - 1;
  const shortBy = have.has(last) ? torrent.pieceLength - pieceSize(torrent, last) : 0;
  return torrent.length - have.count * torrent.pieceLength + shortBy;
}

/** What a swarm has counted since its first event. */
export class Tally {
  wastedBytes = 0;
  hashFailures = 0;
  #down: Meter | null = null;
  #up: Meter | null = null;

  /** Time runs from the first call on; further ones change nothing. */
  begin(now: Ms): void {
    this.#down ??= new Meter(now);
    this.#up ??= new Meter(now);
  }

  get downloadedBytes(): number {
    return this.#down?.totalBytes ?? 0;
  }

  get uploadedBytes(): number {
    return this.#up?.totalBytes ?? 0;
  }

  received(bytes: number, now: Ms): void {
    this.#down?.add(bytes, now);
  }

  sent(bytes: number, now: Ms): void {
    this.#up?.add(bytes, now);
  }

  downBytesPerSec(now: Ms): number {
    return this.#down?.rate(now) ?? 0;
  }

  upBytesPerSec(now: Ms): number {
    return this.#up?.rate(now) ?? 0;
  }
}

/** What there is to see of a swarm at `now`. */
export function viewOf(
  torrent: Torrent,
  have: Bitfield,
  connected: Iterable<Peer>,
  { schedule, tally, web }: { schedule: AnnounceSchedule; tally: Tally; web: WebSeedSight },
  now: Ms,
): SwarmView {
  const peers = [...connected];
  const seeders = peers.filter((peer) => peer.isSeeder || peer.uploadOnly).length;
  return {
    pieceCount: torrent.pieceCount,
    piecesHave: have.count,
    bytesLeft: bytesMissing(torrent, have),
    downloadedBytes: tally.downloadedBytes,
    uploadedBytes: tally.uploadedBytes,
    wastedBytes: tally.wastedBytes,
    hashFailures: tally.hashFailures,
    downBytesPerSec: tally.downBytesPerSec(now),
    upBytesPerSec: tally.upBytesPerSec(now),
    peers: peers.length,
    seedersConnected: seeders,
    leechersConnected: peers.length - seeders,
    trackerSeeders: schedule.seeders,
    trackerLeechers: schedule.leechers,
    trackerProblem: schedule.problem,
    webSeedBytes: web.bytes,
    webSeedReason: web.reason,
    addresses: peers.flatMap(({ address }) => (address.port === 0 ? [] : [address])),
  };
}
