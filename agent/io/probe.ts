// Tries what an install is going to need, before it is needed: calls a peer, sends packets of full size to the image server
// and has them sent back, and writes to a disk what it holds already. What the figures mean is core/readiness's.

import { once } from 'node:events';
import { constants, type FileHandle, open } from 'node:fs/promises';
import { request as requestHttp } from 'node:http';
import { Socket } from 'node:net';
import type { PeerAddress } from '../core/address.ts';
import { type Credentials, requestOptions } from '../core/credentials.ts';
import type { Stretch } from '../core/diskplan.ts';
import { KIB, MIB, type Ms } from '../core/units.ts';

/** A trial of a disk ends when it has written so much, or for so long. */
const TRIAL_BYTES = 32 * MIB;
const TRIAL_MS: Ms = 3000;
/** Bytes of one write, which is on the disk when it returns: small at first, for a disk that is very slow. */
const CHUNK_MIN_BYTES = 256 * KIB;
const CHUNK_MAX_BYTES = 4 * MIB;
/** The next chunk is twice as large when this one took no longer. */
const CHUNK_QUICK_MS: Ms = 250;
/** Where a trial begins: disks have sectors of 4 KiB, whatever they say, and must not have to read one to write it. */
const ALIGNMENT_BYTES = MIB;

/** Calls a peer and hangs up once it has answered. Rejects with an Error that says who did not, and why. */
export async function call({ host, port }: PeerAddress, signal: AbortSignal): Promise<void> {
  const socket = new Socket({ signal });
  try {
    const connected = once(socket, 'connect');
    socket.connect({ host, port });
    await connected;
  } finally {
    // Hanging up may go wrong too.
    socket.on('error', () => {});
    socket.destroy();
  }
}

/**
 * Sends so many bytes to the image server at `server` and has them sent back. Resolves with false when that server answers
 * without sending them back. Rejects with an Error that says what went wrong.
 */
export async function echo(
  server: URL,
  bytes: number,
  credentials: Credentials,
  signal: AbortSignal,
): Promise<boolean> {
  const url = new URL(server);
  url.pathname = `${url.pathname.replace(/\/$/, '')}/echo`;
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  // TLS takes a quarter of the agent's start: only an https server pays for it.
  const send = url.protocol === 'https:' ? process.getBuiltinModule('node:https').request : requestHttp;
  const options = { ...requestOptions(credentials, url), method: 'POST', agent: false, signal };
  const request = send(url, options, (response) => {
    if (response.statusCode !== 200) return resolve(false);
    let count = 0;
    response.on('data', (chunk: Buffer) => {
      count += chunk.length;
    });
    response.once('error', reject);
    response.once('end', () => {
      if (count === bytes) resolve(true);
      else reject(new Error(`${url.host} sent back ${count} of ${bytes} bytes`));
    });
  });
  request.on('error', reject);
  request.end(Buffer.alloc(bytes, 'swarmboot '));
  try {
    return await promise;
  } finally {
    request.destroy();
  }
}

/**
 * Writes to the middle of a stretch what was read there, so that its content is the same whenever the power fails. Resolves
 * with what was written and the time of the writing alone; rejects when the disk is in use, read-only, or fails.
 */
export async function rewrite(stretch: Stretch, signal: AbortSignal): Promise<{ bytes: number; ms: Ms }> {
  const { O_RDWR, O_EXCL, O_DSYNC } = constants;
  // Exclusive: the kernel lets nobody have a disk so that is mounted, or under an array or a volume group.
  await using disk = await open(stretch.path, O_RDWR | O_EXCL | O_DSYNC);
  const length = Math.min(TRIAL_BYTES, stretch.sizeBytes);
  const middle = stretch.startBytes + (stretch.sizeBytes - length) / 2;
  const start = Math.max(stretch.startBytes, Math.floor(middle / ALIGNMENT_BYTES) * ALIGNMENT_BYTES);
  const buffer = Buffer.alloc(Math.min(CHUNK_MAX_BYTES, length));
  let [bytes, ms, size] = [0, 0, CHUNK_MIN_BYTES];
  while (bytes < length && ms < TRIAL_MS) {
    const chunk = buffer.subarray(0, Math.min(size, length - bytes));
    await readWhole(disk, chunk, start + bytes);
    // Nobody waits any more: the next write could come when the disk holds something else.
    signal.throwIfAborted();
    const startedMs = performance.now();
    await writeWhole(disk, chunk, start + bytes);
    const tookMs = performance.now() - startedMs;
    bytes += chunk.length;
    ms += tookMs;
    if (tookMs <= CHUNK_QUICK_MS) size = Math.min(2 * size, CHUNK_MAX_BYTES);
  }
  return { bytes, ms };
}

async function readWhole(disk: FileHandle, chunk: Buffer, at: number): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    const { bytesRead } = await disk.read(chunk, done, chunk.length - done, at + done);
    if (bytesRead === 0) throw new Error(`it ends at byte ${at + done}, before the size that it tells`);
    done += bytesRead;
  }
}

async function writeWhole(disk: FileHandle, chunk: Buffer, at: number): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    done += (await disk.write(chunk, done, chunk.length - done, at + done)).bytesWritten;
  }
}
