// What is to happen when, in virtual time. Equal times keep the order in which they were entered, so that a run can be
// replayed. Entries are two numbers, or a function where something happens seldom. A calendar: what is due soon lies in
// a small heap, all else unordered in its day of a ring, where it costs nothing until the day has come.

import type { Ms } from '../../agent/core/units.ts';
import { EntryHeap } from './heap.ts';

/** Carries out an entry made by `at`. */
export type Perform = (kind: number, id: number) => void;

/** The kind of entries that are functions; other kinds are 1 to 7. */
const CALL = 0;
const KIND_BITS = 3;

const DAYS_PER_MS = 16;
/** The ring is about a second long. What lies further ahead is passed over until its turn. */
const DAYS = 2 ** 14;
const NONE = -1;

export class Agenda {
  now: Ms = 0;
  /** Entries ever made. */
  entered = 0;
  readonly #perform: Perform;
  /** Entries of today, and what was entered for today since. */
  readonly #today = new EntryHeap();
  #day = 0;
  /** The first entry of each day of the ring; the others follow by `#nexts`, as do the places that are free. */
  readonly #firsts = new Int32Array(DAYS).fill(NONE);
  #free = NONE;
  #waiting = 0;
  #times: Float64Array = new Float64Array(0);
  #orders: Float64Array = new Float64Array(0);
  #whats: Int32Array = new Int32Array(0);
  #nexts: Int32Array = new Int32Array(0);
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
    while (this.#reach(untilMs) && !done()) {
      this.now = this.#today.firstAt;
      const what = this.#today.shift();
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

  /** Turns to the day of the next entry. False when there is none until `untilMs`. */
  #reach(untilMs: Ms): boolean {
    while (this.#today.size === 0) {
      if (this.#waiting === 0 || (this.#day + 1) / DAYS_PER_MS > untilMs) return false;
      this.#day++;
      this.#open(this.#day);
    }
    return this.#today.firstAt <= untilMs;
  }

  /** Moves the entries of this day into the heap; those of a later turn of the ring stay. */
  #open(day: number): void {
    const place = day % DAYS;
    let at = this.#firsts[place]!;
    this.#firsts[place] = NONE;
    while (at !== NONE) {
      const next = this.#nexts[at]!;
      const isToday = dayOf(this.#times[at]!) === day;
      this.#nexts[at] = isToday ? this.#free : this.#firsts[place]!;
      if (isToday) {
        this.#free = at;
        this.#waiting--;
        this.#today.push(this.#times[at]!, this.#orders[at]!, this.#whats[at]!);
      } else this.#firsts[place] = at;
      at = next;
    }
  }

  #enter(wished: Ms, what: number): void {
    const time = Math.max(wished, this.now);
    const order = this.entered++;
    const day = dayOf(time);
    if (day <= this.#day) return this.#today.push(time, order, what);
    if (this.#free === NONE) this.#grow();
    const at = this.#free;
    this.#free = this.#nexts[at]!;
    this.#waiting++;
    this.#times[at] = time;
    this.#orders[at] = order;
    this.#whats[at] = what;
    this.#nexts[at] = this.#firsts[day % DAYS]!;
    this.#firsts[day % DAYS] = at;
  }

  #grow(): void {
    const size = this.#times.length;
    const wider = Math.max(1024, 2 * size);
    const [times, orders] = [new Float64Array(wider), new Float64Array(wider)];
    const [whats, nexts] = [new Int32Array(wider), new Int32Array(wider)];
    times.set(this.#times);
    orders.set(this.#orders);
    whats.set(this.#whats);
    nexts.set(this.#nexts);
    for (let at = size; at < wider; at++) nexts[at] = at + 1 < wider ? at + 1 : NONE;
    this.#free = size;
    this.#times = times;
    this.#orders = orders;
    this.#whats = whats;
    this.#nexts = nexts;
  }
}

function dayOf(time: Ms): number {
  return Math.floor(time * DAYS_PER_MS);
}
