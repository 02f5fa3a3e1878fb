// How much of anything is taken from outside, in one table: what is larger, deeper or more is refused, cut or waits. The rooms
// take their numbers from here, docs/limits.md is printed from it (`make manual`). The numbers of a swarm's policy stand in
// limits.ts; those of them that hold off strangers are rows here too. The image server's own are in scripts/core/bounds.ts.

import { LIMITS } from './limits.ts';
import { BLOCK_BYTES, KIB, MIB } from './units.ts';

export interface Bound {
  /** The row of SECURITY.md that it belongs to. */
  readonly threat: number;
  readonly what: string;
  readonly max: number;
  readonly unit: '' | 'bytes' | 'ms';
  /** What becomes of more. */
  readonly beyond: string;
}

export function bound(threat: number, what: string, max: number, unit: Bound['unit'], beyond: string): Bound {
  return { threat, what, max, unit, beyond };
}

/** The numbers of a table, by name. */
export function maxima<Name extends string>(
  table: Readonly<Record<Name, Bound>>,
): Readonly<Record<Name, number>> {
  const entries = Object.entries<Bound>(table).map(([name, { max }]) => [name, max]);
  return Object.freeze(Object.fromEntries(entries));
}

const TORRENT_BYTES = 10_000_000;
const DEPTH = 256;
const GONE = 'hung up on';

const TABLE = {
  torrentBytes: bound(14, 'a torrent, or anything else that is bencoded', TORRENT_BYTES, 'bytes', 'refused'),
  bencodeDepth: bound(14, 'bencoded lists and dictionaries inside one another', 32, '', 'refused'),
  bencodeValues: bound(14, 'bencoded values in one document', 100_000, '', 'refused'),
  integerDigits: bound(14, 'characters of a bencoded number or length', 20, '', 'refused'),
  torrentPieces: bound(14, 'pieces of a torrent', 2 ** 21, '', 'refused'),
  pieceBytes: bound(14, 'a piece', 64 * MIB, 'bytes', 'refused'),
  torrentFileBytes: bound(14, 'a file of a torrent', 2 ** 47, 'bytes', 'refused'),
  torrentPathBytes: bound(14, 'the path of a file in a torrent', 4000, 'bytes', 'refused'),
  fileNameBytes: bound(14, 'a name in a path: of a torrent or of an archive', 255, 'bytes', 'refused'),
  metadataPieces: bound(
    14,
    'pieces of 16 KiB of an info dictionary that is fetched for a magnet link',
    Math.ceil(TORRENT_BYTES / BLOCK_BYTES),
    '',
    'refused',
  ),

  messageBytes: bound(15, 'any message of a peer', MIB, 'bytes', GONE),
  blockBytes: bound(15, 'the block in a message', BLOCK_BYTES, 'bytes', GONE),
  otherMessageBytes: bound(
    15,
    'a message of an extension, or of a kind we do not know',
    64 * KIB,
    'bytes',
    GONE,
  ),
  earlyBitfieldBytes: bound(15, 'a bitfield while the number of pieces is not known', 2 ** 18, 'bytes', GONE),
  requestsWaiting: bound(15, 'requests of one peer that wait', LIMITS.queueMax, '', GONE),
  metadataRounds: bound(15, 'times that a peer may ask for each piece of an info dictionary', 4, '', GONE),
  greetingMs: bound(15, 'until a peer has said who it is and what it wants', LIMITS.greetingMs, 'ms', GONE),
  silentMs: bound(15, 'until a peer is heard of again', LIMITS.silentMs, 'ms', GONE),

  greetingBytes: bound(15, 'the greeting of a peer of a closed swarm', KIB, 'bytes', GONE),
  ageHeaderBytes: bound(17, 'the header of an encrypted archive', 16 * KIB, 'bytes', 'refused'),
  pathBytes: bound(16, 'the path of a member of an archive, or what a link names', 4096, 'bytes', 'refused'),
  linkHops: bound(16, 'links on the way to a member', 40, '', 'refused'),
  linkSteps: bound(16, 'steps on the way through links', 4 * DEPTH, '', 'refused'),
  pathDepth: bound(17, 'folders above a member', DEPTH, '', 'refused'),
  headersBytes: bound(17, 'the headers of one member, or its map of holes', MIB, 'bytes', 'refused'),
  paddingBytes: bound(17, 'zeros behind the end of an archive', 4 * MIB, 'bytes', 'refused'),

  replyBytes: bound(21, "a tracker's reply by HTTP", MIB, 'bytes', 'refused'),
  replyPeers: bound(21, "peers in a tracker's reply", 1000, '', 'the rest is ignored'),
  redirects: bound(21, 'redirects in a row, on one host', 3, '', 'refused'),
  trackers: bound(21, 'trackers of a torrent', 64, '', 'the rest is ignored'),
  webSeeds: bound(21, 'web seeds of a torrent', 16, '', 'the rest is ignored'),
  webSilentMs: bound(21, 'until a web seed sends something', 10_000, 'ms', 'counts as failed'),
  webBusyMs: bound(21, 'how long a web seed may ask to be left alone', 60_000, 'ms', 'is asked sooner'),

  messageOfNodeBytes: bound(24, 'the report of a node', 256 * KIB, 'bytes', 'cut, or refused'),
  logLines: bound(24, 'lines of its log in it', 1000, '', 'cut, or refused'),
  logLineChars: bound(24, 'characters of a line', 1000, '', 'cut, or refused'),
  reportedErrors: bound(24, 'errors in it', 20, '', 'cut, or refused'),
  reportedDisks: bound(24, 'disks in it', 64, '', 'cut, or refused'),
  reportedLinks: bound(24, 'network interfaces in it', 32, '', 'cut, or refused'),

  links: bound(29, 'connections of a node or a first seeder with peers', 500, '', GONE),
  linksPerAddress: bound(29, 'of these, from one address', 200, '', GONE),
  swarmPeers: bound(29, 'of these, in one swarm (the first seeder: 400)', LIMITS.peersMax, '', GONE),
  calls: bound(29, 'calls under way at once in a swarm', LIMITS.dialingMax, '', 'waits'),
  callsPerAddress: bound(29, 'of these, to one address', 4, '', 'waits'),
  addresses: bound(29, 'addresses of peers that are kept', 2000, '', 'the rest is ignored'),
  exchangedPeers: bound(29, 'peers in a message of peer exchange', 100, '', 'the rest is ignored'),
  exchangedByOne: bound(
    29,
    'addresses of peers that one machine tells us of',
    200,
    '',
    'the rest is ignored',
  ),
  exchangedByAll: bound(
    29,
    'addresses of peers that all of them tell us of',
    1000,
    '',
    'the rest is ignored',
  ),
  searchBytes: bound(29, 'a datagram of local discovery', 1500, 'bytes', 'ignored'),
  searchAddresses: bound(29, 'addresses that a swarm takes from such', 500, '', 'the rest is ignored'),
  rememberedBytes: bound(
    29,
    'what an install keeps beside its staging for the next',
    16 * KIB,
    'bytes',
    'ignored',
  ),
  rememberedPeers: bound(
    29,
    'peers that are kept for an install that is cut off',
    100,
    '',
    'the rest is ignored',
  ),
  activeBytes: bound(29, 'pieces in memory that are not whole', LIMITS.activeBytes, 'bytes', 'waits'),
  frameBytes: bound(29, 'blocks in memory on their way out', 16 * MIB, 'bytes', 'waits'),
  socketBytes: bound(
    29,
    'bytes handed to one socket ahead of the network',
    LIMITS.sendMaxBytes,
    'bytes',
    'waits',
  ),
  manifestBytes: bound(29, 'a manifest with its signature', 4 * MIB, 'bytes', 'refused'),
  siteFileBytes: bound(29, 'a layout or a script', MIB, 'bytes', 'refused'),
  signatureBytes: bound(29, 'a file with a signature or a public key', 16 * KIB, 'bytes', 'refused'),
  outputChars: bound(29, 'output of a program that is kept', 64 * KIB, '', 'the last is kept'),
} as const satisfies Readonly<Record<string, Bound>>;

export const BOUNDS = maxima(TABLE);

/** The rows, for those who print them. */
export const BOUND_ROWS: readonly Bound[] = Object.values(TABLE);
