// A cap on upload, shared by all swarms of a node: a token bucket over monotonic time.

import type { Ms } from './units.ts';

export class Budget {
  readonly bytesPerSec: number;
  readonly #depthBytes: number;
  #tokens: number;
  #sinceMs: Ms = 0;

  /** `bytesPerSec` 0 means no cap. The bucket holds a tenth of a second, at least four blocks. */
  constructor(bytesPerSec: number) {
    this.bytesPerSec = bytesPerSec;
    this.#depthBytes = Math.max(bytesPerSec / 10, 65536);
    this.#tokens = this.#depthBytes;
  }

  /** Bytes that may be sent now; Infinity without a cap. May be below zero after a large send. */
  available(now: Ms): number {
    if (this.bytesPerSec === 0) return Infinity;
    const earned = ((now - this.#sinceMs) / 1000) * this.bytesPerSec;
    this.#tokens = Math.min(this.#depthBytes, this.#tokens + earned);
    this.#sinceMs = now;
    return this.#tokens;
  }

  spend(bytes: number): void {
    if (this.bytesPerSec !== 0) this.#tokens -= bytes;
  }

  /** When `bytes` will be available, if nothing else is sent. */
  availableAt(bytes: number, now: Ms): Ms {
    const missing = Math.min(bytes, this.#depthBytes) - this.available(now);
    return missing <= 0 ? now : now + Math.ceil((missing / this.bytesPerSec) * 1000);
  }
}
