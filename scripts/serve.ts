// The image server: the paper's four stages in order (tracker, tarballs, torrents, first seeder), and the catalog with
// the torrents over HTTP. Follows the repository while it runs.

import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Catalog } from '../agent/core/catalog.ts';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import { withAnnounce } from '../agent/core/metainfo.ts';
import type { LogFact } from '../agent/core/ports.ts';
import { swarmHash } from '../agent/core/torrent.ts';
import { KIB, type Ms } from '../agent/core/units.ts';
import { openLog } from '../agent/io/log.ts';
import { type Arguments, type Command, expectWords, type Terminal, usage } from './command.ts';
import { REPO_OPTION, readEntries } from './repository.ts';
import { describeSeeded, type Seeded, Seeder } from './seeder.ts';
import { TrackerServer } from './tracker.ts';

/** How soon a new publication is offered. */
const FOLLOW_MS: Ms = 1000;
const HTTP_LIMITS = { maxHeaderSize: 8192, requestTimeout: 10_000, headersTimeout: 10_000 };
const HTTP_CONNECTIONS_MAX = 4096;
/** What the engine says that an admin wants to read; the comings and goings of peers are not among it. */
const FACTS = new Set(['announce failed', 'tracker warns', 'not seeded', 'peer banned']);

export const serve: Command = {
  name: 'serve',
  synopsis: '[options]',
  summary: 'Runs the image server: tracker, catalog, torrents, first seeder.',
  options: [
    REPO_OPTION,
    { name: 'host', kind: 'text', value: 'ADDR', help: 'address to listen on', default: '::' },
    { name: 'http-port', kind: 'number', value: 'PORT', help: 'catalog and torrents', default: 8080 },
    { name: 'tracker-port', kind: 'number', value: 'PORT', help: 'tracker, TCP and UDP', default: 6969 },
    { name: 'peer-port', kind: 'number', value: 'PORT', help: 'first seeder', default: 6881 },
    {
      name: 'upload-max',
      kind: 'number',
      value: 'KIB',
      help: "cap on the seeder's upload, KiB/s; 0: none",
      default: 0,
    },
  ],
  run: async (args, terminal) => {
    expectWords(args);
    const say = (line: string) => void terminal.err.write(`${line}\n`);
    const write = openLog(say, () => performance.now());
    const log: LogFact = (fact, values) => {
      if (FACTS.has(fact)) write(fact, values);
    };
    const server = await ImageServer.start(args, log);
    try {
      say(`tracker: port ${server.tracker.httpPort}, TCP and UDP`);
      say(`catalog and torrents: http port ${server.httpPort}`);
      say(`first seeder: port ${server.seeder.port}`);
      await server.follow(terminal, say);
    } finally {
      await server.stop();
      say('stopped');
    }
  },
};

class ImageServer {
  readonly tracker: TrackerServer;
  readonly seeder: Seeder;
  readonly #repo: string;
  readonly #http: http.Server;

  private constructor(repo: string, tracker: TrackerServer, seeder: Seeder, server: http.Server) {
    this.#repo = repo;
    this.tracker = tracker;
    this.seeder = seeder;
    this.#http = server;
    server.on('request', (request, response) => this.#answer(request, response));
  }

  /** Opens the ports, the tracker's first: when the first seeder is there, it can be found. */
  static async start(args: Arguments, log: LogFact): Promise<ImageServer> {
    const [repo, host] = [args.text('repo')!, args.text('host')!];
    const [trackerPort, httpPort, peerPort] = ['tracker-port', 'http-port', 'peer-port'].map((name) =>
      portOf(args, name),
    ) as [number, number, number];
    const opened: { stop(): Promise<void> }[] = [];
    try {
      const clock = () => performance.now();
      const tracker = await TrackerServer.start({ host, port: trackerPort, random: Math.random, clock, log });
      opened.push({ stop: () => tracker.close() });
      const uploadBytesPerSec = args.number('upload-max')! * KIB;
      const seeder = await Seeder.start({ repo, host, port: peerPort, uploadBytesPerSec, log });
      opened.push(seeder);
      return new ImageServer(repo, tracker, seeder, await listen(host, httpPort));
    } catch (error) {
      for (const part of opened) await part.stop();
      throw error;
    }
  }

  get httpPort(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  /** Offers what the repository holds, until the signal. */
  async follow(terminal: Terminal, say: (line: string) => void): Promise<void> {
    let problem = '';
    while (!terminal.signal.aborted) {
      try {
        const { came, went } = await this.seeder.follow(await readEntries(this.#repo));
        for (const { torrent } of went) this.tracker.forget(swarmHash(torrent));
        for (const seeded of came) {
          // A torrent with trackers of its own is announced there like any other peer's.
          const resident = seeded.torrent.announce.length === 0 ? this.seeder.port : null;
          this.tracker.allow(swarmHash(seeded.torrent), resident);
        }
        for (const seeded of went) say(`no longer seeding ${describeSeeded(seeded)}`);
        for (const seeded of came) say(`seeding ${describeSeeded(seeded)}`);
        problem = '';
      } catch (error) {
        if (!(error instanceof SwarmbootError)) throw error;
        // The repository may be mended while we run; what is offered already stays.
        if (error.message !== problem) say(error.message);
        problem = error.message;
      }
      await sleep(FOLLOW_MS, undefined, { signal: terminal.signal }).catch(() => {});
    }
  }

  async stop(): Promise<void> {
    this.#http.close();
    this.#http.closeAllConnections();
    await this.seeder.stop();
    await this.tracker.close();
  }

  #answer(request: http.IncomingMessage, response: http.ServerResponse): void {
    const reply = (status: number, type: string, body: string | Uint8Array) => {
      const bytes = Buffer.from(body);
      response.writeHead(status, { 'content-type': type, 'content-length': bytes.length });
      response.end(request.method === 'HEAD' ? undefined : bytes);
    };
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return reply(405, 'text/plain', 'only GET and HEAD are answered\n');
    }
    const path = (request.url ?? '').split('?')[0]!;
    if (path === '/catalog.json') return reply(200, 'application/json', JSON.stringify(this.#catalog()));
    const name = /^\/torrents\/([^/]+)\.torrent$/.exec(path)?.[1];
    const seeded = name === undefined ? undefined : this.seeder.seeded.get(name);
    if (seeded === undefined) {
      return reply(404, 'text/plain', 'there are /catalog.json and /torrents/NAME.torrent\n');
    }
    reply(200, 'application/x-bittorrent', this.#torrentFor(seeded, request.socket.localAddress ?? ''));
  }

  #catalog(): Catalog {
    return { format: 1, entries: [...this.seeder.seeded.values()].map(({ entry }) => entry), files: [] };
  }

  /** A torrent without trackers gets ours, under the address by which the asker reached us. */
  #torrentFor({ torrent, torrentBytes }: Seeded, localAddress: string): Uint8Array {
    if (torrent.announce.length > 0) return torrentBytes;
    const plain = localAddress.replace(/^::ffff:/, '');
    const host = plain.includes(':') ? `[${plain}]` : plain;
    const at = `${host}:${this.tracker.httpPort}/announce`;
    return withAnnounce(torrentBytes, [[`http://${at}`], [`udp://${at}`]]);
  }
}

function portOf(args: Arguments, name: string): number {
  const port = args.number(name)!;
  if (!Number.isInteger(port) || port > 65_535)
    throw usage(`--${name} wants a port from 0 to 65535, not ${port}`);
  return port;
}

async function listen(host: string, port: number): Promise<http.Server> {
  const server = http.createServer(HTTP_LIMITS);
  server.maxConnections = HTTP_CONNECTIONS_MAX;
  try {
    server.listen({ host, port });
    await once(server, 'listening');
    return server;
  } catch (error) {
    if (host === '::' && (error as NodeJS.ErrnoException).code === 'EAFNOSUPPORT')
      return listen('0.0.0.0', port);
    const message = `cannot listen on ${host} port ${port}: ${messageOf(error)}; choose another --http-port`;
    throw new SwarmbootError('network', message, { cause: error });
  }
}
