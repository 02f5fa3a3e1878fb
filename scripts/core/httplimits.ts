// What one asker, and all of them together, may take of the image server's HTTP ports.

import type { Ms } from '../../agent/core/units.ts';
import { SERVER_BOUNDS } from './bounds.ts';

/** Of a request's head, and of the time in which a request and its head have come. Bodies: MESSAGE_BYTES_MAX. */
export const HEAD_BYTES_MAX = SERVER_BOUNDS.headerBytes;
export const REQUEST_MAX_MS: Ms = SERVER_BOUNDS.requestMs;
/** A TLS handshake that takes longer is none. */
export const HANDSHAKE_MAX_MS: Ms = SERVER_BOUNDS.handshakeMs;
/** Ten thousand nodes may want to speak at the same moment. */
export const CONNECTIONS_MAX = SERVER_BOUNDS.connections;
/** One address leaves half of the places to all others. Behind it may be a whole site's nodes. */
export const CONNECTIONS_PER_ADDRESS_MAX = SERVER_BOUNDS.addressConnections;
/**
 * Requests of one address: nodes ask for a dozen things when they start and report every two seconds, or less often when the
 * server says so (500 reports a second in all), so a thousand nodes behind one address stay below both.
 */
export const REQUESTS_PER_SEC_MAX = SERVER_BOUNDS.requestsPerSec;
export const REQUESTS_AT_ONCE_MAX = SERVER_BOUNDS.requestsAtOnce;
/** Of one address that wants to enrol: a hall's nodes behind it are done in some minutes. */
export const ENROLMENTS_PER_SEC_MAX = SERVER_BOUNDS.enrolmentsPerSec;
export const ENROLMENTS_AT_ONCE_MAX = SERVER_BOUNDS.enrolmentsAtOnce;
/** Of one address that shows tokens which are none: whoever has a right one is not counted. */
export const WRONG_TOKENS_PER_SEC_MAX = SERVER_BOUNDS.wrongTokensPerSec;
export const WRONG_TOKENS_AT_ONCE_MAX = SERVER_BOUNDS.wrongTokensAtOnce;
/** Addresses that are remembered: whoever has not asked for the longest time is forgotten. */
const ADDRESSES_MAX = SERVER_BOUNDS.askers;

interface Bucket {
  tokens: number;
  atMs: Ms;
}

/** A token bucket for each address. */
export class RequestRates {
  readonly #perSec: number;
  readonly #atOnce: number;
  /** In the order of their last request. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(perSec = REQUESTS_PER_SEC_MAX, atOnce = REQUESTS_AT_ONCE_MAX) {
    this.#perSec = perSec;
    this.#atOnce = atOnce;
  }

  /** Takes one request of `address`, at `nowMs` of a clock that never goes back. False: that was one too many. */
  take(address: string, nowMs: Ms): boolean {
    const { tokens, atMs } = this.#buckets.get(address) ?? { tokens: this.#atOnce, atMs: nowMs };
    const refilled = Math.min(this.#atOnce, tokens + ((nowMs - atMs) / 1000) * this.#perSec);
    const isGranted = refilled >= 1;
    this.#buckets.delete(address);
    if (this.#buckets.size >= ADDRESSES_MAX) this.#buckets.delete(this.#buckets.keys().next().value!);
    this.#buckets.set(address, { tokens: isGranted ? refilled - 1 : refilled, atMs: nowMs });
    return isGranted;
  }

  /** Addresses that are remembered. */
  get size(): number {
    return this.#buckets.size;
  }
}

/** Connections that are open, by address. */
export class ConnectionCounts {
  readonly #counts = new Map<string, number>();

  /** Counts one more connection of `address`. False: that would be one too many, and it is not counted. */
  open(address: string): boolean {
    const count = this.#counts.get(address) ?? 0;
    if (count >= CONNECTIONS_PER_ADDRESS_MAX) return false;
    this.#counts.set(address, count + 1);
    return true;
  }

  /** One of those that were counted has gone. */
  close(address: string): void {
    const count = this.#counts.get(address)! - 1;
    if (count === 0) this.#counts.delete(address);
    else this.#counts.set(address, count);
  }
}
