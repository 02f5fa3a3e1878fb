// The publications of an image server in the repository of its mirror: each comes whole before it is offered, and a signed
// manifest only when all that it names is there.

import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CatalogEntry, SiteFile } from '../agent/core/catalog.ts';
import { SwarmbootError } from '../agent/core/errors.ts';
import { believeManifest, type Manifest, splitSigned } from '../agent/core/manifest.ts';
import { parseTorrent, withoutAnnounce } from '../agent/core/metainfo.ts';
import { isAtHost } from '../agent/core/release.ts';
import type { CatalogRoom } from '../agent/core/rooms.ts';
import type { Torrent } from '../agent/core/torrent.ts';
import { formatBytes, hex, type Ms } from '../agent/core/units.ts';
import type { Engine } from '../agent/engine.ts';
import { digests, signatureChecks } from '../agent/io/digest.ts';
import { openStore } from '../agent/io/store.ts';
import type { Transfer } from '../agent/transfer.ts';
import { newestSigned, readTrust } from './manifest.ts';
import {
  absent,
  attempt,
  commitEntry,
  manifestPath,
  readEntries,
  readSerials,
  removeEntry,
  settle,
  withRepository,
} from './repository.ts';
import { SiteFiles } from './sitefiles.ts';

/** A tarball of which nothing has come for so long is left for the next time: it may have been published anew. */
const SILENCE_MS: Ms = 60_000;
const LOOK_MS: Ms = 1000;
/** Signed manifests that are kept, as on the server itself. */
const KEPT = 3;

export interface PublicationsOptions {
  readonly repo: string;
  readonly server: URL;
  readonly catalog: CatalogRoom;
  readonly engine: Engine;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

export class Publications {
  readonly #options: PublicationsOptions;
  readonly #site: SiteFiles;

  constructor(options: PublicationsOptions) {
    this.#options = options;
    this.#site = new SiteFiles(options.repo, () => {});
  }

  /** Makes the repository the same; what is not among `names` is removed. Throws SwarmbootError. */
  async follow(names: readonly string[]): Promise<void> {
    const { repo, server, catalog, engine, say, signal } = this.#options;
    const document = await catalog.fetchManifest(server, signal);
    const trust = await readTrust(repo);
    const where = `the manifest of ${server.origin}`;
    const manifest = believeManifest(document, trust, signatureChecks, Date.now() / 1000, where);
    engine.keepTo({ networks: manifest.release?.networks ?? null, admission: null });
    const own = new Map((await readEntries(repo)).map((entry) => [entry.name, entry]));
    for (const entry of manifest.entries)
      if (own.get(entry.name)?.sha256 !== entry.sha256) await this.#fetch(entry);
    await this.#followFiles(manifest.files);
    await this.#keepSigned(manifest, document);
    const named = new Set([...names, ...manifest.entries.map(({ name }) => name)]);
    for (const name of own.keys())
      if (!named.has(name) && (await removeEntry(repo, name))) say(`mirror: ${name} is gone there, and here`);
  }

  async #fetch(entry: CatalogEntry): Promise<void> {
    const { repo, server, catalog, engine, say, signal } = this.#options;
    const bytes = await catalog.fetchTorrent(server, entry, signal);
    const torrent = parseTorrent(bytes, digests);
    requireSame(entry, torrent);
    // Outside of what is swept, so that a mirror that was stopped goes on where it was.
    const draft = path.join(repo, 'mirroring', `${entry.sha256}.part`);
    const store = await openStore(torrent, { path: draft, mode: 'resume', hashes: digests }, signal);
    const transfer = engine.join(torrent, store, store.have);
    try {
      await comes(transfer, entry, signal);
    } finally {
      await transfer.leave();
      await store.close();
    }
    const hosts = [server.hostname, ...(await catalog.addressesOf(server))];
    const isTheirs = torrent.announce.flat().every((url) => isAtHost(url, hosts));
    const plain = isTheirs ? withoutAnnounce(bytes) : bytes;
    await withRepository(repo, (folder) => commitEntry(repo, folder, entry, draft, plain, null));
    await attempt(`remove ${repo}/mirroring`, () => fs.rm(path.dirname(draft), { recursive: true }));
    say(`mirror: has ${entry.kind} ${entry.name}, ${formatBytes(entry.size)}`);
  }

  async #followFiles(files: readonly SiteFile[]): Promise<void> {
    const { repo, server, catalog, signal } = this.#options;
    await this.#site.follow();
    const own = new Map(this.#site.files.map((file) => [file.path, file.sha256]));
    for (const file of files) {
      const same = own.get(file.path) === file.sha256;
      own.delete(file.path);
      if (same) continue;
      const content = await catalog.fetchFile(server, file, signal);
      const place = path.join(repo, file.path);
      await attempt(`write ${place}`, async () => {
        await fs.mkdir(path.dirname(place), { recursive: true });
        // A name that is not offered.
        const draft = path.join(path.dirname(place), `.${path.basename(place)}`);
        await fs.writeFile(draft, content);
        await settle(draft, place);
      });
    }
    for (const sitePath of own.keys()) {
      const place = path.join(repo, sitePath);
      await attempt(`remove ${place}`, () => fs.rm(place, { force: true }));
    }
  }

  /** Offers a signed manifest from now on. */
  async #keepSigned({ release }: Manifest, document: Uint8Array): Promise<void> {
    const { repo, say } = this.#options;
    const { signature, manifest } = splitSigned(document);
    if (release === null || signature === null) return;
    const file = manifestPath(repo, release.serial);
    if ((await newestSigned(repo, null))?.manifest.release?.serial === release.serial) return;
    await attempt(`write ${file}`, async () => {
      await fs.mkdir(path.dirname(file), { recursive: true });
      for (const [place, content] of [
        [file, manifest],
        [`${file}.minisig`, signature],
      ] as const) {
        await fs.writeFile(`${place}.new`, content);
        await settle(`${place}.new`, place);
      }
    });
    for (const old of (await readSerials(repo)).slice(0, -KEPT))
      await attempt(`remove serial ${old} from ${repo}`, () =>
        fs.rm(path.dirname(manifestPath(repo, old)), { recursive: true }).catch(absent),
      );
    say(`mirror: has manifest ${release.serial}`);
  }
}

/** Throws SwarmbootError('catalog') when the torrent is not that of the entry. */
function requireSame({ name, size, infoHash, infoHashV2 }: CatalogEntry, torrent: Torrent): void {
  const { infoHashV1: v1, infoHashV2: v2, length } = torrent;
  if (v1 !== null && v2 !== null && hex(v1) === infoHash && hex(v2) === infoHashV2 && length === size) return;
  throw new SwarmbootError('catalog', `the torrent of "${name}" is not the one that the manifest promises`);
}

/** Returns when all of it has come. Throws SwarmbootError('catalog') when nothing comes any more, or the signal's reason. */
async function comes(transfer: Transfer, { name }: CatalogEntry, signal: AbortSignal): Promise<void> {
  let done = false;
  const finished = transfer.complete.then(() => {
    done = true;
  });
  let [left, sinceMs] = [Number.POSITIVE_INFINITY, performance.now()];
  while (!done) {
    await Promise.race([finished, sleep(LOOK_MS, undefined, { signal }).catch(() => {})]);
    signal.throwIfAborted();
    const { bytesLeft } = transfer.view();
    if (bytesLeft < left) [left, sinceMs] = [bytesLeft, performance.now()];
    if (!done && performance.now() - sinceMs > SILENCE_MS)
      throw new SwarmbootError(
        'catalog',
        `nothing comes of ${name}, of which ${formatBytes(bytesLeft)} are missing`,
      );
  }
}
