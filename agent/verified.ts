// Content that was kept for a while, checked once more on its way out: memory and disks that lie are told from the swarm.

import { SwarmbootError } from './core/errors.ts';
import { pieceSize, type Torrent } from './core/torrent.ts';

/**
 * The content of a torrent of one file, from its first byte on, given on piece by piece, each only after `verify` has found
 * it good. Throws SwarmbootError 'staging' in the place of the first piece that is not.
 */
export async function* verified(
  chunks: AsyncIterable<Uint8Array>,
  torrent: Torrent,
  verify: (piece: number, bytes: Uint8Array) => boolean,
): AsyncGenerator<Uint8Array, void, undefined> {
  let piece = 0;
  let filled = 0;
  let buffer = Buffer.allocUnsafeSlow(pieceSize(torrent, 0));
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + buffer.length - filled);
      buffer.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled < buffer.length) continue;
      if (!verify(piece, buffer)) {
        throw new SwarmbootError(
          'staging',
          `piece ${piece} of "${torrent.name}" is not what it was when it came; check memory and disk of this machine, then start again`,
        );
      }
      yield buffer;
      piece++;
      filled = 0;
      // What was given on is its reader's.
      if (piece < torrent.pieceCount) buffer = Buffer.allocUnsafeSlow(pieceSize(torrent, piece));
    }
  }
}
