// The manifest of a repository: put together of what is published, and, once somebody has signed one, kept with its
// signature below REPO/signed, a folder for each serial. A folder with both files is offered; one without a signature is yet
// to be signed, here or on another machine.

import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import type { CatalogEntry, SiteFile } from '../agent/core/catalog.ts';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import { believeManifest, joinSigned, type Manifest, parseManifest } from '../agent/core/manifest.ts';
import { parseTorrent } from '../agent/core/metainfo.ts';
import { parseSignature } from '../agent/core/minisign.ts';
import { OPEN_RULES, type Release, type Rules } from '../agent/core/release.ts';
import { parseTrust, type Trust } from '../agent/core/trust.ts';
import { digests, signatureChecks } from '../agent/io/digest.ts';
import {
  absent,
  attempt,
  manifestPath,
  readEntries,
  readManifest,
  readSerials,
  settle,
  torrentPath,
  trustPath,
  withRepository,
} from './repository.ts';
import { SiteFiles } from './sitefiles.ts';

/** Nodes that have begun with an older one go on with it. */
const KEPT = 3;
const DAY_SEC = 86_400;
/** How long nodes believe a manifest, unless another time is given. */
export const DAYS_VALID = 90;

export interface Signed {
  readonly manifest: Manifest;
  /** As it is sent: the signature first. */
  readonly document: Uint8Array;
}

/** The manifest of an unsigned repository. */
export function unsignedManifest(entries: readonly CatalogEntry[], files: readonly SiteFile[]): Manifest {
  return { format: 1, release: null, entries, files };
}

/** What somebody who signs asks for. What is not given stays as it was in the manifest before. */
export interface Wish extends Partial<Omit<Rules, 'trackers'>> {
  /** Nodes believe the manifest for so long. */
  readonly days: number;
}

/**
 * To be called when what is published has changed: where manifests are signed, the next one is written, and `tell` hears that
 * it is to be signed. Throws SwarmbootError('repository').
 */
export async function changed(repo: string, tell: (line: string) => void): Promise<void> {
  if ((await readSerials(repo)).length === 0) return;
  const file = await draftManifest(repo, { days: DAYS_VALID }, tell);
  tell(`nodes get this when ${file} is signed: swarmboot sign --key NAME.key`);
}

/**
 * Writes the manifest of what is published now, to be signed, in place of one that was not signed. `tell` hears what is wrong with files of the site, which are left out. Returns its place. Throws
 * SwarmbootError('repository').
 */
export async function draftManifest(
  repo: string,
  { days, ...asked }: Wish,
  tell: (line: string) => void,
): Promise<string> {
  const site = new SiteFiles(repo, tell);
  await site.follow();
  return withRepository(repo, async (folder) => {
    const serials = await readSerials(repo);
    const last = serials.at(-1) ?? 0;
    const isDraft = last > 0 && (await readSignature(repo, last)) === null;
    const serial = isDraft ? last : last + 1;
    const created = Math.floor(Date.now() / 1000);
    const entries = await readEntries(repo);
    const before = last === 0 ? OPEN_RULES : (await readManifest(repo, last)).release!;
    const release: Release = {
      serial,
      created,
      expires: created + Math.round(days * DAY_SEC),
      closed: asked.closed ?? before.closed,
      networks: asked.networks ?? before.networks,
      machines: asked.machines === undefined ? before.machines : asked.machines,
      agentMin: asked.agentMin ?? before.agentMin,
      trackers: await trackersOf(repo, entries),
    };
    const manifest: Manifest = { format: 1, release, entries, files: site.files };
    const text = `${JSON.stringify(manifest, null, 2)}\n`;
    // What no node could read is not to be signed.
    parseManifest(text);
    for (const { name, encryption } of release.closed ? [] : entries)
      if (encryption !== null)
        tell(`${name} is encrypted, and only nodes of a closed site get keys: sign with --closed`);
    const file = manifestPath(repo, serial);
    await attempt(`write ${file}`, async () => {
      const draft = path.join(folder, path.basename(file));
      await fs.writeFile(draft, text);
      await fs.mkdir(path.dirname(file), { recursive: true });
      await settle(draft, file);
      for (const old of serials.filter((one) => one !== serial).slice(0, -KEPT)) {
        await fs.rm(path.dirname(manifestPath(repo, old)), { recursive: true });
      }
    });
    return file;
  });
}

/** The trackers that whoever published named himself; null: those of the image server do. */
async function trackersOf(repo: string, entries: readonly CatalogEntry[]): Promise<readonly string[] | null> {
  const urls = new Set<string>();
  for (const entry of entries) {
    const file = torrentPath(repo, entry);
    const bytes = await attempt(`read ${file}`, () => fs.readFile(file));
    for (const url of parseTorrent(bytes, digests).announce.flat()) urls.add(url);
  }
  return urls.size === 0 ? null : [...urls];
}

/**
 * The signed manifest with the largest serial; null when there is none. Throws SwarmbootError('repository') when it cannot be
 * read, or when nodes with this `trust` would not believe it.
 */
export async function newestSigned(repo: string, trust: Trust | null): Promise<Signed | null> {
  for (const serial of (await readSerials(repo)).reverse()) {
    const signature = await readSignature(repo, serial);
    if (signature === null) continue;
    const file = manifestPath(repo, serial);
    const manifest = await readManifest(repo, serial);
    const bytes = await attempt(`read ${file}`, () => fs.readFile(file));
    const document = joinSigned(signature, bytes);
    try {
      parseSignature(signature, `${file}.minisig`);
      if (trust !== null) believeManifest(document, trust, signatureChecks, Date.now() / 1000, file);
    } catch (error) {
      throw new SwarmbootError('repository', messageOf(error), { cause: error });
    }
    return { manifest, document };
  }
  return null;
}

/** Whether its nodes have to enrol, and to prove to one another that they did. */
export function isClosed(signed: Signed | null): boolean {
  return signed?.manifest.release?.closed === true;
}

/** The signature of a manifest, under the name that minisign gives it; null when there is none. */
async function readSignature(repo: string, serial: number): Promise<string | null> {
  const file = `${manifestPath(repo, serial)}.minisig`;
  return (await attempt(`read ${file}`, () => fs.readFile(file, 'utf8').catch(absent))) ?? null;
}

/**
 * What nodes with the RAM disk of this repository believe by; null when it was given no keys. Throws as `parseTrust` does, or
 * SwarmbootError('repository').
 */
export async function readTrust(repo: string): Promise<Trust | null> {
  const file = trustPath(repo);
  const text = await attempt(`read ${file}`, () => fs.readFile(file, 'utf8').catch(absent));
  return text === undefined ? null : parseTrust(text);
}
