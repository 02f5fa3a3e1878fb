// A large swarm is simulated in coarser grain: one block of the swarm's stands for a grain of several, links and limits
// shrink alike, and times stay as they are. Of a very large one the pieces are coarser too.

import { LIMITS, type Limits } from '../../agent/core/limits.ts';
import { BLOCK_BYTES } from '../../agent/core/units.ts';

/** More chunks, or words of new pieces, than this take long to simulate. */
const CHUNKS_WANTED = 1_000_000;
const WORDS_WANTED = 25_000_000;
/** Fewer pieces say too little of how they spread. */
const PIECES_MIN = 200;
/** With fewer on their way the first seeder's link stands idle while one of them is told of. */
const SHOWN_MIN = 8;

/** The numbers of the policy that count blocks. Those that count bytes say so in their names. */
const BLOCKS: readonly (keyof Limits)[] = ['pipelineMin', 'pipelineMax', 'queueMax'];

/** What a run is simulated in. */
export interface Coarseness {
  /** What moves at once. */
  readonly grainBytes: number;
  readonly pieceBytes: number;
}

/**
 * For a run of tolerable length: a block moves at once, or for large runs twice and twice again as much, up to half of a
 * piece. For very large ones pieces are twice and twice again as large, and move at once.
 */
export function coarsenessFor(nodes: number, sizeBytes: number, pieceBytes: number): Coarseness {
  let pieces = 1;
  const words = () => (nodes * (sizeBytes / (pieces * pieceBytes)) * LIMITS.peersWanted) / pieces;
  while (words() > WORDS_WANTED && sizeBytes / (2 * pieces * pieceBytes) >= PIECES_MIN) pieces *= 2;
  if (pieces > 1) return { grainBytes: pieces * pieceBytes, pieceBytes: pieces * pieceBytes };
  let grainBytes = BLOCK_BYTES;
  while ((nodes * sizeBytes) / grainBytes > CHUNKS_WANTED && grainBytes * 2 < pieceBytes) grainBytes *= 2;
  return { grainBytes, pieceBytes };
}

/**
 * The limits as nodes must have them whose blocks stand for `scale` blocks each, and whose pieces for `pieces` pieces. A
 * hop takes a piece times the peers that want it: so that it takes as long with coarser pieces, the peers are fewer.
 */
export function scaledLimits(limits: Limits, scale: number, pieces: number): Limits {
  const bytes = Object.keys(limits).filter((name) => name.endsWith('Bytes')) as (keyof Limits)[];
  return {
    ...limits,
    ...Object.fromEntries(BLOCKS.map((name) => [name, Math.max(1, Math.round(limits[name] / scale))])),
    ...Object.fromEntries(bytes.map((name) => [name, Math.max(BLOCK_BYTES, limits[name] / scale)])),
    peersWanted: Math.ceil(limits.peersWanted / pieces),
    peersMax: Math.ceil(limits.peersMax / pieces),
    haves: Math.ceil(limits.haves / pieces),
    frontPieces: Math.ceil(limits.frontPieces / pieces),
    shownMin: Math.min(limits.shownMin, Math.max(SHOWN_MIN, Math.ceil(limits.shownMin / pieces))),
  };
}
