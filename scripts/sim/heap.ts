// Entries in order of time, and those of one time in the order of their numbers: a binary heap over plain numbers.

import type { Ms } from '../../agent/core/units.ts';

export class EntryHeap {
  #size = 0;
  #times = new Float64Array(256);
  #orders = new Float64Array(256);
  #whats = new Int32Array(256);

  get size(): number {
    return this.#size;
  }

  /** Time of the first entry; there must be one. */
  get firstAt(): Ms {
    return this.#times[0]!;
  }

  push(time: Ms, order: number, what: number): void {
    if (this.#size === this.#times.length) this.#grow();
    let child = this.#size++;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!this.#isAfter(parent, time, order)) break;
      this.#move(parent, child);
      child = parent;
    }
    this.#put(child, time, order, what);
  }

  /** Takes out the first entry; there must be one. */
  shift(): number {
    const what = this.#whats[0]!;
    const last = --this.#size;
    if (last > 0) this.#sink(this.#times[last]!, this.#orders[last]!, this.#whats[last]!);
    return what;
  }

  /** Fills the place of the first. */
  #sink(time: Ms, order: number, what: number): void {
    const size = this.#size;
    let parent = 0;
    for (;;) {
      let child = 2 * parent + 1;
      if (child >= size) break;
      if (child + 1 < size && this.#isAfter(child, this.#times[child + 1]!, this.#orders[child + 1]!))
        child++;
      if (this.#isAfter(child, time, order)) break;
      this.#move(child, parent);
      parent = child;
    }
    this.#put(parent, time, order, what);
  }

  #isAfter(index: number, time: Ms, order: number): boolean {
    const other = this.#times[index]!;
    return other > time || (other === time && this.#orders[index]! > order);
  }

  #move(from: number, to: number): void {
    this.#put(to, this.#times[from]!, this.#orders[from]!, this.#whats[from]!);
  }

  #put(index: number, time: Ms, order: number, what: number): void {
    this.#times[index] = time;
    this.#orders[index] = order;
    this.#whats[index] = what;
  }

  #grow(): void {
    this.#times = widened(this.#times, new Float64Array(2 * this.#size));
    this.#orders = widened(this.#orders, new Float64Array(2 * this.#size));
    this.#whats = widened(this.#whats, new Int32Array(2 * this.#size));
  }
}

function widened<Numbers extends Float64Array | Int32Array>(from: Numbers, to: Numbers): Numbers {
  to.set(from);
  return to;
}
