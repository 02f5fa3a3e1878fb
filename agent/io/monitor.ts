// Sends a node's messages to its image server, asks what the server thinks of the node, and enrols it there. The newest
// message wins: what a server that is away has missed is dropped, and the install never waits for it.

import { Agent as HttpAgent, type IncomingHttpHeaders, request as requestHttp } from 'node:http';
import { text } from 'node:stream/consumers';
import { type Credentials, distrusted, requestOptions } from '../core/credentials.ts';
import { ENROL_NAME, type Enrolled, type EnrolRequest, parseEnrolled } from '../core/enrolment.ts';
import { messageOf, SwarmbootError } from '../core/errors.ts';
import { boundText } from '../core/fields.ts';
import {
  briefMessage,
  encodeMessage,
  followed,
  isNews,
  type Message,
  type NodeAnswer,
  parseNodeAnswer,
  REPORT_AFTER,
  REPORT_AFTER_MAX_MS,
} from '../core/monitor.ts';
import type { Ms } from '../core/units.ts';

/** A server that has not answered by then is away. */
const ANSWER_MAX_MS: Ms = 5000;
/** Nobody enrols twice: an answer that is given up is lost, and a thousand nodes may ask at once. */
const ENROLLED_MAX_MS: Ms = 60_000;
/** Waits before the next attempts; the last one again and again. */
const RETRY_WAITS_MS: readonly Ms[] = [500, 1000, 2000, 4000, 8000, 15_000, 30_000];
/** The same, when somebody waits for the last message to go out. */
const HURRY_WAIT_MS: Ms = 100;
const REASON_MAX = 400;

/** One node's line to its image servers. Nothing in it throws or keeps the process alive. */
export class Monitor {
  /** The one that is told in front: it has taken the last message. */
  readonly #lines: Line[];
  readonly #credentials: Credentials;
  /** What is to be sent; null when the server has the newest. */
  #next: Message | null = null;
  /** Settles when nothing is left to be sent; null when nobody is sending. */
  #work: Promise<void> | null = null;
  #hurried = false;
  /** What the server got last, and when it wants to hear more of the same. */
  #told: Message | null = null;
  #dueMs: Ms = 0;
  #resting = false;
  #wake: () => void = () => {};

  /** `servers` are those of IMAGESERVER: http(s) URLs, which may have a path. Each message goes to one of them. */
  constructor(servers: readonly URL[], credentials: Credentials) {
    this.#lines = servers.map((server) => ({ url: below(server, 'reports'), agent: agentFor(server) }));
    this.#credentials = credentials;
  }

  /** Takes a message, which replaces what is not sent yet. Returns at once. */
  send(message: Message): void {
    this.#next = this.#next === null ? message : followed(this.#next, message);
    if (this.#work === null) this.#work = this.#deliver();
    else if (this.#resting && this.#isDue()) this.#wake();
  }

  /** Resolves when the server has the newest message, or after `ms`, whichever is first. */
  async flush(ms: Ms): Promise<void> {
    if (this.#work === null) return;
    this.#hurried = true;
    this.#wake();
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    await Promise.race([this.#work, late]);
    clearTimeout(timer);
    this.#hurried = false;
  }

  async #deliver(): Promise<void> {
    for (let failures = 0; this.#next !== null; ) {
      await this.#rest();
      const message: Message = this.#next;
      this.#next = null;
      if (await this.#tell(message)) {
        failures = 0;
        continue;
      }
      this.#next = this.#next === null ? message : followed(message, this.#next);
      const waitMs = RETRY_WAITS_MS[Math.min(failures++, RETRY_WAITS_MS.length - 1)]!;
      // That it failed, and why, is worth a packet of its own; the whole of it remains to be sent.
      if (message.status < 0) await this.#tell(briefMessage(message));
      await this.#pause(this.#hurried ? HURRY_WAIT_MS : waitMs);
    }
    this.#work = null;
  }

  /** Until the server wants to hear the next message. */
  async #rest(): Promise<void> {
    this.#resting = true;
    while (!this.#isDue()) await this.#pause(Math.max(1, this.#dueMs - performance.now()));
    this.#resting = false;
  }

  #isDue(): boolean {
    if (this.#hurried || this.#told === null || performance.now() >= this.#dueMs) return true;
    return this.#next !== null && isNews(this.#told, this.#next);
  }

  /** To the first server that takes it. False when none did. */
  async #tell(message: Message): Promise<boolean> {
    for (const _ of [...this.#lines]) {
      if (await this.#post(message, this.#lines[0]!)) return true;
      this.#lines.push(this.#lines.shift()!);
    }
    return false;
  }

  /** False when it may be tried again; a message that the server refuses is not. */
  async #post(message: Message, { url, agent }: Line): Promise<boolean> {
    try {
      const isLast = this.#hurried;
      const body = encodeMessage(message);
      const signal = AbortSignal.timeout(ANSWER_MAX_MS);
      const { status, headers } = await exchange(url, {
        method: 'POST',
        body,
        agent,
        credentials: this.#credentials,
        signal,
      });
      // Before it is enrolled nobody listens to this node; when it never will be, its last message is in vain.
      if (status >= 500 || (status === 401 && !isLast)) return false;
      const afterMs = Number(headers[REPORT_AFTER] ?? 0);
      this.#told = message;
      this.#dueMs = performance.now() + (afterMs > 0 ? Math.min(afterMs, REPORT_AFTER_MAX_MS) : 0);
      return true;
    } catch (error) {
      // Who is not believed gets nothing, and nobody waits until he is.
      return error instanceof SwarmbootError || distrusted(url, error, '') !== null;
    }
  }

  #pause(ms: Ms): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    setTimeout(resolve, ms).unref();
    return promise;
  }
}

/** Where a server takes messages, and the connection that is kept to it. */
interface Line {
  readonly url: URL;
  readonly agent: HttpAgent;
}

function agentFor({ protocol }: URL): HttpAgent {
  const Agent = protocol === 'https:' ? process.getBuiltinModule('node:https').Agent : HttpAgent;
  return new Agent({ keepAlive: true, maxSockets: 1 });
}

/**
 * What the image server at `server` says about the node with this MAC. Throws SwarmbootError 'network' when it does not
 * answer, 'signature' when it is not to be believed, 'report' when the answer cannot be read.
 */
export async function askNode(
  server: URL,
  mac: string,
  credentials: Credentials,
  signal: AbortSignal,
): Promise<NodeAnswer> {
  const url = below(server, `nodes/${mac}`);
  const { status, body } = await ask(url, { method: 'GET', credentials, signal }, ANSWER_MAX_MS);
  if (status !== 200) throw unreachable(url, `the server answered ${status}`);
  return parseNodeAnswer(body);
}

/**
 * Enrols a node at the image server. Null: it wants nobody to enrol. Throws SwarmbootError 'enrolment' when it refuses,
 * 'network' when it does not answer, 'signature' when it is not to be believed, 'report' when the answer cannot be read.
 */
export async function enrol(
  server: URL,
  request: EnrolRequest,
  credentials: Credentials,
  signal: AbortSignal,
): Promise<Enrolled | null> {
  const url = below(server, ENROL_NAME);
  const body = JSON.stringify(request);
  const answer = await ask(url, { method: 'POST', body, credentials, signal }, ENROLLED_MAX_MS);
  if (answer.status === 204) return null;
  if (answer.status === 403) {
    const reason = boundText(answer.body.trim(), REASON_MAX);
    throw new SwarmbootError(
      'enrolment',
      `${server.origin} does not let ${request.mac} enrol: ${reason}; when this is the right machine, arm it (again) there: swarmboot node arm`,
    );
  }
  if (answer.status !== 200) throw unreachable(url, `the server answered ${answer.status}`);
  return parseEnrolled(answer.body);
}

/** One request. Throws SwarmbootError 'network' or 'signature', or the signal's reason. */
async function ask(url: URL, { signal, ...request }: Exchange, answerMaxMs: Ms): Promise<Answer> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(answerMaxMs)]);
  return exchange(url, { ...request, signal: limit }).catch((error: unknown) => {
    signal.throwIfAborted();
    if (error instanceof SwarmbootError) throw error;
    const distrust = distrusted(url, error, new Date().toISOString());
    if (distrust !== null) throw distrust;
    const why = limit.aborted ? `no answer within ${answerMaxMs / 1000} s` : messageOf(error);
    throw unreachable(url, why, error);
  });
}

function unreachable(url: URL, why: string, cause?: unknown): SwarmbootError {
  const next = 'check the address, and that "swarmboot serve" runs there';
  return new SwarmbootError('network', `cannot get ${url.href}: ${why}; ${next}`, { cause });
}

/** `path` below the address of the server, which may itself have a path. */
function below(server: URL, path: string): URL {
  const base = new URL(server);
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  return new URL(path, base);
}

interface Exchange {
  readonly method: 'GET' | 'POST';
  readonly body?: string;
  /** Connections of an agent do not keep the process alive. */
  readonly agent?: HttpAgent;
  readonly credentials: Credentials;
  readonly signal: AbortSignal;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** One request and the whole answer. Rejects with an Error whose message says what went wrong. */
async function exchange(url: URL, { method, body, agent, credentials, signal }: Exchange): Promise<Answer> {
  const { headers: shown, ...secured } = requestOptions(credentials, url);
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  // TLS takes a quarter of the agent's start: only an https server pays for it.
  const send = url.protocol === 'https:' ? process.getBuiltinModule('node:https').request : requestHttp;
  const type = body === undefined ? {} : { 'content-type': 'application/json' };
  const options = { ...secured, method, headers: { ...shown, ...type }, agent: agent ?? false, signal };
  const request = send(url, options, (response) => {
    const { statusCode = 0, headers } = response;
    text(response).then((answer) => resolve({ status: statusCode, headers, body: answer }), reject);
  });
  request.on('error', reject);
  if (agent !== undefined) request.on('socket', (socket) => socket.unref());
  request.end(body);
  return promise;
}
