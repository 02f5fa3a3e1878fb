// The repository of an image server: tarballs, torrents, the catalog entries that name them, and manifests that were signed.
// An entry, written last and by rename, IS the publication; files that no entry and no manifest names are stale. Nothing here
// makes tarballs.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { type CatalogEntry, ENTRY_NAME, parseCatalogEntry } from '../agent/core/catalog.ts';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import { type Manifest, parseManifest } from '../agent/core/manifest.ts';
import type { Option } from './command.ts';
import { makeSecretFolder, writeSecret } from './secrets.ts';

const FLOCK = '/usr/bin/flock';

/** The option of every command that works on a repository. */
export const REPO_OPTION: Option = {
  name: 'repo',
  kind: 'text',
  value: 'DIR',
  help: 'the repository',
  default: '/var/lib/swarmboot',
};

export function tarballPath(repo: string, entry: CatalogEntry): string {
  return path.join(repo, 'tarballs', entry.file);
}

export function torrentPath(repo: string, entry: CatalogEntry): string {
  return path.join(repo, 'torrents', `${versionName(entry)}.torrent`);
}

/** Where the key of an encrypted publication lies; of another one there is none. */
export function keyPath(repo: string, entry: CatalogEntry): string {
  return path.join(repo, 'keys', `${versionName(entry)}.agekey`);
}

/** `image-debian-0123456789ab`: what the files of this version of an entry are called. */
export function versionName(entry: Pick<CatalogEntry, 'kind' | 'name' | 'sha256'>): string {
  return `${entry.kind}-${entry.name}-${entry.sha256.slice(0, 12)}`;
}

function entryPath(repo: string, name: string): string {
  return path.join(repo, 'catalog', `${name}.json`);
}

/** Every publication, by name. Throws SwarmbootError `repository` when an entry cannot be read or believed. */
export async function readEntries(repo: string): Promise<CatalogEntry[]> {
  const folder = path.join(repo, 'catalog');
  const files = await attempt(`read ${folder}`, async () => {
    const names = await fs.readdir(folder).catch(absent);
    return names?.filter((name) => name.endsWith('.json')).sort() ?? [];
  });
  const entries = await Promise.all(files.map((file) => readEntry(repo, file.slice(0, -'.json'.length))));
  // One that was removed meanwhile is no longer there.
  return entries.filter((entry) => entry !== null);
}

/** The publication called `name`, or null. Throws as `readEntries` does. */
export async function readEntry(repo: string, name: string): Promise<CatalogEntry | null> {
  if (!ENTRY_NAME.test(name)) return null;
  const file = entryPath(repo, name);
  const text = await attempt(`read ${file}`, () => fs.readFile(file, 'utf8').catch(absent));
  if (text === undefined) return null;
  try {
    const entry = parseCatalogEntry(JSON.parse(text), file);
    if (entry.name === name) return entry;
    throw new Error(`it speaks of "${entry.name}"`);
  } catch (error) {
    throw repositoryFault(`${file} is no catalog entry: ${messageOf(error)}; remove the file`, error);
  }
}

/** Where the manifest with this serial lies, signed or to be signed. */
export function manifestPath(repo: string, serial: number): string {
  return path.join(repo, 'signed', `${serial}`, 'manifest.json');
}

/** What nodes with the RAM disk of this repository believe by. */
export function trustPath(repo: string): string {
  return path.join(repo, 'boot', 'trust.json');
}

/** Every serial of which there is a manifest, ascending. Throws as `readEntries` does. */
export async function readSerials(repo: string): Promise<number[]> {
  const folder = path.join(repo, 'signed');
  const names = (await attempt(`read ${folder}`, () => fs.readdir(folder).catch(absent))) ?? [];
  return names
    .filter((name) => /^[1-9]\d{0,14}$/.test(name))
    .map(Number)
    .sort((left, right) => left - right);
}

/** The manifest with that serial. Throws as `readEntries` does. */
export async function readManifest(repo: string, serial: number): Promise<Manifest> {
  const file = manifestPath(repo, serial);
  const text = await attempt(`read ${file}`, () => fs.readFile(file, 'utf8'));
  try {
    const manifest = parseManifest(text);
    if (manifest.release?.serial === serial) return manifest;
    throw new Error('it does not have the serial of its folder');
  } catch (error) {
    throw repositoryFault(`${file} cannot be offered: ${messageOf(error)}; remove its folder`, error);
  }
}

/**
 * Gives `work` a folder of its own to make files in; afterwards that folder and all stale files are removed, unless
 * another publication is in work: then the last of them does it. Throws SwarmbootError `repository` when the repository
 * cannot be written.
 */
export async function withRepository<T>(repo: string, work: (folder: string) => Promise<T>): Promise<T> {
  const making = path.join(repo, 'making');
  await attempt(`write to ${repo}`, async () => {
    for (const name of ['tarballs', 'torrents', 'catalog', 'making']) {
      await fs.mkdir(path.join(repo, name), { recursive: true });
    }
  });
  const lock = (await takeLock(repo, '--shared'))!;
  try {
    return await work(await attempt(`write to ${making}`, () => fs.mkdtemp(`${making}/`)));
  } finally {
    await lock();
    await sweep(repo);
  }
}

/**
 * Makes `entry` the publication of its name: afterwards, and after a crash at any point, either the version before or
 * this one is there, whole. `tarball` is moved. Call it inside `withRepository`, with a file in its folder. `identity`: what
 * opens an encrypted one, for the eyes of its owner and of the service.
 */
export async function commitEntry(
  repo: string,
  folder: string,
  entry: CatalogEntry,
  tarball: string,
  torrent: Uint8Array,
  identity: string | null,
): Promise<void> {
  await attempt(`publish in ${repo}`, async () => {
    if (identity !== null) {
      const draft = path.join(folder, 'agekey');
      await writeSecret(draft, identity);
      await makeSecretFolder(path.dirname(keyPath(repo, entry)));
      await settle(draft, keyPath(repo, entry));
    }
    const files: [string, Uint8Array | string][] = [
      [torrentPath(repo, entry), torrent],
      [entryPath(repo, entry.name), `${JSON.stringify(entry, null, 2)}\n`],
    ];
    await settle(tarball, tarballPath(repo, entry));
    for (const [place, bytes] of files) {
      const draft = path.join(folder, path.basename(place));
      await fs.writeFile(draft, bytes);
      await settle(draft, place);
    }
  });
}

/** Takes a publication back. False when there was none. */
export async function removeEntry(repo: string, name: string): Promise<boolean> {
  if (!ENTRY_NAME.test(name) || (await fs.stat(entryPath(repo, name)).catch(absent)) === undefined)
    return false;
  return withRepository(repo, () =>
    attempt(`remove ${name} from ${repo}`, async () => {
      await fs.rm(entryPath(repo, name), { force: true });
      await syncPath(path.join(repo, 'catalog'));
      return true;
    }),
  );
}

/** Puts a whole file in its place so that a power cut leaves the old or the new one. */
export async function settle(draft: string, place: string): Promise<void> {
  await syncPath(draft);
  await fs.rename(draft, place);
  await syncPath(path.dirname(place));
}

/** Returns when the disk has what was written to a file, or the names of a folder. */
export async function syncPath(place: string): Promise<void> {
  const handle = await fs.open(place);
  await handle.sync().finally(() => handle.close());
}

/**
 * Removes what no entry names. Only when nobody publishes: what is half made then belongs to the dead. An entry that
 * cannot be read stops it, for nobody knows what that one names.
 */
async function sweep(repo: string): Promise<void> {
  const lock = await takeLock(repo, '--nonblock');
  if (lock === null) return;
  try {
    const manifests = await Promise.all(
      (await readSerials(repo)).map((serial) => readManifest(repo, serial)),
    );
    // What a signed manifest names is offered until a newer one is signed.
    const entries = [...(await readEntries(repo)), ...manifests.flatMap((manifest) => manifest.entries)];
    const named = new Set(
      entries.flatMap((entry) => [tarballPath(repo, entry), torrentPath(repo, entry), keyPath(repo, entry)]),
    );
    await attempt(`remove stale files from ${repo}`, async () => {
      for (const folder of ['tarballs', 'torrents', 'keys', 'making']) {
        for (const name of (await fs.readdir(path.join(repo, folder)).catch(absent)) ?? []) {
          const place = path.join(repo, folder, name);
          if (!named.has(place)) await fs.rm(place, { recursive: true });
        }
      }
    });
  } finally {
    await lock();
  }
}

/**
 * Locks the repository and returns what lets go again; null when `--nonblock` finds it taken. The kernel takes the lock
 * back when this process dies: it belongs to a `cat`, which lives as long as our end of its pipe.
 */
async function takeLock(
  repo: string,
  mode: '--shared' | '--nonblock',
): Promise<(() => Promise<void>) | null> {
  const child = spawn(FLOCK, [mode, '--no-fork', path.join(repo, 'making'), '/usr/bin/cat'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    // Out of reach of the terminal's Ctrl-C: the lock must last until we have cleaned up.
    detached: true,
  });
  const closed = once(child, 'close');
  child.stdin.on('error', () => {});
  child.stdin.write('?');
  // `cat` answers once the lock is ours.
  const answer = once(child.stdout, 'data').then(() => true);
  const locked = await Promise.race([answer, closed.then(() => false)]).catch((error) => {
    throw repositoryFault(`cannot lock ${repo} (${messageOf(error)}); install util-linux`, error);
  });
  if (!locked && mode === '--shared') {
    throw repositoryFault(`cannot lock ${repo}; put it on a file system that knows flock`);
  }
  if (!locked) return null;
  return async () => {
    child.stdin.end();
    await closed;
  };
}

function repositoryFault(message: string, cause?: unknown): SwarmbootError {
  return new SwarmbootError('repository', message, { cause });
}

/** The result of `work`; what it throws becomes SwarmbootError('repository') that says what was tried. */
export async function attempt<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof SwarmbootError) throw error;
    throw repositoryFault(
      `cannot ${what} (${messageOf(error)}); check --repo, its rights and its free space`,
      error,
    );
  }
}

/** For `catch`: what is not there is undefined. */
export function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
