// What is to happen when: a heap in virtual time. Equal times keep the order in which they were entered, so that a run
// can be replayed. Entries are two numbers, or a function where something happens seldom.

import type { Ms } from '../../agent/core/units.ts';

/** Carries out an entry made by `at`. */
export type Perform = (kind: number, id: number) => void;

/** The kind of entries that are functions; other kinds are 1 to 7. */
const CALL = 0;
const KIND_BITS = 3;

export class Agenda {
  now: Ms = 0;
  /** Entries ever made. */
  entered = 0;
  readonly #perform: Perform;
  #size = 0;
  #times = new Float64Array(1024);
  #orders = new Float64Array(1024);
  #whats = new Int32Array(1024);
  readonly #calls = new Map<number, () => void>();
  #callIds = 0;

  constructor(perform: Perform) {
    this.#perform = perform;
  }

  /** Enters `kind` (1 to 7) with a number below 2^28. A time that is past means now, behind what is due already. */
  at(time: Ms, kind: number, id: number): void {
    this.#enter(time, (id << KIND_BITS) | kind);
  }

  call(time: Ms, work: () => void): void {
    this.#callIds = (this.#callIds + 1) & 0xfffffff;
    this.#calls.set(this.#callIds, work);
    this.#enter(time, (this.#callIds << KIND_BITS) | CALL);
  }

  /** Performs entry after entry until `done` or until nothing is left before `untilMs`. */
  run(done: () => boolean, untilMs: Ms): void {
    while (this.#size > 0 && this.#times[0]! <= untilMs && !done()) {
      this.now = this.#times[0]!;
      const what = this.#whats[0]!;
      this.#removeFirst();
      const kind = what & ((1 << KIND_BITS) - 1);
      const id = what >>> KIND_BITS;
      if (kind === CALL) this.#called(id);
      else this.#perform(kind, id);
    }
  }

  #called(id: number): void {
    const work = this.#calls.get(id)!;
    this.#calls.delete(id);
    work();
  }

  #enter(wished: Ms, what: number): void {
    const time = Math.max(wished, this.now);
    if (this.#size === this.#times.length) this.#grow();
    const times = this.#times;
    let child = this.#size++;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (times[parent]! <= time) break;
      this.#move(parent, child);
      child = parent;
    }
    this.#put(child, time, this.entered++, what);
  }

  #removeFirst(): void {
    const last = --this.#size;
    if (last === 0) return;
    const time = this.#times[last]!;
    const order = this.#orders[last]!;
    let parent = 0;
    for (;;) {
      let child = 2 * parent + 1;
      if (child >= last) break;
      if (child + 1 < last && this.#isBefore(child + 1, this.#times[child]!, this.#orders[child]!)) child++;
      if (!this.#isBefore(child, time, order)) break;
      this.#move(child, parent);
      parent = child;
    }
    this.#put(parent, time, order, this.#whats[last]!);
  }

  #isBefore(index: number, time: Ms, order: number): boolean {
    const other = this.#times[index]!;
    return other < time || (other === time && this.#orders[index]! < order);
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
    const wider = 2 * this.#size;
    const times = new Float64Array(wider);
    const orders = new Float64Array(wider);
    const whats = new Int32Array(wider);
    times.set(this.#times);
    orders.set(this.#orders);
    whats.set(this.#whats);
    this.#times = times;
    this.#orders = orders;
    this.#whats = whats;
  }
}
