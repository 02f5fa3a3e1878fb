// Every number of the swarm's policy that is not the torrent's own, in one place.

import { KIB, MIB, type Ms } from './units.ts';

export interface Limits {
  /** Connections of one torrent. */
  readonly peersMax: number;
  /** We call peers until we have this many. */
  readonly peersWanted: number;
  /** Addresses that a tracker is asked for while we have fewer. */
  readonly peersAsked: number;
  /** Calls under way at once: so many, and one more whenever the last was made so long ago, up to the most. */
  readonly dialingFirst: number;
  readonly dialingMs: Ms;
  readonly dialingMax: number;
  /** Either side of a new connection that has not said by then who it is and what it wants is hung up on. */
  readonly greetingMs: Ms;
  readonly uploadSlots: number;
  /** Super-seeding: pieces shown ahead of what goes out, and the time of our upload rate that they shall cover. */
  readonly shownMin: number;
  readonly shownMs: Ms;
  /** A piece counts as spread by whom it was shown to once so many peers have it. */
  readonly shownSpread: number;
  /** A piece that was shown and not taken is waited for so long, and for what our rate lets us expect. */
  readonly shownPatienceMs: Ms;
  readonly chokeRoundMs: Ms;
  /** A turn of the optimistic place, and of every place of a seeder. */
  readonly chokeTurnMs: Ms;
  /** Requests kept under way with one peer: the floor and the ceiling. */
  readonly pipelineMin: number;
  readonly pipelineMax: number;
  /** With all peers together: the least, and the time of our download rate that they shall cover. */
  readonly pipelineBytes: number;
  readonly pipelineMs: Ms;
  /** All of these grow up to so many times while we get less than we did. */
  readonly pipelineStretch: number;
  /** What we get is compared each time that so much has come. */
  readonly pipelineStepBytes: number;
  /** Endgame: a block that has not come for so long after it should have may be asked of a second peer. */
  readonly repeatMs: Ms;
  /** A peer that owes blocks and sends none for so long, and for what our rate lets us expect, is snubbed. */
  readonly stallMs: Ms;
  /** A snubbed peer that sends nothing for so long is dropped. */
  readonly stallDropMs: Ms;
  /** The connection of a snubbed peer from which nothing at all is heard for so long is taken for dead. */
  readonly deadMs: Ms;
  /** A peer from which nothing at all is heard for so long is dropped (BEP 3: two minutes and some). */
  readonly silentMs: Ms;
  readonly keepAliveMs: Ms;
  /** Peer exchange (BEP 11): between two messages to one peer, and how many peers they name at most. */
  readonly exchangeMs: Ms;
  readonly exchangePeers: number;
  /** The first message comes so long after the handshake; who could not be told anything is looked at again then. */
  readonly exchangeFirstMs: Ms;
  readonly exchangeLookMs: Ms;
  /** Local discovery (BEP 14): a swarm is named within so long after its start, then at most once in so long. */
  readonly searchFirstMs: Ms;
  readonly searchMs: Ms;
  /** An answer comes within so long, unless so many others have answered by then. */
  readonly searchAnswerMs: Ms;
  readonly searchAnswers: number;
  /** It is looked for while it has fewer peers than this. */
  readonly searchPeers: number;
  /** New pieces are told together: about so many, and not later than in about so long. */
  readonly haves: number;
  readonly haveMs: Ms;
  /** Memory for pieces in progress. */
  readonly activeBytes: number;
  /** Width of the picker's in-order window, pieces; 0 for none. */
  readonly frontPieces: number;
  /** Requests that a peer may have waiting here; told to it as `reqq`. */
  readonly queueMax: number;
  /** Bytes handed to one socket ahead of the network: the floor, the ceiling, and the time of its rate to cover. */
  readonly sendMinBytes: number;
  readonly sendMaxBytes: number;
  readonly sendMs: Ms;
  /**
   * No block of a peer for so long, or no whole piece for so long and less than that rate: content is taken from a web seed
   * too (BEP 19). Of large pieces a slow link brings many at once, and none whole for minutes.
   */
  readonly starvedMs: Ms;
  readonly starvedOfPiecesMs: Ms;
  readonly starvedBytesPerSec: number;
  /** Asked of a web seed at once: so many requests, each of whole pieces in a row of so many bytes together, or of one. */
  readonly webRequests: number;
  readonly webRequestBytes: number;
  /** A web seed that has no place, or fails, is asked again after so long; twice as long each time, up to the most. */
  readonly webRetryMs: Ms;
  readonly webRetryMaxMs: Ms;
  /** What others may be fetching there at this moment is waited for, for up to so long. */
  readonly webLeapMs: Ms;
  /** A leaving node serves what it has promised for at most so long, then waits as long for its goodbye. */
  readonly leaveMs: Ms;
}

export const LIMITS: Limits = {
  peersMax: 50,
  peersWanted: 20,
  peersAsked: 50,
  dialingFirst: 2,
  dialingMs: 250,
  dialingMax: 8,
  greetingMs: 10_000,
  uploadSlots: 50,
  shownMin: 16,
  shownMs: 200,
  shownSpread: 3,
  shownPatienceMs: 2000,
  chokeRoundMs: 2000,
  chokeTurnMs: 4000,
  pipelineMin: 2,
  pipelineMax: 128,
  pipelineBytes: 512 * KIB,
  pipelineMs: 60,
  pipelineStretch: 4,
  pipelineStepBytes: MIB,
  repeatMs: 500,
  stallMs: 10_000,
  stallDropMs: 60_000,
  deadMs: 20_000,
  silentMs: 150_000,
  keepAliveMs: 60_000,
  exchangeMs: 60_000,
  exchangePeers: 50,
  exchangeFirstMs: 500,
  exchangeLookMs: 5000,
  searchFirstMs: 500,
  searchMs: 60_000,
  searchAnswerMs: 2000,
  searchAnswers: 3,
  searchPeers: 4,
  haves: 8,
  haveMs: 400,
  activeBytes: 64 * MIB,
  frontPieces: 32,
  queueMax: 512,
  sendMinBytes: 64 * KIB,
  sendMaxBytes: MIB,
  sendMs: 20,
  starvedMs: 15_000,
  starvedOfPiecesMs: 120_000,
  starvedBytesPerSec: 16 * KIB,
  webRequests: 2,
  webRequestBytes: 512 * KIB,
  webRetryMs: 1000,
  webRetryMaxMs: 30_000,
  webLeapMs: 1000,
  leaveMs: 5000,
};
