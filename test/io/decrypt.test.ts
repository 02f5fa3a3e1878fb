import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FileKey } from '../../agent/core/age.ts';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { decrypted } from '../../agent/io/decrypt.ts';
import { CHUNK, chunk, chunksOf, fileKey, fileOf, header, opened, SEALED, STANZA } from '../agefiles.ts';
import { noise } from '../content.ts';

/** Opens what must be refused. Nothing may have come out but the beginning of `plain`, and not the whole of it. */
async function refused(file: Uint8Array, plain: Uint8Array, size?: number): Promise<string> {
  const found = await opened(file, size);
  ok(found.error instanceof SwarmbootError && found.error.code === 'archive', String(found.error));
  ok(found.plain.length < Math.max(plain.length, 1), 'what came out looks whole');
  deepEqual(found.plain, Buffer.from(plain.subarray(0, found.plain.length)));
  return found.error.message;
}

for (const length of [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 70]) {
  test(`${length} bytes come out as they went in, in whatever parts the file comes`, async () => {
    const plain = noise(length, length);
    const file = fileOf(chunksOf(plain));
    for (const size of [file.length, 1_000_000, SEALED, SEALED - 1, CHUNK, 4096, 997]) {
      deepEqual(await opened(file, size), { plain, error: null });
    }
  });
}

test('a file that comes byte by byte is opened, header and all', async () => {
  const plain = noise(300, 1);
  deepEqual(await opened(fileOf(chunksOf(plain)), 1), { plain, error: null });
});

test('a file for several people, with stanzas of kinds that nobody knows, is opened', async () => {
  const plain = noise(300, 2);
  const file = fileOf(chunksOf(plain), header(`-> grease-1 x y\n\n${STANZA}${STANZA}`));
  deepEqual(await opened(file), { plain, error: null });
});

test('another key opens nothing', async () => {
  const { plain, error } = await opened(fileOf(chunksOf(noise(10, 3))), 50, new FileKey(new Uint8Array(16)));
  equal(plain.length, 0);
  ok(error instanceof SwarmbootError && error.code === 'archive');
  match(error.message, /has another key than the image server's, or its header was changed/);
});

test('a header in which any byte is another is refused before anything comes out', async () => {
  const plain = noise(100, 4);
  const file = fileOf(chunksOf(plain));
  for (let at = 0; at < header().length; at++) {
    const changed = Buffer.from(file);
    changed[at]! ^= 1;
    equal((await opened(changed)).plain.length, 0);
    await refused(changed, plain);
  }
});

test('a file that ends in its header or nonce is refused, wherever', async () => {
  const file = fileOf([]);
  for (let length = 0; length <= file.length; length++) await refused(file.subarray(0, length), noise(1, 1));
});

describe('a payload of three chunks and a half is refused', () => {
  const plain = noise(3 * CHUNK + 1000, 5);
  const chunks = chunksOf(plain);
  const [first, second, third, last] = chunks as [Buffer, Buffer, Buffer, Buffer];

  test('with a flipped bit in any chunk, in its first byte, its last, or its tag', async () => {
    for (const [index, sealed] of chunks.entries()) {
      for (const at of [0, sealed.length >> 1, sealed.length - 17, sealed.length - 16, sealed.length - 1]) {
        const changed = Buffer.from(sealed);
        changed[at]! ^= 0x80;
        const file = fileOf(chunks.with(index, changed));
        match(await refused(file, plain), new RegExp(`chunk ${index} of the encrypted file was changed`));
        equal((await opened(file)).plain.length, index * CHUNK);
      }
    }
  });

  test('cut off at each edge of a chunk, and a byte to either side of it', async () => {
    const whole = fileOf(chunks);
    const begin = whole.length - Buffer.concat(chunks).length;
    for (const edge of [0, SEALED, 2 * SEALED, 3 * SEALED])
      for (const by of [-17, -16, -1, 0, 1, 15, 16, 17])
        if (edge + by >= 0) await refused(whole.subarray(0, begin + edge + by), plain);
  });

  test('cut off anywhere', async () => {
    const whole = fileOf(chunks);
    for (let length = whole.length - 1; length > 0; length -= 1237)
      await refused(whole.subarray(0, length), plain, 10_000);
  });

  const wrong: Record<string, readonly Uint8Array[]> = {
    'with two chunks swapped': [second, first, third, last],
    'with a chunk twice': [first, first, second, third, last],
    'without a chunk in the middle': [first, third, last],
    'without its first chunk': [second, third, last],
    'without its last chunk': [first, second, third],
    'with nothing in it': [],
    'with a byte behind it': [...chunks, Buffer.from([0])],
    'with a tag of zeros behind it': [...chunks, Buffer.alloc(16)],
    'with a whole chunk behind it': [...chunks, chunk(noise(10, 1), 4, true)],
    'with its last chunk twice': [...chunks, last],
    'with another file behind it': [...chunks, fileOf(chunks)],
    'with no chunk that says it is the last': [
      ...chunks.slice(0, 3),
      chunk(plain.subarray(3 * CHUNK), 3, false),
    ],
  };
  for (const [title, parts] of Object.entries(wrong)) {
    test(title, async () => void (await refused(fileOf(parts), plain)));
  }
});

describe('of the last chunk', () => {
  test('one that says so too early is refused', async () => {
    const plain = noise(2 * CHUNK, 6);
    const early = chunk(plain.subarray(0, CHUNK), 0, true);
    await refused(fileOf([early, chunk(plain.subarray(CHUNK), 1, true)]), plain);
  });

  test('a full one is right, and one that follows it with nothing in it is refused', async () => {
    const plain = noise(CHUNK, 7);
    deepEqual(await opened(fileOf([chunk(plain, 0, true)])), { plain, error: null });
    const file = fileOf([chunk(plain, 0, false), chunk(Buffer.alloc(0), 1, true)]);
    const { error } = await opened(file);
    match(String(error), /an empty chunk follows the encrypted file/);
  });

  test('a short one is the last, whatever it says', async () => {
    const plain = noise(CHUNK, 8);
    const file = fileOf([chunk(plain.subarray(0, 100), 0, false), chunk(plain.subarray(100), 1, true)]);
    await refused(file, plain);
  });

  test('an empty one is right only where nothing else is', async () => {
    deepEqual(await opened(fileOf([chunk(Buffer.alloc(0), 0, true)])), {
      plain: Buffer.alloc(0),
      error: null,
    });
    await refused(fileOf([chunk(Buffer.alloc(0), 0, false)]), noise(1, 1));
  });
});

test('what reads no further than it likes ends the source', async () => {
  let ended = false;
  async function* source(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) yield fileOf(chunksOf(noise(2 * CHUNK, 9)));
    } finally {
      ended = true;
    }
  }
  for await (const part of decrypted(source(), fileKey())) if (part.length > 0) break;
  ok(ended);
});
