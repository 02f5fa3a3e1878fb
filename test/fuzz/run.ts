// Gives a target as many inputs as there is time for, or a number of them, and measures what that costs.

import { performance } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Rng } from '../../agent/core/rng.ts';
import { MIB } from '../../agent/core/units.ts';
import { mutated } from './mutate.ts';
import type { Target } from './target.ts';

/** No single input may take longer, whatever it holds. */
const SLOWEST_MS = 2000;
/** Inputs that were accepted become seeds, so many of them, if they are short. */
const KEPT_MAX = 64;
const KEPT_BYTES_MAX = 4096;
/** How often the clock is asked for the end of the run. */
const LOOK_EVERY = 64;
const CALLS_SHOWN = 20;

/** A run ends with what it has first. */
export interface Budget {
  readonly inputs: number;
  readonly seconds: number;
}

export interface Figures {
  readonly inputs: number;
  readonly accepted: number;
  readonly refused: number;
  readonly ms: number;
  /** Memory in use at the end beyond what was in use after a tenth of the run; negative when it has shrunk. */
  readonly grownMiB: number;
  /** The same of what the system has given to the process. */
  readonly residentMiB: number;
  /** The input that took longest, measured again. */
  readonly slowestMs: number;
  readonly slowestBytes: number;
}

/** Told of each input before the parser gets it: whoever watches knows what the parser is at. */
export type Watcher = (bytes: Uint8Array) => void;

/** An input that a parser must not answer as it did. */
export class Crash extends Error {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array, cause: unknown) {
    super(cause instanceof Error ? (cause.stack ?? cause.message) : String(cause), { cause });
    this.bytes = bytes.slice();
  }
}

/** Runs the target. Throws Crash. */
export async function run(target: Target, seed: number, budget: Budget, watch: Watcher): Promise<Figures> {
  // Most inputs are refused by an error, and to note where it was made costs more than all else.
  Error.stackTraceLimit = 0;
  const rng = new Rng(seed);
  const inputs = new Inputs(target, rng);
  const slowest = { ms: 0, bytes: new Uint8Array(0) };
  const counts = { accepted: 0, refused: 0 };
  const began = performance.now();
  let early: Memory | null = null;
  let done = 0;
  for (; done < budget.inputs; done++) {
    const passed = done % LOOK_EVERY === 0 ? performance.now() - began : 0;
    if (passed > 1000 * budget.seconds) break;
    if (early === null && (done * 10 >= budget.inputs || passed > 100 * budget.seconds))
      early = await memory();
    const bytes = inputs.next();
    const ms = await judged(target, bytes, watch, (verdict) => {
      counts[verdict]++;
      if (verdict === 'accepted') inputs.keep(bytes);
    });
    if (ms > slowest.ms) Object.assign(slowest, { ms, bytes: bytes.slice() });
  }
  const ms = performance.now() - began;
  const late = await memory();
  const slowestMs = await measuredAgain(target, slowest.bytes, slowest.ms, watch);
  const before = early ?? late;
  const grownMiB = (late.used - before.used) / MIB;
  if (grownMiB > target.growthMiB) {
    const what = `memory in use grew by ${grownMiB.toFixed(1)} MiB, more than ${target.growthMiB}`;
    throw new Crash(slowest.bytes, new Error(`${what}; the input is only the slowest one`));
  }
  const residentMiB = (late.resident - before.resident) / MIB;
  return {
    inputs: done,
    ...counts,
    ms,
    grownMiB,
    residentMiB,
    slowestMs,
    slowestBytes: slowest.bytes.length,
  };
}

/** Gives one input to the target; returns the milliseconds. Throws Crash. */
async function judged(
  target: Target,
  bytes: Uint8Array,
  watch: Watcher,
  done: (verdict: 'accepted' | 'refused') => void,
): Promise<number> {
  watch(bytes);
  const began = performance.now();
  try {
    const verdict = target.judge(bytes);
    // Most parsers answer at once; waiting for nothing would cost more than they do.
    done(typeof verdict === 'string' ? verdict : await verdict);
  } catch (error) {
    throw new Crash(bytes, await thrownAgain(target, bytes, error));
  }
  return performance.now() - began;
}

/** The same error with its way through the calls, if the target still throws it. */
async function thrownAgain(target: Target, bytes: Uint8Array, first: unknown): Promise<unknown> {
  Error.stackTraceLimit = CALLS_SHOWN;
  try {
    await target.judge(bytes);
  } catch (error) {
    return error;
  } finally {
    Error.stackTraceLimit = 0;
  }
  return first;
}

/** Other programs and the collector have their share in one measurement: the least of three counts. Throws Crash. */
async function measuredAgain(
  target: Target,
  bytes: Uint8Array,
  firstMs: number,
  watch: Watcher,
): Promise<number> {
  let least = firstMs;
  for (let round = 0; round < 2; round++)
    least = Math.min(least, await judged(target, bytes, watch, () => {}));
  if (least > SLOWEST_MS) {
    throw new Crash(bytes, new Error(`it took ${least.toFixed(0)} ms, more than ${SLOWEST_MS}`));
  }
  return least;
}

/** The inputs of a run: the seeds first, then what comes of them. */
class Inputs {
  readonly #target: Target;
  readonly #rng: Rng;
  readonly #words: readonly Uint8Array[];
  readonly #kept: Uint8Array[] = [];
  #index = 0;

  constructor(target: Target, rng: Rng) {
    this.#target = target;
    this.#rng = rng;
    this.#words = target.words.map((word) => Buffer.from(word, 'latin1'));
  }

  next(): Uint8Array {
    const { seeds, build, bytesMax } = this.#target;
    const first = seeds[this.#index++];
    if (first !== undefined) return first;
    const rng = this.#rng;
    const fresh = build !== null && rng.next() < 0.5 ? build(rng) : null;
    if (fresh !== null && rng.next() < 0.3) return fresh;
    const material = { words: this.#words, other: () => this.#any(), bytesMax };
    return mutated(fresh ?? this.#any(), rng, material);
  }

  keep(bytes: Uint8Array): void {
    if (bytes.length > KEPT_BYTES_MAX) return;
    if (this.#kept.length < KEPT_MAX) this.#kept.push(bytes.slice());
    else if (this.#rng.below(8) === 0) this.#kept[this.#rng.below(KEPT_MAX)] = bytes.slice();
  }

  #any(): Uint8Array {
    const { seeds } = this.#target;
    const from = this.#kept.length > 0 && this.#rng.next() < 0.4 ? this.#kept : seeds;
    return from[this.#rng.below(from.length)]!;
  }
}

interface Memory {
  readonly used: number;
  readonly resident: number;
}

async function memory(): Promise<Memory> {
  // What was told to be closed is closed in a later turn of the event loop.
  for (let turn = 0; turn < 4; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (turn > 1) collect();
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  return { used: heapUsed + external, resident: rss };
}

let collector: unknown = null;

/** A collection of garbage, which Node offers to contexts that are made after the flag is set. */
function collect(): void {
  setFlagsFromString('--expose-gc');
  collector ??= runInNewContext('gc');
  if (typeof collector !== 'function') throw new Error('this Node lets nobody collect garbage');
  collector();
}
