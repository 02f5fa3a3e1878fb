// `swarmboot inspect`: what a torrent or a magnet link says, after every check that a download would make.

import { NO_CREDENTIALS } from '../agent/core/credentials.ts';
import { formatMagnet, type Magnet } from '../agent/core/magnet.ts';
import { parseTorrent } from '../agent/core/metainfo.ts';
import type { Torrent } from '../agent/core/torrent.ts';
import { formatBytes, hex } from '../agent/core/units.ts';
import { openCatalog } from '../agent/io/catalog.ts';
import { digests } from '../agent/io/digest.ts';
import { type Command, expectWords } from './command.ts';

export const inspect: Command = {
  name: 'inspect',
  synopsis: 'FILE.torrent|MAGNET|URL [--json]',
  summary: 'Tells the info hashes, files, pieces and trackers of a torrent, after every check of a download.',
  options: [{ name: 'json', kind: 'flag', help: 'print JSON' }],
  async run(args, terminal) {
    const [text] = expectWords(args, 'FILE.torrent|MAGNET|URL');
    const source = await openCatalog(NO_CREDENTIALS).readTorrentSource(text, terminal.signal);
    const facts =
      source.kind === 'magnet'
        ? magnetFacts(source.magnet)
        : torrentFacts(parseTorrent(source.bytes, digests));
    terminal.out.write(args.flag('json') ? `${JSON.stringify(facts, null, 2)}\n` : pageOf(facts));
  },
};

/** The JSON that `inspect` prints: only what the source says. A magnet link knows no sizes and no files. */
interface Facts {
  readonly name: string | null;
  readonly infoHash: string | null;
  readonly infoHashV2: string | null;
  /** URLs by tier. */
  readonly trackers: readonly (readonly string[])[];
}
interface MagnetFacts extends Facts {
  readonly peers: readonly string[];
}
interface TorrentFacts extends Facts {
  readonly version: 'v1' | 'v2' | 'hybrid';
  readonly private: boolean;
  /** Bytes of all files, without padding. */
  readonly length: number;
  readonly pieceLength: number;
  readonly pieceCount: number;
  readonly files: readonly { readonly path: string; readonly length: number }[];
  readonly magnet: string;
}

function magnetFacts(magnet: Magnet): MagnetFacts {
  return {
    name: magnet.name,
    infoHash: hex(magnet.infoHashV1),
    infoHashV2: magnet.infoHashV2 === null ? null : hex(magnet.infoHashV2),
    trackers: magnet.trackers.map((url) => [url]),
    peers: magnet.peers.map(({ host, port }) =>
      host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
    ),
  };
}

function torrentFacts(torrent: Torrent): TorrentFacts {
  const { infoHashV1, infoHashV2 } = torrent;
  return {
    name: torrent.name,
    infoHash: infoHashV1 === null ? null : hex(infoHashV1),
    infoHashV2: infoHashV2 === null ? null : hex(infoHashV2),
    trackers: torrent.announce,
    version: infoHashV1 === null ? 'v2' : infoHashV2 === null ? 'v1' : 'hybrid',
    private: torrent.private,
    length: torrent.files.reduce((sum, file) => sum + (file.pad ? 0 : file.length), 0),
    pieceLength: torrent.pieceLength,
    pieceCount: torrent.pieceCount,
    files: torrent.files
      .filter((file) => !file.pad)
      .map(({ path, length }) => ({ path: path.join('/'), length })),
    magnet: formatMagnet(torrent),
  };
}

function pageOf(facts: MagnetFacts | TorrentFacts): string {
  const rows: [string, string][] = [
    ['name', facts.name ?? 'not said'],
    ['info hash v1', facts.infoHash ?? 'none'],
    ['info hash v2', facts.infoHashV2 ?? 'none'],
    ...facts.trackers.map((tier, i): [string, string] => [`trackers, tier ${i + 1}`, tier.join(' ')]),
  ];
  if ('peers' in facts) {
    rows.push(...facts.peers.map((peer): [string, string] => ['peer', peer]));
  } else {
    rows.push(
      ['version', facts.version],
      ['private', facts.private ? 'yes' : 'no'],
      ['size', `${facts.length} bytes (${formatBytes(facts.length)})`],
      ['pieces', `${facts.pieceCount} of ${formatBytes(facts.pieceLength)}`],
      ['magnet', facts.magnet],
      ...facts.files.map(({ path, length }): [string, string] => ['file', `${path} (${length} bytes)`]),
    );
  }
  return rows.map(([what, value]) => `${what.padEnd(18)}${value}\n`).join('');
}
