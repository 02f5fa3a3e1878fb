// Tarballs by HTTP: what nodes fall back on when no swarm gives them anything (a web seed, BEP 19). One piece of the whole
// leaves about once, and the nodes give it to each other; so few answers at a time are enough, and whoever comes too many is
// told to come back.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { SERVER_BOUNDS } from './core/bounds.ts';
import { parseRange } from './core/range.ts';
import type { Reply } from './site.ts';

/** So many answers at once, and so many of these to one address: behind it may be a whole site's nodes. */
const AT_ONCE_MAX = SERVER_BOUNDS.tarballAnswers;
const AT_ONCE_PER_ADDRESS_MAX = SERVER_BOUNDS.tarballAnswersPerAddress;
/** Who takes less keeps others out. */
const LEAST_BYTES_PER_SEC = SERVER_BOUNDS.tarballBytesPerSec;
const PATIENCE_MS = 10_000;
const RETRY_AFTER_SEC = 2;

export class Tarballs {
  readonly #counts = new Map<string, number>();
  #count = 0;
  #sentBytes = 0;

  /** Bytes that were taken from here since the start. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** The answer to a request for the file at `path`. Its place is held until the response is closed. */
  answer(
    request: IncomingMessage,
    response: ServerResponse,
    { path, sizeBytes }: { readonly path: string; readonly sizeBytes: number },
  ): Reply {
    const type = 'application/octet-stream';
    const range = parseRange(request.headers.range, sizeBytes);
    if (range === 'unsatisfiable') {
      const headers = { 'Content-Range': `bytes */${sizeBytes}` };
      return { status: 416, type: 'text/plain', body: 'nothing of that is in the file\n', headers };
    }
    const { begin, end } = range ?? { begin: 0, end: sizeBytes };
    const body = { path, begin, size: end - begin };
    if (request.method !== 'HEAD' && !this.#enter(request.socket.remoteAddress ?? '', response, body.size)) {
      const headers = { 'Retry-After': `${RETRY_AFTER_SEC}` };
      return { status: 503, type: 'text/plain', body: 'too many tarballs are being sent; wait\n', headers };
    }
    if (range === null) return { status: 200, type, body, headers: { 'Accept-Ranges': 'bytes' } };
    return {
      status: 206,
      type,
      body,
      headers: { 'Content-Range': `bytes ${begin}-${end - 1}/${sizeBytes}` },
    };
  }

  /** Takes a place until `response` is closed, and closes it when it takes too long. False: there is none. */
  #enter(address: string, response: ServerResponse, bytes: number): boolean {
    const ofAddress = this.#counts.get(address) ?? 0;
    if (this.#count >= AT_ONCE_MAX || ofAddress >= AT_ONCE_PER_ADDRESS_MAX) return false;
    this.#count++;
    this.#counts.set(address, ofAddress + 1);
    const timer = setTimeout(() => response.destroy(), PATIENCE_MS + (1000 * bytes) / LEAST_BYTES_PER_SEC);
    response.once('close', () => {
      clearTimeout(timer);
      if (response.writableFinished) this.#sentBytes += bytes;
      this.#count--;
      const left = this.#counts.get(address)! - 1;
      if (left === 0) this.#counts.delete(address);
      else this.#counts.set(address, left);
    });
    return true;
  }
}
