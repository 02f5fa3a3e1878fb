// What a peer of ours tells afterwards of its transfer: one JSON line per fact, with the milliseconds since `begin`.

import { createWriteStream, type WriteStream } from 'node:fs';
import type { LogFact, StorePort } from '../../agent/core/ports.ts';
import type { Transfer } from '../../agent/transfer.ts';

const VIEW_EVERY_MS = 1000;

export class Diary {
  readonly #file: WriteStream;
  readonly #served: number[] = [];
  #beganMs = performance.now();

  constructor(path: string) {
    this.#file = createWriteStream(path);
  }

  readonly log: LogFact = (fact, values = {}) => {
    const ms = Math.round(performance.now() - this.#beganMs);
    this.#file.write(`${JSON.stringify({ ms, fact, ...values })}\n`);
  };

  /** The transfer begins now. */
  begin(): void {
    this.#beganMs = performance.now();
  }

  /** The same store, with a note of each piece that is written, and a count of the bytes read of each. */
  watched(store: StorePort): StorePort {
    return {
      write: (piece, bytes, done) => {
        store.write(piece, bytes, (error) => {
          this.log('piece', { piece });
          done(error);
        });
      },
      verify: (piece, bytes) => store.verify(piece, bytes),
      read: (piece, begin, length) => {
        const frame = store.read(piece, begin, length);
        if (frame !== null) this.#served[piece] = (this.#served[piece] ?? 0) + length;
        return frame;
      },
    };
  }

  /** Notes once a second how the transfer stands. */
  follow(transfer: Transfer): void {
    setInterval(() => this.log('view', { ...transfer.view() }), VIEW_EVERY_MS);
  }

  /** The last lines: what was sent of each piece, in bytes. Resolves when all is in the file. */
  end(): Promise<void> {
    this.log('served', { bytesByPiece: Array.from(this.#served, (bytes) => bytes ?? 0) });
    return new Promise((resolve) => this.#file.end(resolve));
  }
}
