// One line that says how far a long piece of work has come.

import type { Writable } from 'node:stream';
import { formatBytes, formatDuration, formatRate, type Ms } from '../agent/core/units.ts';

/** How often a terminal's line is drawn anew, and how often a log gets a line. */
const DRAW_MS: Ms = 100;
const LOG_MS: Ms = 10_000;
const BAR_WIDTH = 24;

/**
 * Draws a bar with percent, rate and time left on a terminal; elsewhere writes a plain line now and then. `total` is in
 * bytes, and may be an estimate: the bar never passes 100 %.
 */
export class Progress {
  readonly #out: Writable;
  readonly #label: string;
  #total: number;
  readonly #terminal: boolean;
  readonly #startedMs: Ms = performance.now();
  #drawnMs: Ms = this.#startedMs;
  #done = 0;

  constructor(out: Writable, label: string, total: number) {
    this.#out = out;
    this.#label = label;
    this.#total = total;
    this.#terminal = 'isTTY' in out && out.isTTY === true;
  }

  /** `done` bytes of the total. Cheap: draws only when it is time. */
  update(done: number): void {
    this.#done = done;
    const nowMs = performance.now();
    if (nowMs - this.#drawnMs < (this.#terminal ? DRAW_MS : LOG_MS)) return;
    this.#drawnMs = nowMs;
    this.#write(nowMs);
  }

  /** The work is done: what was done is all there was, whatever the estimate. Draws that and leaves the line. */
  end(): void {
    this.#total = this.#done;
    this.#write(performance.now());
    if (this.#terminal) this.#out.write('\n');
  }

  #write(nowMs: Ms): void {
    const elapsedMs = nowMs - this.#startedMs;
    const share = this.#total > 0 ? Math.min(this.#done / this.#total, 1) : 1;
    const rate = elapsedMs > 0 ? (this.#done / elapsedMs) * 1000 : 0;
    const percent = `${Math.floor(share * 100)}%`.padStart(4);
    const facts = `${formatBytes(this.#done)}  ${formatRate(rate)}`;
    if (!this.#terminal) {
      this.#out.write(`${this.#label} ${percent.trim()}  ${facts}\n`);
      return;
    }
    const bar = '#'.repeat(Math.round(share * BAR_WIDTH)).padEnd(BAR_WIDTH, '.');
    const leftMs = share > 0 ? (elapsedMs / share) * (1 - share) : Number.POSITIVE_INFINITY;
    this.#out.write(`\r${this.#label} [${bar}]${percent}  ${facts}  ${formatDuration(leftMs)} left\x1b[K`);
  }
}
