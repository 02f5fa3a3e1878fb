// The HTTP ports of the image server, plain and by TLS: opened with their limits, and closed to whoever asks too much or
// under a name that is not ours. What is asked is answered by `serve`.

import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo, Server, Socket } from 'node:net';
import { hostname } from 'node:os';
import { performance } from 'node:perf_hooks';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import { isOwnHost } from './core/hosts.ts';
import {
  CONNECTIONS_MAX,
  ConnectionCounts,
  HANDSHAKE_MAX_MS,
  HEAD_BYTES_MAX,
  REQUEST_MAX_MS,
  RequestRates,
} from './core/httplimits.ts';
import type { ServerCertificate } from './tls.ts';

const LIMITS = {
  maxHeaderSize: HEAD_BYTES_MAX,
  requestTimeout: REQUEST_MAX_MS,
  headersTimeout: REQUEST_MAX_MS,
};

export interface DoorOptions {
  readonly host: string;
  readonly httpPort: number;
  readonly httpsPort: number;
  /** Null: there is no TLS. */
  readonly certificate: ServerCertificate | null;
}

type Answer = (request: http.IncomingMessage, response: http.ServerResponse) => void;

/** Both ports. Limits are counted over both. */
export class Doors {
  readonly #servers: readonly (http.Server | https.Server)[];
  readonly #names: ReadonlySet<string>;
  readonly #rates = new RequestRates();
  readonly #connections = new ConnectionCounts();

  private constructor(servers: readonly (http.Server | https.Server)[], names: readonly string[]) {
    this.#servers = servers;
    this.#names = new Set(names.map((name) => name.toLowerCase()));
    for (const server of servers) server.on('connection', (socket: Socket) => this.#count(socket));
  }

  /** Opens the ports; nobody is answered before `answer`. Throws SwarmbootError('network'), and then none is open. */
  static async open({ host, httpPort, httpsPort, certificate }: DoorOptions): Promise<Doors> {
    const plain = await listen(http.createServer(LIMITS), host, httpPort, 'http-port');
    const names = [hostname(), host, ...(certificate?.names ?? [])];
    if (certificate === null) return new Doors([plain], names);
    try {
      const { key, chain } = certificate;
      const secured = {
        key,
        cert: chain,
        minVersion: 'TLSv1.3',
        handshakeTimeout: HANDSHAKE_MAX_MS,
      } as const;
      const server = https.createServer({ ...LIMITS, ...secured });
      return new Doors([plain, await listen(server, host, httpsPort, 'https-port')], names);
    } catch (error) {
      plain.close();
      throw error;
    }
  }

  get httpPort(): number {
    return portOf(this.#servers[0]!);
  }

  /** Null: there is no TLS. */
  get httpsPort(): number | null {
    const server = this.#servers[1];
    return server === undefined ? null : portOf(server);
  }

  /** From now on whoever may ask is answered. */
  answer(answer: Answer): void {
    for (const server of this.#servers) {
      server.on('request', (request, response) => {
        const refusal = this.#refusal(request);
        if (refusal === null) return answer(request, response);
        const [status, text] = refusal;
        response.writeHead(status, { 'Content-Type': 'text/plain', Connection: 'close' });
        response.end(`${text}\n`);
      });
    }
  }

  close(): void {
    for (const server of this.#servers) {
      server.close();
      server.closeAllConnections();
    }
  }

  #refusal({ headers, socket }: http.IncomingMessage): [status: number, text: string] | null {
    if (!this.#rates.take(socket.remoteAddress ?? '', performance.now()))
      return [429, 'too many requests of this address; wait a second'];
    if (isOwnHost(headers.host, this.#names)) return null;
    return [
      421,
      'this server has another name: come by its address, or by a name given to swarmboot init --name',
    ];
  }

  #count(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    if (!this.#connections.open(address)) return void socket.destroy();
    socket.once('close', () => this.#connections.close(address));
  }
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

async function listen<S extends http.Server | https.Server>(
  server: S,
  host: string,
  port: number,
  option: string,
): Promise<S> {
  server.maxConnections = CONNECTIONS_MAX;
  try {
    server.listen({ host, port });
    await once(server, 'listening');
    return server;
  } catch (error) {
    if (host === '::' && (error as NodeJS.ErrnoException).code === 'EAFNOSUPPORT')
      return listen(server, '0.0.0.0', port, option);
    const message = `cannot listen on ${host} port ${port}: ${messageOf(error)}; choose another --${option}`;
    throw new SwarmbootError('network', message, { cause: error });
  }
}
