// Sends bytes to a server of ours over TCP and hears what it says, whatever the bytes are.

import { connect } from 'node:net';

/** Who has not answered after so many turns of the event loop, in which the server runs too, hears that nothing more comes. */
const PATIENCE = 20;
/** In turns from so many addresses: a server lets none of them ask without end. */
const CALLERS = 250;
let calls = 0;

/** Resolves when the connection is over, with what came. Rejects when nobody listens any more. */
export function call(port: number, bytes: Uint8Array): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const parts: Buffer[] = [];
  const localAddress = `127.0.1.${1 + (calls++ % CALLERS)}`;
  const socket = connect({ port, host: '127.0.0.1', localAddress, noDelay: true }, () => {
    socket.write(bytes);
    let left = PATIENCE;
    const wait = () => {
      if (left-- > 0 && parts.length === 0) setImmediate(wait);
      else socket.end();
    };
    wait();
  });
  socket.on('data', (part: Buffer) => {
    parts.push(part);
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ECONNREFUSED') reject(error);
  });
  socket.on('close', () => {
    resolve(Buffer.concat(parts));
  });
  return promise;
}

/** The status of an HTTP answer; null when there was none. */
export function statusOf(answer: Uint8Array): number | null {
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(Buffer.from(answer.subarray(0, 20)).toString('latin1'))?.[1];
  return status === undefined ? null : Number(status);
}
