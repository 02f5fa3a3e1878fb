// The rooms of an install as a fake that remembers, and an install that runs in them.

import { FILE_KEY_BYTES, FileKey } from '../agent/core/age.ts';
import { Bitfield } from '../agent/core/bitfield.ts';
import type { CatalogEntry, Kind, SiteFile } from '../agent/core/catalog.ts';
import type { DiskFacts } from '../agent/core/diskfacts.ts';
import { parseLease } from '../agent/core/lease.ts';
import type { Manifest } from '../agent/core/manifest.ts';
import { buildTorrent, parseTorrent } from '../agent/core/metainfo.ts';
import { readParams } from '../agent/core/params.ts';
import type { Admission, Company } from '../agent/core/ports.ts';
import type { InstallEvent } from '../agent/core/report.ts';
import type {
  EngineRoom,
  Extraction,
  Membership,
  MemoryRoom,
  ProbeRoom,
  Rooms,
  ServersRoom,
  StoreRoom,
  TransferRoom,
} from '../agent/core/rooms.ts';
import type { LeftFolder, Pool } from '../agent/core/staging.ts';
import type { SystemRooms, TreeRoom } from '../agent/core/systemrooms.ts';
import type { PeerAddress } from '../agent/core/tracker.ts';
import type { Trust } from '../agent/core/trust.ts';
import { GIB, hex, MIB } from '../agent/core/units.ts';
import type { SwarmView } from '../agent/core/view.ts';
import { Install } from '../agent/install.ts';
import { digests, signatureChecks } from '../agent/io/digest.ts';
import { Servers } from '../agent/servers.ts';
import { INVENTORY } from './core/messages.ts';

export const SIZE = 1000;
export const FIELDS = {
  pieceCount: 1,
  piecesHave: 1,
  bytesLeft: 0,
  downloadedBytes: SIZE,
  uploadedBytes: 0,
  wastedBytes: 0,
  hashFailures: 0,
  downBytesPerSec: 0,
  upBytesPerSec: 0,
  peers: 1,
  seedersConnected: 1,
  leechersConnected: 0,
  trackerSeeders: 1,
  trackerLeechers: 0,
  trackerProblem: null,
  webSeedBytes: 0,
  webSeedReason: null,
  addresses: [],
} satisfies SwarmView;

export function torrentBytes(name: string): Uint8Array {
  const content = new TextEncoder().encode(name.padEnd(SIZE));
  return buildTorrent(
    {
      name,
      length: SIZE,
      pieceLength: 16384,
      piecesV1: digests.sha1(content),
      piecesV2: digests.sha256(content),
      announce: [['http://127.0.0.1:1/announce']],
    },
    digests,
  );
}

export function entryOf(name: string, kind: Kind): CatalogEntry {
  const torrent = parseTorrent(torrentBytes(`${kind}-${name}.tar`), digests);
  return {
    name,
    kind,
    file: torrent.name,
    compression: 'none',
    encryption: null,
    size: SIZE,
    unpackedSize: 2 * SIZE,
    entryCount: 1,
    sha256: '0'.repeat(64),
    pieceLength: 16384,
    infoHash: hex(torrent.infoHashV1!),
    infoHashV2: hex(torrent.infoHashV2!),
  };
}

export const MANIFEST: Manifest = {
  release: null,
  format: 1,
  entries: [
    entryOf('debian', 'image'),
    entryOf('tools', 'boel'),
    entryOf('site', 'override'),
    entryOf('rack', 'override'),
    entryOf('other', 'image'),
  ],
  files: [],
};

function pool(folder: string): Pool {
  return {
    folder,
    fileSystem: 'ext4',
    device: folder,
    inMemory: false,
    freeBytes: GIB,
    heldBytes: 0,
    unusable: null,
  };
}

/** Rooms that remember, in one list, everything that was asked of them. */
export class FakeRooms implements Rooms {
  readonly asked: string[] = [];
  readonly events: InstallEvent[] = [];
  readonly hashes = digests;
  readonly signatures = signatureChecks;
  trust: Trust | null = null;
  version = '0.1.0';
  admission: Admission | null = null;
  manifest = MANIFEST;
  nowMs = 0;
  view: SwarmView = FIELDS;
  /** Contents by path. */
  siteFiles: Record<string, string> = {};
  /** What a room throws, by what is asked of it; an entry is used up. */
  readonly faults: [string, Error][] = [];
  readonly jobs: Extraction[] = [];
  /** Of the image server. */
  serverAddresses = ['10.0.0.1'];
  /** With whom swarms were to be shared. */
  readonly companies: Company[] = [];
  /** The keys that were given, and are the install's to erase. */
  readonly keys: FileKey[] = [];
  /** What opened each extraction, as it was then. */
  readonly opened: (string | null)[] = [];

  #ask(what: string): void {
    this.asked.push(what);
    const at = this.faults.findIndex(([when]) => when === what);
    if (at >= 0) throw this.faults.splice(at, 1)[0]![1];
  }

  /** What the image server gives to who enrols. */
  membership: Membership | null = null;

  enrol = async () => {
    this.#ask('enrol');
    return this.membership;
  };

  readonly catalog = {
    fetchManifest: async (): Promise<Uint8Array> => {
      this.#ask('catalog');
      const files = Object.keys(this.siteFiles).map((path) => ({ path, size: 0, sha256: '0'.repeat(64) }));
      return new TextEncoder().encode(JSON.stringify({ ...this.manifest, files }));
    },
    addressesOf: async (_server: URL): Promise<readonly string[]> => this.serverAddresses,
    fetchTorrent: async (_server: URL, entry: CatalogEntry) => torrentBytes(entry.file),
    fetchKey: async (_server: URL, { name }: CatalogEntry) => {
      this.#ask(`key of ${name}`);
      this.keys.push(new FileKey(new Uint8Array(FILE_KEY_BYTES).fill(7)));
      return this.keys.at(-1)!;
    },
    fetchFile: async (_server: URL, { path }: SiteFile) => new TextEncoder().encode(this.siteFiles[path]),
    readTorrentSource: async () => ({ kind: 'torrent' as const, bytes: torrentBytes('alone.tar.gz') }),
  };

  readonly host = {
    pools: () => [pool('/tmp')],
    poolAt: (folder: string) => pool(folder),
    memoryAvailableBytes: async () => GIB,
    watchProcessors: () => () => 25,
    makeFolder: async (at: string) => {
      this.#ask(`make ${at}`);
      return `${at}/staging`;
    },
    removeFolder: async (folder: string) => this.#ask(`remove ${folder}`),
    leftIn: async (folder: string) => this.left.filter((left) => left.folder.startsWith(`${folder}/`)),
    takeOver: (from: string, to: string) => {
      this.#ask(`take ${from} to ${to}`);
      return true;
    },
  };

  /** What installs before this one have left. */
  left: LeftFolder[] = [];

  /** What the trial of each disk gives. */
  written = { bytes: 32 * MIB, ms: 100 };
  peers: readonly PeerAddress[] = [{ host: '10.9.0.1', port: 6881 }];
  /** What is kept for another install, by path. */
  readonly memories = new Map<string, string>();
  readonly memory: MemoryRoom = {
    read: async (path) => this.memories.get(path) ?? null,
    write: async (path, text) => void this.memories.set(path, text),
  };
  readonly probe: ProbeRoom = {
    links: () => INVENTORY.links,
    call: async ({ host }) => this.#ask(`call ${host}`),
    echo: async (_, bytes) => {
      this.#ask(`echo ${bytes}`);
      return true;
    },
    rewrite: async ({ path }) => {
      this.#ask(`try ${path}`);
      return this.written;
    },
  };

  readonly machine = {
    diskFacts: async () => this.disks,
    firmware: () => 'bios' as const,
    lease: () => parseLease('MAC=52:54:00:09:00:01\nHOSTNAME=node001'),
    kernelCommandLine: () => 'quiet',
    uuid: () => '12345678-1234-4234-8234-123456789abc',
    date: () => '2026-11-22T00:00:00.000Z',
  };
  disks: DiskFacts[] = [];

  readonly system: SystemRooms = {
    run: async ({ argv }) => {
      this.#ask(`run ${argv[0]!.split('/').at(-1)}`);
      return '/dev/vda2\n';
    },
    absentPrograms: () => [],
    openTree: () => this.tree,
    endProcesses: () => [],
    addressOf: async (host) => host,
    shell: async () => this.#ask('shell'),
    note: (text) => this.tell({ fact: 'note', text }),
  };
  /** The files that a new system would have. */
  readonly files = new Map<string, string>();
  readonly tree: TreeRoom = {
    has: (path) => this.files.has(path),
    isLink: () => false,
    list: (folder) => [...this.files.keys()].flatMap((path) => childOf(folder, path)),
    read: (path) => this.files.get(path) ?? null,
    write: (path, content) => void this.files.set(path, String(content)),
    copy: (from, path) => void this.files.set(path, from),
    link: (path, to) => void this.files.set(path, to),
    remove: (path) => void this.files.delete(path),
    folder: (path) => `/a/${path}`,
  };

  startEngine = async (): Promise<EngineRoom> => {
    this.#ask('start');
    return {
      port: 6881,
      keepTo: (company) => void this.companies.push(company),
      join: (torrent) => {
        this.#ask(`join ${torrent.name}`);
        return this.#transfer(torrent.name);
      },
      fetchInfo: async () => new Uint8Array(),
      askTracker: async (_, url) => {
        this.#ask(`ask ${url}`);
        const counts = { seeders: 1, leechers: 0, warning: null };
        return { intervalMs: 15_000, minIntervalMs: null, peers: this.peers, ...counts };
      },
      stop: async () => this.#ask('stop'),
    };
  };

  #transfer(name: string): TransferRoom {
    const fault = this.faults.find(([when]) => when === `complete ${name}`);
    return {
      view: () => this.view,
      addPeers: () => {},
      addWebSeeds: () => {},
      complete: fault === undefined ? Promise.resolve() : Promise.reject(fault[1]),
      front: async () => {},
      leave: async () => this.#ask(`leave ${name}`),
    };
  }

  openStore = async (torrent: { name: string }, path: string, mode: string): Promise<StoreRoom> => {
    this.#ask(`${mode === 'create' ? 'reserve' : mode} ${path}`);
    return {
      path,
      have: new Bitfield(1),
      write: () => {},
      verify: () => true,
      read: () => null,
      source: async function* (front, signal) {
        await front(SIZE, signal);
        yield new Uint8Array([0x1f, 0x8b, 8, 0, ...new Uint8Array(SIZE - 4)]);
      },
      discard: async () => this.#ask(`discard ${torrent.name}`),
    };
  };

  extract = async (job: Extraction) => {
    this.jobs.push(job);
    this.opened.push(job.fileKey === null ? null : hex(job.fileKey.reveal()));
    for await (const chunk of job.source) job.onProgress(chunk.length, 2 * chunk.length);
    this.#ask(`extract ${job.expected?.name ?? 'torrent'} into ${job.target}`);
    return { entries: 1, unpackedBytes: 2 * SIZE, notes: ['owners: not kept'] };
  };

  servers: ServersRoom | null = new Servers(['http://server:8080'], {
    sleep: (ms, signal) => this.sleep(ms, signal),
    note: (text) => this.tell({ fact: 'note', text }),
  });

  now = () => this.nowMs;
  sleep = async (ms: number, signal: AbortSignal) => {
    this.nowMs += ms;
    // Real time passes too, or the reports alone would keep the loop busy.
    await new Promise((resolve) => setTimeout(resolve, 1));
    signal.throwIfAborted();
  };
  tell = (event: InstallEvent) => void this.events.push(event);
  logLines = () => ['a line'];
  reported = async () => this.#ask('reported');
}

function childOf(folder: string, path: string): string[] {
  const rest = path.startsWith(`${folder}/`) ? path.slice(folder.length + 1) : '';
  return rest === '' || rest.includes('/') ? [] : [rest];
}

export function install(
  rooms: Rooms,
  flags: Record<string, string> = {},
  signal = new AbortController().signal,
) {
  const values = flags.TORRENT ? flags : { IMAGESERVER: 'server', IMAGENAME: 'debian', ...flags };
  const facts = Object.entries(values).map(([name, value]) => ({ name, value }));
  return new Install(readParams([{ origin: 'flags', facts }]).params, rooms, signal).run();
}

export function stagesOf(rooms: FakeRooms): string[] {
  return rooms.events.flatMap((event) => (event.fact === 'stageEnded' ? [event.stage] : []));
}
