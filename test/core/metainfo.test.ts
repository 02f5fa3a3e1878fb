import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type Bencodable, encode } from '../../agent/core/bencode.ts';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { leavesPerPiece, MerkleTree } from '../../agent/core/merkle.ts';
import {
  buildTorrent,
  parseInfo,
  pieceLengthFor,
  withAnnounce,
  withoutAnnounce,
} from '../../agent/core/metainfo.ts';
import { pieceSize, swarmHash } from '../../agent/core/torrent.ts';
import { GIB, hex, KIB, MIB } from '../../agent/core/units.ts';
import { digests } from '../../agent/io/digest.ts';
import { leaf, PIECE, parse, refused, sha1s, torrentWith, twoFiles, v1Files, v1Info } from '../metainfos.ts';

/** The torrent of `data` as one file, in pieces of 32 KiB. */
function build(
  data: Uint8Array,
  announce: string[][] = [['http://192.0.2.1/announce']],
  name = 'disk.tar',
): Uint8Array {
  const tree = new MerkleTree(digests, PIECE / (16 * KIB));
  const v1: Uint8Array[] = [];
  const v2: Uint8Array[] = [];
  for (let at = 0; at < data.length; at += PIECE) {
    const piece = data.subarray(at, at + PIECE);
    v1.push(digests.sha1(piece));
    v2.push(tree.ofData(piece, leavesPerPiece(data.length, PIECE)).slice());
  }
  const content = { name, length: data.length, pieceLength: PIECE, announce };
  return buildTorrent({ ...content, piecesV1: Buffer.concat(v1), piecesV2: Buffer.concat(v2) }, digests);
}

/** A good v1 info dictionary, with changes. */
describe('good torrents', () => {
  test('v1 of one file', () => {
    const info = v1Info({ private: 1 });
    const torrent = parse(torrentWith(info, { announce: 'udp://192.0.2.1:6969/announce' }));
    assert.deepEqual(torrent.files, [{ path: ['a'], offset: 0, length: 100_000, pad: false }]);
    assert.equal(torrent.pieceCount, 4);
    assert.equal(torrent.private, true);
    assert.deepEqual(torrent.announce, [['udp://192.0.2.1:6969/announce']]);
    assert.deepEqual(Buffer.from(torrent.infoBytes), Buffer.from(encode(info)));
    assert.deepEqual(swarmHash(torrent), digests.sha1(encode(info)));
    assert.equal(torrent.infoHashV2, null);
    assert.equal(torrent.piecesV2, null);
    assert.equal(pieceSize(torrent, 3), 100_000 - 3 * PIECE);
  });

  test('trackers are put in and taken out again, and nothing else changes', () => {
    const bare = build(new Uint8Array(100_000), []);
    const tiers = [['http://192.0.2.1/announce'], ['udp://192.0.2.1/announce']] as [string][];
    const tracked = withAnnounce(bare, tiers);
    assert.deepEqual(parse(tracked).announce, tiers);
    assert.deepEqual(withoutAnnounce(tracked), bare);
    assert.deepEqual(withoutAnnounce(bare), bare);
    // Of other makers, with keys before and behind.
    const foreign = { aa: 1, comment: 'announce', info: v1Info(), zz: [] };
    const more = encode({ ...foreign, announce: 'http://192.0.2.1/announce' });
    assert.deepEqual(Buffer.from(withoutAnnounce(more)), Buffer.from(encode(foreign)));
  });

  test('v1 of many files, empty and padding ones among them', () => {
    const torrent = parse(
      torrentWith(
        v1Files(
          { length: 5, path: ['x', 'y'] },
          { length: 0, path: ['empty'] },
          { attr: 'p', length: 11, path: ['.pad', '11'] },
          { attr: 'p', length: 11, path: ['.pad', '11'] },
          { length: 1, path: ['x', 'ä'] },
        ),
      ),
    );
    const files = torrent.files.map((file) => [file.path.join('/'), file.offset, file.length, file.pad]);
    assert.deepEqual(files, [
      ['x/y', 0, 5, false],
      ['empty', 5, 0, false],
      ['.pad/11', 5, 11, true],
      ['.pad/11', 16, 11, true],
      ['x/ä', 27, 1, false],
    ]);
    assert.equal(torrent.length, 28);
  });

  test('the v1 info hash is over the raw bytes: unknown keys count', () => {
    const info = v1Info({ zzz: [1, { y: 'x' }] });
    assert.deepEqual(parse(torrentWith(info)).infoHashV1, digests.sha1(encode(info)));
  });

  test('names in UTF-8 keys win over names in some other encoding', () => {
    const info = v1Info({ name: Uint8Array.of(0xff), 'name.utf-8': 'é' });
    assert.equal(parse(torrentWith(info)).name, 'é');
  });

  test('a name of __proto__ is a name like any other', () => {
    assert.equal(parse(torrentWith(v1Info({ name: '__proto__' }))).name, '__proto__');
    const built = parse(build(Buffer.alloc(100), [], '__proto__'));
    assert.deepEqual(built.files[0]?.path, ['__proto__']);
  });

  test('v1 pieces below 16 KiB are taken only when there is one', () => {
    assert.equal(
      parse(torrentWith(v1Info({ length: 10, 'piece length': 10, pieces: sha1s(1) }))).pieceCount,
      1,
    );
    refused(torrentWith(v1Info({ length: 20, 'piece length': 10, pieces: sha1s(2) })), /pieces of 10 bytes/);
  });

  test('tiers of trackers win over the single one; other kinds of URL are left out', () => {
    const tiers = [
      ['http://a/announce', 'wss://b/'],
      ['file:///etc/passwd'],
      ['udp://c:1/announce', 'http://a b/'],
    ];
    const torrent = parse(torrentWith(v1Info(), { announce: 'http://z/announce', 'announce-list': tiers }));
    assert.deepEqual(torrent.announce, [['http://a/announce'], ['udp://c:1/announce']]);
  });

  test('web seeds are plain files by HTTP, one or several; of a folder, the file in it', () => {
    const seedsOf = (list: Bencodable) => parse(torrentWith(v1Info(), { 'url-list': list })).webSeeds;
    assert.deepEqual(seedsOf('http://10.9.0.1:8080/tarballs/a'), ['http://10.9.0.1:8080/tarballs/a']);
    assert.deepEqual(seedsOf(['https://b/', 'http://c/a']), ['https://b/a', 'http://c/a']);
    const others = [
      'file:///etc/passwd',
      'ftp://a/b',
      'http://a/b?run=1',
      'http://a/#b',
      'http://u:p@a/b',
      'http://a/ b',
    ];
    assert.deepEqual(seedsOf(others), []);
    assert.equal(seedsOf(Array.from({ length: 100 }, (_, i) => `http://a/${i}`)).length, 16);
    assert.throws(() => seedsOf([7]), /a web seed is not of kind bytes/);
    assert.throws(() => seedsOf(7), /a web seed is not of kind bytes/);
  });
});

describe('hybrid torrents', () => {
  const data = Buffer.alloc(5 * PIECE - 77, 'swarm');

  test('what is built is read: both info hashes, both kinds of pieces', () => {
    const announce = [
      ['http://192.0.2.1:6969/announce', 'udp://192.0.2.1:6969/announce'],
      ['http://192.0.2.2/announce'],
    ];
    const torrent = parse(build(data, announce));
    assert.deepEqual(torrent.announce, announce);
    assert.equal(torrent.private, true);
    assert.equal(torrent.pieceCount, 5);
    assert.deepEqual(torrent.infoHashV1, digests.sha1(torrent.infoBytes));
    assert.deepEqual(torrent.infoHashV2, digests.sha256(torrent.infoBytes));
    assert.equal(hex(torrent.piecesV1!.subarray(0, 20)), hex(digests.sha1(data.subarray(0, PIECE))));
    assert.equal(torrent.piecesV2?.length, 5 * 32);
  });

  test('the same content gives the same bytes', () => {
    assert.deepEqual(build(data), build(Buffer.from(data)));
  });

  test('without layers, as by ut_metadata, only the v1 pieces are known; both when there is one piece', () => {
    const many = parse(build(data));
    const info = parseInfo(many.infoBytes, digests, [['http://192.0.2.1/announce']]);
    assert.deepEqual({ ...info, piecesV2: many.piecesV2 }, many);
    assert.equal(info.piecesV2, null);
    const single = parse(build(data.subarray(0, 1000)));
    assert.deepEqual(parseInfo(single.infoBytes, digests, single.announce), single);
  });

  test('any length is built and read', () => {
    const lengths = fc.integer({ min: 1, max: 6 * PIECE });
    fc.assert(
      fc.property(lengths, (length) => {
        const torrent = parse(build(Buffer.alloc(length, 'x')));
        assert.equal(torrent.length, length);
        assert.equal(torrent.piecesV2?.length, 32 * torrent.pieceCount);
      }),
      { numRuns: 50 },
    );
  });

  test('refused: piece layers that are missing, short, or of other content', () => {
    const good = Buffer.from(build(data));
    const at = good.indexOf('12:piece layers') + '12:piece layersd32:'.length + 32 + '160:'.length;
    const other = Buffer.from(good);
    other[at] = other[at]! ^ 1;
    refused(other, /does not hash to its root/);
    const info = good.subarray(good.indexOf('4:info') + 6, good.indexOf('12:piece layers'));
    const none = Buffer.concat([Buffer.from('d4:info'), info, Buffer.from('e')]);
    refused(none, /piece layer of this file is missing/);
    const key = good.subarray(at - 36, at - 4);
    const short = [
      Buffer.from('d4:info'),
      info,
      Buffer.from('12:piece layersd32:'),
      key,
      Buffer.from('1:xee'),
    ];
    refused(Buffer.concat(short), /does not hold 5 hashes/);
  });

  test('v2 of one file is read; of many, or without its layers, it is refused', () => {
    const { length: _, files: __, pieces: ___, ...v2 } = twoFiles({ 'file tree': { a: leaf(100) } });
    const torrent = parse(torrentWith(v2));
    assert.deepEqual(swarmHash(torrent), digests.sha256(torrent.infoBytes).subarray(0, 20));
    assert.deepEqual(torrent.files, [{ path: ['a'], offset: 0, length: 100, pad: false }]);
    refused(torrentWith({ ...v2, 'file tree': { a: leaf(1), b: leaf(1) } }), /many files .* not supported/);
    const long = encode({ ...v2, 'file tree': { a: leaf(2 * PIECE) } });
    assert.throws(() => parseInfo(long, digests, []), /piece layer of this file is missing/);
  });
});

describe('bad torrents are refused with a reason and a byte', () => {
  const good = torrentWith(v1Info());

  test('truncated, at every byte', () => {
    for (let length = 0; length < good.length; length++) refused(good.subarray(0, length), /bad torrent/);
  });

  test('beyond 10 MB', () => refused(new Uint8Array(10_000_001), /longer than/));
  test('a million lists deep', () => refused(Buffer.alloc(1_000_000, 'l'), /nested deeper/));
  test('HTML', () => refused(Buffer.from('<!DOCTYPE html>'), /no value at byte 0/));
  test('a huge string length', () => refused(Buffer.from('d4:info99999999999:x'), /past the end/));
  test('a huge number', () => refused(Buffer.from(`d4:infod6:lengthi${'9'.repeat(30)}eee`), /too long/));
  test('a duplicate key', () => refused(Buffer.from('d4:infode4:infodee'), /duplicate key/));
  test('unsorted keys', () => refused(Buffer.from('d4:infod4:name1:a6:lengthi1eee'), /not sorted/));
  test('bytes after the end', () => refused(Buffer.concat([good, Buffer.from('x')]), /after the end/));
  test('no dictionary', () => refused(Buffer.from('le'), /not of kind dict/));
  test('no info', () => refused(Buffer.from('d9:__proto__d4:infodeee'), /"info" is missing/));

  const infos: [string, Bencodable, RegExp][] = [
    ['an info of another kind', 'x', /"info" is not of kind dict/],
    ['no pieces', { length: 1, name: 'a', 'piece length': PIECE }, /"pieces" is missing/],
    ['no name', { length: 1, 'piece length': PIECE, pieces: sha1s(1) }, /"name" is missing/],
    ['no length', { name: 'a', 'piece length': PIECE, pieces: sha1s(1) }, /"length" is missing/],
    ['no piece length', { length: 1, name: 'a', pieces: sha1s(1) }, /"piece length" is missing/],
    ['a negative length', v1Info({ length: -1 }), /"length" is -1/],
    ['a length beyond any disk', v1Info({ length: 2n ** 62n }), /"length" is 4611686018427387904/],
    ['a piece length of zero', v1Info({ 'piece length': 0 }), /"piece length" is 0/],
    ['a negative piece length', v1Info({ 'piece length': -PIECE }), /"piece length" is -/],
    ['pieces beyond 64 MiB', v1Info({ 'piece length': 64 * MIB + 1 }), /"piece length" is 67108865/],
    ['more than 2^21 pieces', v1Info({ length: (2 ** 21 + 1) * PIECE }), /more than 2097152 pieces/],
    ['one piece hash too few', v1Info({ pieces: sha1s(3) }), /the 4 hashes/],
    ['one piece hash too many', v1Info({ pieces: sha1s(5) }), /the 4 hashes/],
    ['a piece hash cut short', v1Info({ pieces: new Uint8Array(79) }), /the 4 hashes/],
    ['no content', v1Info({ length: 0, pieces: '' }), /every file is empty/],
  ];
  for (const [name, info, reason] of infos) test(name, () => refused(torrentWith(info), reason));

  test('trackers of another kind', () => {
    refused(torrentWith(v1Info(), { announce: 1 }), /"announce" is not of kind bytes/);
    refused(torrentWith(v1Info(), { 'announce-list': ['http://a/announce'] }), /a tier .* not of kind list/);
  });

  test('any changed byte gives a torrent or a refusal, nothing else', () => {
    const hybrid = build(Buffer.alloc(3 * PIECE, 'x'));
    fc.assert(
      fc.property(fc.constantFrom(good, hybrid), fc.nat(), fc.nat(255), (bytes, at, byte) => {
        const changed = bytes.slice();
        changed[at % changed.length] = byte;
        try {
          parse(changed);
        } catch (error) {
          assert(error instanceof SwarmbootError && error.code === 'torrent');
        }
      }),
      { numRuns: 3000 },
    );
  });
});

test('building refuses a name that is no file name', () => {
  assert.throws(() => build(Buffer.alloc(1), [], '../x'), { name: 'SwarmbootError', code: 'torrent' });
});

test('the size of pieces follows the size of the content', () => {
  assert.equal(pieceLengthFor(1), 32 * KIB);
  assert.equal(pieceLengthFor(2000 * 32 * KIB), 32 * KIB);
  assert.equal(pieceLengthFor(2000 * 32 * KIB + 1), 64 * KIB);
  assert.equal(pieceLengthFor(GIB), MIB);
  assert.equal(pieceLengthFor(100 * GIB), 4 * MIB);
});
