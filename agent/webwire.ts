// A web seed (BEP 19) as a wire: requests of the swarm become ranges of one file by HTTP, and what comes becomes blocks. It
// decides nothing: what is asked, and what becomes of a server that does not answer, is core/webseed's.

import { assert, messageOf } from './core/errors.ts';
import type { Stretch } from './core/events.ts';
import type { WebPort, WirePort } from './core/ports.ts';
import { pieceSize, type Torrent } from './core/torrent.ts';
import { BLOCK_BYTES, type Ms } from './core/units.ts';

export interface WebWireOptions {
  readonly torrent: Torrent;
  readonly url: string;
  readonly web: WebPort;
  /** So many requests at once, each of at most so many bytes unless one stretch is longer. */
  readonly requests: number;
  readonly requestBytes: number;
  /** A block is here; the bytes are valid only during the call. */
  readonly block: (stretch: Stretch, bytes: Uint8Array) => void;
  /** This block will not come. */
  readonly rejected: (stretch: Stretch) => void;
  /** A request was not answered with content; its blocks were rejected. As `webSeedFailed` has it. */
  readonly failed: (reason: string, busyMs: Ms | null) => void;
}

/** Bytes of the piece space, from block to block. */
interface Range {
  readonly begin: number;
  end: number;
}

export class WebWire implements WirePort {
  readonly #options: WebWireOptions;
  readonly #abort = new AbortController();
  /** They have not been asked for yet. */
  #waiting: Range[] = [];
  #running = 0;

  constructor(options: WebWireOptions) {
    this.#options = options;
  }

  request({ piece, begin, length }: Stretch): void {
    const { torrent, requestBytes } = this.#options;
    const at = piece * torrent.pieceLength + begin;
    const last = this.#waiting.at(-1);
    if (last?.end === at && at + length - last.begin <= requestBytes) last.end = at + length;
    else this.#waiting.push({ begin: at, end: at + length });
  }

  flush(): void {
    while (this.#running < this.#options.requests) {
      const range = this.#waiting.shift();
      if (range === undefined) return;
      this.#running++;
      void this.#fetch(range).finally(() => {
        this.#running--;
        this.flush();
      });
    }
  }

  close(): void {
    this.#waiting = [];
    this.#abort.abort();
  }

  /** A web server hears nothing but requests; a block that has come from elsewhere meanwhile is let pass. */
  send(): void {}

  sendField(): void {
    assert(false, 'a web seed is told of no pieces');
  }

  serve(): void {
    assert(false, 'a web seed is served nothing');
  }

  fetchInfo(): void {
    assert(false, 'a web seed has no info dictionary');
  }

  async #fetch({ begin, end }: Range): Promise<void> {
    const { torrent, url, web, block, failed } = this.#options;
    const { signal } = this.#abort;
    const blocks = new Blocks(torrent, begin, block);
    let busyMs: Ms | null = null;
    let reason = 'it has no place now';
    try {
      const range = { url, sizeBytes: torrent.length, begin, length: end - begin };
      busyMs = await web.fetchRange(range, (chunk) => blocks.take(chunk), signal);
      if (busyMs === null) return;
    } catch (error) {
      reason = messageOf(error);
    }
    if (signal.aborted) return;
    this.#reject({ begin: blocks.at, end });
    // It would answer them alike.
    for (const range of this.#waiting.splice(0)) this.#reject(range);
    failed(reason, busyMs);
  }

  #reject({ begin, end }: Range): void {
    const { torrent, rejected } = this.#options;
    for (let at = begin; at < end; ) {
      const stretch = blockAt(torrent, at);
      rejected(stretch);
      at += stretch.length;
    }
  }
}

/** Cuts what comes into blocks. */
class Blocks {
  /** Where the first block begins that is not whole yet. */
  at: number;
  readonly #torrent: Torrent;
  readonly #whole: (stretch: Stretch, bytes: Uint8Array) => void;
  readonly #part = new Uint8Array(BLOCK_BYTES);
  #partBytes = 0;

  constructor(torrent: Torrent, at: number, whole: (stretch: Stretch, bytes: Uint8Array) => void) {
    this.#torrent = torrent;
    this.at = at;
    this.#whole = whole;
  }

  take(chunk: Uint8Array): void {
    for (let used = 0; used < chunk.length; ) {
      const stretch = blockAt(this.#torrent, this.at);
      const rest = chunk.subarray(used, used + stretch.length - this.#partBytes);
      used += rest.length;
      if (rest.length === stretch.length) this.#give(stretch, rest);
      else {
        this.#part.set(rest, this.#partBytes);
        this.#partBytes += rest.length;
        if (this.#partBytes === stretch.length) this.#give(stretch, this.#part.subarray(0, stretch.length));
      }
    }
  }

  #give(stretch: Stretch, bytes: Uint8Array): void {
    this.#partBytes = 0;
    this.at += stretch.length;
    this.#whole(stretch, bytes);
  }
}

/** The block that begins at `at` of the piece space. */
function blockAt(torrent: Torrent, at: number): Stretch {
  const piece = Math.floor(at / torrent.pieceLength);
  const begin = at % torrent.pieceLength;
  return { piece, begin, length: Math.min(BLOCK_BYTES, pieceSize(torrent, piece) - begin) };
}
