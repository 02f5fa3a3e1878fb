// The words of a tracker conversation over HTTP (BEP 3, 7, 23), shared by the schedule, the client and our own tracker.
// Sends nothing; when to say what is the schedule's.

import {
  COMPACT_IPV4_BYTES,
  COMPACT_IPV6_BYTES,
  formatAddress,
  type PeerAddress,
  parseAddress,
  readCompact,
} from './address.ts';
import {
  type BencodeBytes,
  type BencodeDict,
  BencodeError,
  decode,
  expectKind,
  integerWithin,
  latin1,
  optionalField,
  requiredField,
} from './bencode.ts';
import { BOUNDS } from './bounds.ts';

export type { PeerAddress };

export type AnnounceEvent = 'started' | 'completed' | 'stopped' | 'update';

/** One announce, ready to be sent to one URL. */
export interface AnnounceRequest {
  readonly url: string;
  readonly event: AnnounceEvent;
  /** 20 bytes. */
  readonly infoHash: Uint8Array;
  /** 20 bytes. */
  readonly peerId: Uint8Array;
  readonly port: number;
  readonly uploaded: number;
  readonly downloaded: number;
  readonly left: number;
  readonly numWant: number;
}

/** What a tracker answered. */
export interface AnnounceReply {
  readonly intervalMs: number;
  /** The tracker's floor under re-announces; null when it named none. */
  readonly minIntervalMs: number | null;
  /** Complete peers; null when the tracker did not say. */
  readonly seeders: number | null;
  /** Incomplete peers; null when the tracker did not say. */
  readonly leechers: number | null;
  readonly peers: readonly PeerAddress[];
  /** A warning message to be logged; null when there was none. */
  readonly warning: string | null;
}

/** Peers taken from one reply; the rest is ignored. */
const REPLY_PEERS_MAX = BOUNDS.replyPeers;
/** Seconds that a reply may name; more counts as this. */
const REPLY_SECONDS_MAX = 0x7fff_ffff;

/** An HTTP tracker's answer, and the id by which it wants to be reminded of us. */
export interface HttpReply {
  readonly reply: AnnounceReply;
  readonly trackerId: Uint8Array | null;
}

/** The query of an HTTP announce (BEP 3, 7, 23), without `?`. `key` proves that we are still us from another address. */
export function announceQuery(request: AnnounceRequest, key: string, trackerId: Uint8Array | null): string {
  const fields = [
    `info_hash=${percentEncode(request.infoHash)}`,
    `peer_id=${percentEncode(request.peerId)}`,
    `port=${request.port}`,
    `uploaded=${request.uploaded}`,
    `downloaded=${request.downloaded}`,
    `left=${request.left}`,
    'compact=1',
    `numwant=${request.numWant}`,
    `key=${key}`,
  ];
  if (request.event !== 'update') fields.push(`event=${request.event}`);
  if (trackerId !== null) fields.push(`trackerid=${percentEncode(trackerId)}`);
  return fields.join('&');
}

/**
 * Reads the body of an HTTP tracker's answer. Throws BencodeError when it is not bencode or not an answer, and
 * TrackerRefusal when it gives a failure reason.
 */
export function readHttpReply(body: Uint8Array): HttpReply {
  const dict = expectKind(decode(body, { unsortedKeys: true }), 'dict', 'the answer');
  const reason = optionalField(dict, 'failure reason', 'bytes');
  if (reason !== null) throw new TrackerRefusal(printable(reason.value));
  const minInterval = optionalField(dict, 'min interval', 'integer');
  const warning = optionalField(dict, 'warning message', 'bytes');
  const peers = [...readPeers(dict), ...readPeers6(dict)];
  return {
    reply: {
      intervalMs: secondsToMs(requiredField(dict, 'interval', 'integer').value),
      minIntervalMs: minInterval === null ? null : secondsToMs(minInterval.value),
      seeders: countOf(dict, 'complete'),
      leechers: countOf(dict, 'incomplete'),
      peers: usablePeers(peers),
      warning: warning === null ? null : printable(warning.value),
    },
    trackerId: optionalField(dict, 'tracker id', 'bytes')?.value.slice() ?? null,
  };
}

/** A tracker's refusal in its own words; the message is fit for a terminal. */
export class TrackerRefusal extends Error {}

/** The first peers that can be dialled: with a port and an address that is not all zero. */
export function usablePeers(peers: readonly PeerAddress[]): PeerAddress[] {
  const usable = peers.filter(({ host, port }) => port > 0 && host !== '0.0.0.0' && host !== '::');
  return usable.slice(0, REPLY_PEERS_MAX);
}

/** Remote bytes as text that is safe to print: ASCII, all else as `\xNN`, cut at 200 characters. */
export function printable(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes.subarray(0, 200)) {
    const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x5c;
    text += plain ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return bytes.length > 200 ? `${text}...` : text;
}

function readPeers(dict: BencodeDict): PeerAddress[] {
  const node = dict.entries.get('peers');
  if (node === undefined) return [];
  if (node.kind !== 'list') return compactPeers(expectKind(node, 'bytes', '"peers"'), COMPACT_IPV4_BYTES);
  const peers: PeerAddress[] = [];
  for (const item of node.items) {
    const peer = expectKind(item, 'dict', 'a peer');
    const address = parseAddress(latin1(requiredField(peer, 'ip', 'bytes').value));
    // A peer named by a host name is not asked for: a tracker shall not make us look names up.
    if (address === null) continue;
    const port = integerWithin(requiredField(peer, 'port', 'integer'), 0, 65_535, 'the port of a peer');
    peers.push({ host: formatAddress(address), port });
  }
  return peers;
}

function readPeers6(dict: BencodeDict): PeerAddress[] {
  const node = optionalField(dict, 'peers6', 'bytes');
  return node === null ? [] : compactPeers(node, COMPACT_IPV6_BYTES);
}

function compactPeers(node: BencodeBytes, entryBytes: number): PeerAddress[] {
  const peers = readCompact(node.value, entryBytes);
  if (peers !== null) return peers;
  const what = `the compact peer list has ${node.value.length} bytes, no multiple of ${entryBytes}`;
  throw new BencodeError(what, node.begin);
}

function secondsToMs(seconds: bigint): number {
  return 1000 * Math.min(REPLY_SECONDS_MAX, Math.max(0, Number(seconds)));
}

function countOf(dict: BencodeDict, key: string): number | null {
  const node = optionalField(dict, key, 'integer');
  return node === null || node.value < 0n ? null : Math.min(Number.MAX_SAFE_INTEGER, Number(node.value));
}

/** RFC 3986: all bytes but the unreserved ones as %NN. */
function percentEncode(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) {
    const char = String.fromCharCode(byte);
    text += /[0-9A-Za-z._~-]/.test(char) ? char : `%${byte.toString(16).padStart(2, '0')}`;
  }
  return text;
}
