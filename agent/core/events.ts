// The words between a Swarm and the world: happenings in (past tense), orders out. Content never passes here; pieces
// and blocks are named by number. A peer is named by its `slot`, a number that the engine gives to each connection
// once and never again.

import type { Contact } from './pex.ts';
import type { AnnounceEvent, AnnounceReply, PeerAddress } from './tracker.ts';
import type { Ms } from './units.ts';

/** A stretch of one piece: a block, or several whole blocks in a row. */
export interface Stretch {
  readonly piece: number;
  /** Offset in the piece, bytes. */
  readonly begin: number;
  /** Bytes. */
  readonly length: number;
}

export type SwarmEvent =
  /** Both handshakes are done. `address` is where the peer listens, as far as known. */
  | {
      type: 'peerConnected';
      slot: number;
      address: PeerAddress;
      /** 20 bytes in hex. */
      peerId: string;
      outgoing: boolean;
      /** BEP 6 was agreed. */
      fast: boolean;
    }
  | { type: 'peerGone'; slot: number; reason: string }
  | { type: 'dialFailed'; address: PeerAddress; reason: string }
  | { type: 'peersFound'; addresses: readonly PeerAddress[] }
  | { type: 'choked' | 'unchoked' | 'interested' | 'uninterested'; slot: number }
  | { type: 'had'; slot: number; piece: number }
  | { type: 'fieldArrived'; slot: number; bytes: Uint8Array }
  | { type: 'hadAll'; slot: number }
  /** A sign of life that says nothing else. */
  | { type: 'heard'; slot: number }
  /** BEP 10 handshake: BEP 21's upload_only, how many requests it queues, whether it tells of peers, where it listens (0: not said). */
  | {
      type: 'extended';
      slot: number;
      uploadOnly: boolean;
      requestsMax: number;
      exchanges: boolean;
      port: number;
    }
  /** It told of peers (BEP 11). */
  | { type: 'exchanged'; slot: number; addresses: readonly PeerAddress[] }
  | ({ type: 'requested' | 'cancelled' | 'rejected'; slot: number } & Stretch)
  /** A block that `accepts` said yes to lies in the piece's buffer. */
  | ({ type: 'blockArrived'; slot: number } & Stretch)
  /** A block that `accepts` said no to was thrown away. */
  | ({ type: 'blockUnwanted'; slot: number } & Stretch)
  | { type: 'pieceChecked'; piece: number; good: boolean }
  | { type: 'pieceWritten'; piece: number }
  /** The socket has taken bytes of earlier `serve` orders. */
  | { type: 'sent'; slot: number; bytes: number }
  | { type: 'announced'; url: string; reply: AnnounceReply }
  | { type: 'announceFailed'; url: string; reason: string }
  /** URLs of web seeds (BEP 19), to be tried in this order when the swarm does not give. */
  | { type: 'webSeedsFound'; urls: readonly string[] }
  /** The answer to `openWebSeed`. From here on `slot` names it, in orders to request and to drop, and in blocks. */
  | { type: 'webSeedOpened'; slot: number }
  /** It answers a request with nothing good; its open requests are rejected, as events. `busyMs`: it only has no place now
   * and asks for so much patience; null: it failed. */
  | { type: 'webSeedFailed'; slot: number; reason: string; busyMs: Ms | null }
  /** Serve what was promised, take nothing new, say goodbye. */
  | { type: 'leave' };

/** What a tracker is to be told. `peersWanted`: of how many peers it is to tell at most. */
export interface Announce {
  readonly url: string;
  readonly event: AnnounceEvent;
  readonly peersWanted: number;
}

export type SwarmCommand =
  | { type: 'dial'; address: PeerAddress }
  /** Close the connection. `ban`: and never meet this peer again. */
  | { type: 'drop'; slot: number; reason: string; ban: boolean }
  /** First message after the handshakes: what we have now, or with `none` that we show nothing yet (BEP 16). */
  | { type: 'sendField'; slot: number; none: boolean }
  | { type: 'choke' | 'unchoke' | 'interested' | 'uninterested' | 'keepAlive'; slot: number }
  /** Tell a peer that from now on we only upload (BEP 21). */
  | { type: 'uploadOnly'; slot: number }
  | { type: 'have'; slot: number; piece: number }
  /** Tell a peer of others (BEP 11). */
  | { type: 'exchange'; slot: number; added: readonly Contact[]; dropped: readonly PeerAddress[] }
  /** Ask for whole blocks in a row: one message per block. */
  | ({ type: 'request'; slot: number } & Stretch)
  | ({ type: 'cancel'; slot: number } & Stretch)
  /** Send whole blocks in a row: one message per block, one write. */
  | ({ type: 'serve'; slot: number } & Stretch)
  | ({ type: 'reject'; slot: number } & Stretch)
  /** Every block of the piece is in its buffer: hash it, answer with pieceChecked. */
  | { type: 'check'; piece: number }
  /** The piece is good: write its buffer, answer with pieceWritten. */
  | { type: 'write'; piece: number }
  /** The piece's buffer may be used for something else. */
  | { type: 'forget'; piece: number }
  | ({ type: 'announce' } & Announce)
  /** Content is to be had by HTTP from there; answer with webSeedOpened at once. `reason`: why it is used. */
  | { type: 'openWebSeed'; url: string; reason: string }
  /** Every piece is written. Once. */
  | { type: 'complete' }
  /** After `leave`: nothing is left to do. Once. */
  | { type: 'left' };
