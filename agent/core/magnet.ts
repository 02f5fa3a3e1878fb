// A magnet link, believed: which torrent, and whom to ask for it. Writing one is here; reading a foreign one is
// io/catalog's.

import type { Torrent } from './torrent.ts';
import type { PeerAddress } from './tracker.ts';
import { hex } from './units.ts';

export interface Magnet {
  /** 20 bytes; what the peers are asked by. */
  readonly infoHashV1: Uint8Array;
  /** 32 bytes; null when the link does not name it. */
  readonly infoHashV2: Uint8Array | null;
  /** What the link calls the torrent, for people to read; null when it says nothing usable. */
  readonly name: string | null;
  /** URLs of trackers, each a tier of its own. */
  readonly trackers: readonly string[];
  /** Peers that the link names itself (`x.pe`). */
  readonly peers: readonly PeerAddress[];
}

/** The magnet link of a torrent: its info hashes, name and trackers (BEP 9, 52). */
export function formatMagnet(torrent: Torrent): string {
  const { infoHashV1, infoHashV2, name, announce } = torrent;
  const fields = [
    ...(infoHashV1 === null ? [] : [`xt=urn:btih:${hex(infoHashV1)}`]),
    // 12 20: the multihash for SHA-256 of 32 bytes.
    ...(infoHashV2 === null ? [] : [`xt=urn:btmh:1220${hex(infoHashV2)}`]),
    `dn=${encodeURIComponent(name)}`,
    ...announce.flat().map((url) => `tr=${encodeURIComponent(url)}`),
  ];
  return `magnet:?${fields.join('&')}`;
}
