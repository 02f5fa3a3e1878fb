// A peer written by hand, byte for byte, on a real socket: it says whatever a test wants to be said.

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { PeerAddress } from '../agent/core/tracker.ts';

interface Test {
  after(done: () => void | Promise<void>): void;
}

/** Message ids of BEP 3, 6 and 10. */
export const ID = {
  choke: 0,
  unchoke: 1,
  interested: 2,
  have: 4,
  bitfield: 5,
  request: 6,
  piece: 7,
  cancel: 8,
  haveAll: 14,
  haveNone: 15,
  reject: 16,
  extended: 20,
} as const;

export interface Heard {
  readonly id: number;
  readonly payload: Buffer;
}

export interface Manners {
  /** BEP 6. */
  readonly fast?: boolean;
  /** BEP 10. */
  readonly extended?: boolean;
  readonly peerId?: Uint8Array;
}

export class RawPeer {
  readonly socket: Socket;
  /** Resolves when the connection is gone. */
  readonly closed: Promise<void>;
  #bytes = Buffer.alloc(0);
  readonly #heard: Heard[] = [];
  #wake: () => void = () => {};
  #greeted = false;
  #gone = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#gone = true;
        this.#wake();
        resolve();
      });
    });
  }

  /** Calls a node; says nothing yet. */
  static async call(test: Test, port: number, host = '127.0.0.1'): Promise<RawPeer> {
    const peer = new RawPeer(connect({ port, host }));
    test.after(() => void peer.socket.destroy());
    await once(peer.socket, 'connect');
    return peer;
  }

  /** Calls a node and greets it. */
  static async meet(test: Test, port: number, infoHash: Uint8Array, manners: Manners = {}): Promise<RawPeer> {
    const peer = await RawPeer.call(test, port);
    peer.greet(infoHash, manners);
    return peer;
  }

  /** Waits to be called; `met` gets each caller, yet to be greeted. */
  static async listen(test: Test, met: (peer: RawPeer) => void): Promise<PeerAddress> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      met(new RawPeer(socket));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    test.after(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    const bound = server.address();
    return { host: '127.0.0.1', port: bound !== null && typeof bound === 'object' ? bound.port : 0 };
  }

  greet(
    infoHash: Uint8Array,
    { fast = true, extended = false, peerId = randomBytes(20) }: Manners = {},
  ): void {
    const reserved = Buffer.alloc(8);
    if (extended) reserved[5]! |= 0x10;
    if (fast) reserved[7]! |= 0x04;
    this.write(Buffer.from('\x13BitTorrent protocol'), reserved, infoHash, peerId);
  }

  write(...parts: Uint8Array[]): void {
    this.socket.write(Buffer.concat(parts));
  }

  /** One message; numbers are 32 bits, big end first. */
  say(id: number, ...parts: (number | Uint8Array)[]): void {
    const payload = Buffer.concat(parts.map((part) => (typeof part === 'number' ? u32(part) : part)));
    this.write(u32(1 + payload.length), Buffer.from([id]), payload);
  }

  extension(id: number, dictionary: string, rest: Uint8Array = new Uint8Array()): void {
    this.say(ID.extended, Buffer.from([id]), Buffer.from(dictionary, 'latin1'), rest);
  }

  /** The next message of this kind; others before it are thrown away. Rejects when the node hangs up first. */
  async hear(id: number): Promise<Buffer> {
    for (;;) {
      for (let next = this.#heard.shift(); next !== undefined; next = this.#heard.shift()) {
        if (next.id === id) return next.payload;
      }
      if (this.#gone) throw new Error(`the node hung up before message ${id}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #take(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    if (!this.#greeted && this.#bytes.length >= 68) {
      this.#greeted = true;
      this.#bytes = this.#bytes.subarray(68);
    }
    while (this.#greeted && this.#bytes.length >= 4) {
      const length = this.#bytes.readUInt32BE(0);
      if (this.#bytes.length < 4 + length) break;
      if (length > 0) this.#heard.push({ id: this.#bytes[4]!, payload: this.#bytes.subarray(5, 4 + length) });
      this.#bytes = this.#bytes.subarray(4 + length);
    }
    this.#wake();
  }
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
