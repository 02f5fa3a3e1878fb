// Bytes per second, now: an exponential average over a few seconds, fed with monotonic time.

import type { Ms } from './units.ts';

/** The average forgets with this time constant: quick enough for 2 s choke rounds, calm enough to read. */
const MEMORY_MS = 3000;
/** Bytes are gathered into steps of at least this long before they enter the average. */
const STEP_MS = 100;

export class Meter {
  /** All bytes ever added. */
  totalBytes = 0;
  #pendingBytes = 0;
  #rate = 0;
  #sinceMs: Ms;
  #bornMs: Ms;

  constructor(now: Ms) {
    this.#sinceMs = now;
    this.#bornMs = now;
  }

  add(bytes: number, now: Ms): void {
    this.totalBytes += bytes;
    this.#pendingBytes += bytes;
    if (now - this.#sinceMs >= STEP_MS) this.#fold(now);
  }

  /** Bytes per second. A young meter divides by its age, so that it does not start from zero. */
  rate(now: Ms): number {
    if (now - this.#sinceMs >= STEP_MS) this.#fold(now);
    const age = now - this.#bornMs;
    const filled = 1 - Math.exp(-age / MEMORY_MS);
    return filled > 0 ? this.#rate / filled : 0;
  }

  #fold(now: Ms): void {
    const stepMs = now - this.#sinceMs;
    const keep = Math.exp(-stepMs / MEMORY_MS);
    this.#rate = this.#rate * keep + (this.#pendingBytes / stepMs) * 1000 * (1 - keep);
    this.#pendingBytes = 0;
    this.#sinceMs = now;
  }
}
