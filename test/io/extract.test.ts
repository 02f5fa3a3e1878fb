import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import test, { type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import type { Compression } from '../../agent/core/catalog.ts';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { type ExpectedTarball, type ExtractResult, extract, judgeTarball } from '../../agent/io/extract.ts';
import { streamWriter, tarWriter } from '../../agent/io/tree.ts';
import { archive, gnuLong, header, joined, member, pax, sparse } from '../core/archives.ts';

const never = new AbortController().signal;
const root = process.getuid?.() === 0;

/** A folder with a target in it and a canary beside that must stay alone and unchanged. */
function arena(t: TestContext): { readonly target: string; assertUnharmed(): void } {
  const folder = fs.mkdtempSync(path.join(tmpdir(), 'extract-'));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  const target = path.join(folder, 'target');
  fs.mkdirSync(target);
  fs.mkdirSync(path.join(folder, 'canary'), { mode: 0o700 });
  fs.writeFileSync(path.join(folder, 'canary', 'bird'), 'sings');
  return {
    target,
    assertUnharmed: () => {
      assert.deepEqual(fs.readdirSync(folder).sort(), ['canary', 'target']);
      assert.deepEqual(fs.readdirSync(path.join(folder, 'canary')), ['bird']);
      assert.equal(fs.readFileSync(path.join(folder, 'canary', 'bird'), 'utf8'), 'sings');
      assert.equal(fs.statSync(path.join(folder, 'canary')).mode & 0o777, 0o700);
    },
  };
}

/** `bytes` in chunks of `size`. */
async function* chunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
}

interface Options {
  readonly compression?: Compression;
  readonly expected?: ExpectedTarball;
  readonly chunkBytes?: number;
  readonly writer?: typeof tarWriter;
}

function unpack(bytes: Uint8Array, target: string, options: Options = {}): Promise<ExtractResult> {
  const { compression = 'none', expected = null, chunkBytes = 1000, writer = tarWriter } = options;
  return extract({ source: chunks(bytes, chunkBytes), compression, expected }, writer(target), never);
}

async function refusal(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    assert(error instanceof SwarmbootError && error.code === 'archive', String(error));
    return error.message;
  }
  assert.fail('accepted');
}

function expectedOf(bytes: Uint8Array, changes: Partial<ExpectedTarball> = {}): ExpectedTarball {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { size: bytes.length, sha256, unpackedSize: 5, entryCount: 1, ...changes };
}

const WRITERS = { 'GNU tar': tarWriter, 'the stream writer': streamWriter };

for (const [who, writer] of Object.entries(WRITERS)) {
  test(`${who} writes files, folders and links whatever the size of the chunks`, async (t) => {
    const long = `${'n'.repeat(200)}/${'m'.repeat(90)}`;
    const bytes = archive(
      member({ name: './', flag: '5', mode: 0o755 }),
      member({ name: './locked/', flag: '5', mode: 0o555 }),
      member({ name: './locked/a', mode: 0o640 }, 'hello'),
      member({ name: './locked/b', flag: '1', linkName: './locked/a' }),
      member({ name: './dangling', flag: '2', linkName: '/nowhere/../x' }),
      joined(gnuLong('L', long), member({ magic: 'ustar  \0' }, 'long')),
      joined(pax([['path', 'bytes-\xff']]), member({}, 'x'.repeat(2000))),
    );
    for (const chunkBytes of [1, 511, 512, 4096, 100_000]) {
      const { target } = arena(t);
      const result = await unpack(bytes, target, { chunkBytes, writer });
      assert.deepEqual([result.entries, result.unpackedBytes], [7, 2009]);
      assert.equal(fs.readFileSync(path.join(target, 'locked/b'), 'utf8'), 'hello');
      const [a, b] = [fs.statSync(path.join(target, 'locked/a')), fs.statSync(path.join(target, 'locked/b'))];
      assert.equal(a.ino, b.ino);
      assert.deepEqual([a.mode & 0o7777, a.mtimeMs], [0o640, 1_700_000_000_000]);
      const locked = fs.statSync(path.join(target, 'locked'));
      assert.deepEqual([locked.mode & 0o7777, locked.mtimeMs], [0o555, 1_700_000_000_000]);
      assert.equal(fs.readlinkSync(path.join(target, 'dangling')), '/nowhere/../x');
      assert.equal(fs.readFileSync(path.join(target, long), 'utf8'), 'long');
      assert.equal(fs.readFileSync(Buffer.from(`${target}/bytes-\xff`, 'latin1')).length, 2000);
      fs.chmodSync(path.join(target, 'locked'), 0o755);
    }
  });
}

/** One archive for each way out of the target that is known. */
const ATTACKS: Readonly<Record<string, readonly Uint8Array[]>> = {
  'an absolute path': [member({ name: '/tmp/swarmboot-escaped' }, 'x')],
  'a path with ..': [member({ name: 'a/../../canary/worm' }, 'x')],
  'an absolute path in a pax header': [pax([['path', '/tmp/swarmboot-escaped']]), member({}, 'x')],
  'a path with .. in a GNU long name': [gnuLong('L', '../canary/worm'), member({ magic: 'ustar  \0' }, 'x')],
  'a path with .. in a global header': [pax([['path', '../canary/worm']], 'g'), member({}, 'x')],
  'a file through a link': [
    member({ name: 'l', flag: '2', linkName: '../canary' }),
    member({ name: 'l/worm' }, 'x'),
  ],
  'a folder through a link': [
    member({ name: 'l', flag: '2', linkName: '../canary' }),
    member({ name: 'l/', flag: '5', mode: 0o777 }),
  ],
  'a chain of links': [
    member({ name: 'd/', flag: '5' }),
    member({ name: 'd/up', flag: '2', linkName: '..' }),
    member({ name: 'l', flag: '2', linkName: 'd/up/../canary' }),
    member({ name: 'l/worm' }, 'x'),
  ],
  'a hard link out': [
    member({ name: 'h', flag: '1', linkName: '../canary/bird' }),
    member({ name: 'h' }, 'x'),
  ],
  'a hard link through a link': [
    member({ name: 'l', flag: '2', linkName: '../canary' }),
    member({ name: 'h', flag: '1', linkName: 'l/bird' }),
  ],
  'a hard link to a link': [
    member({ name: 'l', flag: '2', linkName: '../canary' }),
    member({ name: 'h', flag: '1', linkName: 'l' }),
    member({ name: 'h/worm' }, 'x'),
  ],
  'two names that one reader takes for one': [
    joined(pax([['path', '\xff']]), member({ flag: '2', linkName: '../canary' })),
    joined(pax([['path', '\xfe']]), member({ flag: '5' })),
    joined(pax([['path', '\xff/worm']]), member({}, 'x')),
  ],
  'a member hidden in the content of a link': [
    header({ name: 'l', flag: '2', linkName: 'x', size: 512 }),
    member({ name: '../canary/worm' }, ''),
  ],
  'a member hidden by two sizes': [pax([['size', '1024']]), header({ size: 0 }), member({ name: '/x' }, 'x')],
  'an old GNU sparse file': [member({ name: 's', flag: 'S', magic: 'ustar  \0' }, 'x')],
  'an unknown type': [member({ name: 's', flag: 'N', magic: 'ustar  \0' }, '../canary/worm')],
};

for (const [what, members] of Object.entries(ATTACKS)) {
  test(`${what} is refused and nothing outside is touched`, async (t) => {
    for (const writer of [tarWriter, streamWriter]) {
      for (const chunkBytes of [512, 100_000]) {
        const { target, assertUnharmed } = arena(t);
        const tail = [member({ name: 'after' }, 'x')];
        // The size that hides a member is honest for both readers here: then the member is content.
        const bytes = archive(...members, ...tail);
        const outcome = await unpack(bytes, target, { writer, chunkBytes }).then(
          () => 'unpacked',
          (error) => error,
        );
        if (what === 'a member hidden by two sizes') assert.equal(outcome, 'unpacked');
        else assert(outcome instanceof SwarmbootError && outcome.code === 'archive', String(outcome));
        assertUnharmed();
        assert(!fs.existsSync('/tmp/swarmboot-escaped'));
      }
    }
  });
}

test('an override follows links of the image that stay inside, and no others', async (t) => {
  const { target, assertUnharmed } = arena(t);
  fs.mkdirSync(path.join(target, 'usr/lib'), { recursive: true });
  fs.symlinkSync('usr/lib', path.join(target, 'lib'));
  fs.symlinkSync(path.join(target, '../canary'), path.join(target, 'out'));
  await unpack(
    archive(member({ name: './lib/', flag: '5', mode: 0o755 }), member({ name: './lib/x' }, 'x')),
    target,
  );
  assert(fs.lstatSync(path.join(target, 'lib')).isSymbolicLink());
  assert.equal(fs.readFileSync(path.join(target, 'usr/lib/x'), 'utf8'), 'x');
  const evil = archive(member({ name: './out/', flag: '5', mode: 0o777 }));
  assert.match(await refusal(unpack(evil, target)), /would be written through the link "out"/);
  assertUnharmed();
});

const GOOD = archive(member({ name: 'a' }, 'hello'));
const PACKED: Readonly<Record<Compression, Uint8Array>> = {
  none: GOOD,
  gzip: gzipSync(GOOD),
  zstd: zstdCompressSync(GOOD),
};

for (const compression of ['none', 'gzip', 'zstd'] as const) {
  const packed = PACKED[compression];

  test(`${compression}: a whole tarball is taken, in one frame or several`, async (t) => {
    const { target } = arena(t);
    const result = await unpack(packed, target, { compression, expected: expectedOf(packed), chunkBytes: 7 });
    assert.deepEqual([result.entries, result.unpackedBytes, result.notes.length], [1, 5, root ? 0 : 1]);
    const pack = { none: (bytes: Uint8Array) => bytes, gzip: gzipSync, zstd: zstdCompressSync }[compression];
    const frames = joined(pack(GOOD.subarray(0, 700)), pack(GOOD.subarray(700)));
    assert.equal((await unpack(frames, target, { compression })).entries, 1);
  });

  test(`${compression}: a truncated tarball is refused wherever it is cut`, async () => {
    for (let step = 0; step < 40; step++) {
      const cut = packed.subarray(0, Math.floor((packed.length * step) / 40));
      // Cut in the padding of a bare archive, one zero record is missing at most: that counts too.
      const judged = judgeTarball({ source: chunks(cut, 100), compression, expected: null }, never);
      assert.match(await refusal(judged), /ends too early|data are damaged/);
    }
  });

  test(`${compression}: garbage after the end is refused`, async () => {
    const judged = (tail: Uint8Array, chunkBytes: number) =>
      judgeTarball({ source: chunks(joined(packed, tail), chunkBytes), compression, expected: null }, never);
    for (const chunkBytes of [packed.length, 64, 1_000_000]) {
      assert.match(await refusal(judged(Uint8Array.of(7, 7, 7), chunkBytes)), /garbage|damaged|broken/);
      assert.match(await refusal(judged(new Uint8Array(400_000).fill(5), chunkBytes)), /garbage|damaged/);
      if (compression !== 'none')
        assert.match(await refusal(judged(new Uint8Array(99), chunkBytes)), /garbage|damaged/);
    }
  });

  test(`${compression}: what the catalog did not say is refused`, async () => {
    const judged = (changes: Partial<ExpectedTarball>, bytes = packed) =>
      refusal(
        judgeTarball({ source: chunks(bytes, 50), compression, expected: expectedOf(bytes, changes) }, never),
      );
    assert.match(await judged({ size: packed.length - 1 }), /longer than the catalog's \d+ bytes/);
    assert.match(await judged({ size: packed.length + 1 }), /ends after \d+ of \d+ bytes/);
    assert.match(await judged({ sha256: '0'.repeat(64) }), /SHA-256 is [0-9a-f]{64}, the catalog says 0{64}/);
    assert.match(await judged({ unpackedSize: 4 }), /unpacks to more than the catalog's 4 bytes/);
    assert.match(await judged({ unpackedSize: 6 }), /1 members of 5 bytes where the catalog says 1 of 6/);
    assert.match(await judged({ entryCount: 0 }), /more than the 0 members/);
    assert.match(await judged({ entryCount: 2 }), /the catalog says 2 of 5/);
  });
}

test('an archive that ends oddly is refused', async () => {
  const judged = (bytes: Uint8Array) =>
    refusal(judgeTarball({ source: chunks(bytes, 4096), compression: 'none', expected: null }, never));
  const file = member({ name: 'a' }, 'hello');
  assert.match(await judged(file), /ends too early/);
  assert.match(await judged(joined(file, new Uint8Array(512))), /ends too early/);
  assert.match(await judged(new Uint8Array(0)), /ends too early/);
  assert.match(await judged(joined(archive(file), file)), /garbage|follow the end/);
  assert.match(
    await judged(joined(file, new Uint8Array(512), file, new Uint8Array(1024))),
    /garbage|follow the end/,
  );
  assert.match(await judged(joined(archive(file), new Uint8Array(5 * 1024 * 1024))), /zeros without end/);
  assert.match(await judged(new Uint8Array(2048).fill(65)), /no tar header is where one should be/);
});

test('headers without end are refused with little held in memory', async () => {
  const comment = pax([['comment', 'x'.repeat(10_000)]], 'g');
  const judged = (bytes: Uint8Array) =>
    refusal(judgeTarball({ source: chunks(bytes, 65_536), compression: 'none', expected: null }, never));
  assert.match(
    await judged(joined(...Array.from({ length: 300 }, () => comment))),
    /headers of more than 1 MiB/,
  );
  assert.match(await judged(pax([['path', 'x'.repeat(3_000_000)]])), /headers of more than 1 MiB/);
});

test('a bomb of zeros stops at the size that the catalog said', async () => {
  const zeros = new Uint8Array(64 * 1024 * 1024);
  const bomb = gzipSync(joined(header({ size: zeros.length }), zeros));
  const judged = judgeTarball(
    { source: chunks(bomb, 65_536), compression: 'gzip', expected: expectedOf(bomb) },
    never,
  );
  assert.match(await refusal(judged), /unpacks to more than/);
});

test('the stream writer refuses devices and sparse files', async (t) => {
  const { target } = arena(t);
  const device = archive(member({ name: 'null', flag: '3' }));
  assert.match(
    await refusal(unpack(device, target, { writer: streamWriter })),
    /a character-device in BOEL binaries/,
  );
  const holes = archive(sparse(9, [[8, 1]]), member({ name: 's' }, 'x'));
  assert.match(
    await refusal(unpack(holes, target, { writer: streamWriter })),
    /a sparse file in BOEL binaries/,
  );
});

test('a target that cannot be written is told with the reason', async (t) => {
  const { target } = arena(t);
  fs.writeFileSync(path.join(target, 'file'), '');
  for (const writer of [tarWriter, streamWriter]) {
    await assert.rejects(unpack(GOOD, path.join(target, 'file'), { writer }), (error) => {
      assert(error instanceof SwarmbootError && error.code === 'extract', String(error));
      assert.match(error.message, /not a directory.*; the target is incomplete/i);
      return true;
    });
  }
});

test('what has come is written while the rest is still to come', async (t) => {
  const { target } = arena(t);
  const files = Array.from({ length: 64 }, (_, index) =>
    member({ name: `file${index}` }, randomBytes(16_384).toString('latin1')),
  );
  const bytes = zstdCompressSync(archive(...files));
  async function* slow() {
    yield bytes.subarray(0, bytes.length / 2);
    for (const since = performance.now(); !fs.existsSync(path.join(target, 'file16')); await sleep(10))
      assert.ok(performance.now() - since < 10_000, 'a quarter is not there when half has come');
    assert.ok(!fs.existsSync(path.join(target, 'file48')));
    yield bytes.subarray(bytes.length / 2);
  }
  const job = { source: slow(), compression: 'zstd', expected: null } as const;
  assert.equal((await extract(job, tarWriter(target), never)).entries, 64);
});

test('small members that follow each other are one write', async () => {
  const bytes = archive(...Array.from({ length: 30 }, (_, index) => member({ name: `f${index}` }, 'x')));
  const written: Uint8Array[] = [];
  const writer = {
    readlink: () => null,
    isFolder: () => false,
    take: ({ name }: { name: string }) => name !== 'f9',
    write: async (part: Uint8Array) => void written.push(part.slice()),
    finish: async () => [],
    abort: async () => {},
  };
  await extract({ source: chunks(bytes, bytes.length), compression: 'none', expected: null }, writer, never);
  assert.deepEqual(
    written.map(({ length }) => length),
    [9 * 1024, bytes.length - 10 * 1024],
  );
  assert.deepEqual(joined(...written), joined(bytes.slice(0, 9 * 1024), bytes.slice(10 * 1024)));
});

test('a stopped extraction ends with the reason and leaves no child', async (t) => {
  const { target } = arena(t);
  const stop = new AbortController();
  const reason = new SwarmbootError('interrupted', 'stopped');
  async function* slow() {
    yield PACKED.zstd.slice(0, 20);
    stop.abort(reason);
    yield PACKED.zstd.slice(20);
  }
  const job = { source: slow(), compression: 'zstd', expected: null } as const;
  await assert.rejects(extract(job, tarWriter(target), stop.signal), reason);
});

test('a source that fails is told as it failed', async (t) => {
  const { target } = arena(t);
  const reason = new SwarmbootError('staging', 'the swarm is gone');
  for (const compression of ['none', 'zstd'] as const) {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield PACKED[compression].slice(0, 20);
      throw reason;
    }
    const job = { source: broken(), compression, expected: null };
    await assert.rejects(extract(job, tarWriter(target), never), reason);
  }
});

test('without root, what cannot be kept is left out and told in one line', async (t) => {
  const { target } = arena(t);
  const bytes = archive(
    member({ name: 'null', flag: '3' }),
    member({ name: 'twin', flag: '1', linkName: 'null' }),
    joined(pax([['uid', '12345']]), member({ name: 'a', mode: 0o600 }, 'x')),
    joined(
      pax([
        ['SCHILY.xattr.security.capability', 'x'],
        ['SCHILY.xattr.user.a', 'y'],
      ]),
      member({ name: 'b' }, 'x'),
    ),
  );
  if (root) {
    fs.chmodSync(path.dirname(target), 0o755);
    fs.chownSync(target, 65534, 65534);
    process.setegid?.(65534);
    process.seteuid?.(65534);
  }
  try {
    const { notes } = await unpack(bytes, target);
    assert.deepEqual(notes, ['without root: 2 owners, 2 devices, 1 privileged attributes were not kept']);
  } finally {
    process.seteuid?.(root ? 0 : process.getuid!());
    process.setegid?.(root ? 0 : process.getgid!());
  }
  assert.deepEqual(fs.readdirSync(target).sort(), ['a', 'b']);
});
