// Tarballs on their way to a writer: single headers, whole archives, compressed ones. What is accepted went on whole.

import { createHash } from 'node:crypto';
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import type { Compression } from '../../../agent/core/catalog.ts';
import type { TreeWriter } from '../../../agent/core/judge.ts';
import { readMember } from '../../../agent/core/tarhead.ts';
import { KIB, MIB } from '../../../agent/core/units.ts';
import { extract } from '../../../agent/io/extract.ts';
import { archive, gnuLong, header, joined, member, pax } from '../../core/archives.ts';
import { drawn } from '../generate.ts';
import { must, refusedWith, type Target, type Verdict } from '../target.ts';

/** By three bits; compressed ones take ten times as long. */
const COMPRESSIONS: readonly Compression[] = ['none', 'none', 'none', 'none', 'none', 'none', 'gzip', 'zstd'];
const never = new AbortController().signal;

const names = fc.constantFrom(
  'a',
  'b/',
  'd/e',
  './',
  '../x',
  '/etc/x',
  'a//b',
  '',
  'l/x',
  'x'.repeat(120),
  '\xff',
);
const size = fc.oneof(fc.nat(600), fc.constantFrom(0, 511, 512, 513, 2 ** 33));
const headers = fc
  .record(
    {
      name: names,
      flag: fc.constantFrom('0', '0', '1', '2', '3', '4', '5', '6', '7', '\0', 'x', 'g', 'L', 'K', 'S', 'V'),
      size,
      sizeField: fc.constantFrom(
        '\xff'.repeat(12),
        '\x80\0\0\0\0\0\0\0\0\0\x02\0',
        '00000000012 ',
        '7777777777777',
        '',
      ),
      linkName: names,
      prefix: fc.constantFrom('', 'p', '/p', '..'),
      mode: fc.nat(0o7777),
      magic: fc.constantFrom('ustar\x0000', 'ustar  \0', ''),
    },
    { requiredKeys: ['name', 'flag', 'magic'] },
  )
  .map((fields) => ({ ...fields, magic: fields.magic || 'ustar\x0000' }));
const paxKey = fc.constantFrom(
  'path',
  'linkpath',
  'size',
  'mtime',
  'uid',
  'comment',
  'SCHILY.xattr.user.a',
  'GNU.sparse.size',
  'GNU.sparse.name',
  'GNU.sparse.realsize',
  'GNU.sparse.offset',
  '__proto__',
);
const paxValue = fc.constantFrom(
  'a',
  '',
  '0',
  '7',
  '512',
  '-1',
  '1e3',
  '../x',
  '/x',
  'x\0y',
  '\xff',
  '99999999999999999',
  'd/e',
);
const part = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .tuple(headers, fc.constantFrom('', 'x', 'y'.repeat(700)))
      .map(([fields, content]) => member({ size: content.length, ...fields }, content)),
  },
  headers.map(header),
  fc
    .tuple(fc.array(fc.tuple(paxKey, paxValue), { maxLength: 4 }), fc.constantFrom('x', 'x', 'g'))
    .map(([records, flag]) => pax(records, flag)),
  fc.tuple(fc.constantFrom('L' as const, 'K' as const), names).map(([flag, name]) => gnuLong(flag, name)),
  fc.constant(new Uint8Array(512)),
  fc.uint8Array({ maxLength: 100 }),
);
const tarball = fc
  .tuple(fc.nat(255), fc.nat(255), fc.array(part, { maxLength: 6 }), fc.boolean())
  .map(([how, chunk, parts, ended]) => packed(how, chunk, ended ? archive(...parts) : joined(...parts)));

/** Two bytes that say how the tarball is compressed and comes, then the tarball. */
function packed(how: number, chunk: number, bytes: Uint8Array): Uint8Array {
  const compression = COMPRESSIONS[how & 7]!;
  const tar =
    compression === 'gzip' ? gzipSync(bytes) : compression === 'zstd' ? zstdCompressSync(bytes) : bytes;
  return Buffer.concat([Buffer.from([how, chunk]), tar]);
}

function seeds(): Uint8Array[] {
  const tree = archive(
    member({ name: './', flag: '5', mode: 0o755 }),
    member({ name: './a' }, 'hello'),
    member({ name: './b', flag: '1', linkName: './a' }),
    member({ name: './l', flag: '2', linkName: 'd/../a' }),
    joined(gnuLong('L', 'n'.repeat(200)), member({ magic: 'ustar  \0' }, 'long')),
    joined(
      pax([
        ['path', 'p-\xff'],
        ['mtime', '1.5'],
        ['SCHILY.xattr.user.x', 'y'],
      ]),
      member({}, 'x'.repeat(2000)),
    ),
    member({ name: './null', flag: '3' }),
  );
  const sparse = [
    ['GNU.sparse.size', '5000'],
    ['GNU.sparse.offset', '0'],
    ['GNU.sparse.numbytes', '2'],
  ] as const;
  const others = [
    archive(),
    archive(joined(pax(sparse), member({}, 'ab'))),
    archive(pax([['comment', 'x']], 'g'), member({}, 'x')),
    archive(joined(pax([]), member({}, 'x'))),
    archive(member({ name: 'l', flag: '2', linkName: '/etc' }), member({ name: 'l/x' }, 'x')),
  ];
  return [0, 6, 7, 8, 14, 15, 24, 30, 31]
    .map((how) => packed(how, 250, tree))
    .concat(others.map((one) => packed(24, 100, one)));
}

/** Takes everything and counts it. */
class Counting implements TreeWriter {
  bytes = 0;

  readlink(): string | null {
    return null;
  }

  isFolder(): boolean {
    return false;
  }

  take(): boolean {
    return true;
  }

  write(bytes: Uint8Array): Promise<void> {
    this.bytes += bytes.length;
    return Promise.resolve();
  }

  finish(): Promise<readonly string[]> {
    return Promise.resolve([]);
  }

  abort(): Promise<void> {
    return Promise.resolve();
  }
}

async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
}

function readHeaders(bytes: Uint8Array): void {
  try {
    const { name, storedBytes, fileBytes } = readMember(bytes);
    must(storedBytes >= 0 && fileBytes >= 0, `${name} has a size`);
  } catch (error) {
    refusedWith(error, 'archive');
  }
}

function unpacked(bytes: Uint8Array, compression: Compression): Uint8Array {
  if (compression === 'none') return bytes;
  return compression === 'gzip' ? gunzipSync(bytes) : zstdDecompressSync(bytes);
}

async function judge(input: Uint8Array): Promise<Verdict> {
  const [how = 0, chunk = 0] = input;
  const bytes = input.subarray(2);
  const compression = COMPRESSIONS[how & 7]!;
  readHeaders(bytes);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  // Without the catalog's bounds a few bytes of a compressed file may be a file of any size.
  const expected =
    (how & 8) === 0 ? { size: bytes.length, sha256, unpackedSize: 64 * KIB, entryCount: 20 } : null;
  const source = chunksOf(bytes, (how & 16) === 0 ? 64 * KIB : 1 + 8 * chunk);
  const writer = new Counting();
  try {
    await extract({ source, compression, expected }, writer, never);
  } catch (error) {
    must(expected === null || writer.bytes < 8 * MIB, 'no more goes on than the catalog allows');
    return refusedWith(error, 'archive');
  }
  const whole = unpacked(bytes, compression);
  const kept = whole.subarray(writer.bytes).every((byte) => byte === 0);
  must(writer.bytes > 0 && writer.bytes <= whole.length && kept, 'all that is accepted but padding goes on');
  return 'accepted';
}

export const archives = (): Target => ({
  seeds: seeds(),
  words: [
    'ustar\x0000',
    'ustar  \0',
    'x',
    'g',
    'L',
    '\0'.repeat(512),
    '20 path=aaaaaaaaaaa\n',
    '11 size=12\n',
    '../',
    '/',
  ],
  build: drawn(tarball),
  bytesMax: 16 * KIB,
  growthMiB: 12,
  judge,
});
