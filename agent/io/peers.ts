// TCP: listens for peers and calls them, IPv4 and IPv6. Knows addresses and limits, not BitTorrent.

import { createServer, type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net';
import { BOUNDS } from '../core/bounds.ts';
import { messageOf, SwarmbootError } from '../core/errors.ts';
import type { Link, PeersPort } from '../core/ports.ts';
import type { PeerAddress } from '../core/tracker.ts';
import { KIB, type Ms } from '../core/units.ts';

/** One reused buffer per connection: no allocation per read, and few system calls at full speed. */
const READ_BYTES = 256 * KIB;

export interface PeersOptions {
  /** Address to listen on: `::` for every IPv4 and IPv6 address, where the machine has IPv6. */
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  readonly connectTimeoutMs: Ms;
  /** Links open at once, both ways. Further callers are hung up on. */
  readonly linksMax: number;
  /** Links from one address. */
  readonly linksPerHostMax: number;
}

export const PEERS_OPTIONS: Omit<PeersOptions, 'host' | 'port'> = {
  connectTimeoutMs: 10_000,
  linksMax: BOUNDS.links,
  linksPerHostMax: BOUNDS.linksPerAddress,
};

export class Peers implements PeersPort {
  readonly #options: PeersOptions;
  readonly #linksByHost = new Map<string, number>();
  readonly #server = createServer({ pauseOnConnect: true, noDelay: true });
  #links = 0;

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  /** Throws SwarmbootError('network') when the port is taken or the address is not ours. */
  listen(arrived: (link: Link) => void): Promise<number> {
    const server = this.#server;
    const { host, port } = this.#options;
    server.on('connection', (socket: Socket) => {
      const link = this.#admit(socket);
      if (link === null) socket.destroy();
      else arrived(link);
    });
    return new Promise((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'EAFNOSUPPORT' && host === '::') server.listen({ host: '0.0.0.0', port });
        else {
          const message = `cannot listen for peers on ${host} port ${port}: ${messageOf(error)}; choose another port`;
          reject(new SwarmbootError('network', message, { cause: error }));
        }
      });
      server.once('listening', () => {
        const bound = server.address();
        if (bound !== null && typeof bound === 'object') resolve(bound.port);
      });
      server.listen({ host, port });
    });
  }

  dial(address: PeerAddress): Promise<Link> {
    return new Promise((resolve, reject) => {
      const sink = new Sink();
      const socket = new Socket({ onread: sink.onread });
      const fail = (reason: string) => {
        socket.destroy();
        reject(new Error(reason));
      };
      if (this.#links >= this.#options.linksMax) return fail('enough connections are open');
      const timer = setTimeout(() => fail('no answer'), this.#options.connectTimeoutMs);
      socket.once('error', (error) => {
        clearTimeout(timer);
        fail(messageOf(error));
      });
      socket.once('connect', () => {
        clearTimeout(timer);
        socket.removeAllListeners('error');
        resolve(this.#count(new SocketLink(socket, sink, address, true)));
      });
      socket.setNoDelay(true);
      socket.connect({ host: address.host, port: address.port });
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #admit(raw: Socket): Link | null {
    const host = plainHost(raw.remoteAddress ?? '');
    const sameHost = this.#linksByHost.get(host) ?? 0;
    const { linksMax, linksPerHostMax } = this.#options;
    if (host === '' || this.#links >= linksMax || sameHost >= linksPerHostMax) return null;
    const remote = { host, port: raw.remotePort ?? 0 };
    const sink = new Sink();
    return this.#count(new SocketLink(withSink(raw, sink), sink, remote, false));
  }

  #count(link: SocketLink): Link {
    const { host } = link.remote;
    this.#links++;
    this.#linksByHost.set(host, (this.#linksByHost.get(host) ?? 0) + 1);
    link.socket.once('close', () => {
      this.#links--;
      const left = this.#linksByHost.get(host)! - 1;
      if (left === 0) this.#linksByHost.delete(host);
      else this.#linksByHost.set(host, left);
    });
    return link;
  }
}

class SocketLink implements Link {
  readonly remote: PeerAddress;
  readonly outgoing: boolean;
  readonly socket: Socket;
  readonly #sink: Sink;
  #reason = 'closed by the peer';

  constructor(socket: Socket, sink: Sink, remote: PeerAddress, outgoing: boolean) {
    this.socket = socket;
    this.#sink = sink;
    this.remote = remote;
    this.outgoing = outgoing;
    socket.on('error', (error) => {
      this.#reason = messageOf(error);
    });
  }

  open({ data, closed }: Parameters<Link['open']>[0]): void {
    const { socket } = this;
    if (socket.destroyed) {
      queueMicrotask(() => closed(this.#reason));
      return;
    }
    this.#sink.data = data;
    socket.once('end', () => socket.destroy());
    socket.once('close', () => closed(this.#reason));
    socket.resume();
  }

  write(bytes: Uint8Array, done?: () => void): void {
    if (this.socket.destroyed) done?.();
    else this.socket.write(bytes, done && (() => done()));
  }

  close(reason: string): void {
    if (this.socket.destroyed) return;
    this.#reason = reason;
    this.socket.destroySoon();
  }
}

/** IPv4 callers of a dual-stack server look like `::ffff:10.0.0.1`. */
function plainHost(host: string): string {
  return host.startsWith('::ffff:') ? host.slice(7) : host;
}

/** Where a socket's chunks go: set when the link is opened. */
class Sink {
  data: (chunk: Uint8Array) => void = () => {};
  readonly onread: OnReadOpts = {
    buffer: new Uint8Array(READ_BYTES),
    callback: (bytes, buffer) => {
      this.data(buffer.subarray(0, bytes));
      return true;
    },
  };
}

/**
 * An accepted socket with a reused read buffer. Node offers `onread` only to sockets that dial, so the handle moves to
 * a new Socket: 'data' events allocate each chunk anew. The handle is not documented; without it the socket is used as
 * it came.
 */
function withSink(raw: Socket, sink: Sink): Socket {
  const handle: unknown = Reflect.get(raw, '_handle');
  if (typeof handle !== 'object' || handle === null || !('reading' in handle)) {
    raw.on('data', (chunk: Buffer) => sink.data(chunk));
    return raw;
  }
  Reflect.set(raw, '_handle', null);
  handle.reading = false;
  const options: SocketConstructorOpts = { onread: sink.onread };
  Reflect.set(options, 'handle', handle);
  const socket = new Socket(options);
  // The server counts its connections; this one is no longer its own.
  raw.destroy();
  return socket;
}
