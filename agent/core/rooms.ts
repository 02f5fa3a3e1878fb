// What an install needs from the other rooms of the agent, as interfaces: main.ts brings the real ones, tests bring small
// fakes. Types only: nothing here runs.

import type { FileKey } from './age.ts';
import type { Bitfield } from './bitfield.ts';
import type { CatalogEntry, Compression, SiteFile } from './catalog.ts';
import type { DiskFacts, Firmware } from './diskfacts.ts';
import type { Stretch } from './diskplan.ts';
import type { LinkSight } from './inventory.ts';
import type { Lease } from './lease.ts';
import type { Magnet } from './magnet.ts';
import type { SignatureChecks } from './minisign.ts';
import type { Admission, Company, StorePort } from './ports.ts';
import type { InstallEvent } from './report.ts';
import type { LeftFolder, Pool } from './staging.ts';
import type { SystemRooms } from './systemrooms.ts';
import type { Hashes, Torrent } from './torrent.ts';
import type { AnnounceReply, PeerAddress } from './tracker.ts';
import type { Trust } from './trust.ts';
import type { Ms } from './units.ts';
import type { SwarmView } from './view.ts';

/** One torrent that this node is in. */
export interface TransferRoom {
  view(): SwarmView;
  /** Addresses to be tried besides those that trackers give. */
  addPeers(addresses: readonly PeerAddress[]): void;
  /** URLs of the whole file, to be tried in this order when the swarm does not give (BEP 19). */
  addWebSeeds(urls: readonly string[]): void;
  /** Resolves when every piece is verified and written; rejects when the store fails. */
  readonly complete: Promise<void>;
  /** Resolves once the first `bytes` of the file are verified and written. */
  front(bytes: number, signal: AbortSignal): Promise<void>;
  /** Serves what it has promised (bounded in time), says `stopped`, closes the connections. */
  leave(): Promise<void>;
}

export interface EngineRoom {
  /** The one listening port for all torrents. */
  readonly port: number;
  /** From now on swarms are shared with that company alone. To be called before the first is entered. */
  keepTo(company: Company): void;
  join(torrent: Torrent, store: StorePort, have: Bitfield): TransferRoom;
  /** The info dictionary of a magnet link, from its peers (BEP 9); verified against the info hash. */
  fetchInfo(
    magnet: Magnet,
    sha1: (bytes: Uint8Array) => Uint8Array,
    signal: AbortSignal,
  ): Promise<Uint8Array>;
  /**
   * Asks a tracker once, as somebody who begins to download, and has it forget that at once. Rejects with an Error that says
   * what the tracker did, or with the signal's reason.
   */
  askTracker(torrent: Torrent, url: string, peersWanted: number, signal: AbortSignal): Promise<AnnounceReply>;
  /** Leaves all swarms and closes everything. */
  stop(): Promise<void>;
}

/** A staging file. */
export interface StoreRoom extends StorePort {
  readonly path: string;
  readonly have: Bitfield;
  /** The content in order, each chunk as soon as `front` says that it is there. */
  source(
    front: (bytes: number, signal: AbortSignal) => Promise<void>,
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array>;
  /** Closes and removes it. */
  discard(): Promise<void>;
}

/** A tarball to be extracted while it comes. */
export interface Extraction {
  readonly source: AsyncIterable<Uint8Array>;
  readonly compression: Compression;
  /** Null for a tarball that is not encrypted. */
  readonly fileKey: FileKey | null;
  /** What the catalog promised; null without a catalog. */
  readonly expected: CatalogEntry | null;
  readonly target: string;
  /** `stream` for BOEL binaries: GNU tar may be one of them. */
  readonly writer: 'tar' | 'stream';
  /** Called now and then with the bytes of the tarball used so far, and what came out of them. */
  readonly onProgress: (sourceBytes: number, writtenBytes: number) => void;
}

export interface ExtractionResult {
  /** Archive members of every type. */
  readonly entries: number;
  /** Sum of the sizes of the regular files. */
  readonly unpackedBytes: number;
  /** What could not be kept, one line each; empty when everything was. */
  readonly notes: readonly string[];
}

/** What TORRENT stands for. */
export type TorrentSource =
  | { readonly kind: 'torrent'; readonly bytes: Uint8Array }
  | { readonly kind: 'magnet'; readonly magnet: Magnet };

/** Each throws SwarmbootError 'catalog' when the server is at fault, 'signature' when it is not the one to be believed. */
export interface CatalogRoom {
  /** The manifest with its signature, as bytes yet to be believed. */
  fetchManifest(server: URL, signal: AbortSignal): Promise<Uint8Array>;
  /** The addresses of the image server's host, as literals; none when nobody knows them. */
  addressesOf(server: URL): Promise<readonly string[]>;
  /** The bytes of a .torrent file, yet to be believed. */
  fetchTorrent(server: URL, entry: CatalogEntry, signal: AbortSignal): Promise<Uint8Array>;
  /** The key of an encrypted entry. It is the caller's to erase. */
  fetchKey(server: URL, entry: CatalogEntry, signal: AbortSignal): Promise<FileKey>;
  /** A site file, whole and with the hash that the manifest promises. */
  fetchFile(server: URL, file: SiteFile, signal: AbortSignal): Promise<Uint8Array>;
  /**
   * A magnet link, or the bytes of a .torrent file by its http(s) URL or path. Throws SwarmbootError 'torrent' and 'missing'
   * (no such file) besides.
   */
  readTorrentSource(source: string, signal: AbortSignal): Promise<TorrentSource>;
}

/** The image servers of a node, which all offer the same. */
export interface ServersRoom {
  /** In the order of IMAGESERVER. */
  readonly all: readonly URL[];
  /** The one that is asked first: that of IMAGESERVER, or who has answered when it did not. */
  readonly first: URL;
  /**
   * What `work` makes of the answer of a server. Another server is asked as well when one fails or is slow, so `work` must be
   * something that may be done twice. Throws the weightiest fault when all of them fail, or the signal's reason.
   */
  ask<T>(work: (server: URL, signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T>;
  /** The same with one server at a time, the next when one has failed. */
  askInTurn<T>(work: (server: URL, signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T>;
}

export interface HostRoom {
  pools(): Pool[];
  poolAt(folder: string, parameter: string): Pool;
  memoryAvailableBytes(): Promise<number>;
  /** Begins to watch all processors together. Returns what tells how busy they have been since, in percent. */
  watchProcessors(): () => number;
  /** A new folder in `pool`, for its owner alone, held by this process until it is removed. */
  makeFolder(pool: string): Promise<string>;
  removeFolder(folder: string): Promise<void>;
  /** What installs of this machine that were killed, or lost power, have left in `pool`. */
  leftIn(pool: string): Promise<readonly LeftFolder[]>;
  /** Moves a file of a left folder into a held one of the same pool. False: it cannot be had any more. */
  takeOver(from: string, to: string): boolean;
}

/** Small texts that outlive an install which is cut off. Neither rejects: what cannot be kept is not remembered. */
export interface MemoryRoom {
  /** Null: nothing is there, or nothing that is a text of ours. */
  read(path: string): Promise<string | null>;
  /** Whole or not at all. */
  write(path: string, text: string): Promise<void>;
}

/** What is tried before anything is written. What fails rejects with an Error that says what went wrong. */
export interface ProbeRoom {
  /** The network interfaces of this machine. */
  links(): readonly LinkSight[];
  /** Calls a peer and hangs up once it has answered. */
  call(peer: PeerAddress, signal: AbortSignal): Promise<void>;
  /** Sends so many bytes to the image server and has them sent back; false: it answers, and does not send them back. */
  echo(server: URL, bytes: number, signal: AbortSignal): Promise<boolean>;
  /** Writes to the middle of a stretch what was read there; `ms` is the time of the writing alone. */
  rewrite(stretch: Stretch, signal: AbortSignal): Promise<{ readonly bytes: number; readonly ms: Ms }>;
}

/** What an enrolled node has beside its token, which only those have who ask the image server. */
export interface Membership {
  /** By which the new system shows, once, that it is this node. */
  readonly proof: string;
}

/** What an install onto disks has to know of this machine. */
export interface MachineRoom {
  diskFacts(): Promise<readonly DiskFacts[]>;
  firmware(): Firmware;
  /** What /init has found out about the network; nothing outside the RAM disk. */
  lease(): Lease;
  kernelCommandLine(): string;
  /** A new one each time, for file systems. */
  uuid(): string;
  /** Now, by ISO 8601. */
  date(): string;
}

/** Everything that an install is joined to. */
export interface Rooms {
  readonly catalog: CatalogRoom;
  /** Null: IMAGESERVER names none. */
  readonly servers: ServersRoom | null;
  readonly host: HostRoom;
  readonly machine: MachineRoom;
  readonly probe: ProbeRoom;
  readonly memory: MemoryRoom;
  readonly system: SystemRooms;
  readonly hashes: Hashes;
  readonly signatures: SignatureChecks;
  /** Whose signature is believed; null: anybody is. */
  readonly trust: Trust | null;
  /**
   * Enrols this node: from then on it is known by its token. Null: the site is open, and wants nobody to enrol. Throws
   * SwarmbootError 'enrolment' when it may not, 'network', 'signature' or 'report'.
   */
  enrol(server: URL, signal: AbortSignal): Promise<Membership | null>;
  /** The version of this agent, `x.y.z`. */
  readonly version: string;
  /** How this node is known in closed swarms; null: it has not been enrolled, and cannot take part in one. */
  readonly admission: Admission | null;
  startEngine(): Promise<EngineRoom>;
  /** `resume`: what lies at `path` is checked piece by piece, and kept as far as it is good. */
  openStore(
    torrent: Torrent,
    path: string,
    mode: 'create' | 'resume',
    signal: AbortSignal,
  ): Promise<StoreRoom>;
  extract(job: Extraction, signal: AbortSignal): Promise<ExtractionResult>;
  now(): Ms;
  /** Rejects with the signal's reason. */
  sleep(ms: Ms, signal: AbortSignal): Promise<void>;
  /** Where the happenings go. */
  tell(event: InstallEvent): void;
  /** What has been told so far, as lines for people. */
  logLines(): readonly string[];
  /** Resolves when the image server has the newest report, or does not take it. */
  reported(): Promise<void>;
}
