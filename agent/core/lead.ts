// How far requests run ahead of what comes. The less, the later it is decided who sends what, and the better the swarm
// shares its links; too little, and our own link stands idle: above all when our requests wait behind our own uploads.
// So the lead grows while we get less than we did at best, and shrinks while we do not.

import type { Ms } from './units.ts';

/** A rate is taken over at least so long. */
const STEP_MS = 100;
/** And over so many times at most what its bytes take at the best rate. */
const LATE_FACTOR = 4;
/** Less than this part of the best rate is less than we could get. */
const GOOD_SHARE = 0.8;
const GROWS = 1.2;
const SHRINKS = 0.95;

export class Lead {
  /** The best rate so far. */
  bestBytesPerSec = 0;
  readonly #most: number;
  readonly #stepBytes: number;
  #factor = 1;
  #bytesPerSec = 0;
  #bytes = 0;
  #steppedAt: Ms = 0;

  /**
   * @param most the largest factor
   * @param stepBytes over how many bytes a rate is taken: over fewer it looks uneven by nature
   */
  constructor(most: number, stepBytes: number) {
    this.#most = most;
    this.#stepBytes = stepBytes;
  }

  /** So many bytes came. */
  add(bytes: number): void {
    this.#bytes += bytes;
  }

  /** How many times the usual number of requests is to be under way now: 1 while all is well. */
  factor(now: Ms): number {
    const stepMs = now - this.#steppedAt;
    const late = (stepMs / 1000) * this.bestBytesPerSec >= LATE_FACTOR * this.#stepBytes;
    if (stepMs >= STEP_MS && (this.#bytes >= this.#stepBytes || late)) {
      const rate = (this.#bytes / stepMs) * 1000;
      this.#bytes = 0;
      this.#steppedAt = now;
      this.#bytesPerSec += 0.5 * (rate - this.#bytesPerSec);
      this.bestBytesPerSec = Math.max(this.bestBytesPerSec, this.#bytesPerSec);
      const behind = this.#bytesPerSec < GOOD_SHARE * this.bestBytesPerSec;
      this.#factor = Math.max(1, Math.min(this.#most, this.#factor * (behind ? GROWS : SHRINKS)));
    }
    return this.#factor;
  }
}
