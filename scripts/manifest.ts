// The manifest of a repository: put together of what is published, and, once somebody has signed one, kept with its
// signature below REPO/signed, a folder for each serial. A folder with both files is offered; one without a signature is yet
// to be signed, here or on another machine.

import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import type { CatalogEntry, SiteFile } from '../agent/core/catalog.ts';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import { believeManifest, joinSigned, type Manifest, splitSigned } from '../agent/core/manifest.ts';
import { parseSignature } from '../agent/core/minisign.ts';
import { parseTrust, type Trust } from '../agent/core/trust.ts';
import { signatureChecks } from '../agent/io/digest.ts';
import {
  absent,
  attempt,
  manifestPath,
  readEntries,
  readManifest,
  readSerials,
  settle,
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

/**
 * To be called when what is published has changed: where manifests are signed, the next one is written, and `tell` hears that
 * it is to be signed. Throws SwarmbootError('repository').
 */
export async function changed(repo: string, tell: (line: string) => void): Promise<void> {
  if ((await readSerials(repo)).length === 0) return;
  const file = await draftManifest(repo, DAYS_VALID, tell);
  tell(`nodes get this when ${file} is signed: swarmboot sign --key NAME.key`);
}

/**
 * Writes the manifest of what is published now, to be signed, in place of one that was not signed. It expires so many days
 * from now. `tell` hears what is wrong with files of the site, which are left out. Returns its place. Throws
 * SwarmbootError('repository').
 */
export async function draftManifest(
  repo: string,
  days: number,
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
    const manifest: Manifest = {
      format: 1,
      release: { serial, created, expires: created + Math.round(days * DAY_SEC) },
      entries: await readEntries(repo),
      files: site.files,
    };
    const file = manifestPath(repo, serial);
    await attempt(`write ${file}`, async () => {
      const draft = path.join(folder, path.basename(file));
      await fs.writeFile(draft, `${JSON.stringify(manifest, null, 2)}\n`);
      await fs.mkdir(path.dirname(file), { recursive: true });
      await settle(draft, file);
      for (const old of serials.filter((one) => one !== serial).slice(0, -KEPT)) {
        await fs.rm(path.dirname(manifestPath(repo, old)), { recursive: true });
      }
    });
    return file;
  });
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
  if (signed === null) return false;
  const text = new TextDecoder().decode(splitSigned(signed.document).manifest);
  return JSON.parse(text).release.closed === true;
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
