// What is to be installed: the parameters and the manifest, or one torrent without a manifest, become a list of tarballs
// whose every size and hash is known before the first byte of them is fetched.

import type { FileKey } from './core/age.ts';
import {
  type CatalogEntry,
  type Compression,
  type Kind,
  type SiteFile,
  TARBALLS_PATH,
} from './core/catalog.ts';
import { SwarmbootError } from './core/errors.ts';
import type { Magnet } from './core/magnet.ts';
import { believeManifest, type Manifest } from './core/manifest.ts';
import { parseInfo, parseTorrent } from './core/metainfo.ts';
import type { Params } from './core/params.ts';
import { mayAnnounce, type Release, refusalOf } from './core/release.ts';
import type { CatalogRoom, EngineRoom, Rooms, ServersRoom } from './core/rooms.ts';
import { type KnownServer, withSiblings } from './core/siblings.ts';
import type { Torrent } from './core/torrent.ts';
import type { PeerAddress } from './core/tracker.ts';
import type { Trust } from './core/trust.ts';
import { formatBytes, hex, type Ms } from './core/units.ts';

/** One tarball of an install. */
export interface Tarball {
  readonly name: string;
  readonly kind: Kind;
  readonly torrent: Torrent;
  /** Null without a manifest. */
  readonly entry: CatalogEntry | null;
  /** What opens an encrypted one, until the last byte of the plan is extracted; else null. */
  readonly fileKey: FileKey | null;
  /** What its tree takes on a disk, rounded up. */
  readonly unpackedBytes: number;
  /** Peers that a magnet link names itself. */
  readonly peers: readonly PeerAddress[];
  /** URLs at which the tarball itself lies (BEP 19). */
  readonly webSeeds: readonly string[];
}

export interface Plan {
  readonly boel: Tarball | null;
  readonly image: Tarball;
  /** In the order in which they are laid over the image. */
  readonly overrides: readonly Tarball[];
  /** Layouts and scripts that the site offers. */
  readonly files: readonly SiteFile[];
}

/** Every tarball of the plan. */
export function tarballsOf(plan: Plan | null): readonly Tarball[] {
  if (plan === null) return [];
  return [...(plan.boel === null ? [] : [plan.boel]), plan.image, ...plan.overrides];
}

/** Room that one archive member may take beside its content: a block of most file systems. */
const ENTRY_BYTES = 4096;
/** Compressed system trees unpack to two to four times their size; without a manifest the larger is assumed. */
const UNPACKED_PER_PACKED = 4;
/** Peers of a magnet link that send no info dictionary for so long have none. */
const MAGNET_MAX_MS: Ms = 60_000;

/** Throws SwarmbootError 'catalog', 'signature', 'missing', 'torrent' or 'network'. The keys in the plan are the caller's to erase. */
export async function planInstall(
  params: Params,
  rooms: Rooms,
  engine: EngineRoom,
  signal: AbortSignal,
): Promise<Plan> {
  if (params.torrent !== null) {
    if (rooms.trust !== null) {
      throw new SwarmbootError(
        'signature',
        'TORRENT names what nobody has signed, and this RAM disk installs only what is signed; leave it out',
      );
    }
    const image = await readTorrent(params.torrent, rooms, engine, signal);
    return { boel: null, image, overrides: [], files: [] };
  }
  const servers = rooms.servers!;
  const manifest = await servers.ask((server, limit) => readManifest(server, rooms, limit), signal);
  const known = await Promise.all(
    servers.all.map(async (url) => ({
      url,
      hosts: [url.hostname, ...(await rooms.catalog.addressesOf(url))],
    })),
  );
  const allowed = takeRules(manifest.release, known, rooms, engine);
  const chosen = chooseEntries(params, manifest);
  for (const entry of chosen) requireAuthority(entry, rooms.trust);
  const read = await Promise.all(
    chosen.map((entry) =>
      servers.ask(async (server, limit) => {
        const bytes = await rooms.catalog.fetchTorrent(server, entry, limit);
        const { announce, ...torrent } = parseTorrent(bytes, rooms.hashes);
        const named = { ...torrent, announce: withSiblings(announce, known) };
        return tarballOf(entry, allowed(named), servers.all);
      }, signal),
    ),
  );
  // Before anything is written, so that a key that cannot be had ends nothing that was there.
  const fetched = params.dryRun ? read : await withKeys(read, servers, rooms.catalog, signal);
  return {
    boel: fetched.find(({ kind }) => kind === 'boel') ?? null,
    image: fetched.find(({ kind }) => kind === 'image')!,
    overrides: fetched.filter(({ kind }) => kind === 'override'),
    files: manifest.files,
  };
}

/** The manifest of an image server, believed. */
async function readManifest(server: URL, rooms: Rooms, signal: AbortSignal): Promise<Manifest> {
  const { catalog, machine, signatures, trust, tell } = rooms;
  const bytes = await catalog.fetchManifest(server, signal);
  const nowSec = Date.parse(machine.date()) / 1000;
  if (trust === null)
    tell({ fact: 'note', text: 'no public key is here: the manifest is believed, whoever sent it' });
  return believeManifest(bytes, trust, signatures, nowSec, `the manifest of ${server.href}`);
}

/**
 * Keeps to the rules of a release from now on: throws SwarmbootError 'missing' when it is not for this node, 'signature' when
 * its swarms are closed to it. Returns what leaves out the trackers of a torrent that the release does not allow.
 */
function takeRules(
  release: Release | null,
  servers: readonly KnownServer[],
  { admission, machine, tell, version }: Rooms,
  engine: EngineRoom,
): (torrent: Torrent) => Torrent {
  const closed = release?.closed === true;
  if (!closed) tell({ fact: 'note', text: 'the swarms are open: whoever reaches a node may take part' });
  if (release === null) return (torrent) => torrent;
  const refusal = refusalOf(release, { version, mac: machine.lease().mac });
  if (refusal !== null) throw new SwarmbootError('missing', refusal);
  if (closed && admission === null) {
    throw new SwarmbootError(
      'signature',
      'the swarms of the manifest are closed, and this node has not been enrolled; build the RAM disk with --trust on a server that has swarmboot init, and arm the node',
    );
  }
  engine.keepTo({ networks: release.networks, admission: closed ? admission : null });
  const serverHosts = servers.flatMap(({ hosts }) => hosts);
  return (torrent) => {
    const announce = torrent.announce
      .map((tier) => tier.filter((url) => mayAnnounce(url, release, serverHosts)))
      .filter((tier) => tier.length > 0);
    const count = torrent.announce.flat().length - announce.flat().length;
    if (count > 0) {
      tell({
        fact: 'note',
        text: `${torrent.name} names ${count} trackers that nobody has signed: not asked`,
      });
    }
    return { ...torrent, announce };
  };
}

/** The entries that the parameters name: image, BOEL binaries if any, overrides in their order. */
function chooseEntries(params: Params, manifest: Manifest): CatalogEntry[] {
  const missing: string[] = [];
  const find = (name: string, kind: Kind): CatalogEntry[] => {
    const entry = manifest.entries.find((candidate) => candidate.name === name && candidate.kind === kind);
    if (entry !== undefined) return [entry];
    const there = manifest.entries.filter((candidate) => candidate.kind === kind).map((other) => other.name);
    missing.push(`no ${kind} "${name}"; there ${there.length === 0 ? 'is none' : `is: ${there.join(', ')}`}`);
    return [];
  };
  const boel = manifest.entries.filter(({ kind }) => kind === 'boel');
  if (params.boelName === null && boel.length > 1) {
    missing.push(`more than one boel (${boel.map(({ name }) => name).join(', ')}); name one by BOELNAME`);
  }
  const chosen = [
    ...find(params.imageName!, 'image'),
    ...(params.boelName === null ? boel : find(params.boelName, 'boel')),
    ...[...new Set(params.overrides)].flatMap((name) => find(name, 'override')),
  ];
  if (missing.length === 0) return chosen;
  const list = missing.map((line) => `\n  ${line}`).join('');
  throw new SwarmbootError(
    'missing',
    `what ${params.imageServers!.join(' and ')} offers does not fit the parameters:${list}\n  Publish what is missing, or correct the name.`,
  );
}

function tarballOf(entry: CatalogEntry, torrent: Torrent, servers: readonly URL[]): Tarball {
  const { name, kind, size, infoHash, infoHashV2 } = entry;
  const same =
    torrent.length === size &&
    torrent.infoHashV1 !== null &&
    hex(torrent.infoHashV1) === infoHash &&
    torrent.infoHashV2 !== null &&
    hex(torrent.infoHashV2) === infoHashV2;
  if (!same) {
    throw new SwarmbootError(
      'catalog',
      `the torrent of "${name}" is not the one that the manifest promises; if it was not just being published, publish it again`,
    );
  }
  requireOneFile(torrent);
  const unpackedBytes = entry.unpackedSize + entry.entryCount * ENTRY_BYTES;
  const webSeeds = servers.map((server) => tarballUrl(server, entry));
  return { name, kind, torrent, entry, fileKey: null, unpackedBytes, peers: [], webSeeds };
}

/** Where an image server gives a tarball by HTTP. What the torrent names besides, nobody has signed. */
function tarballUrl(server: URL, { file }: CatalogEntry): string {
  const base = new URL(server);
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  return new URL(`${TARBALLS_PATH}${file}`, base).href;
}

/** A key comes from a server that has proved who it is, to somebody that nobody else listens to; or not at all. */
function requireAuthority({ name, encryption }: CatalogEntry, trust: Trust | null): void {
  if (encryption === null || (trust !== null && trust.authority !== null)) return;
  throw new SwarmbootError(
    'signature',
    `"${name}" is encrypted, and its key is given over TLS alone, which needs an authority in the RAM disk; run swarmboot init and sign, and build the RAM disk anew, or publish ${name} without --encrypt`,
  );
}

/** The tarballs, each encrypted one with its key. */
async function withKeys(
  tarballs: readonly Tarball[],
  servers: ServersRoom,
  catalog: CatalogRoom,
  signal: AbortSignal,
): Promise<readonly Tarball[]> {
  const found: Tarball[] = [];
  // In turn: a second answer would be a key that nobody erases.
  const fetchKey = (entry: CatalogEntry) =>
    servers.askInTurn((server, limit) => catalog.fetchKey(server, entry, limit), signal);
  try {
    for (const tarball of tarballs) {
      const { entry } = tarball;
      const sealed = entry !== null && entry.encryption !== null;
      found.push(sealed ? { ...tarball, fileKey: await fetchKey(entry) } : tarball);
    }
    return found;
  } catch (error) {
    for (const { fileKey } of found) fileKey?.erase();
    throw error;
  }
}

/** In a line for people. */
export function describePlan(plan: Plan): string {
  const name = (tarball: Tarball) =>
    `${tarball.kind} ${tarball.name} (${formatBytes(tarball.torrent.length)})`;
  return tarballsOf(plan).map(name).join(', ');
}

/** Nothing of it can be opened any more. */
export function eraseKeys(plan: Plan | null): void {
  for (const { fileKey } of tarballsOf(plan)) fileKey?.erase();
}

async function readTorrent(
  source: string,
  rooms: Rooms,
  engine: EngineRoom,
  signal: AbortSignal,
): Promise<Tarball> {
  const found = await rooms.catalog.readTorrentSource(source, signal);
  let torrent: Torrent;
  if (found.kind === 'torrent') torrent = parseTorrent(found.bytes, rooms.hashes);
  else {
    const { magnet } = found;
    const info = await fetchInfo(magnet, rooms, engine, signal);
    torrent = parseInfo(
      info,
      rooms.hashes,
      magnet.trackers.map((url) => [url]),
    );
  }
  requireOneFile(torrent);
  const unpackedBytes = torrent.length * UNPACKED_PER_PACKED;
  const peers = found.kind === 'magnet' ? found.magnet.peers : [];
  const { name, webSeeds } = torrent;
  return { name, kind: 'image', torrent, entry: null, fileKey: null, unpackedBytes, peers, webSeeds };
}

/** Throws SwarmbootError 'network' when no peer has sent it in time. */
async function fetchInfo(
  magnet: Magnet,
  rooms: Rooms,
  engine: EngineRoom,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const limit = AbortSignal.timeout(MAGNET_MAX_MS);
  try {
    return await engine.fetchInfo(magnet, rooms.hashes.sha1, AbortSignal.any([signal, limit]));
  } catch (error) {
    if (signal.aborted || !limit.aborted) throw error;
    throw new SwarmbootError(
      'network',
      `no peer sent the info dictionary of ${hex(magnet.infoHashV1)} within ${MAGNET_MAX_MS / 1000} s; check the trackers of the magnet link, and that a seeder runs`,
      { cause: error },
    );
  }
}

/** How a tarball that no manifest describes is packed, by its first bytes (RFC 8878 and its skippable frames, RFC 1952). */
function compressionOf(start: Uint8Array): Compression {
  const magic = hex(start.subarray(0, 4));
  if (magic === '28b52ffd' || /^5.2a4d18$/.test(magic)) return 'zstd';
  return magic.startsWith('1f8b') ? 'gzip' : 'none';
}

/** Looks at the first chunk of such a tarball, and gives it back in front of the others. */
export async function recognised(
  chunks: AsyncIterable<Uint8Array>,
): Promise<{ compression: Compression; source: AsyncIterable<Uint8Array> }> {
  const iterator = chunks[Symbol.asyncIterator]();
  const first = await iterator.next();
  async function* whole(): AsyncGenerator<Uint8Array> {
    if (first.done === true) return;
    yield first.value;
    yield* { [Symbol.asyncIterator]: () => iterator };
  }
  return {
    compression: compressionOf(first.done === true ? new Uint8Array(0) : first.value),
    source: whole(),
  };
}

function requireOneFile(torrent: Torrent): void {
  const files = torrent.files.filter(({ pad }) => !pad);
  if (files.length === 1) return;
  throw new SwarmbootError(
    'torrent',
    `the torrent "${torrent.name}" has ${files.length} files; an install takes one tarball: give its torrent`,
  );
}
