import { deepEqual, equal, match, ok, rejects, throws } from 'node:assert/strict';
import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { pieceSize, type Torrent } from '../../agent/core/torrent.ts';
import { BLOCK_BYTES, MIB } from '../../agent/core/units.ts';
import { digests } from '../../agent/io/digest.ts';
import { openStore, type Store, type StoreOptions } from '../../agent/io/store.ts';
import { type Made, makeTorrent, noise, scratch } from '../content.ts';

const PIECE = 4 * BLOCK_BYTES;

function open(
  torrent: Torrent,
  path: string,
  mode: StoreOptions['mode'],
  signal?: AbortSignal,
): Promise<Store> {
  return openStore(torrent, { path, mode, hashes: digests }, signal);
}

function oneFile(length = 5 * PIECE + 20_000, kind: 'v1' | 'hybrid' = 'hybrid'): Made {
  return makeTorrent('image.tar', [{ bytes: noise(length, 7) }], PIECE, kind);
}

function folder(kind: 'v1' | 'hybrid' = 'hybrid'): Made & { files: Map<string, Buffer> } {
  const sizes = [100_000, 0, 3, PIECE, 3 * PIECE + 1];
  const parts = sizes.map((size, index) => ({
    path: ['sub', 'deep', `f${index}`],
    bytes: noise(size, index),
  }));
  const files = new Map(parts.map((part) => [part.path.join('/'), part.bytes]));
  return { ...makeTorrent('folder', parts, PIECE, kind), files };
}

function pieceOf({ torrent, space }: Made, piece: number): Buffer {
  return space.subarray(piece * PIECE, piece * PIECE + pieceSize(torrent, piece));
}

function write(store: Store, piece: number, bytes: Uint8Array): Promise<Error | null> {
  return new Promise((resolve) => store.write(piece, bytes, resolve));
}

async function fill(store: Store, made: Made, except = -1): Promise<void> {
  for (let piece = 0; piece < made.torrent.pieceCount; piece++) {
    if (piece !== except) equal(await write(store, piece, pieceOf(made, piece)), null);
  }
}

/** The content of framed messages, after every header has been checked. */
function unframe(frame: Uint8Array, piece: number, begin: number): Buffer {
  const bytes = Buffer.from(frame);
  const blocks: Buffer[] = [];
  let expected = begin;
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at) - 9;
    deepEqual([bytes[at + 4], bytes.readUInt32BE(at + 5), bytes.readUInt32BE(at + 9)], [7, piece, expected]);
    blocks.push(bytes.subarray(at + 13, at + 13 + length));
    at += 13 + length;
    expected += length;
  }
  return Buffer.concat(blocks);
}

const ready = () => Promise.resolve();

for (const root of ['/dev/shm', undefined]) {
  const place = root === undefined ? 'on disk' : 'in memory';

  test(`whatever pieces are written in whatever order, reading gives the content back, ${place}`, async (t) => {
    const base = scratch(t, root);
    const shapes = [oneFile(), oneFile(3 * PIECE, 'v1'), oneFile(5), folder(), folder('v1')];
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.nat(shapes.length - 1), fc.infiniteStream(fc.nat()), async (shape, chance) => {
        const made = shapes[shape]!;
        const store = await open(made.torrent, join(base, `run${run++}`), 'create');
        const order = Array.from({ length: made.torrent.pieceCount }, (_, piece) => piece);
        order.sort((a, b) => ((a * 7919 + chance.next().value!) % 13) - ((b * 104_729) % 13));
        await Promise.all(
          order.map(async (piece) => equal(await write(store, piece, pieceOf(made, piece)), null)),
        );
        for (const piece of order) {
          const begin =
            (chance.next().value! % Math.ceil(pieceSize(made.torrent, piece) / BLOCK_BYTES)) * BLOCK_BYTES;
          const length = 1 + (chance.next().value! % (pieceSize(made.torrent, piece) - begin));
          const frame = store.read(piece, begin, length)!;
          deepEqual(unframe(frame.bytes, piece, begin), pieceOf(made, piece).subarray(begin, begin + length));
          frame.release();
        }
        await store.discard();
      }),
      { numRuns: 40 },
    );
    deepEqual(readdirSync(base), []);
  });
}

test('a created file belongs to its owner alone, has its full size at once, and is never one that was there', async (t) => {
  const path = join(scratch(t), 'pool', 'image.tar');
  const { torrent } = oneFile();
  const store = await open(torrent, path, 'create');
  equal(statSync(path).mode & 0o777, 0o600);
  equal(statSync(dirname(path)).mode & 0o777, 0o700);
  equal(statSync(path).size, torrent.length);
  equal(store.have.count, 0);
  await rejects(open(torrent, path, 'create'), {
    code: 'staging',
    message: /no place for "image.tar" at .*EEXIST/,
  });
  ok(existsSync(path));
  await store.discard();
  ok(!existsSync(path));
});

test('a piece is verified by SHA-256 when the torrent has it, else by SHA-1, and one flipped bit is seen', async (t) => {
  const base = scratch(t);
  for (const made of [oneFile(), oneFile(70_000, 'v1'), oneFile(5), folder(), folder('v1')]) {
    const store = await open(made.torrent, join(base, 'x'), 'create');
    for (let piece = 0; piece < made.torrent.pieceCount; piece++) {
      const bytes = Buffer.from(pieceOf(made, piece));
      equal(store.verify(piece, bytes), true);
      bytes[0]! ^= 1;
      equal(store.verify(piece, bytes), false);
    }
    await store.discard();
  }
});

test('a folder holds every file but the pads, byte for byte, and can be seeded as it is', async (t) => {
  const made = folder();
  const path = join(scratch(t), 'into', 'folder');
  const store = await open(made.torrent, `${path}.part`, 'resume');
  await fill(store, made);
  await store.finish(path);
  await store.close();
  ok(!existsSync(`${path}.part`));
  deepEqual(readdirSync(path), ['sub']);
  for (const [name, bytes] of made.files) deepEqual(readFileSync(join(path, name)), bytes);
  const seeding = await open(made.torrent, path, 'seed');
  equal(seeding.have.isFull, true);
  deepEqual(unframe(seeding.read(1, 0, PIECE)!.bytes, 1, 0), pieceOf(made, 1));
  await seeding.close();
});

test('resuming keeps the good pieces and names the damaged ones', async (t) => {
  for (const made of [oneFile(), folder(), folder('v1')]) {
    const path = join(scratch(t), 'x');
    const first = await open(made.torrent, path, 'resume');
    await fill(first, made, 1);
    const bad = Buffer.from(pieceOf(made, 2));
    bad[0]! ^= 0x40;
    equal(await write(first, 2, bad), null);
    await first.close();
    const second = await open(made.torrent, path, 'resume');
    equal(second.have.count, made.torrent.pieceCount - 2);
    deepEqual([second.have.has(0), second.have.has(1), second.have.has(2)], [true, false, false]);
    await second.close();
  }
});

test('resuming completes a file that was cut, and refuses one that is longer than the torrent says', async (t) => {
  const made = oneFile();
  const path = join(scratch(t), 'image.tar');
  writeFileSync(path, made.space.subarray(0, 2 * PIECE + 5));
  const store = await open(made.torrent, path, 'resume');
  equal(store.have.count, 2);
  await store.close();
  writeFileSync(path, Buffer.concat([made.space, Buffer.alloc(1)]));
  const refusal = { code: 'staging', message: new RegExp(`has ${made.space.length + 1} bytes there`) };
  await rejects(open(made.torrent, path, 'resume'), refusal);
  await rejects(open(made.torrent, path, 'seed'), refusal);
  equal(statSync(path).size, made.space.length + 1);
});

test('a check of what is there stops when asked to', async (t) => {
  const made = oneFile();
  const path = join(scratch(t), 'image.tar');
  writeFileSync(path, made.space);
  await rejects(open(made.torrent, path, 'resume', AbortSignal.abort()), { name: 'AbortError' });
});

test('no symbolic link is followed: not for the file, not for a folder on the way to it', async (t) => {
  const base = scratch(t);
  const outside = join(base, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'victim'), 'untouched');
  symlinkSync(join(outside, 'victim'), join(base, 'image.tar'));
  for (const mode of ['create', 'resume', 'seed'] as const) {
    await rejects(open(oneFile(9).torrent, join(base, 'image.tar'), mode), { code: 'staging' });
  }
  mkdirSync(join(base, 'folder'));
  symlinkSync(outside, join(base, 'folder', 'sub'));
  await rejects(open(folder().torrent, join(base, 'folder'), 'resume'), { message: /"sub\/deep\/f0"/ });
  deepEqual(readdirSync(outside), ['victim']);
  equal(readFileSync(join(outside, 'victim'), 'utf8'), 'untouched');
});

test('a place without room is refused before a byte is written, with what is needed, free and missing', async (t) => {
  const base = scratch(t);
  const { torrent } = oneFile();
  const huge = { ...torrent, length: 2 ** 46, files: [{ ...torrent.files[0]!, length: 2 ** 46 }] };
  const refusal = /64\.0 TiB are needed and .* are free, .* too few; free it, or choose another place/;
  await rejects(open(huge, join(base, 'x'), 'create'), { code: 'staging', message: refusal });
  deepEqual(readdirSync(base), []);
});

test('a file system that fills up while writing fails the piece, and says what to do', {
  skip: process.getuid!() !== 0 && 'mounting a small tmpfs needs root; the limit on file size stands for it',
}, async (t) => {
  const pool = scratch(t);
  execFileSync('/usr/bin/mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', pool]);
  try {
    const made = oneFile(MIB);
    const store = await open(made.torrent, join(pool, 'image.tar'), 'create');
    writeFileSync(join(pool, 'filler'), Buffer.alloc(1.5 * MIB));
    const results = [];
    for (let piece = 0; piece < made.torrent.pieceCount; piece++) {
      results.push(await write(store, piece, pieceOf(made, piece)));
    }
    const failure = results.find((error) => error !== null)!;
    ok(failure instanceof SwarmbootError && failure.code === 'staging');
    match(
      failure.message,
      /is full, so "image\.tar" cannot be completed there; free room or choose another place/,
    );
    await store.discard();
    deepEqual(readdirSync(pool), ['filler']);
  } finally {
    execFileSync('/usr/bin/umount', [pool]);
  }
});

test('a write that the system refuses in the middle of a piece fails that piece alone', async (t) => {
  for (const root of ['/dev/shm', undefined]) {
    const path = join(scratch(t, root), 'image.tar');
    const child = fork(join(import.meta.dirname, 'store-limit.ts'), [path], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const [results] = await once(child, 'message');
    deepEqual(results.slice(0, 2), [null, null]);
    match(results[2], /cannot be written \(EFBIG.*\), so "image\.tar" cannot be completed there/);
    await once(child, 'exit');
  }
});

test('the source gives the file from its first byte to its last, and no byte before it is verified', async (t) => {
  const bytes = noise(5 * MIB + 12_345, 3);
  const made = makeTorrent('image.tar', [{ bytes }], PIECE, 'hybrid');
  const store = await open(made.torrent, join(scratch(t), 'image.tar'), 'create');
  let written = 0;
  const front = async (wanted: number) => {
    for (; written * PIECE < Math.min(wanted, bytes.length); written++) {
      equal(await write(store, written, pieceOf(made, written)), null);
    }
  };
  const held: Uint8Array[] = [];
  const read: Buffer[] = [];
  for await (const chunk of store.source(front, new AbortController().signal)) {
    held.push(chunk);
    // The oldest of the four that may be held is copied only now: it must still be untouched.
    if (held.length === 4) read.push(Buffer.from(held.shift()!));
  }
  deepEqual(Buffer.concat([...read, ...held]), bytes);
  await store.close();
});

test('what is put in the place of a checked file is not what the source gives', async (t) => {
  const made = oneFile();
  const path = join(scratch(t), 'image.tar');
  const store = await open(made.torrent, path, 'create');
  await fill(store, made);
  writeFileSync(`${path}.other`, Buffer.alloc(made.space.length));
  renameSync(`${path}.other`, path);
  const read: Buffer[] = [];
  for await (const chunk of store.source(ready, new AbortController().signal)) read.push(Buffer.from(chunk));
  ok(Buffer.concat(read).equals(made.space));
  await store.close();
});

test('the source ends with the reason when the wait for the front fails or is given up', async (t) => {
  const made = oneFile();
  const store = await open(made.torrent, join(scratch(t), 'image.tar'), 'create');
  const failing = store.source(() => Promise.reject(new Error('swarm gone')), new AbortController().signal);
  await rejects(failing.next(), /swarm gone/);
  await rejects(store.source(ready, AbortSignal.abort()).next(), { name: 'AbortError' });
  await store.close();
});

test('a file that was cut under the store is an error of that read, for peers and for the source', async (t) => {
  const made = oneFile();
  const path = join(scratch(t), 'image.tar');
  writeFileSync(path, made.space);
  const store = await open(made.torrent, path, 'seed');
  truncateSync(path, PIECE + 5);
  equal(unframe(store.read(0, 0, PIECE)!.bytes, 0, 0).length, PIECE);
  const cut = { code: 'staging', message: /the file has become shorter/ };
  for (let count = 0; count < 1000; count++) throws(() => store.read(1, 0, PIECE), cut);
  await rejects(store.source(ready, new AbortController().signal).next(), cut);
  await store.close();
});

test('closing waits for writes under way, and may be done twice', async (t) => {
  const made = oneFile();
  const path = join(scratch(t), 'image.tar');
  const store = await open(made.torrent, path, 'create');
  const writes = Array.from({ length: made.torrent.pieceCount }, (_, piece) =>
    write(store, piece, pieceOf(made, piece)),
  );
  await store.close();
  await store.close();
  deepEqual(
    await Promise.all(writes),
    writes.map(() => null),
  );
  deepEqual(readFileSync(path), made.space);
});
