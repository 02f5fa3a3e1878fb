// What the tests of the tracker client share: one request, bad servers, and how a failure must look.

import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { SwarmbootError } from '../../agent/core/errors.ts';
import type { AnnounceRequest } from '../../agent/core/tracker.ts';
import { TrackerClient } from '../../agent/io/tracker.ts';

export const HASH = Uint8Array.from({ length: 20 }, (_, i) => (i * 53 + 200) & 0xff);
/** For an announce that shall run into its time limit; the others have time, however busy the machine is. */
export const SOON = { timeoutMs: 300 };
export const never = new AbortController().signal;

export function request(url: string, values: Partial<AnnounceRequest> = {}): AnnounceRequest {
  return {
    url,
    infoHash: HASH,
    event: 'started',
    peerId: Buffer.from('-SB0100-%& +=?/~.\x00\x01\xff', 'latin1'),
    port: 6881,
    uploaded: 1,
    downloaded: 2,
    left: 3,
    numWant: 4,
    ...values,
  };
}

export function announce(url: string, options = {}): Promise<unknown> {
  return new TrackerClient({ timeoutMs: 5_000, resendMs: 100, ...options }).announce(request(url), never);
}

/** Rejects with a SwarmbootError `tracker` whose message begins with the URL and says `what`. */
export async function fails(promise: Promise<unknown>, what: RegExp): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof SwarmbootError, String(error));
    assert.equal(error.code, 'tracker');
    assert.match(error.message, what);
    assert.match(error.message, /^(http|udp):\/\/127\.0\.0\.1:\d+\/announce /);
    return true;
  });
}

/** An HTTP server that lives as long as the test. */
export async function httpServer(t: TestContext, answer: http.RequestListener): Promise<string> {
  const server = http.createServer(answer);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/announce`;
}

export async function replies(t: TestContext, body: Uint8Array | string): Promise<string> {
  return httpServer(t, (_, response) => response.end(body));
}

/** A UDP server that answers each datagram with what `answer` makes of it, or not at all. */
export async function udpServer(
  t: TestContext,
  answer: (request: Buffer) => (Buffer | null)[],
): Promise<string> {
  const socket = createSocket('udp4');
  socket.on('message', (bytes, from) => {
    for (const reply of answer(bytes)) if (reply !== null) socket.send(reply, from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.after(() => socket.close());
  return `udp://127.0.0.1:${socket.address().port}/announce`;
}
