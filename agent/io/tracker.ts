// Announces to trackers over HTTP, HTTPS and UDP. Knows sockets, time limits and what servers do wrong; the words are
// core/tracker's and core/datagram's, and when to say them is core/announce's.

import { randomInt } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { on, once } from 'node:events';
import http from 'node:http';
import { BencodeError } from '../core/bencode.ts';
import { BOUNDS } from '../core/bounds.ts';
import { type Credentials, NO_CREDENTIALS, requestOptions } from '../core/credentials.ts';
import {
  DatagramError,
  readAnnounceReply,
  readConnectReply,
  readError,
  transactionOf,
  writeAnnounce,
  writeConnect,
} from '../core/datagram.ts';
import { messageOf, SwarmbootError } from '../core/errors.ts';
import type { TrackerPort } from '../core/ports.ts';
import {
  type AnnounceReply,
  type AnnounceRequest,
  announceQuery,
  type HttpReply,
  printable,
  readHttpReply,
  TrackerRefusal,
} from '../core/tracker.ts';
import { hex, type Ms } from '../core/units.ts';

const REPLY_BYTES_MAX = BOUNDS.replyBytes;
const REDIRECTS_MAX = BOUNDS.redirects;
/** BEP 15: a connection id may be used for one minute. */
const CONNECTION_MS: Ms = 60_000;

/** What a tracker did wrong, to be put behind its name. */
class Fault extends Error {}

/** The tracker answered in its own words that it refuses. */
class Refused extends Fault {}

/** Announces, each within a time limit; keeps the ids that trackers gave us. */
export class TrackerClient implements TrackerPort {
  readonly #timeoutMs: Ms;
  readonly #resendMs: Ms;
  readonly #credentials: Credentials;
  /** The same in every announce: a tracker may know us by it when our address changes. */
  readonly #key = randomInt(2 ** 32);
  readonly #trackerIds = new Map<string, Uint8Array>();
  readonly #connections = new Map<string, { id: bigint; until: Ms }>();

  /**
   * @param options.timeoutMs bound of one whole announce (5 s: the next tracker is asked afterwards)
   * @param options.resendMs a datagram without answer is sent again after this, then after twice this ... (1 s: BEP 15's
   *   15 s is made for the Internet; a cluster's network answers in a millisecond)
   * @param options.credentials for trackers by HTTPS (none: the system's authorities are believed)
   */
  constructor(options: { timeoutMs?: Ms; resendMs?: Ms; credentials?: Credentials } = {}) {
    this.#timeoutMs = options.timeoutMs ?? 5_000;
    this.#resendMs = options.resendMs ?? 1_000;
    this.#credentials = options.credentials ?? NO_CREDENTIALS;
  }

  /** Rejects with a SwarmbootError that says what the tracker did, or with the signal's reason. */
  async announce(request: AnnounceRequest, signal: AbortSignal): Promise<AnnounceReply> {
    signal.throwIfAborted();
    const url = URL.parse(request.url);
    if (url === null || !['http:', 'https:', 'udp:'].includes(url.protocol)) {
      const text = printable(Buffer.from(request.url));
      throw new SwarmbootError('tracker', `the tracker "${text}" is no http, https or udp URL`);
    }
    const limit = AbortSignal.timeout(this.#timeoutMs);
    const either = AbortSignal.any([signal, limit]);
    try {
      return await (url.protocol === 'udp:'
        ? this.#overUdp(url, request, either)
        : this.#overHttp(url, request, either));
    } catch (error) {
      signal.throwIfAborted();
      const silent = limit.aborted && !(error instanceof Fault);
      const what = silent ? `did not answer within ${this.#timeoutMs / 1000} s` : faultOf(error);
      // Neither a password nor a pass key belongs into a log.
      const name = `${url.protocol}//${url.host}${url.pathname}`;
      throw new SwarmbootError('tracker', `${name} ${what}`, { cause: error });
    }
  }

  async #overHttp(url: URL, request: AnnounceRequest, signal: AbortSignal): Promise<AnnounceReply> {
    const swarm = `${request.url} ${hex(request.infoHash)}`;
    const key = this.#key.toString(16).padStart(8, '0');
    const query = announceQuery(request, key, this.#trackerIds.get(swarm) ?? null);
    const target = new URL(url);
    target.search = url.search === '' ? query : `${url.search}&${query}`;
    const { reply, trackerId } = await fetchReply(target, this.#credentials, signal);
    if (request.event === 'stopped') this.#trackerIds.delete(swarm);
    else if (trackerId !== null) this.#trackerIds.set(swarm, trackerId);
    return reply;
  }

  async #overUdp(url: URL, request: AnnounceRequest, signal: AbortSignal): Promise<AnnounceReply> {
    if (url.port === '') throw new Fault('names no port');
    const host = url.hostname.replace(/^\[|\]$/g, '');
    let unreached: unknown;
    for (const { address, family } of await unlessAborted(lookup(host, { all: true }), signal)) {
      const socket = createSocket(family === 6 ? 'udp6' : 'udp4');
      // An error that comes while nobody waits has been told, or will be: by the next wait or by its time limit.
      socket.on('error', () => {});
      try {
        // A connected socket takes datagrams from that address and port only, and hears at once that nobody is there.
        socket.connect(Number(url.port), address);
        await once(socket, 'connect', { signal });
        return await this.#converse(socket, `${address} ${url.port}`, url, request, signal);
      } catch (error) {
        if (error instanceof Fault || signal.aborted) throw error;
        unreached = error;
      } finally {
        socket.close();
      }
    }
    throw unreached;
  }

  /** Connect, unless a connection id is still good, then announce (BEP 15). */
  async #converse(
    socket: Socket,
    peer: string,
    url: URL,
    request: AnnounceRequest,
    signal: AbortSignal,
  ): Promise<AnnounceReply> {
    const ipv6 = socket.address().family === 'IPv6';
    const path = url.pathname === '/' ? url.search : url.pathname + url.search;
    const announce = (connection: bigint) =>
      exchange(
        socket,
        (transaction) => writeAnnounce(request, { connection, transaction, key: this.#key, path }),
        (answer) => readAnnounceReply(answer, ipv6),
        this.#resendMs,
        signal,
      );
    const kept = this.#connections.get(peer);
    this.#connections.delete(peer);
    if (kept !== undefined && performance.now() < kept.until) {
      try {
        const reply = await announce(kept.id);
        this.#connections.set(peer, kept);
        return reply;
      } catch (error) {
        // The tracker may have been started anew and know the id no more: ask for another.
        if (!(error instanceof Refused)) throw error;
      }
    }
    const until = performance.now() + CONNECTION_MS;
    const id = await exchange(socket, writeConnect, readConnectReply, this.#resendMs, signal);
    const reply = await announce(id);
    this.#connections.set(peer, { id, until });
    return reply;
  }
}

/** Follows redirects on the same host; never from https to http. */
async function fetchReply(url: URL, credentials: Credentials, signal: AbortSignal): Promise<HttpReply> {
  let target = url;
  for (let hops = 0; ; hops++) {
    const response = await get(target, credentials, signal);
    const status = response.statusCode ?? 0;
    const { location } = response.headers;
    if (status < 300 || status >= 400 || location === undefined) {
      const body = await readBody(response);
      return readReply(status, body);
    }
    response.destroy();
    if (hops === REDIRECTS_MAX) throw new Fault(`redirected more than ${REDIRECTS_MAX} times`);
    const next = URL.parse(location, target);
    const safe = next?.protocol === target.protocol || next?.protocol === 'https:';
    if (next === null || !safe || next.hostname !== target.hostname) {
      const text = printable(Buffer.from(location, 'latin1'));
      throw new Fault(
        `redirected to "${text}", but is followed only on the same host and not from https to http`,
      );
    }
    target = next;
  }
}

async function get(url: URL, credentials: Credentials, signal: AbortSignal): Promise<http.IncomingMessage> {
  const isTls = url.protocol === 'https:';
  // TLS takes a quarter of the agent's start: only an https tracker pays for it.
  const client = isTls ? process.getBuiltinModule('node:https') : http;
  // What a tracker says is believed in nothing: it may speak plain HTTP where the image server must not.
  const options = requestOptions(isTls ? credentials : NO_CREDENTIALS, url);
  const request = client.get(url, { ...options, signal, agent: false });
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  // From here on the response tells of errors too.
  request.on('error', () => {});
  return response;
}

async function readBody(response: http.IncomingMessage): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > REPLY_BYTES_MAX) throw new Fault(`answered more than ${REPLY_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function readReply(status: number, body: Uint8Array): HttpReply {
  let reply: HttpReply | null = null;
  let fault: unknown;
  try {
    reply = readHttpReply(body);
  } catch (error) {
    // A failure reason says more than the status that came with it.
    if (error instanceof TrackerRefusal) throw new Refused(`refused: "${error.message}"`);
    if (!(error instanceof BencodeError)) throw error;
    fault = error;
  }
  if (status !== 200)
    throw new Fault(`answered with HTTP status ${status} ${http.STATUS_CODES[status] ?? ''}`);
  if (reply !== null) return reply;
  if (body.length === 0) throw new Fault('answered with nothing');
  if (body[0] === 'd'.charCodeAt(0)) throw new Fault(`answered wrongly: ${messageOf(fault)}`);
  const looks = /^\s*</.test(printable(body)) ? 'HTML, not bencode' : 'no bencode';
  throw new Fault(`answered ${looks} (first bytes "${printable(body.subarray(0, 40))}")`);
}

/** Sends a datagram, again and again, until it is answered. What answers another question is ignored. */
async function exchange<Answer>(
  socket: Socket,
  write: (transaction: number) => Uint8Array,
  read: (answer: Uint8Array) => Answer,
  resendMs: Ms,
  signal: AbortSignal,
): Promise<Answer> {
  const transaction = randomInt(2 ** 32);
  const datagram = write(transaction);
  const answers = on(socket, 'message', { signal }) as AsyncIterable<[Buffer]>;
  let timer: NodeJS.Timeout | undefined;
  let strangers = 0;
  const send = (waitMs: Ms) => {
    socket.send(datagram);
    timer = setTimeout(send, waitMs, 2 * waitMs);
  };
  try {
    send(resendMs);
    for await (const [answer] of answers) {
      if (transactionOf(answer) !== transaction) {
        strangers++;
        continue;
      }
      const refusal = readError(answer);
      if (refusal !== null) throw new Refused(`refused: "${refusal}"`);
      return read(answer);
    }
    throw new Fault('closed the conversation');
  } catch (error) {
    if (error instanceof DatagramError) throw new Fault(`answered wrongly: ${error.message}`);
    if (signal.aborted && strangers > 0) {
      throw new Fault(`sent ${strangers} datagrams with a wrong transaction id and no answer`);
    }
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function unlessAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    promise.then(resolve, reject);
  });
}

function faultOf(error: unknown): string {
  if (error instanceof Fault) return error.message;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'ECONNREFUSED') return 'refused the connection';
  if (code === 'ENOTFOUND') return 'has a host name that nobody knows';
  return `could not be asked: ${messageOf(error) || code}`;
}
