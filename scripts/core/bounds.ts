// What the image server takes at most, as agent/core/bounds.ts has it for nodes; and docs/limits.md, printed from both tables.

import { BOUND_ROWS, type Bound, bound, maxima } from '../../agent/core/bounds.ts';
import { formatBytes, GIB, KIB, MIB } from '../../agent/core/units.ts';

const TABLE = {
  enrolmentsPerSec: bound(9, 'attempts of one address to enrol, in a second', 10, '', 'refused: 429'),
  enrolmentsAtOnce: bound(9, 'of these, at once', 500, '', 'refused: 429'),
  wrongTokensPerSec: bound(9, 'wrong tokens of one address in a second', 1, '', 'refused: 429'),
  wrongTokensAtOnce: bound(9, 'of these, at once', 100, '', 'refused: 429'),

  swarmPeers: bound(23, 'peers of one torrent in the tracker', 50_000, '', 'refused'),
  addressPeers: bound(23, 'of these, of one address', 256, '', 'refused'),
  handoutPeers: bound(23, 'peers in one answer of the tracker', 200, '', 'the rest is left out'),
  trackerHeaderBytes: bound(23, 'line and headers of a request to the tracker', 8 * KIB, 'bytes', 'refused'),
  trackerConnections: bound(23, 'connections to the tracker', 4096, '', 'hung up on'),
  trackerRequestMs: bound(23, 'until a request to the tracker is whole', 10_000, 'ms', 'hung up on'),
  scrapedTorrents: bound(23, 'torrents in one scrape by UDP', 74, '', 'the rest is left out'),

  nodes: bound(24, 'nodes that are listed, or that records are kept of', 10_000, '', 'refused, and told'),
  messagesPerSec: bound(
    24,
    'reports of mere progress in a second, of all nodes',
    500,
    '',
    'nodes are told to wait',
  ),
  installsPerNode: bound(24, 'installs of one node in a run', 8, '', 'the oldest are forgotten'),
  runs: bound(24, 'runs that are kept', 200, '', 'the oldest go'),
  logFileBytes: bound(24, 'each of the two files of the log of a node', MIB, 'bytes', 'the older goes'),
  complaints: bound(24, 'senders of unreadable reports that the log tells of', 100, '', 'not told'),
  metricImages: bound(24, 'images in the metrics', 100, '', 'left out'),
  watchers: bound(24, 'browsers that watch', 100, '', 'refused'),
  unreadBytes: bound(24, 'what a browser has not read yet', 16 * MIB, 'bytes', 'hung up on'),

  headerBytes: bound(29, 'line and headers of a request to the server', 8 * KIB, 'bytes', 'refused'),
  requestMs: bound(29, 'until a request to the server is whole', 10_000, 'ms', 'hung up on'),
  handshakeMs: bound(29, 'until a TLS handshake is done', 10_000, 'ms', 'hung up on'),
  connections: bound(29, 'connections to the server', 16_384, '', 'hung up on'),
  addressConnections: bound(29, 'of these, from one address', 8192, '', 'hung up on'),
  requestsPerSec: bound(29, 'requests of one address in a second', 1000, '', 'refused: 429'),
  requestsAtOnce: bound(29, 'of these, at once', 5000, '', 'refused: 429'),
  tarballAnswers: bound(
    29,
    'tarballs, or parts of them, that are sent by HTTP at once',
    32,
    '',
    'refused: 503',
  ),
  tarballAnswersPerAddress: bound(29, 'of these, to one address', 16, '', 'refused: 503'),
  tarballBytesPerSec: bound(
    29,
    'bytes in a second that such an answer is waited for, after ten seconds',
    64 * KIB,
    'bytes',
    'who takes less is hung up on',
  ),
  siteStateBytes: bound(29, 'what a mirror is told to follow', 16 * MIB, 'bytes', 'refused'),
  mirroredBootFiles: bound(29, 'boot files that a mirror takes', 1000, '', 'refused'),
  mirroredBootBytes: bound(29, 'each of them', 4 * GIB, 'bytes', 'refused'),
  askers: bound(29, 'addresses whose requests are counted', 20_000, '', 'the oldest is forgotten'),
} as const satisfies Readonly<Record<string, Bound>>;

export const SERVER_BOUNDS = maxima(TABLE);

/** docs/limits.md, byte for byte. */
export function formatLimits(): string {
  return `# Limits

What nodes and image server take from outside at most. Each number stands once in the code, in agent/core/bounds.ts or
scripts/core/bounds.ts, and this page is printed from there. \`#\` is the threat in [SECURITY.md](../SECURITY.md).

How much an archive may hold is not here: bytes and members are those of its entry in the manifest, and extraction stops at the
first beyond them. Disk and memory for what is downloaded are the sizes in the manifest and 100 MiB.

## Nodes

${tableOf(BOUND_ROWS)}

## Image server

${tableOf(Object.values(TABLE))}
`;
}

function tableOf(rows: readonly Bound[]): string {
  const lines = rows.map((row) => `| ${row.threat} | ${row.what} | ${amountOf(row)} | ${row.beyond} |`);
  return ['| # | what | at most | more is |', '| ---: | --- | ---: | --- |', ...lines].join('\n');
}

function amountOf({ max, unit }: Bound): string {
  if (unit === 'ms') return `${max / 1000} s`;
  if (unit === 'bytes' && max % KIB === 0) return formatBytes(max).replace('.0', '');
  const digits = `${max}`.replace(/\B(?=(?:\d{3})+$)/g, ',');
  return unit === '' ? digits : `${digits} ${unit}`;
}
