// What a mirror hears from nodes goes on to its image server, which is to know of everybody: at once, or when it is back.

import { setTimeout as sleep } from 'node:timers/promises';
import { encodeMessage, followed, type Message } from '../agent/core/monitor.ts';
import type { Ms } from '../agent/core/units.ts';

const ANSWER_MAX_MS: Ms = 5000;
/** Soon enough that a node which boots again finds itself disarmed there. */
const RETRY_MS: Ms = 500;

/** One message of each node waits at most: the newest, with the lines of those before it. */
export class PassOn {
  readonly #url: URL;
  readonly #signal: AbortSignal;
  readonly #waiting = new Map<string, Message>();
  #work: Promise<void> | null = null;

  /** @param server the image server's URL; until `signal` it is tried */
  constructor(server: URL, signal: AbortSignal) {
    this.#url = new URL('reports', server);
    this.#signal = signal;
  }

  /** How many nodes have something to say that has not arrived. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Returns at once. */
  take(message: Message): void {
    this.#keep(message);
    this.#work ??= this.#deliver().finally(() => {
      this.#work = null;
    });
  }

  #keep(message: Message): void {
    const before = this.#waiting.get(message.mac);
    this.#waiting.set(message.mac, before === undefined ? message : followed(before, message));
  }

  async #deliver(): Promise<void> {
    while (!this.#signal.aborted) {
      const [next] = this.#waiting.values();
      if (next === undefined) return;
      this.#waiting.delete(next.mac);
      if (await this.#post(next)) continue;
      const newer = this.#waiting.get(next.mac);
      this.#waiting.set(next.mac, newer === undefined ? next : followed(next, newer));
      await sleep(RETRY_MS, undefined, { signal: this.#signal }).catch(() => {});
    }
  }

  /** False when it may be tried again; what the server refuses is not. */
  async #post(message: Message): Promise<boolean> {
    try {
      const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(ANSWER_MAX_MS)]);
      const headers = { 'Content-Type': 'application/json' };
      const body = encodeMessage(message);
      const response = await fetch(this.#url, { method: 'POST', headers, body, signal });
      await response.arrayBuffer();
      return response.status < 500 && response.status !== 429;
    } catch {
      return false;
    }
  }
}
