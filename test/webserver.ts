// A web server that gives parts of one file, for tests of web seeds: it counts what it gives, and can be told to do wrong.

import { once } from 'node:events';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseRange } from '../scripts/core/range.ts';

export interface WebServer {
  readonly url: string;
  readonly asked: { readonly begin: number; readonly length: number }[];
  /** Payload that was given. */
  readonly sentBytes: number;
  /** Most requests that were answered at the same time. */
  readonly atOnceMost: number;
}

/** Answers in the place of the server; returns false when the server is to do it. */
export type Misdeed = (request: IncomingMessage, response: ServerResponse) => boolean;

/** Serves `content` at any path on loopback until the test ends. Answers begin after `waitMs`. */
export async function startWebServer(
  test: { after(done: () => void): void },
  content: Uint8Array,
  { misdeed = () => false, waitMs = 0 }: { readonly misdeed?: Misdeed; readonly waitMs?: number } = {},
): Promise<WebServer> {
  const asked: { begin: number; length: number }[] = [];
  const told = { sentBytes: 0, atOnceMost: 0 };
  let atOnce = 0;
  const server = http.createServer((request, response) => {
    const range = parseRange(request.headers.range, content.length);
    if (range === null || range === 'unsatisfiable') return void response.writeHead(400).end();
    const { begin, end } = range;
    asked.push({ begin, length: end - begin });
    atOnce++;
    told.atOnceMost = Math.max(told.atOnceMost, atOnce);
    response.once('close', () => {
      atOnce--;
    });
    if (misdeed(request, response)) return;
    told.sentBytes += end - begin;
    response.writeHead(206, { 'Content-Range': `bytes ${begin}-${end - 1}/${content.length}` });
    setTimeout(() => response.end(content.subarray(begin, end)), waitMs);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  test.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/tarballs/image`,
    asked,
    get sentBytes() {
      return told.sentBytes;
    },
    get atOnceMost() {
      return told.atOnceMost;
    },
  };
}
