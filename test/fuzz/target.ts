// What is fuzzed: a parser with inputs to begin from, and what it may do with bytes that nobody has promised anything of.

import { type ErrorCode, SwarmbootError } from '../../agent/core/errors.ts';
import type { Rng } from '../../agent/core/rng.ts';

/** What became of an input. Anything thrown is a crash. */
export type Verdict = 'accepted' | 'refused';

export interface Target {
  /** Inputs of all kinds, good ones first of all. */
  readonly seeds: readonly Uint8Array[];
  /** What means something to the parser, one character a byte: put into inputs as it is. */
  readonly words: readonly string[];
  /** Makes an input by the rules of the format; null: there is mutation alone. */
  readonly build: ((rng: Rng) => Uint8Array) | null;
  /** Inputs are cut to this. */
  readonly bytesMax: number;
  /** Memory that may still be in use at the end beyond what was after a tenth of the run, after a collection. */
  readonly growthMiB: number;
  /** Gives the input to the parser. Throws, or rejects, when the parser does what it must not. */
  judge(bytes: Uint8Array): Verdict | Promise<Verdict>;
  /** Ends what the target has started. Throws when it finds that something went wrong. */
  close?(): Promise<void>;
}

/** Passes the declared refusals of a parser; all else it may have thrown is a crash and goes on. */
export function refusedWith(error: unknown, ...codes: readonly ErrorCode[]): Verdict {
  if (error instanceof SwarmbootError && codes.includes(error.code)) return 'refused';
  throw error;
}

/** Fails when the parser has accepted what it must not, or has not kept its word. */
export function must(condition: boolean, what: string): void {
  if (!condition) throw new Error(`the parser did not keep its word: ${what}`);
}

const utf8 = new TextEncoder();
const lenient = new TextDecoder();

export function bytesOf(text: string): Uint8Array {
  return utf8.encode(text);
}

/** As the product reads bytes that should be text: what is no UTF-8 is replaced. */
export function textOf(bytes: Uint8Array): string {
  return lenient.decode(bytes);
}
