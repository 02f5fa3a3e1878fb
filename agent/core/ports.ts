// What the engine needs from the world, as interfaces; the rooms of agent/io satisfy them, tests bring small fakes.
// Types only: nothing here runs.

import type { Bitfield } from './bitfield.ts';
import type { Stretch } from './events.ts';
import type { Contact } from './pex.ts';
import type { AnnounceReply, AnnounceRequest, PeerAddress } from './tracker.ts';
import type { Ms } from './units.ts';

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

/** One TCP connection, before anybody speaks BitTorrent on it. */
export interface Link {
  /** The other end; for an outgoing link the address that was dialed. */
  readonly remote: PeerAddress;
  readonly outgoing: boolean;
  /**
   * Starts reading. A chunk is valid only until `data` returns. `closed` is called once, whoever ended it, and nothing
   * after it.
   */
  open(handlers: { data(chunk: Uint8Array): void; closed(reason: string): void }): void;
  /** `done` is called when the kernel has taken the bytes, or never will. */
  write(bytes: Uint8Array, done?: () => void): void;
  close(reason: string): void;
}

/** Listens and dials. */
export interface PeersPort {
  /** Begins to listen; every caller that is let in is given to `arrived`. Resolves with the port. */
  listen(arrived: (link: Link) => void): Promise<number>;
  /** Rejects when nobody answers in time. */
  dial(address: PeerAddress): Promise<Link>;
  /** Stops listening; links that are open stay open. */
  close(): Promise<void>;
}

/** What a conversation must know of the torrent it is about. */
export interface Subject {
  /** 20 bytes: what the handshake carries. */
  readonly infoHash: Uint8Array;
  /** Null until the info dictionary is known (magnet). */
  readonly pieceCount: number | null;
  /** Raw info dictionary for those who ask (BEP 9); null while it is unknown. */
  readonly infoBytes: Uint8Array | null;
  /** We are complete: BEP 21. */
  readonly uploadOnly: boolean;
  /** Its peers may tell each other of peers: BEP 11. */
  readonly exchanges: boolean;
}

/** Ourselves, as the handshakes say it. */
export interface Self {
  /** 20 bytes. */
  readonly peerId: Uint8Array;
  readonly port: number;
  /** Requests that we queue for a peer (BEP 10 `reqq`). */
  readonly requestsMax: number;
}

/** How the peers of closed swarms know each other. */
export interface Admission {
  /** What every peer of that torrent knows, and nobody else; null: nobody does now, and nobody is admitted. */
  secretOf(infoHash: Uint8Array): Uint8Array | null;
  /** RFC 2104 with SHA-256. */
  hmacSha256(key: Uint8Array, message: Uint8Array): Uint8Array;
  /** 32 bytes that nobody can foretell. */
  nonce(): Uint8Array;
}

/** With whom swarms are shared. */
export interface Company {
  /** Networks like `10.0.0.0/8`; peers elsewhere are neither heard nor called. Null: peers may be anywhere. */
  readonly networks: readonly string[] | null;
  /** Null: the swarms are open to whoever comes. */
  readonly admission: Admission | null;
}

/** What a conversation tells the engine. */
export interface WireListener {
  /** An incoming handshake: what is it about? Null: nothing that we have, and the link is closed. */
  asked(infoHash: Uint8Array): Subject | null;
  /** Both handshakes are done. `peerId` 20 bytes in hex; `fast`: BEP 6 was agreed. */
  ready(peerId: string, fast: boolean): void;
  /** A message, as the event that the swarm takes. */
  said(event: PeerMessage): void;
  /** A block begins to come in: is it wanted? */
  accepts(stretch: Stretch): boolean;
  /** A wanted block is here; the bytes are valid only during the call. */
  block(stretch: Stretch, bytes: Uint8Array): void;
  /** The peer sent the info dictionary; nobody has checked it yet. */
  info(bytes: Uint8Array): void;
  closed(reason: string): void;
}

export type PeerMessage =
  | { type: 'choked' | 'unchoked' | 'interested' | 'uninterested' | 'hadAll' | 'heard' }
  | { type: 'had'; piece: number }
  | { type: 'fieldArrived'; bytes: Uint8Array }
  | { type: 'extended'; uploadOnly: boolean; requestsMax: number; exchanges: boolean; port: number }
  | { type: 'exchanged'; addresses: readonly PeerAddress[] }
  | ({ type: 'requested' | 'cancelled' | 'rejected' | 'blockUnwanted' } & Stretch);

/** A BitTorrent conversation on a link. Messages gather until `flush`; blocks go out at once. */
export interface WirePort {
  send(message: WireMessage): void;
  /** Our pieces, in the shortest form that the peer understands. */
  sendField(field: Bitfield): void;
  /** One message per block of the stretch. */
  request(stretch: Stretch): void;
  /** Framed blocks; `done` when the kernel has taken them or never will. */
  serve(bytes: Uint8Array, done: () => void): void;
  /** Asks for the info dictionary (BEP 9). */
  fetchInfo(): void;
  flush(): void;
  close(reason: string): void;
}

export type WireMessage =
  | { type: 'choke' | 'unchoke' | 'interested' | 'uninterested' | 'keepAlive' | 'uploadOnly' }
  | { type: 'have'; piece: number }
  | { type: 'exchange'; added: readonly Contact[]; dropped: readonly PeerAddress[] }
  | ({ type: 'cancel' | 'reject' } & Stretch);

/** Whoever takes connections about one info hash: a transfer, or the search for an info dictionary. */
export interface Party {
  readonly subject: Subject;
  /** Takes over a connection; the listener is told from here on. `wire` answers once the peer is ready. */
  meet(link: Link, wire: () => WirePort): WireListener;
}

/** Opens a conversation; `subject` is given when we dialed, and is asked of the listener otherwise. */
export type OpenWire = (link: Link, self: Self, subject: Subject | null, listener: WireListener) => WirePort;

/** Talks to trackers. Rejects with an Error whose message says what the tracker did wrong. */
export interface TrackerPort {
  announce(request: AnnounceRequest, signal: AbortSignal): Promise<AnnounceReply>;
}

/** Some bytes of a file that a web server has. */
export interface WebRange {
  /** http or https. */
  readonly url: string;
  /** Bytes of the whole file. */
  readonly sizeBytes: number;
  readonly begin: number;
  readonly length: number;
}

/** Gets content by HTTP (BEP 19). */
export interface WebPort {
  /**
   * Gives the bytes of the range to `take`, in order; a chunk is valid only until `take` returns. Resolves when all have
   * come (with null), or when the server has no place now, with how long it wants to be left alone, in ms. Rejects with an
   * Error that says what the server did wrong, or with the signal's reason.
   */
  fetchRange(range: WebRange, take: (chunk: Uint8Array) => void, signal: AbortSignal): Promise<Ms | null>;
}

/** Datagrams to and from the peers of the same network segment (BEP 14). */
export interface DiscoveryPort {
  /** Begins to hear. `failed` is told what does not work; nothing else comes of it. Once. */
  open(heard: (datagram: Uint8Array, host: string) => void, failed: (error: unknown) => void): void;
  /** To all; what gets lost is lost. After `open`. */
  say(datagram: Uint8Array): void;
  close(): void;
}

/** One log line: a fact, as a short name and its values. */
export type LogFact = (fact: string, values?: Readonly<Record<string, unknown>>) => void;

export type { AnnounceReply, AnnounceRequest, PeerAddress };
