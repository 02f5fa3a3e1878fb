// The manifest: everything that an image server offers, in one document, and whether it is to be believed. A node that has
// public keys looks at nothing in it before its signature has been found right over its bytes as they came.

import { BOUNDS } from './bounds.ts';
import {
  bad,
  type CatalogEntry,
  fault,
  fieldsOf,
  parseCatalogEntry,
  parseSiteFile,
  type SiteFile,
} from './catalog.ts';
import { messageOf, SwarmbootError } from './errors.ts';
import { type PublicKey, parseSignature, type SignatureChecks, verifySignature } from './minisign.ts';
import { parseRelease, type Release } from './release.ts';
import type { Trust } from './trust.ts';

export interface Manifest {
  readonly format: 1;
  /** Null: put together by the server as it goes, and not signed. */
  readonly release: Release | null;
  readonly entries: readonly CatalogEntry[];
  readonly files: readonly SiteFile[];
}

/** What a server calls it. */
export const MANIFEST_NAME = 'manifest';
/** Of a manifest with its signature. */
export const MANIFEST_BYTES_MAX = BOUNDS.manifestBytes;

/** A signature file has so many lines; what was signed follows them. */
const SIGNATURE_LINES = 4;
const SIGNATURE_BEGINS = 'untrusted comment: ';
const LINE_FEED = 10;
const KNOWN = new Set(['format', 'release', 'entries', 'files']);

/** The manifest with its signature in front of it, in one document: the two cannot come apart on their way. */
export function joinSigned(signature: string, manifest: Uint8Array): Uint8Array {
  const head = new TextEncoder().encode(signature);
  const bytes = new Uint8Array(head.length + manifest.length);
  bytes.set(head);
  bytes.set(manifest, head.length);
  return bytes;
}

/** Takes such a document apart; one that does not begin as a signature has none. */
export function splitSigned(bytes: Uint8Array): { signature: string | null; manifest: Uint8Array } {
  const text = (part: Uint8Array) => new TextDecoder('utf-8').decode(part);
  if (text(bytes.subarray(0, SIGNATURE_BEGINS.length)) !== SIGNATURE_BEGINS)
    return { signature: null, manifest: bytes };
  let end = 0;
  for (let line = 0; line < SIGNATURE_LINES && end !== -1; line++)
    end = bytes.indexOf(LINE_FEED, end) + 1 || -1;
  if (end === -1) return { signature: text(bytes), manifest: new Uint8Array() };
  return { signature: text(bytes.subarray(0, end)), manifest: bytes.subarray(end) };
}

/**
 * The manifest in a document from a server, if `trust` allows to believe it; everything is believed without trust. `nowSec`:
 * Unix time, which may be wrong. `where` names the document. Throws SwarmbootError 'signature', and 'catalog' as
 * `parseManifest` does.
 */
export function believeManifest(
  bytes: Uint8Array,
  trust: Trust | null,
  checks: SignatureChecks,
  nowSec: number,
  where: string,
): Manifest {
  const { signature, manifest: data } = splitSigned(bytes);
  if (trust === null) return parseManifest(new TextDecoder().decode(data));
  if (signature === null) throw distrust(`${where} is not signed; sign it with swarmboot sign`);
  const key = verifySignature(data, parseSignature(signature, where), trust.keys, checks, where);
  const manifest = parseManifest(new TextDecoder().decode(data));
  checkRelease(manifest.release, trust, key, Math.max(nowSec, trust.sinceSec), where);
  return manifest;
}

function checkRelease(
  release: Release | null,
  trust: Trust,
  key: PublicKey,
  nowSec: number,
  where: string,
): void {
  if (release === null)
    throw distrust(`${where} was signed by ${key.id} without a serial; sign with swarmboot sign`);
  const { serial, expires } = release;
  if (serial < trust.serialMin) {
    throw distrust(
      `${where} has serial ${serial}, and this RAM disk wants ${trust.serialMin} or more: an older one is offered anew`,
    );
  }
  if (nowSec >= expires) {
    const days = Math.ceil((nowSec - expires) / 86_400);
    throw distrust(`${where}, serial ${serial}, expired ${days} days ago; sign it anew with swarmboot sign`);
  }
}

/** Reads a manifest. Throws SwarmbootError('catalog') that names entry and field. Fields that are not known are refused. */
export function parseManifest(text: string): Manifest {
  const where = 'the manifest';
  const fields = fieldsOf(jsonOf(text), where);
  if (fields.format !== 1) {
    throw bad(where, 'format', fields.format, '1: this agent and that server do not fit together');
  }
  for (const key of Object.keys(fields)) {
    if (!KNOWN.has(key)) throw fault(`the manifest has "${key}", which this agent does not know`);
  }
  if (!Array.isArray(fields.entries)) throw bad(where, 'entries', fields.entries, 'a list');
  const entries = fields.entries.map((value: unknown, i) =>
    parseCatalogEntry(value, `entry ${i + 1} of the manifest`),
  );
  const names = new Set<string>();
  for (const { name } of entries) {
    if (names.has(name)) throw fault(`the manifest names "${name}" twice`);
    names.add(name);
  }
  if (!Array.isArray(fields.files)) throw bad(where, 'files', fields.files, 'a list');
  const files = fields.files.map((value: unknown, i) =>
    parseSiteFile(value, `file ${i + 1} of the manifest`),
  );
  return { format: 1, release: parseRelease(fields.release), entries, files };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw fault(`the manifest is not JSON (${messageOf(error)})`, error);
  }
}

function distrust(message: string): SwarmbootError {
  return new SwarmbootError('signature', message);
}
