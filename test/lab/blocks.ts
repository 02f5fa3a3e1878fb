// The blocks of content in streams of the peer wire (BEP 3), as somebody reads them who hears the streams.

import { swarmHash, type Torrent } from '../../agent/core/torrent.ts';
import type { Stream } from './pcap.ts';

export const GREETING = Buffer.from('\x13BitTorrent protocol', 'latin1');
const HASH_AT = 28;
const HANDSHAKE_BYTES = 68;
const PIECE = 7;
/** Length, id, piece, begin. */
const BLOCK_HEADER_BYTES = 13;

export interface Share {
  readonly torrent: Torrent;
  /** The one file of the torrent. */
  readonly content: Buffer;
}

export interface Moved {
  /** How many bytes of a torrent have come to a host; each counts once. */
  have(host: string, torrent: Torrent): number;
  /** How many bytes a host has sent, however often. */
  givenBy(host: string): number;
}

/** Throws Error for a block that is not what is shared. */
export function blocksIn(streams: readonly Stream[], shares: readonly Share[]): Moved {
  const had = new Map<string, Uint8Array>();
  const given = new Map<string, number>();
  const nameOf = (host: string, torrent: Torrent) => `${host} ${torrent.name}`;
  for (const { from, to, content: stream } of streams) {
    const share = shareIn(stream, shares);
    if (share === null) continue;
    const { torrent, content } = share;
    const marks = had.get(nameOf(to, torrent)) ?? new Uint8Array(content.length);
    had.set(nameOf(to, torrent), marks);
    for (let at = HANDSHAKE_BYTES; at + 4 <= stream.length; ) {
      const end = at + 4 + stream.readUInt32BE(at);
      if (end > stream.length) break;
      if (end - at > BLOCK_HEADER_BYTES && stream[at + 4] === PIECE) {
        const place = stream.readUInt32BE(at + 5) * torrent.pieceLength + stream.readUInt32BE(at + 9);
        const block = stream.subarray(at + BLOCK_HEADER_BYTES, end);
        if (!block.equals(content.subarray(place, place + block.length)))
          throw new Error(`${from} gave ${to} a block at ${place} that is not what is shared`);
        marks.fill(1, place, place + block.length);
        given.set(from, (given.get(from) ?? 0) + block.length);
      }
      at = end;
    }
  }
  return {
    have: (host, torrent) => had.get(nameOf(host, torrent))?.reduce((sum, mark) => sum + mark, 0) ?? 0,
    givenBy: (host) => given.get(host) ?? 0,
  };
}

/** What a stream is about; null when it is none of the peer wire, or ended before it said so. */
function shareIn(stream: Buffer, shares: readonly Share[]): Share | null {
  if (stream.length < HANDSHAKE_BYTES || !stream.subarray(0, GREETING.length).equals(GREETING)) return null;
  const hash = stream.subarray(HASH_AT, HASH_AT + 20);
  const share = shares.find(({ torrent }) => hash.equals(swarmHash(torrent)));
  if (share === undefined) throw new Error(`nobody shares ${hash.toString('hex')}`);
  return share;
}
