// The child of a test: opens a store, forbids itself to write beyond the middle of piece 2, and tells its parent what
// became of each write.

import { execFileSync } from 'node:child_process';
import { BLOCK_BYTES } from '../../agent/core/units.ts';
import { digests } from '../../agent/io/digest.ts';
import { openStore } from '../../agent/io/store.ts';
import { makeTorrent, noise } from '../content.ts';

const bytes = noise(3 * BLOCK_BYTES, 1);
const { torrent } = makeTorrent('image.tar', [{ bytes }], BLOCK_BYTES, 'v1');
const store = await openStore(torrent, { path: process.argv[2]!, mode: 'create', hashes: digests });
execFileSync('/usr/bin/prlimit', ['--pid', String(process.pid), `--fsize=${2.5 * BLOCK_BYTES}`]);
const results: (string | undefined)[] = [];
for (const piece of [0, 1, 2]) {
  const part = bytes.subarray(piece * BLOCK_BYTES, (piece + 1) * BLOCK_BYTES);
  const error = await new Promise<Error | null>((resolve) => store.write(piece, part, resolve));
  results.push(error?.message);
}
await store.discard();
process.send!(results);
