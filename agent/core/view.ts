// What a swarm looks like from outside, in numbers.

import type { Bitfield } from './bitfield.ts';
import { pieceSize, type Torrent } from './torrent.ts';

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
}

/** Bytes of the pieces that are not in `have`. */
export function bytesMissing(torrent: Torrent, have: Bitfield): number {
  const last = torrent.pieceCount - 1;
  const shortBy = have.has(last) ? torrent.pieceLength - pieceSize(torrent, last) : 0;
  return torrent.length - have.count * torrent.pieceLength + shortBy;
}
