// Numbers over time in bounded room: averages of equal steps, and when all steps are taken, neighbours are joined and the
// step is twice as long. So a run of a minute is seen second by second and a night's in its shape.

import type { Ms } from '../../agent/core/units.ts';

/** A series as it is kept and sent. */
export interface SeriesData {
  readonly stepMs: Ms;
  /** One list per column: the average of each step; null where nothing was told. All lists are of one length. */
  readonly columns: readonly (readonly (number | null)[])[];
}

/** What a series has room for. */
export interface SeriesShape {
  readonly columns: number;
  /** Of a new series. */
  readonly stepMs: Ms;
  readonly stepsMax: number;
}

export class Series {
  readonly #columns: readonly Float32Array[];
  readonly #stepsMax: number;
  #stepMs: Ms;
  #length = 0;
  /** Values that are in the average of the last step. */
  #count = 0;

  /** Empty, or as it was kept. */
  constructor({ columns, stepMs, stepsMax }: SeriesShape, kept: SeriesData | null = null) {
    this.#columns = Array.from({ length: columns }, () => new Float32Array(stepsMax).fill(Number.NaN));
    this.#stepsMax = stepsMax;
    this.#stepMs = kept?.stepMs ?? stepMs;
    if (kept === null) return;
    this.#length = Math.min(stepsMax, kept.columns[0]?.length ?? 0);
    this.#count = 1;
    for (const [index, column] of this.#columns.entries()) {
      for (let step = 0; step < this.#length; step++)
        column[step] = kept.columns[index]?.[step] ?? Number.NaN;
    }
  }

  /** Adds one value per column, told at `atMs` since the series began. What is told of an earlier step is of the last one. */
  add(atMs: Ms, values: readonly number[]): void {
    let step = Math.floor(Math.max(0, atMs) / this.#stepMs);
    while (step >= this.#stepsMax) {
      this.#halve();
      step = Math.floor(atMs / this.#stepMs);
    }
    if (step < this.#length) step = this.#length - 1;
    else this.#count = 0;
    this.#length = step + 1;
    this.#count++;
    for (const [index, column] of this.#columns.entries()) {
      const before = this.#count === 1 ? 0 : column[step]!;
      column[step] = before + (values[index]! - before) / this.#count;
    }
  }

  /** Whole numbers: rates in bytes, percents and counts want no more. */
  data(): SeriesData {
    const columns = this.#columns.map((column) =>
      Array.from(column.subarray(0, this.#length), (value) =>
        Number.isNaN(value) ? null : Math.round(value),
      ),
    );
    return { stepMs: this.#stepMs, columns };
  }

  #halve(): void {
    this.#stepMs *= 2;
    for (const column of this.#columns) {
      for (let step = 0; 2 * step < this.#length; step++) {
        const later = 2 * step + 1 < this.#length ? column[2 * step + 1]! : Number.NaN;
        column[step] = average(column[2 * step]!, later);
      }
      column.fill(Number.NaN, Math.ceil(this.#length / 2));
    }
    this.#length = Math.ceil(this.#length / 2);
    this.#count = 1;
  }
}

function average(left: number, right: number): number {
  if (Number.isNaN(left)) return right;
  return Number.isNaN(right) ? left : (left + right) / 2;
}
