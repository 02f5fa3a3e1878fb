// Ranges of files from web servers (BEP 19, RFC 9110), over connections that are kept open between them. What an answer
// holds is believed in nothing; that it is the range that was asked for is checked here.

import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import { BOUNDS } from '../core/bounds.ts';
import { type Credentials, distrusted, requestOptions } from '../core/credentials.ts';
import type { WebPort, WebRange } from '../core/ports.ts';
import type { Ms } from '../core/units.ts';

/** A server that sends nothing for so long is away. */
const SILENCE_MAX_MS: Ms = BOUNDS.webSilentMs;
const BUSY_MAX_MS: Ms = BOUNDS.webBusyMs;
/** RFC 9110 and RFC 6585: come back later. */
const BUSY = new Set([503, 429]);
const KEPT = { keepAlive: true };

export class WebClient implements WebPort {
  readonly #credentials: Credentials;
  readonly #plain = new http.Agent(KEPT);
  #secured: http.Agent | null = null;

  /** @param credentials whom to believe over TLS, and what to show to the image server */
  constructor(credentials: Credentials) {
    this.#credentials = credentials;
  }

  async fetchRange(
    range: WebRange,
    take: (chunk: Uint8Array) => void,
    signal: AbortSignal,
  ): Promise<Ms | null> {
    signal.throwIfAborted();
    const url = new URL(range.url);
    try {
      const response = await this.#ask(url, range, signal);
      try {
        const status = response.statusCode ?? 0;
        if (BUSY.has(status)) return busyMs(response);
        await readRange(response, range, take);
        return null;
      } finally {
        // What is left of an answer is not worth its time; of one that was read whole the connection stays.
        if (!response.complete) response.destroy();
      }
    } catch (error) {
      signal.throwIfAborted();
      throw distrusted(url, error, new Date().toISOString()) ?? error;
    }
  }

  /** A connection that was kept may have been closed by the server meanwhile: then it is asked on another. */
  async #ask(url: URL, range: WebRange, signal: AbortSignal): Promise<IncomingMessage> {
    for (;;) {
      const request = this.#request(url, range, signal);
      try {
        const [response] = (await once(request, 'response')) as [IncomingMessage];
        // From here on the response tells of errors too.
        request.on('error', () => {});
        return response;
      } catch (error) {
        if (signal.aborted || !request.reusedSocket || !isHangUp(error)) throw error;
      }
    }
  }

  #request(url: URL, { begin, length }: WebRange, signal: AbortSignal): http.ClientRequest {
    const { headers, ...trust } = requestOptions(this.#credentials, url);
    const options = {
      ...trust,
      headers: { ...headers, range: `bytes=${begin}-${begin + length - 1}` },
      signal,
      agent: this.#agentFor(url),
    };
    // TLS takes a quarter of the agent's start: only an https server pays for it.
    const get = url.protocol === 'https:' ? process.getBuiltinModule('node:https').get : http.get;
    const request = get(url, options);
    request.setTimeout(SILENCE_MAX_MS, () =>
      request.destroy(new Error(`it sent nothing for ${SILENCE_MAX_MS / 1000} s`)),
    );
    return request;
  }

  #agentFor({ protocol }: URL): http.Agent {
    if (protocol !== 'https:') return this.#plain;
    this.#secured ??= new (process.getBuiltinModule('node:https').Agent)(KEPT);
    return this.#secured;
  }
}

function isHangUp(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : '';
  return code === 'ECONNRESET' || code === 'EPIPE';
}

/** How long it wants to be left alone; 0: it does not say. Its text is not read. */
function busyMs({ headers }: IncomingMessage): Ms {
  const seconds = Number(headers['retry-after'] ?? '');
  return Number.isFinite(seconds) ? Math.min(Math.max(0, 1000 * seconds), BUSY_MAX_MS) : 0;
}

async function readRange(
  response: IncomingMessage,
  { begin, length, sizeBytes }: WebRange,
  take: (chunk: Uint8Array) => void,
): Promise<void> {
  const { statusCode: status = 0, headers } = response;
  if (status === 200) throw new Error('it does not give parts of files');
  if (status !== 206) throw new Error(`it answered ${status}`);
  const wanted = `bytes ${begin}-${begin + length - 1}/${sizeBytes}`;
  const given = headers['content-range'] ?? '';
  if (given !== wanted) throw new Error(`asked for "${wanted}", it gave "${given.slice(0, 100)}"`);
  if (headers['content-encoding'] !== undefined) throw new Error('it gave the content encoded');
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > length) throw new Error(`it gave more than the ${length} bytes that were asked for`);
    take(chunk);
  }
  if (bytes < length) throw new Error(`it gave ${bytes} bytes of ${length}`);
}
