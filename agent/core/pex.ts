// The messages of peer exchange (ut_pex, BEP 11), read strictly and written. Whom to tell of whom, and when, and whom to
// believe, is exchange.ts's.

import {
  COMPACT_IPV4_BYTES,
  COMPACT_IPV6_BYTES,
  type PeerAddress,
  readCompact,
  writeCompact,
} from './address.ts';
import { type BencodeDict, BencodeError, decode, encode, expectKind, optionalField } from './bencode.ts';
import { BOUNDS } from './bounds.ts';
import { usablePeers } from './tracker.ts';

/** A connected peer, as others are told of it. */
export interface Contact extends PeerAddress {
  /** It only uploads. */
  readonly gives: boolean;
  /** We called it, so it can be called. */
  readonly reachable: boolean;
}

const FLAG_GIVES = 0x02;
const FLAG_REACHABLE = 0x10;

/**
 * The peers that a message names as new, those beyond the limit left out; flags and the ones that are gone say nothing that
 * a call does not say better. Null for what is no such message.
 */
export function readExchange(payload: Uint8Array): PeerAddress[] | null {
  try {
    const dict = expectKind(decode(payload, { unsortedKeys: true }), 'dict', 'the message');
    const peers = [
      ...listIn(dict, 'added', COMPACT_IPV4_BYTES),
      ...listIn(dict, 'added6', COMPACT_IPV6_BYTES),
    ];
    return usablePeers(peers).slice(0, BOUNDS.exchangedPeers);
  } catch (error) {
    if (error instanceof BencodeError) return null;
    throw error;
  }
}

function listIn(dict: BencodeDict, key: string, entryBytes: number): PeerAddress[] {
  const node = optionalField(dict, key, 'bytes');
  if (node === null) return [];
  const peers = readCompact(node.value, entryBytes);
  if (peers === null) throw new BencodeError(`"${key}" ends inside an entry`, node.begin);
  return peers;
}

/** The payload that tells of these. */
export function writeExchange(added: readonly Contact[], dropped: readonly PeerAddress[]): Uint8Array {
  const [added4, added6] = byFamily(added);
  const [dropped4, dropped6] = byFamily(dropped);
  return encode({
    added: writeCompact(added4, COMPACT_IPV4_BYTES),
    'added.f': flagsOf(added4),
    added6: writeCompact(added6, COMPACT_IPV6_BYTES),
    'added6.f': flagsOf(added6),
    dropped: writeCompact(dropped4, COMPACT_IPV4_BYTES),
    dropped6: writeCompact(dropped6, COMPACT_IPV6_BYTES),
  });
}

function byFamily<T extends PeerAddress>(peers: readonly T[]): [T[], T[]] {
  const [four, six]: [T[], T[]] = [[], []];
  for (const peer of peers) (peer.host.includes(':') ? six : four).push(peer);
  return [four, six];
}

function flagsOf(contacts: readonly Contact[]): Uint8Array {
  return Uint8Array.from(
    contacts,
    ({ gives, reachable }) => (gives ? FLAG_GIVES : 0) | (reachable ? FLAG_REACHABLE : 0),
  );
}
