// .torrent files and info dictionaries: what is accepted has safe names, and pieces that cover its files.

import fc from 'fast-check';
import { type Bencodable, encode } from '../../../agent/core/bencode.ts';
import { nameFault } from '../../../agent/core/filelist.ts';
import { spansOf } from '../../../agent/core/layout.ts';
import { isTrackerUrl, parseInfo, parseTorrent } from '../../../agent/core/metainfo.ts';
import { pieceSize, type Torrent } from '../../../agent/core/torrent.ts';
import { KIB } from '../../../agent/core/units.ts';
import { digests } from '../../../agent/io/digest.ts';
import { makeTorrent, noise } from '../../content.ts';
import { leaf, PIECE, sha1s, torrentWith, twoFiles, v1Files, v1Info } from '../../metainfos.ts';
import { drawn } from '../generate.ts';
import { must, refusedWith, type Target, type Verdict } from '../target.ts';

const FOLDER = [
  { path: ['d', 'one'], bytes: noise(70_000, 1) },
  { path: ['two'], bytes: noise(9, 2) },
];

function seeds(): Uint8Array[] {
  const urls = ['http://192.0.2.1:6969/announce', 'udp://192.0.2.1:6969'];
  return [
    ...(['v1', 'hybrid'] as const).flatMap((kind) => [
      makeTorrent('a', [{ bytes: noise(100_000, 3) }], PIECE, kind, urls).file,
      makeTorrent('b', FOLDER, PIECE, kind).file,
    ]),
    torrentWith(v1Info()),
    torrentWith(v1Files({ length: 7, path: ['x'] }, { length: 0, path: ['y', 'z'] })),
    torrentWith(twoFiles({})),
    torrentWith(
      v1Info({ 'name.utf-8': 'n', private: 1, 'meta version': 2, 'file tree': { a: leaf(100_000) } }),
    ),
  ];
}

const name = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('a', 'b', 'c', 'a.b') },
  fc.constantFrom('', '.', '..', 'a/b', 'x\0', '\u001b[2J', 'n'.repeat(256), '__proto__', '\ufeff'),
);
const size = fc.oneof(fc.nat(200_000), fc.constantFrom<Bencodable[]>(-1, 0, 2 ** 47, 2n ** 63n - 1n, 'x'));
const file = fc.record<{ [key: string]: Bencodable }>(
  {
    length: size,
    path: fc.array(name, { maxLength: 4 }),
    attr: fc.constantFrom('p', 'l', 'xp'),
    extra: size,
  },
  { requiredKeys: ['length', 'path'] },
);
const info = fc.record<{ [key: string]: Bencodable }>(
  {
    name,
    'piece length': fc.oneof({ weight: 3, arbitrary: fc.constant(PIECE) }, size),
    pieces: fc.nat(8).map(sha1s),
    length: size,
    files: fc.array(file, { maxLength: 6 }),
    'file tree': fc.dictionary(
      name.filter((text) => /^[ -~]*$/.test(text)),
      fc.nat(100_000).map(leaf),
      { maxKeys: 3 },
    ),
    'meta version': fc.constantFrom(1, 2, 3),
    private: fc.constantFrom(0, 1, 2),
  },
  { requiredKeys: ['name', 'piece length', 'pieces'] },
);

function check(torrent: Torrent): void {
  const { files, length, pieceCount, pieceLength } = torrent;
  for (const { path } of files)
    must(
      path.every((part) => nameFault(part) === null),
      'every name is safe',
    );
  must(nameFault(torrent.name) === null, 'the name is safe');
  must(torrent.announce.flat().every(isTrackerUrl), 'trackers have URLs');
  must(Number.isSafeInteger(length) && (pieceCount - 1) * pieceLength < length, 'every piece has content');
  must(pieceSize(torrent, pieceCount - 1) > 0, 'the last piece has content');
  for (const piece of [0, pieceCount - 1]) {
    const bytes = pieceSize(torrent, piece);
    const spans = spansOf(torrent, piece * pieceLength, bytes);
    must(spans.reduce((sum, span) => sum + span.length, 0) === bytes, 'a piece lies in files');
  }
  must(torrent.piecesV1 === null || torrent.piecesV1.length === 20 * pieceCount, 'one SHA-1 a piece');
  must(torrent.piecesV2 === null || torrent.piecesV2.length === 32 * pieceCount, 'one root a piece');
}

function judge(bytes: Uint8Array): Verdict {
  let verdict: Verdict = 'refused';
  for (const read of [() => parseTorrent(bytes, digests), () => parseInfo(bytes, digests, [])]) {
    try {
      check(read());
      verdict = 'accepted';
    } catch (error) {
      refusedWith(error, 'torrent');
    }
  }
  return verdict;
}

export const torrents = (): Target => ({
  seeds: seeds(),
  words: [
    'd4:info',
    '6:lengthi1e',
    '4:pathl1:a1:be',
    '5:filesl',
    '1:a',
    '2:..',
    'le',
    'de',
    '4:attr1:p',
    '9:file treed',
    '11:pieces root32:',
  ],
  build: drawn(
    fc.oneof(
      info.map((fields) => torrentWith(fields)),
      info.map(encode),
    ),
  ),
  bytesMax: 64 * KIB,
  growthMiB: 8,
  judge,
});
