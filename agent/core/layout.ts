// Where the bytes of a torrent's piece space lie: in which file, at which position, or in a pad file that is on no disk.
// Knows numbers only; opening, reading and writing the files is io/store's.

import { assert } from './errors.ts';
import { leavesPerPiece } from './merkle.ts';
import type { Torrent } from './torrent.ts';

/** A run of bytes that lie together in one file. */
export interface Span {
  /** Index in `torrent.files`; -1 for the zeros of a pad file. */
  readonly file: number;
  /** First byte within that file. */
  readonly position: number;
  /** Bytes of the run. */
  readonly length: number;
}

/** True when the content is one file that bears the torrent's own name, not a folder of files. */
export function isOneFile(torrent: Torrent): boolean {
  const [first] = torrent.files;
  return torrent.files.length === 1 && first!.path.length === 1 && first!.path[0] === torrent.name;
}

/** The runs of `length` bytes of the piece space from `offset` on, in order and without a gap. */
export function spansOf(torrent: Torrent, offset: number, length: number): Span[] {
  assert(
    offset >= 0 && length >= 0 && offset + length <= torrent.length,
    'the range lies in the piece space',
  );
  const spans: Span[] = [];
  const end = offset + length;
  for (let at = offset, index = fileAt(torrent, offset); at < end; index++) {
    const file = torrent.files[index]!;
    const position = at - file.offset;
    const run = Math.min(end - at, file.length - position);
    if (run > 0) spans.push({ file: file.pad ? -1 : index, position, length: run });
    at += run;
  }
  return spans;
}

/** What BEP 52 hashes of one piece. */
export interface PieceTree {
  /** Bytes of the piece that belong to its file, without the pad behind them. */
  readonly bytes: number;
  /** Leaves of its tree. A file no longer than a piece has a tree of its own, which may be smaller. */
  readonly leaves: number;
}

/** The tree of piece `index` of a torrent with piecesV2, whose files all start on a piece. */
export function pieceTree(torrent: Torrent, index: number): PieceTree {
  const offset = index * torrent.pieceLength;
  const file = torrent.files[fileAt(torrent, offset)]!;
  const bytes = Math.min(torrent.pieceLength, file.offset + file.length - offset);
  return { bytes, leaves: leavesPerPiece(file.length, torrent.pieceLength) };
}

/** Index of the file that holds byte `offset`: the last one that starts at or before it and is not empty. */
function fileAt(torrent: Torrent, offset: number): number {
  let low = 0;
  let high = torrent.files.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (torrent.files[middle]!.offset <= offset) low = middle;
    else high = middle - 1;
  }
  // Empty files share an offset with the file behind them, which the search has found; only at the very end of the
  // piece space may the last one be empty, and then there is no byte to be asked for.
  return low;
}
