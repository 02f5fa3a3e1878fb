import { deepEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { extract } from '../../agent/io/extract.ts';
import { tarWriter } from '../../agent/io/tree.ts';
import { scratch } from '../content.ts';
import { archive, member } from '../core/archives.ts';

const never = new AbortController().signal;

async function* byTens(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 10) yield bytes.slice(at, at + 10);
}

test('progress tells what was taken and what came out of it, to the last byte', async (t) => {
  const bytes = archive(member({ name: 'zeros' }, '0'.repeat(500_000)));
  const packed = zstdCompressSync(bytes);
  const told: [number, number][] = [];
  const onProgress = (taken: number, written: number) => void told.push([taken, written]);
  const job = { source: byTens(packed), compression: 'zstd', expected: null, onProgress } as const;
  await extract(job, tarWriter(scratch(t)), never);
  deepEqual(told.at(-1), [packed.length, bytes.length]);
  for (const [at, [taken, written]] of told.entries()) {
    const [takenBefore, writtenBefore] = told[at - 1] ?? [0, 0];
    ok(taken >= takenBefore && written >= writtenBefore);
  }
});
