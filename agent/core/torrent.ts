// What a torrent says, once it has been believed: names, sizes, hashes. The shape alone; core/metainfo reads it from
// bytes and builds them.

/** The two digests that BEP 3 and BEP 52 need; core computes none itself. */
export interface Hashes {
  /** 20 bytes. */
  sha1(data: Uint8Array): Uint8Array;
  /** 32 bytes. */
  sha256(data: Uint8Array): Uint8Array;
  /** Writes the 32 bytes of SHA-256 at `offset` of `target`: no memory per node of a merkle tree. `data` may overlap. */
  sha256Into(data: Uint8Array, target: Uint8Array, offset: number): void;
}

/** One file of a torrent, placed in its piece space. */
export interface TorrentFile {
  /** Path components below the torrent's name; for a torrent of one file just `[name]`. */
  readonly path: readonly string[];
  /** First byte in the piece space. */
  readonly offset: number;
  readonly length: number;
  /** A pad file of BEP 47: zeros that are hashed and never written to disk. */
  readonly pad: boolean;
}

/** A torrent whose every field has been checked. */
export interface Torrent {
  readonly name: string;
  /** Bytes of the piece space, pad files included. */
  readonly length: number;
  readonly pieceLength: number;
  readonly pieceCount: number;
  readonly files: readonly TorrentFile[];
  readonly private: boolean;
  /** Tracker URLs by tier (BEP 12). */
  readonly announce: readonly (readonly string[])[];
  /** URLs under which the content lies as files (BEP 19), as far as they may be asked. */
  readonly webSeeds: readonly string[];
  /** The raw bytes of the info dictionary: what the info hashes are taken over, and what ut_metadata sends. */
  readonly infoBytes: Uint8Array;
  /** 20 bytes, SHA-1 of infoBytes; null for a v2-only torrent. */
  readonly infoHashV1: Uint8Array | null;
  /** 32 bytes, SHA-256 of infoBytes; null for a v1-only torrent. */
  readonly infoHashV2: Uint8Array | null;
  /** pieceCount x 20 bytes; null for a v2-only torrent. */
  readonly piecesV1: Uint8Array | null;
  /** pieceCount x 32 bytes: the merkle root of each piece (BEP 52), null when v1-only or when no layers are known. */
  readonly piecesV2: Uint8Array | null;
}

/** The 20 bytes by which peers and trackers know the swarm (a v2 hash is cut to 20, BEP 52). */
export function swarmHash(torrent: Torrent): Uint8Array {
  return torrent.infoHashV1 ?? torrent.infoHashV2!.subarray(0, 20);
}

/** Bytes of piece `index`: all are pieceLength but the last. */
export function pieceSize(torrent: Torrent, index: number): number {
  return index === torrent.pieceCount - 1
    ? torrent.length - index * torrent.pieceLength
    : torrent.pieceLength;
}
