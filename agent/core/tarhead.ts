// Reads the header records of one tar member into plain facts, and refuses every header that two readers could
// understand differently: what tar-stream and GNU tar agree on is all that may reach a disk. Formats: POSIX.1-2001
// pax and ustar, GNU long names, GNU sparse files in pax headers. Whether a member is allowed is for judge.ts to say.

import { BOUNDS } from './bounds.ts';
import { SwarmbootError } from './errors.ts';
import { checkMap, decimal, readSparse, SparseRecords } from './sparsemap.ts';

export type MemberType =
  | 'file'
  | 'directory'
  | 'symlink'
  | 'hardlink'
  | 'character-device'
  | 'block-device'
  | 'fifo';

/** One member of an archive. Names hold one character per byte (ISO 8859-1), so that any file name is kept whole. */
export interface Member {
  /** As GNU tar will see it, without trailing slashes. */
  readonly name: string;
  /** The name by the plain records, before a sparse header overrules it: what tar-stream reads. */
  readonly plainName: string;
  readonly type: MemberType;
  /** Where a link points; empty for other types. */
  readonly linkName: string;
  /** Bytes that follow the headers in the archive, without padding. Zero but for files. */
  readonly storedBytes: number;
  /** Bytes of the file on disk, holes counted as data. */
  readonly fileBytes: number;
  readonly sparse: boolean;
  /** True when the stored bytes start with the map of a sparse file, which is still to be checked. */
  readonly mapStored: boolean;
  /** Permission bits, set-id and sticky bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970, with a fraction. */
  readonly mtimeSec: number;
  /** Names of the extended attributes; access lists and labels that are kept as text go by the names of their records. */
  readonly xattrs: readonly string[];
}

export const RECORD_BYTES = 512;
/** The most that the headers of one member may take: no real one comes near. */
export const HEADERS_BYTES_MAX = BOUNDS.headersBytes;

const TYPES: Readonly<Record<string, MemberType>> = {
  '\0': 'file',
  '0': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'character-device',
  '4': 'block-device',
  '5': 'directory',
  '6': 'fifo',
  '7': 'file',
};

/** `text` in quotes for a message: bytes that are no printable ASCII become `\xNN`. */
export function quoted(text: string): string {
  const shown = text.length > 200 ? `${text.slice(0, 200)}...` : text;
  return `"${shown.replace(/[^ -~]|["\\]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`)}"`;
}

/**
 * Reads the headers of one member: `bytes` starts where the member before ended and ends where this one's content
 * starts. The caller has checked the sums, here it is only their form. Throws SwarmbootError `archive` for anything doubtful.
 */
export function readMember(bytes: Uint8Array): Member {
  let pax: Map<string, string> | null = null;
  let longName: string | null = null;
  let longLink: string | null = null;
  for (let at = 0; ; ) {
    const record = bytes.subarray(at, at + RECORD_BYTES);
    if (record.length < RECORD_BYTES) throw refusal('the headers are incomplete');
    const flag = String.fromCharCode(record[156]!);
    if (!'xgLK'.includes(flag)) {
      if (at + RECORD_BYTES !== bytes.length) throw refusal(strayMessage(record));
      checkSumForm(record);
      return memberOf(record, flag, pax, longName, longLink);
    }
    checkSumForm(record);
    const size = numberAt(record, 124, 12) ?? -1;
    const content = bytes.subarray(at + RECORD_BYTES, at + RECORD_BYTES + size);
    if (size < 0 || content.length < size) throw refusal('an extended header has no right size');
    at += RECORD_BYTES + Math.ceil(size / RECORD_BYTES) * RECORD_BYTES;
    if (flag === 'g') checkGlobal(readPax(content));
    else if (pax !== null || (flag === 'x' && (longName ?? longLink) !== null)) throw refusal(DOUBLED);
    else if (flag === 'x') pax = readPax(content);
    else if (flag === 'L' && longName === null) longName = longText(content);
    else if (flag === 'K' && longLink === null) longLink = longText(content);
    else throw refusal(DOUBLED);
  }
}

const DOUBLED = 'two extended headers speak of one member';

function refusal(what: string): SwarmbootError {
  return new SwarmbootError('archive', `${what}; make the archive again with GNU tar --format=pax`);
}

function strayMessage(record: Uint8Array): string {
  return record.every((byte) => byte === 0)
    ? 'members follow the end of the archive'
    : 'the headers do not end where the content starts';
}

function memberOf(
  record: Uint8Array,
  flag: string,
  pax: ReadonlyMap<string, string> | null,
  longName: string | null,
  longLink: string | null,
): Member {
  const type = TYPES[flag];
  if (type === undefined) throw refusal(typeMessage(flag, textAt(record, 0, 100)));
  const plainName = pax?.get('path') ?? longName ?? ustarName(record);
  const sized = pax?.get('size');
  const storedBytes = sized === undefined ? numberAt(record, 124, 12) : decimal(sized);
  const refuse = (what: string) => refusal(`member ${quoted(plainName)}: ${what}`);
  if (storedBytes === null || storedBytes < 0) throw refuse('its size is no number');
  if (storedBytes > 0 && type !== 'file') throw refuse(`a ${type} with content`);
  const name = pax?.get('GNU.sparse.name') ?? plainName;
  if (type !== 'directory' && name.endsWith('/')) throw refuse(`a ${type} whose name ends with a slash`);
  const sparse = pax === null ? null : readSparse(pax, refuse);
  if (sparse !== null && (type !== 'file' || !readsSparse(record)))
    throw refuse('a sparse header that fits no file');
  if (sparse?.map) checkMap(sparse.map, storedBytes, sparse.fileBytes, refuse);
  const keys = [...(pax?.keys() ?? [])];
  const factOf = (text: string | undefined, ...field: Field) => {
    const fact = text === undefined ? factAt(...field) : decimalFraction(text);
    if (fact === null) throw refuse('its mode, owner, group or time is no number');
    return fact;
  };
  return {
    name: name.length > 1 ? name.replace(/\/+$/, '') : name,
    plainName,
    type,
    linkName: type.endsWith('link') ? (pax?.get('linkpath') ?? longLink ?? textAt(record, 157, 100)) : '',
    storedBytes,
    fileBytes: sparse?.fileBytes ?? storedBytes,
    sparse: sparse !== null,
    mapStored: sparse !== null && sparse.map === null,
    mode: factOf(undefined, record, 100, 8) & 0o7777,
    uid: factOf(pax?.get('uid'), record, 108, 8),
    gid: factOf(pax?.get('gid'), record, 116, 8),
    mtimeSec: factOf(pax?.get('mtime'), record, 136, 12),
    xattrs: keys.filter(isAttribute).map((key) => (key.startsWith(XATTR) ? key.slice(XATTR.length) : key)),
  };
}

const XATTR = 'SCHILY.xattr.';

function isAttribute(key: string): boolean {
  return key.startsWith(XATTR) || /^(?:SCHILY\.acl|RHT\.security)\./.test(key);
}

/** GNU tar looks for sparse records behind a POSIX header only, and takes for one of star's what has these bytes. */
function readsSparse(record: Uint8Array): boolean {
  const star = record[475] === 0 && /^[0-7].{10} [0-7].{10} $/s.test(latin1(record.subarray(476, 500)));
  return record[262] === 0 && !star;
}

/**
 * A checksum that is written in another way than in plain octal digits is right for one reader and wrong for another,
 * and who takes it for wrong looks for the next header in what the first takes for content.
 */
function checkSumForm(record: Uint8Array): void {
  if (!OCTAL.test(latin1(record.subarray(148, 156))))
    throw refusal('a header whose checksum is no octal number');
}

function typeMessage(flag: string, name: string): string {
  const kind = flag === 'S' ? 'an old GNU sparse file' : `of the unknown type ${quoted(flag)}`;
  return `member ${quoted(name)} is ${kind}`;
}

/** The name field, with the prefix field of POSIX headers in front. */
function ustarName(record: Uint8Array): string {
  const name = textAt(record, 0, 100);
  const posix = record[262] === 0;
  return posix && record[345] !== 0 ? `${textAt(record, 345, 155)}/${name}` : name;
}

/** Bytes up to the first NUL. */
function textAt(record: Uint8Array, offset: number, length: number): string {
  const field = record.subarray(offset, offset + length);
  const end = field.indexOf(0);
  return latin1(end < 0 ? field : field.subarray(0, end));
}

type Field = readonly [record: Uint8Array, offset: number, length: number];

const OCTAL = /^ *([0-7]+)[ \0]*$/;

/** An octal field, or GNU's base-256 for what octal cannot say; null for anything else, GNU's old base 64 among it. */
function numberAt(...[record, offset, length]: Field): number | null {
  const field = record.subarray(offset, offset + length);
  if (field[0] === 0x80 || field[0] === 0xff) {
    const flip = field[0] === 0xff ? 0xff : 0;
    const value = field.subarray(1).reduce((sum, byte) => sum * 256 + (byte ^ flip), 0);
    if (!Number.isSafeInteger(value)) return null;
    return flip === 0 ? value : -1 - value;
  }
  const octal = OCTAL.exec(latin1(field));
  return octal === null ? null : Number.parseInt(octal[1]!, 8);
}

/** A field that may be left empty, which is 0. */
function factAt(...[record, offset, length]: Field): number | null {
  const number = numberAt(record, offset, length);
  return number === null && /^ *\0/.test(latin1(record.subarray(offset, offset + length))) ? 0 : number;
}

function decimalFraction(text: string): number | null {
  return /^-?\d{1,16}(?:\.\d*)?$/.test(text) ? Number(text) : null;
}

function longText(content: Uint8Array): string {
  const text = textAt(content, 0, content.length);
  if (text === '') throw refusal('a long name is empty');
  return text;
}

/** A global header may hold comments (git archive writes one) and nothing that changes a member. */
function checkGlobal(pax: ReadonlyMap<string, string>): void {
  for (const key of pax.keys()) {
    if (key !== 'comment') throw refusal(`a global header sets ${quoted(key)}`);
  }
}

/** Reads pax records, `LENGTH KEY=VALUE\n` end to end (POSIX.1-2001, pax Header Block). */
function readPax(content: Uint8Array): Map<string, string> {
  const records = new Map<string, string>();
  const sparse = new SparseRecords(refusal);
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(32, at);
    const digits = space < 0 ? '' : latin1(content.subarray(at, Math.min(space, at + 9)));
    const end = at + (/^[1-9]\d*$/.test(digits) ? Number(digits) : 0);
    const equals = content.indexOf(61, space);
    if (end > content.length || content[end - 1] !== 10 || equals < 0 || equals >= end - 1) {
      throw refusal('a pax header is malformed');
    }
    const key = latin1(content.subarray(space + 1, equals));
    const known = !key.startsWith('GNU.') || key.startsWith('GNU.sparse.');
    // GNU tar passes over blanks before a key, and stops reading at a NUL byte in one.
    if (!known || /^[ \t]|^$|\0/.test(key)) throw refusal(`a pax header holds ${quoted(key)}`);
    if (records.has(key)) throw refusal(`a pax header holds ${quoted(key)} twice`);
    const value = latin1(content.subarray(equals + 1, end - 1));
    if (!sparse.take(key, value)) records.set(key, value);
    at = end;
  }
  sparse.finish(records);
  return records;
}

/** One character per byte. */
function latin1(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
