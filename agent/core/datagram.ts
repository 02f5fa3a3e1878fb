// The datagrams of the UDP tracker protocol (BEP 15, 41), for both ends. Layouts only: no socket, no retries, no policy.

import { COMPACT_IPV4_BYTES, COMPACT_IPV6_BYTES, readCompact, writeCompact } from './address.ts';
import type { AnnounceEvent, AnnounceReply, AnnounceRequest, PeerAddress } from './tracker.ts';
import { printable, usablePeers } from './tracker.ts';

export const ACTION = { connect: 0, announce: 1, scrape: 2, error: 3 } as const;

/** The number in every connect request that says which protocol this is. */
const PROTOCOL_ID = 0x41727101980n;
const EVENTS: readonly AnnounceEvent[] = ['update', 'completed', 'started', 'stopped'];
/** Bytes of the fixed part of each datagram. */
const HEADER_BYTES = 8;
const CONNECT_BYTES = 16;
const REQUEST_HEADER_BYTES = 16;
const ANNOUNCE_BYTES = 98;
const ANNOUNCE_REPLY_BYTES = 20;
/** BEP 41: an option that carries up to 255 bytes of the URL's path and query. */
const OPTION_URL_DATA = 2;
const OPTION_BYTES_MAX = 255;

/** A datagram that is not what the protocol says. */
export class DatagramError extends Error {}

/** A request as a tracker reads it. */
export type UdpRequest =
  | { readonly action: 'connect'; readonly transaction: number }
  | {
      readonly action: 'announce';
      readonly transaction: number;
      readonly connection: bigint;
      readonly infoHash: Uint8Array;
      readonly event: AnnounceEvent;
      readonly left: bigint;
      /** Null when the peer left it to the tracker. */
      readonly numWant: number | null;
      readonly port: number;
    }
  | {
      readonly action: 'scrape';
      readonly transaction: number;
      readonly connection: bigint;
      readonly infoHashes: readonly Uint8Array[];
    };

/** Client to tracker: asks for a connection id. */
export function writeConnect(transaction: number): Uint8Array {
  const { bytes, view } = datagram(CONNECT_BYTES);
  view.setBigUint64(0, PROTOCOL_ID);
  view.setUint32(8, ACTION.connect);
  view.setUint32(12, transaction);
  return bytes;
}

/**
 * Client to tracker: one announce.
 * @param path path and query of the tracker's URL; empty for none (BEP 41)
 */
export function writeAnnounce(
  request: AnnounceRequest,
  words: { connection: bigint; transaction: number; key: number; path: string },
): Uint8Array {
  const path = new TextEncoder().encode(words.path);
  const options = Math.ceil(path.length / OPTION_BYTES_MAX);
  const { bytes, view } = datagram(ANNOUNCE_BYTES + path.length + 2 * options);
  view.setBigUint64(0, words.connection);
  view.setUint32(8, ACTION.announce);
  view.setUint32(12, words.transaction);
  bytes.set(request.infoHash, 16);
  bytes.set(request.peerId, 36);
  view.setBigUint64(56, BigInt(request.downloaded));
  view.setBigUint64(64, BigInt(request.left));
  view.setBigUint64(72, BigInt(request.uploaded));
  view.setUint32(80, EVENTS.indexOf(request.event));
  view.setUint32(88, words.key);
  view.setInt32(92, request.numWant);
  view.setUint16(96, request.port);
  let at = ANNOUNCE_BYTES;
  for (let from = 0; from < path.length; from += OPTION_BYTES_MAX) {
    const part = path.subarray(from, from + OPTION_BYTES_MAX);
    bytes.set([OPTION_URL_DATA, part.length], at);
    bytes.set(part, at + 2);
    at += 2 + part.length;
  }
  return bytes;
}

/** The transaction id of a tracker's answer; null when it is too short to have one. */
export function transactionOf(answer: Uint8Array): number | null {
  return answer.length < HEADER_BYTES ? null : viewOf(answer).getUint32(4);
}

/** The tracker's own words when the answer is an error; null when it is none. */
export function readError(answer: Uint8Array): string | null {
  return viewOf(answer).getUint32(0) === ACTION.error ? printable(answer.subarray(HEADER_BYTES)) : null;
}

/** The connection id of an answer to `writeConnect`. Throws DatagramError. */
export function readConnectReply(answer: Uint8Array): bigint {
  expectReply(answer, 'connect', CONNECT_BYTES);
  return viewOf(answer).getBigUint64(8);
}

/** An answer to `writeAnnounce`, which came over IPv6 or IPv4. Throws DatagramError. */
export function readAnnounceReply(answer: Uint8Array, ipv6: boolean): AnnounceReply {
  expectReply(answer, 'announce', ANNOUNCE_REPLY_BYTES);
  const view = viewOf(answer);
  const list = answer.subarray(ANNOUNCE_REPLY_BYTES);
  const peers = readCompact(list, entryBytes(ipv6));
  if (peers === null) {
    const what = `the compact peer list has ${list.length} bytes, no multiple of ${entryBytes(ipv6)}`;
    throw new DatagramError(what);
  }
  return {
    intervalMs: 1000 * view.getUint32(8),
    minIntervalMs: null,
    seeders: view.getUint32(16),
    leechers: view.getUint32(12),
    peers: usablePeers(peers),
    warning: null,
  };
}

/** A request as it reached the tracker; null for what is none. */
export function readRequest(bytes: Uint8Array): UdpRequest | null {
  if (bytes.length < REQUEST_HEADER_BYTES) return null;
  const view = viewOf(bytes);
  const connection = view.getBigUint64(0);
  const action = view.getUint32(8);
  const transaction = view.getUint32(12);
  if (action === ACTION.connect) {
    return connection === PROTOCOL_ID ? { action: 'connect', transaction } : null;
  }
  if (action === ACTION.scrape) {
    const infoHashes: Uint8Array[] = [];
    for (let at = REQUEST_HEADER_BYTES; at + 20 <= bytes.length; at += 20) {
      infoHashes.push(bytes.subarray(at, at + 20));
    }
    return { action: 'scrape', transaction, connection, infoHashes };
  }
  if (action !== ACTION.announce || bytes.length < ANNOUNCE_BYTES) return null;
  const numWant = view.getInt32(92);
  return {
    action: 'announce',
    transaction,
    connection,
    infoHash: bytes.subarray(16, 36),
    event: EVENTS[view.getUint32(80)] ?? 'update',
    left: view.getBigUint64(64),
    numWant: numWant < 0 ? null : numWant,
    port: view.getUint16(96),
  };
}

/** Tracker to client: the connection id. */
export function writeConnectReply(transaction: number, connection: bigint): Uint8Array {
  const { bytes, view } = answer(ACTION.connect, transaction, CONNECT_BYTES);
  view.setBigUint64(8, connection);
  return bytes;
}

/** Tracker to client: peers of one address family. */
export function writeAnnounceReply(
  transaction: number,
  reply: { intervalMs: number; complete: number; incomplete: number; peers: readonly PeerAddress[] },
  ipv6: boolean,
): Uint8Array {
  const peers = writeCompact(reply.peers, entryBytes(ipv6));
  const { bytes, view } = answer(ACTION.announce, transaction, ANNOUNCE_REPLY_BYTES + peers.length);
  view.setUint32(8, Math.ceil(reply.intervalMs / 1000));
  view.setUint32(12, reply.incomplete);
  view.setUint32(16, reply.complete);
  bytes.set(peers, ANNOUNCE_REPLY_BYTES);
  return bytes;
}

/** Tracker to client: counts of the torrents in the order in which they were asked for. */
export function writeScrapeReply(
  transaction: number,
  swarms: readonly { complete: number; incomplete: number; downloaded: number }[],
): Uint8Array {
  const { bytes, view } = answer(ACTION.scrape, transaction, HEADER_BYTES + 12 * swarms.length);
  for (const [index, swarm] of swarms.entries()) {
    view.setUint32(HEADER_BYTES + 12 * index, swarm.complete);
    view.setUint32(HEADER_BYTES + 12 * index + 4, swarm.downloaded);
    view.setUint32(HEADER_BYTES + 12 * index + 8, swarm.incomplete);
  }
  return bytes;
}

/** Tracker to client: why it refuses. */
export function writeError(transaction: number, reason: string): Uint8Array {
  const text = new TextEncoder().encode(reason);
  const { bytes } = answer(ACTION.error, transaction, HEADER_BYTES + text.length);
  bytes.set(text, HEADER_BYTES);
  return bytes;
}

function entryBytes(ipv6: boolean): number {
  return ipv6 ? COMPACT_IPV6_BYTES : COMPACT_IPV4_BYTES;
}

function expectReply(answer: Uint8Array, action: keyof typeof ACTION, bytesMin: number): void {
  const found = viewOf(answer).getUint32(0);
  if (found !== ACTION[action]) throw new DatagramError(`action ${found} where ${action} was asked for`);
  if (answer.length < bytesMin) {
    throw new DatagramError(`an answer to ${action} of ${answer.length} bytes, shorter than ${bytesMin}`);
  }
}

function answer(action: number, transaction: number, length: number): { bytes: Uint8Array; view: DataView } {
  const { bytes, view } = datagram(length);
  view.setUint32(0, action);
  view.setUint32(4, transaction);
  return { bytes, view };
}

function datagram(length: number): { bytes: Uint8Array; view: DataView } {
  const bytes = new Uint8Array(length);
  return { bytes, view: viewOf(bytes) };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
