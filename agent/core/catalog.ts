// The catalog: what an image server offers, as JSON that both sides read with this file.

export type Kind = 'image' | 'boel' | 'override';
export type Compression = 'zstd' | 'gzip' | 'none';

/** One published tarball. Every number is exact; the agent refuses what does not match. */
export interface CatalogEntry {
  /** `^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`; unique in a repository, whatever the kind. */
  readonly name: string;
  readonly kind: Kind;
  /** File name of the tarball, and the torrent's name. */
  readonly file: string;
  readonly compression: Compression;
  /** Bytes of the tarball. */
  readonly size: number;
  /** Sum of the sizes of the regular files in it, as they lie on disk after extraction (holes counted as data). */
  readonly unpackedSize: number;
  /** Archive members of every type. */
  readonly entryCount: number;
  /** Of the tarball, lower-case hex. */
  readonly sha256: string;
  readonly pieceLength: number;
  /** v1 info hash, lower-case hex. */
  readonly infoHash: string;
  /** v2 info hash, lower-case hex. */
  readonly infoHashV2: string;
}

export interface Catalog {
  readonly format: 1;
  readonly entries: readonly CatalogEntry[];
}
