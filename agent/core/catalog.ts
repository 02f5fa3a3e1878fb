// What an image server offers: the entries of its catalog and the small files of its site, as both sides read them with
// this file. Decides what a right one is; the manifest that names them all is core/manifest.

import { BOUNDS } from './bounds.ts';
import { SwarmbootError } from './errors.ts';
import { BLOCK_BYTES } from './units.ts';

export const KINDS = ['image', 'boel', 'override'] as const;
export const COMPRESSIONS = ['zstd', 'gzip', 'none'] as const;
export type Kind = (typeof KINDS)[number];
export type Compression = (typeof COMPRESSIONS)[number];
/** C2SP age v1 over the compressed tarball; null: none. */
export type Encryption = 'age' | null;

/** One published tarball. Every number is exact; the agent refuses what does not match. */
export interface CatalogEntry {
  /** `^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`; unique in a repository, whatever the kind. */
  readonly name: string;
  readonly kind: Kind;
  /** File name of the tarball, and the torrent's name. */
  readonly file: string;
  readonly compression: Compression;
  readonly encryption: Encryption;
  /** Bytes of the tarball as it travels: of an encrypted one, of what is sealed. So are the hashes. */
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

/** A small file of the site that installs read: a disk layout, or a script. Fetched over HTTP, believed by its hash. */
export interface SiteFile {
  /** Below the repository; fits SITE_PATH. */
  readonly path: string;
  /** Bytes, at most SITE_FILE_BYTES_MAX. */
  readonly size: number;
  /** Lower-case hex. */
  readonly sha256: string;
}

/** `layouts/NAME.json`, `scripts/PHASE/NNclass.description`. */
export const SITE_PATH =
  /^(?:layouts\/[A-Za-z0-9][A-Za-z0-9._-]{0,127}\.json|scripts\/(?:pre-install|main-install|post-install)\/\d\d[A-Za-z0-9][A-Za-z0-9_-]{0,127}\.[A-Za-z0-9][A-Za-z0-9._-]{0,127})$/;
export const SITE_FILE_BYTES_MAX = BOUNDS.siteFileBytes;

/** Below an image server: the tarballs, by the names of their files. */
export const TARBALLS_PATH = 'tarballs/';

/** What a catalog entry may be called. */
export const ENTRY_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const FILE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/;
const PIECE_BYTES_MAX = BOUNDS.pieceBytes;
const ENCRYPTIONS: readonly Encryption[] = ['age', null];

/** Checks what a manifest says of one file. Throws as `parseCatalogEntry` does. */
export function parseSiteFile(value: unknown, where: string): SiteFile {
  const fields = fieldsOf(value, where);
  return {
    path: pattern(fields, 'path', where, SITE_PATH, 'the path of a layout or a script'),
    size: count(fields, 'size', where, 0, SITE_FILE_BYTES_MAX),
    sha256: pattern(fields, 'sha256', where, /^[0-9a-f]{64}$/, '64 lower-case hex digits'),
  };
}

/** Checks one entry. `where` names it in errors. Throws SwarmbootError('catalog') that names the entry and the field. */
export function parseCatalogEntry(value: unknown, where = 'the catalog entry'): CatalogEntry {
  const fields = fieldsOf(value, where);
  const name = pattern(fields, 'name', where, ENTRY_NAME, 'a name of letters, digits and ". _ -"');
  const entry = `the catalog entry "${name}"`;
  const pieceLength = count(fields, 'pieceLength', entry, BLOCK_BYTES, PIECE_BYTES_MAX);
  if (!Number.isInteger(Math.log2(pieceLength)))
    throw bad(entry, 'pieceLength', pieceLength, 'a power of two');
  return {
    name,
    kind: oneOf(fields, 'kind', entry, KINDS),
    file: pattern(fields, 'file', entry, FILE_NAME, 'a file name of letters, digits and ". _ -"'),
    compression: oneOf(fields, 'compression', entry, COMPRESSIONS),
    // Entries that were published before there was a choice say nothing of it.
    encryption: fields.encryption === undefined ? null : oneOf(fields, 'encryption', entry, ENCRYPTIONS),
    size: count(fields, 'size', entry, 1),
    unpackedSize: count(fields, 'unpackedSize', entry, 0),
    entryCount: count(fields, 'entryCount', entry, 0),
    sha256: pattern(fields, 'sha256', entry, /^[0-9a-f]{64}$/, '64 lower-case hex digits'),
    pieceLength,
    infoHash: pattern(fields, 'infoHash', entry, /^[0-9a-f]{40}$/, '40 lower-case hex digits'),
    infoHashV2: pattern(fields, 'infoHashV2', entry, /^[0-9a-f]{64}$/, '64 lower-case hex digits'),
  };
}

/** The fields of a JSON object. */
export type Fields = Readonly<Record<string, unknown>>;

/** Throws SwarmbootError('catalog') for what is no JSON object, as the next ones do for what is not theirs. */
export function fieldsOf(value: unknown, where: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw fault(`${where} is not a JSON object`);
  }
  return value as Fields;
}

function pattern(fields: Fields, key: string, where: string, form: RegExp, wanted: string): string {
  const value = fields[key];
  if (typeof value !== 'string' || !form.test(value)) throw bad(where, key, value, wanted);
  return value;
}

function oneOf<T extends string | null>(
  fields: Fields,
  key: string,
  where: string,
  allowed: readonly T[],
): T {
  const value = allowed.find((word) => word === fields[key]);
  if (value === undefined) throw bad(where, key, fields[key], `one of ${allowed.map(String).join(', ')}`);
  return value;
}

/** A whole number within bounds. */
export function count(
  fields: Fields,
  key: string,
  where: string,
  min: number,
  max = Number.MAX_SAFE_INTEGER,
): number {
  const value = fields[key];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
    throw bad(where, key, value, `a whole number from ${min} to ${max}`);
  }
  // JSON knows a zero below zero.
  return value + 0;
}

/** The fault of a field that has not its kind. */
export function bad(where: string, key: string, value: unknown, wanted: string): SwarmbootError {
  const shown = value === undefined ? 'missing' : (JSON.stringify(value) ?? '').slice(0, 100);
  return fault(`in ${where}, "${key}" is ${shown}, not ${wanted}`);
}

/** The fault of what was published. */
export function fault(what: string, cause?: unknown): SwarmbootError {
  return new SwarmbootError('catalog', `${what}; publish again on the image server`, { cause });
}
