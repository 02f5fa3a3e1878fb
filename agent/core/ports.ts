// What the engine needs from the world, as interfaces; the rooms of agent/io satisfy them, tests bring small fakes.
// Types only: nothing here runs.

import type { AnnounceReply, AnnounceRequest, PeerAddress } from './tracker.ts';

/** Blocks of one piece, read from disk and already framed as BEP 3 `piece` messages: one buffer, one socket write. */
export interface Frame {
  /** Whole messages: 13 bytes of header and a block, over and over. Valid until `release`. */
  readonly bytes: Uint8Array;
  /** Gives the buffer back to the store's pool. Call once, when the socket is done with the bytes. */
  release(): void;
}

/** The content of one torrent on disk. Knows pieces and bytes, not peers. */
export interface StorePort {
  /**
   * Writes one verified piece. `done` is called when the bytes are in the file (with null) or failed to get there;
   * it may be called before `write` returns. The bytes must stay untouched until then.
   */
  write(piece: number, bytes: Uint8Array, done: (error: Error | null) => void): void;
  /** True when `bytes` are piece `piece` by the torrent's hash of record (SHA-256 of BEP 52, else SHA-1). */
  verify(piece: number, bytes: Uint8Array): boolean;
  /**
   * Reads `length` bytes of `piece` from `begin` (a multiple of 16 KiB) as framed blocks of 16 KiB (the last of a
   * piece may be shorter). Null when every buffer of the pool is out: ask again after a release. Throws when the file
   * cannot be read.
   */
  read(piece: number, begin: number, length: number): Frame | null;
}

/** Talks to trackers. Rejects with an Error whose message says what the tracker did wrong. */
export interface TrackerPort {
  announce(request: AnnounceRequest, signal: AbortSignal): Promise<AnnounceReply>;
}

/** One log line: a fact, as a short name and its values. */
export type LogFact = (fact: string, values?: Readonly<Record<string, unknown>>) => void;

export type { AnnounceReply, AnnounceRequest, PeerAddress };
