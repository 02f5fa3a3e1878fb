// The image servers of a node, which all offer the same: who is asked first, and when the next one is asked as well. Whoever
// has answered is asked first from then on, so that a dead server costs its wait once, and not once for each request.

import { type ErrorCode, messageOf, SwarmbootError } from './core/errors.ts';
import type { ServersRoom } from './core/rooms.ts';
import type { Ms } from './core/units.ts';

/** A server that has not answered by then may be dead: the next is asked as well, and who answers first has answered. */
const PATIENCE_MS: Ms = 2000;
/** Of several faults the one that decides what follows: first a refusal, then what may pass. */
const WEIGHTY: readonly ErrorCode[] = ['enrolment', 'catalog', 'network'];

export interface ServersPorts {
  /** Rejects with the signal's reason. */
  sleep(ms: Ms, signal: AbortSignal): Promise<void>;
  /** Hears that another server is asked first from now on, and why. */
  note(text: string): void;
}

export class Servers implements ServersRoom {
  readonly all: readonly URL[];
  readonly #ports: ServersPorts;
  #order: readonly URL[];

  /** @param urls at least one, as IMAGESERVER names them */
  constructor(urls: readonly string[], ports: ServersPorts) {
    this.all = urls.map((url) => new URL(url));
    this.#order = this.all;
    this.#ports = ports;
  }

  get first(): URL {
    return this.#order[0]!;
  }

  async ask<T>(work: (server: URL, signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    if (this.#order.length === 1) return work(this.first, signal);
    const asking = new Asking(this.#order, work, (ms, limit) => this.#ports.sleep(ms, limit), signal);
    return this.#answered(await asking.answer);
  }

  async askInTurn<T>(
    work: (server: URL, signal: AbortSignal) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const faults: Fault[] = [];
    for (const server of this.#order) {
      try {
        return this.#answered({ server, value: await work(server, signal), faults });
      } catch (error) {
        signal.throwIfAborted();
        faults.push({ server, error });
      }
    }
    throw together(faults);
  }

  #answered<T>({ server, value, faults }: Answered<T>): T {
    if (server !== this.first) {
      const why =
        faults.map((fault) => describe(fault)).join('; ') || `${this.first.origin} is slow to answer`;
      this.#order = [server, ...this.#order.filter((other) => other !== server)];
      this.#ports.note(`the image server ${server.origin} is asked first from now on: ${why}`);
    }
    return value;
  }
}

interface Fault {
  readonly server: URL;
  readonly error: unknown;
}

interface Answered<T> {
  readonly server: URL;
  readonly value: T;
  /** Of those that have failed by then. */
  readonly faults: readonly Fault[];
}

/** One question to several servers, one after another, until somebody has answered it. */
class Asking<T> {
  readonly #waiting: URL[];
  readonly #work: (server: URL, signal: AbortSignal) => Promise<T>;
  readonly #sleep: (ms: Ms, signal: AbortSignal) => Promise<void>;
  readonly #over = new AbortController();
  readonly #limit: AbortSignal;
  readonly #faults: Fault[] = [];
  readonly #answer = Promise.withResolvers<Answered<T>>();
  #running = 0;

  constructor(
    servers: readonly URL[],
    work: (server: URL, signal: AbortSignal) => Promise<T>,
    sleep: (ms: Ms, signal: AbortSignal) => Promise<void>,
    signal: AbortSignal,
  ) {
    this.#waiting = [...servers];
    this.#work = work;
    this.#sleep = sleep;
    this.#limit = AbortSignal.any([signal, this.#over.signal]);
    this.#askNext();
  }

  /** The first answer; the other servers are not waited for any more. Rejects when every server has failed. */
  get answer(): Promise<Answered<T>> {
    return this.#answer.promise.finally(() => this.#over.abort());
  }

  #askNext(): void {
    const server = this.#waiting.shift();
    if (server === undefined) return;
    this.#running++;
    let movedOn = false;
    const moveOn = () => {
      if (!movedOn) this.#askNext();
      movedOn = true;
    };
    this.#sleep(PATIENCE_MS, this.#limit).then(moveOn, () => {});
    this.#work(server, this.#limit).then(
      (value) => this.#answer.resolve({ server, value, faults: this.#faults }),
      (error: unknown) => {
        this.#running--;
        this.#faults.push({ server, error });
        if (this.#limit.aborted) this.#answer.reject(this.#limit.reason);
        else if (this.#waiting.length > 0) moveOn();
        else if (this.#running === 0) this.#answer.reject(together(this.#faults));
      },
    );
  }
}

/** All faults as the one that counts. */
function together(faults: readonly Fault[]): unknown {
  const codeOf = ({ error }: Fault) => (error instanceof SwarmbootError ? error.code : null);
  const found =
    WEIGHTY.flatMap((code) => faults.find((fault) => codeOf(fault) === code) ?? [])[0] ?? faults[0]!;
  const code = codeOf(found);
  if (code === null || faults.length === 1) return found.error;
  const list = faults.map((fault) => `\n  ${describe(fault)}`).join('');
  return new SwarmbootError(code, `none of the image servers answers as it should:${list}`, {
    cause: found.error,
  });
}

function describe({ server, error }: Fault): string {
  const text = messageOf(error);
  return text.includes(server.host) ? text : `${server.origin}: ${text}`;
}
