// The image server's tracker: HTTP and UDP on one port number. Reads requests, asks the roster, writes answers; who
// meets whom is core/roster's. A peer is known by the address of its socket alone: `ip=` is not read.

import { createHmac, randomBytes } from 'node:crypto';
import dgram from 'node:dgram';
import { once } from 'node:events';
import http from 'node:http';
import { type AddressInfo, BlockList } from 'node:net';
import { networkInterfaces } from 'node:os';
import {
  COMPACT_IPV4_BYTES,
  COMPACT_IPV6_BYTES,
  formatAddress,
  parseAddress,
  writeCompact,
} from '../agent/core/address.ts';
import { type Bencodable, encode, latin1 } from '../agent/core/bencode.ts';
import {
  readRequest,
  type UdpRequest,
  writeAnnounceReply,
  writeConnectReply,
  writeError,
  writeScrapeReply,
} from '../agent/core/datagram.ts';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import type { LogFact } from '../agent/core/ports.ts';
import type { AnnounceEvent } from '../agent/core/tracker.ts';
import { hex, type Ms } from '../agent/core/units.ts';
import { SERVER_BOUNDS } from './core/bounds.ts';
import { type Census, type Handout, type Refusal, ROSTER_LIMITS, Roster, type Visit } from './core/roster.ts';

/** Bytes of a request's line and headers: a scrape of about 60 torrents fits. */
const HEADER_BYTES_MAX = SERVER_BOUNDS.trackerHeaderBytes;
const REQUEST_MS: Ms = SERVER_BOUNDS.trackerRequestMs;
const CONNECTIONS_MAX = SERVER_BOUNDS.trackerConnections;
/** Torrents of one UDP scrape (BEP 15). */
const SCRAPE_MAX = SERVER_BOUNDS.scrapedTorrents;
/** A connection id is good in the window in which it was given and in the next (BEP 15: two minutes). */
const CONNECTION_WINDOW_MS: Ms = 60_000;
/** Tries to find a port number that is free for TCP and for UDP. */
const PORT_TRIES = 20;
const CLOSED = 'this swarm is closed: announce at the image server, over TLS and with a token';

export interface TrackerOptions {
  /** Address to listen on; `::` means all addresses, IPv4 too, also on a machine without IPv6. */
  readonly host: string;
  /** 0 takes a number that is free for TCP and UDP. */
  readonly port: number;
  /** Numbers from 0 up to but not including 1. */
  readonly random: () => number;
  /** A monotonic clock. */
  readonly clock: () => Ms;
  readonly log: LogFact;
}

export interface TrackerStats {
  readonly torrents: number;
  readonly peers: number;
  readonly announces: number;
  readonly scrapes: number;
  /** Requests answered with a reason instead of peers or counts. */
  readonly refused: number;
}

/** A tracker of the registered torrents, and no others. */
export class TrackerServer {
  readonly httpPort: number;
  readonly udpPort: number;
  readonly #http: http.Server;
  readonly #udp: dgram.Socket;
  readonly #roster: Roster;
  readonly #clock: () => Ms;
  readonly #seederPorts = new Map<string, number>();
  readonly #secret = randomBytes(32);
  #isClosed = false;
  #announces = 0;
  #scrapes = 0;
  #refused = 0;

  /** Listens at once. Throws SwarmbootError `network` when it cannot. */
  static async start(options: TrackerOptions): Promise<TrackerServer> {
    const { host, port } = options;
    try {
      return new TrackerServer(await listen(host, port), options);
    } catch (error) {
      const noIpv6 = codeOf(error) === 'EAFNOSUPPORT' || codeOf(error) === 'EADDRNOTAVAIL';
      if (host === '::' && noIpv6) return TrackerServer.start({ ...options, host: '0.0.0.0' });
      const what = `the tracker cannot listen on ${host} port ${port}: ${messageOf(error)}`;
      throw new SwarmbootError('network', `${what}; stop what uses it or choose another port`, {
        cause: error,
      });
    }
  }

  private constructor(sockets: Sockets, options: TrackerOptions) {
    this.#http = sockets.http;
    this.#udp = sockets.udp;
    this.#clock = options.clock;
    this.#roster = new Roster(ROSTER_LIMITS, options.random);
    this.httpPort = (sockets.http.address() as AddressInfo).port;
    this.udpPort = sockets.udp.address().port;
    this.#http.on('request', (request, response) => this.#serve(request, response));
    this.#http.on('error', (error) => options.log('tracker-http', { problem: error.message }));
    this.#udp.on('message', (bytes, from) => this.#answer(bytes, from));
    this.#udp.on('error', (error) => options.log('tracker-udp', { problem: error.message }));
  }

  /**
   * Registers a torrent by its info hash of 20 bytes. `seederPort`: this machine seeds it on that port, and every
   * leecher is told so under the address by which it reached us. A machine of several networks has no other address
   * that is right for all. Peers outside `networks` are refused; null: peers may be anywhere.
   */
  allow(
    infoHash: Uint8Array,
    seederPort: number | null = null,
    networks: readonly string[] | null = null,
  ): void {
    this.#roster.allow(infoHash, networks);
    if (seederPort !== null) this.#seederPorts.set(hex(infoHash), seederPort);
  }

  /** Refuses a torrent from now on and forgets its peers. */
  forget(infoHash: Uint8Array): void {
    this.#roster.forget(infoHash);
    this.#seederPorts.delete(hex(infoHash));
  }

  /** Closed, it answers neither on its HTTP port nor on its UDP port, but only by `answer`. */
  setClosed(closed: boolean): void {
    this.#isClosed = closed;
  }

  stats(): TrackerStats {
    const totals = this.#roster.totals(this.#clock());
    return { ...totals, announces: this.#announces, scrapes: this.#scrapes, refused: this.#refused };
  }

  /** Ends all conversations. */
  async close(): Promise<void> {
    const closed = [once(this.#http, 'close'), once(this.#udp, 'close')];
    this.#http.close();
    this.#http.closeAllConnections();
    this.#udp.close();
    await Promise.all(closed);
  }

  #serve(request: http.IncomingMessage, response: http.ServerResponse): void {
    const { status, body } = this.#encoded(this.#isClosed ? refuse(200, CLOSED) : this.#reply(request));
    response.writeHead(status, {
      'content-type': 'text/plain',
      'content-length': body.length,
      connection: 'close',
    });
    response.end(body);
  }

  /** The answer to a request that came elsewhere, from somebody who may announce. */
  answer(request: http.IncomingMessage): { status: number; body: Uint8Array } {
    return this.#encoded(this.#reply(request));
  }

  #encoded({ status, body }: Answer): { status: number; body: Uint8Array } {
    if ('failure reason' in body) this.#refused++;
    return { status, body: encode(body) };
  }

  #reply(request: http.IncomingMessage): Answer {
    const [path, query = ''] = (request.url ?? '').split('?', 2);
    if (path !== '/announce' && path !== '/scrape')
      return refuse(404, 'this tracker has /announce and /scrape');
    if (request.method !== 'GET') return refuse(405, `${request.method} is not answered, only GET`);
    // The peer may be gone already.
    const host = hostOf(request.socket.remoteAddress ?? '');
    if (host === null) return refuse(400, 'the connection has no address');
    const fields = readQuery(query);
    if (fields === null) return refuse(400, 'the query is not percent-encoded');
    const hashes = (fields.get('info_hash') ?? []).map((text) => Buffer.from(text, 'latin1'));
    if (hashes.length === 0 || hashes.some((hash) => hash.length !== 20)) {
      return refuse(400, 'info_hash is not given as 20 bytes');
    }
    if (path === '/scrape') return { status: 200, body: this.#scrapeReply(hashes) };
    const visit = readVisit(fields, hashes[0]!, host);
    if (typeof visit === 'string') return refuse(400, visit);
    return this.#announceReply(visit, hostOf(request.socket.localAddress ?? ''));
  }

  /** The roster's answer, and our own first seeder, which is at `here` for this visitor. */
  #announce(visit: Visit, here: string | null): Handout | Refusal {
    this.#announces++;
    const handout = this.#roster.announce(visit, this.#clock());
    const port = this.#seederPorts.get(hex(visit.infoHash));
    if ('refused' in handout || port === undefined) return handout;
    const told = here !== null && !visit.seeder && visit.event !== 'stopped';
    const peers = told ? [{ host: here, port }, ...handout.peers] : handout.peers;
    return { ...handout, complete: handout.complete + 1, peers };
  }

  #announceReply(visit: Visit, here: string | null): Answer {
    const handout = this.#announce(visit, here);
    if ('refused' in handout) return { status: 200, body: { 'failure reason': handout.refused } };
    const ipv6 = visit.host.includes(':');
    return {
      status: 200,
      body: {
        complete: handout.complete,
        incomplete: handout.incomplete,
        downloaded: handout.downloaded,
        interval: Math.ceil(handout.intervalMs / 1000),
        'min interval': Math.ceil(handout.minIntervalMs / 1000),
        // Old clients want the key even when the list is empty.
        peers: writeCompact(handout.peers, COMPACT_IPV4_BYTES),
        ...(ipv6 ? { peers6: writeCompact(handout.peers, COMPACT_IPV6_BYTES) } : {}),
      },
    };
  }

  #scrape(infoHash: Uint8Array): Census | null {
    const census = this.#roster.scrape(infoHash, this.#clock());
    if (census === null || !this.#seederPorts.has(hex(infoHash))) return census;
    return { ...census, complete: census.complete + 1 };
  }

  #scrapeReply(hashes: readonly Uint8Array[]): { [key: string]: Bencodable } {
    this.#scrapes++;
    const files: { [key: string]: Bencodable } = {};
    for (const hash of hashes) {
      const swarm = this.#scrape(hash);
      if (swarm !== null) files[latin1(hash)] = { ...swarm };
    }
    return { files };
  }

  #answer(bytes: Uint8Array, from: dgram.RemoteInfo): void {
    const request = readRequest(bytes);
    const host = hostOf(from.address);
    // What is no request gets no answer: nobody shall make us send datagrams to others.
    if (request === null || host === null || from.port === 0) return;
    const answer = this.#udpReply(request, host);
    // An answer that cannot be sent is as good as lost on the way: the peer asks again.
    this.#udp.send(answer, from.port, from.address, () => {});
  }

  #udpReply(request: UdpRequest, host: string): Uint8Array {
    const { transaction } = request;
    const window = Math.floor(this.#clock() / CONNECTION_WINDOW_MS);
    if (request.action === 'connect') return writeConnectReply(transaction, this.#connection(host, window));
    const { connection } = request;
    if (connection !== this.#connection(host, window) && connection !== this.#connection(host, window - 1)) {
      return this.#udpRefusal(transaction, 'connection id too old');
    }
    if (this.#isClosed) return this.#udpRefusal(transaction, CLOSED);
    if (request.action === 'scrape') {
      this.#scrapes++;
      const none: Census = { complete: 0, incomplete: 0, downloaded: 0 };
      const hashes = request.infoHashes.slice(0, SCRAPE_MAX);
      return writeScrapeReply(
        transaction,
        hashes.map((hash) => this.#scrape(hash) ?? none),
      );
    }
    const visit: Visit = { ...request, host, seeder: request.left === 0n };
    const handout = this.#announce(visit, this.#addressFor(host));
    if ('refused' in handout) return this.#udpRefusal(transaction, handout.refused);
    return writeAnnounceReply(transaction, handout, host.includes(':'));
  }

  /** Our own address in the network of `host`, for a datagram does not tell. Null when it came through a router. */
  #addressFor(host: string): string | null {
    const { address } = this.#udp.address();
    if (address !== '::' && address !== '0.0.0.0') return hostOf(address);
    const family = host.includes(':') ? 'ipv6' : 'ipv4';
    for (const own of Object.values(networkInterfaces()).flat()) {
      if (own?.cidr == null || own.family.toLowerCase() !== family) continue;
      const network = new BlockList();
      network.addSubnet(own.address, Number(own.cidr.split('/')[1]), family);
      if (network.check(host, family)) return own.address;
    }
    return null;
  }

  #udpRefusal(transaction: number, reason: string): Uint8Array {
    this.#refused++;
    return writeError(transaction, reason);
  }

  /** A keyed hash of address and time: a peer that can read our answers has it, and we keep no list. */
  #connection(host: string, window: number): bigint {
    return createHmac('sha256', this.#secret).update(`${host} ${window}`).digest().readBigUInt64BE();
  }
}

/** To a request by HTTP. */
interface Answer {
  readonly status: number;
  readonly body: { [key: string]: Bencodable };
}

function refuse(status: number, reason: string): Answer {
  return { status, body: { 'failure reason': reason } };
}

interface Sockets {
  readonly http: http.Server;
  readonly udp: dgram.Socket;
}

/** Listens on one number for TCP and UDP. */
async function listen(host: string, port: number): Promise<Sockets> {
  for (let tries = 1; ; tries++) {
    const server = http.createServer({
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: REQUEST_MS,
      requestTimeout: REQUEST_MS,
    });
    server.maxConnections = CONNECTIONS_MAX;
    server.listen(port, host);
    await once(server, 'listening');
    const bound = server.address() as AddressInfo;
    const udp = dgram.createSocket(bound.family === 'IPv6' ? 'udp6' : 'udp4');
    try {
      udp.bind(bound.port, bound.address);
      await once(udp, 'listening');
      return { http: server, udp };
    } catch (error) {
      udp.close();
      server.close();
      if (port !== 0 || tries === PORT_TRIES || codeOf(error) !== 'EADDRINUSE') throw error;
    }
  }
}

/** The text of a socket's address: no zone, and IPv4 as itself. */
function hostOf(address: string): string | null {
  const bytes = parseAddress(address.split('%', 1)[0]!);
  return bytes === null ? null : formatAddress(bytes);
}

/** Fields of a query, each value as latin1 text of its bytes; null when an escape is broken. */
function readQuery(query: string): Map<string, string[]> | null {
  if (/%(?![0-9a-fA-F]{2})/.test(query)) return null;
  const fields = new Map<string, string[]>();
  for (const field of query.split('&')) {
    const [name = '', value = ''] = field.split('=', 2);
    const bytes = value.replace(/%(..)/g, (_, digits: string) =>
      String.fromCharCode(Number.parseInt(digits, 16)),
    );
    const values = fields.get(name);
    if (values === undefined) fields.set(name, [bytes]);
    else values.push(bytes);
  }
  return fields;
}

/** The announce that the fields say, or what is wrong with them. */
function readVisit(
  fields: ReadonlyMap<string, readonly string[]>,
  infoHash: Uint8Array,
  host: string,
): Visit | string {
  const number = (name: string) => {
    const text = fields.get(name)?.[0] ?? '';
    return /^-?[0-9]{1,18}$/.test(text) ? Number(text) : null;
  };
  const port = number('port');
  if (port === null) return 'port is not given as a number';
  const left = number('left');
  if (left === null) return 'left is not given as a number';
  return {
    infoHash,
    host,
    port,
    event: eventOf(fields.get('event')?.[0]),
    seeder: left === 0,
    numWant: number('numwant'),
  };
}

/** Words that we do not know, as BEP 21's `paused`, are an update. */
function eventOf(word: string | undefined): AnnounceEvent {
  return word === 'started' || word === 'completed' || word === 'stopped' ? word : 'update';
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
