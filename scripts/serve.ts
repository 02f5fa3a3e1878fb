// The image server: the paper's four stages in order (tracker, tarballs, torrents, first seeder), and over HTTP the catalog
// with the torrents and what site.ts answers. Follows the repository while it runs.

import { createReadStream } from 'node:fs';
import type http from 'node:http';
import { performance } from 'node:perf_hooks';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';
import { ENROL_NAME } from '../agent/core/enrolment.ts';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import { MANIFEST_NAME } from '../agent/core/manifest.ts';
import { withAnnounce } from '../agent/core/metainfo.ts';
import type { LogFact } from '../agent/core/ports.ts';
import { OPEN_RULES } from '../agent/core/release.ts';
import { swarmHash } from '../agent/core/torrent.ts';
import { KIB, type Ms } from '../agent/core/units.ts';
import { admissionBy } from '../agent/io/digest.ts';
import { openLog } from '../agent/io/log.ts';
import { fileKeyOf } from './agekeys.ts';
import { type Arguments, type Command, expectWords, type Terminal, usage } from './command.ts';
import type { ServerAddresses } from './core/bootentry.ts';
import { Enrolments } from './enrolment.ts';
import { Gate } from './gate.ts';
import { Doors } from './listen.ts';
import { isClosed, newestSigned, readTrust, type Signed, unsignedManifest } from './manifest.ts';
import { Metrics } from './metrics.ts';
import { ClusterMonitor } from './monitor.ts';
import { REPO_OPTION, readEntries } from './repository.ts';
import type { ImageSource } from './runs.ts';
import { describeSeeded, type Seeded, Seeder } from './seeder.ts';
import { type Reply, Site } from './site.ts';
import { readAuthority, readServerCertificate, type ServerCertificate } from './tls.ts';
import { TrackerServer } from './tracker.ts';
import { Watch } from './watch.ts';

/** How soon a new publication is offered. */
const FOLLOW_MS: Ms = 1000;
/** What the engine says that an admin wants to read; the comings and goings of peers are not among it. */
const FACTS = new Set(['announce failed', 'tracker warns', 'not seeded', 'peer banned', 'not answered']);

export const serve: Command = {
  name: 'serve',
  synopsis: '[options]',
  summary: 'Runs the image server: tracker, catalog, torrents, first seeder, network boot, reports.',
  options: [
    REPO_OPTION,
    { name: 'host', kind: 'text', value: 'ADDR', help: 'address to listen on', default: '::' },
    { name: 'http-port', kind: 'number', value: 'PORT', help: 'catalog and torrents', default: 8080 },
    {
      name: 'https-port',
      kind: 'number',
      value: 'PORT',
      help: 'the same over TLS, after swarmboot init',
      default: 8443,
    },
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
    const server = await ImageServer.start(args, log, say);
    try {
      say(`tracker: port ${server.tracker.httpPort}, TCP and UDP`);
      say(`catalog and torrents: http port ${server.httpPort}`);
      await server.sayTls(say);
      say(`first seeder: port ${server.seeder.port}`);
      say(await server.site.bootFiles());
      await server.follow(terminal, say);
    } finally {
      await server.stop();
      say('stopped');
    }
  },
};

/** The parts of a running server. */
interface Parts {
  readonly repo: string;
  readonly tracker: TrackerServer;
  readonly seeder: Seeder;
  readonly monitor: ClusterMonitor;
  readonly metrics: Metrics;
  readonly site: Site;
  readonly doors: Doors;
  readonly certificate: ServerCertificate | null;
  readonly gate: Gate;
  readonly log: LogFact;
}

class ImageServer {
  readonly tracker: TrackerServer;
  readonly seeder: Seeder;
  readonly site: Site;
  readonly #monitor: ClusterMonitor;
  readonly #watch: Watch;
  readonly #repo: string;
  readonly #log: LogFact;
  readonly #doors: Doors;
  readonly #certificate: ServerCertificate | null;
  readonly #gate: Gate;
  /** What is offered, when it is signed. */
  #signed: Signed | null = null;
  /** Whether it is closed, as it was last told. */
  #isTold = false;
  /** Why what is offered is not what the repository holds; empty: it is. */
  #problem = 'the repository has not been read yet';

  private constructor(parts: Parts) {
    const { repo, tracker, seeder, monitor, metrics, site, doors, certificate, gate, log } = parts;
    this.tracker = tracker;
    this.seeder = seeder;
    this.site = site;
    this.#monitor = monitor;
    this.#watch = new Watch({ monitor, metrics, problem: () => this.#problem });
    this.#repo = repo;
    this.#log = log;
    this.#doors = doors;
    this.#certificate = certificate;
    this.#gate = gate;
    doors.answer((request, response) => void this.#serve(request, response));
  }

  /** Opens the ports, the tracker's first: when the first seeder is there, it can be found. */
  static async start(args: Arguments, log: LogFact, say: (line: string) => void): Promise<ImageServer> {
    const [repo, host] = [args.text('repo')!, args.text('host')!];
    const [trackerPort, httpPort, httpsPort, peerPort] = [
      'tracker-port',
      'http-port',
      'https-port',
      'peer-port',
    ].map((name) => portOf(args, name)) as [number, number, number, number];
    const opened: { stop(): Promise<void> }[] = [];
    try {
      const clock = () => performance.now();
      const tracker = await TrackerServer.start({ host, port: trackerPort, random: Math.random, clock, log });
      opened.push({ stop: () => tracker.close() });
      const enrolments = await Enrolments.open(repo);
      const certificate = await readServerCertificate(repo);
      const uploadBytesPerSec = args.number('upload-max')! * KIB;
      const seeder = await Seeder.start({
        repo,
        host,
        port: peerPort,
        uploadBytesPerSec,
        log,
        // Without TLS nobody enrols, and nobody could be admitted.
        admission: certificate === null ? null : admissionBy(() => enrolments.runSecret),
      });
      opened.push(seeder);
      const monitor = await ClusterMonitor.open(repo, (name) => imageOf(seeder, name), say);
      opened.push({ stop: () => monitor.close() });
      const metrics = new Metrics({
        cluster: () => monitor.cluster(),
        tracker: () => tracker.stats(),
        seeded: () => seeder.sights(),
      });
      const site = new Site({ repo, monitor, metrics, enrolments, say });
      const gate = new Gate(enrolments, clock);
      await openGate(gate, repo);
      const doors = await Doors.open({ host, httpPort, httpsPort, certificate });
      const parts = { repo, tracker, seeder, monitor, metrics, site, doors, certificate, gate, log };
      return new ImageServer(parts);
    } catch (error) {
      for (const part of opened) await part.stop();
      throw error;
    }
  }

  get httpPort(): number {
    return this.#doors.httpPort;
  }

  /** Says where TLS is, and what keeps nodes from believing it. Throws SwarmbootError('repository'). */
  async sayTls(say: (line: string) => void): Promise<void> {
    const port = this.#doors.httpsPort;
    const authority = port === null ? null : await readAuthority(this.#repo);
    // What is wrong with it is told when the repository is read.
    const trust = await readTrust(this.#repo).catch(() => undefined);
    if (port !== null) say(`the same over TLS: https port ${port}`);
    if (trust !== undefined && (trust?.authority ?? null) !== (authority?.text ?? null))
      say('the RAM disk of this repository knows another authority, or none: swarmboot initrd build');
  }

  /** Offers what the repository holds, until the signal. */
  async follow(terminal: Terminal, say: (line: string) => void): Promise<void> {
    let told = '';
    while (!terminal.signal.aborted) {
      try {
        // First: whoever sees a new image in the catalog sees its layout as well.
        await this.site.follow();
        await this.#monitor.follow();
        const signed = await newestSigned(this.#repo, await readTrust(this.#repo));
        this.#setClosed(isClosed(signed), say);
        const entries = signed?.manifest.entries ?? (await readEntries(this.#repo));
        const rules = signed?.manifest.release ?? OPEN_RULES;
        const { came, went } = await this.seeder.follow(entries, rules);
        for (const { torrent } of went) this.tracker.forget(swarmHash(torrent));
        for (const seeded of came) {
          // A torrent with trackers of its own is announced there like any other peer's.
          const resident = seeded.torrent.announce.length === 0 ? this.seeder.port : null;
          this.tracker.allow(swarmHash(seeded.torrent), resident, rules.networks);
        }
        for (const seeded of went) say(`no longer seeding ${describeSeeded(seeded)}`);
        for (const seeded of came) say(`seeding ${describeSeeded(seeded)}`);
        const serial = signed?.manifest.release?.serial;
        if (serial !== undefined && serial !== this.#signed?.manifest.release?.serial)
          say(`manifest ${serial} is signed: what it names is offered, and nothing else`);
        this.#signed = signed;
        this.#problem = '';
        told = '';
      } catch (error) {
        if (!(error instanceof SwarmbootError)) throw error;
        // The repository may be mended while we run; what is offered already stays.
        if (error.message !== told) say(error.message);
        told = error.message;
        this.#problem = error.message;
      }
      await sleep(FOLLOW_MS, undefined, { signal: terminal.signal }).catch(() => {});
    }
  }

  #setClosed(closed: boolean, say: (line: string) => void): void {
    if (closed !== this.#isTold) {
      if (closed && this.#certificate === null)
        say('the site is closed, and nobody can enrol without TLS: swarmboot init, then start this anew');
      else if (closed) say('the site is closed: nodes enrol, and show their tokens over TLS');
    }
    this.#isTold = closed;
    this.#gate.closed = closed;
    this.tracker.setClosed(closed);
  }

  async stop(): Promise<void> {
    this.#doors.close();
    await this.seeder.stop();
    await this.tracker.close();
    await this.#monitor.close();
  }

  async #serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    try {
      if (request.method === 'GET' && request.url === '/events') return this.#watch.stream(request, response);
      await send(request, response, await this.#answer(request));
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      // Whoever goes away in the middle of an answer, or before it, is no fault of ours.
      if (code !== 'ERR_STREAM_PREMATURE_CLOSE' && code !== 'ERR_STREAM_UNABLE_TO_PIPE') {
        this.#log('not answered', { url: request.url, reason: messageOf(error) });
      }
      if (!response.headersSent) response.writeHead(500);
      response.end();
    }
  }

  async #answer(request: http.IncomingMessage): Promise<Reply> {
    const path = (request.url ?? '').split('?')[0]!;
    const reads = request.method === 'GET' || request.method === 'HEAD';
    const shown = reads ? await this.#watch.get(path) : null;
    if (shown !== null) return shown;
    const admitted = await this.#gate.admit(request, path);
    if ('refusal' in admitted) return admitted.refusal;
    const { asker } = admitted;
    if (request.method === 'POST' && path === '/reports') return this.site.report(request, asker);
    if (request.method === 'POST' && path === `/${ENROL_NAME}`) return this.site.enrol(request, asker);
    if (request.method === 'POST' && path === '/echo') return this.site.echo(request);
    if (!reads) return plain(405, 'only GET and HEAD are answered, and POST to /reports, /enrol and /echo');
    if (asker.is === 'node' && path === '/announce')
      return { type: 'text/plain', ...this.tracker.answer(request) };
    const localAddress = request.socket.localAddress ?? '';
    if (path === `/${MANIFEST_NAME}`) {
      return { status: 200, type: 'application/octet-stream', body: this.#manifest() };
    }
    const sealed = /^\/keys\/([^/]+)$/.exec(path)?.[1];
    if (sealed !== undefined) return this.#key(sealed, request);
    const name = /^\/torrents\/([^/]+)\.torrent$/.exec(path)?.[1];
    const seeded = name === undefined ? undefined : this.seeder.seeded.get(name);
    if (seeded !== undefined) {
      const body = this.#torrentFor(seeded, request);
      return { status: 200, type: 'application/x-bittorrent', body };
    }
    return (
      (await this.site.get(path, this.#addressesFor(localAddress))) ??
      plain(404, 'nothing is here; / shows the cluster')
    );
  }

  /** How a node that has reached `localAddress` is to call us from now on. */
  #addressesFor(localAddress: string): ServerAddresses {
    const plain = `http://${hostOf(localAddress)}:${this.httpPort}`;
    if (this.#certificate === null) return { plain, images: plain };
    const host = this.#certificate.hostFor(localAddress.replace(/^::ffff:/, ''));
    return { plain, images: `https://${hostOf(host)}:${this.#doors.httpsPort}` };
  }

  #manifest(): string | Uint8Array {
    if (this.#signed !== null) return this.#signed.document;
    const entries = [...this.seeder.seeded.values()].map(({ entry }) => entry);
    return JSON.stringify(unsignedManifest(entries, this.site.files));
  }

  /** The key of an encrypted publication, for a node that may have it. */
  async #key(name: string, request: http.IncomingMessage): Promise<Reply> {
    const refusal = keyRefusal(request);
    if (refusal !== null) return plain(403, refusal);
    const entry = this.seeder.seeded.get(name)?.entry;
    if (entry === undefined || entry.encryption === null) return plain(404, `no key belongs to "${name}"`);
    const key = await fileKeyOf(this.#repo, entry);
    const headers = { 'Cache-Control': 'no-store' };
    return { status: 200, type: 'application/octet-stream', body: key.reveal(), headers };
  }

  /**
   * A torrent without trackers gets ours, under the address by which the asker reached us. Closed, a site has no other, and
   * the asker shows his token to the very name alone by which he came.
   */
  #torrentFor({ torrent, torrentBytes }: Seeded, { headers, socket }: http.IncomingMessage): Uint8Array {
    const own = hostOf(socket.localAddress ?? '');
    if (this.#gate.closed) {
      const host = headers.host ?? `${own}:${this.#doors.httpsPort}`;
      return withAnnounce(torrentBytes, [[`https://${host}/announce`]]);
    }
    if (torrent.announce.length > 0) return torrentBytes;
    const at = `${own}:${this.tracker.httpPort}/announce`;
    return withAnnounce(torrentBytes, [[`http://${at}`], [`udp://${at}`]]);
  }
}

/** Why whoever asks gets no key; null: it may have it. */
function keyRefusal({ socket }: http.IncomingMessage): string | null {
  return socket instanceof TLSSocket ? null : 'keys are given over https alone; come by the https port';
}

/** Whether the site is closed must be known before the first is answered. */
async function openGate(gate: Gate, repo: string): Promise<void> {
  try {
    gate.closed = isClosed(await newestSigned(repo, await readTrust(repo)));
  } catch (error) {
    // `follow` tells it.
    if (!(error instanceof SwarmbootError)) throw error;
  }
}

/** What a run wants to know of an image that is being seeded. */
function imageOf({ seeded }: Seeder, name: string): ImageSource | null {
  const found = seeded.get(name);
  if (found === undefined || found.entry.kind !== 'image') return null;
  const { entry, torrent, transfer } = found;
  return {
    image: { name, sizeBytes: entry.size, pieceCount: torrent.pieceCount },
    uploadedBytes: transfer.view().uploadedBytes,
  };
}

/** A socket's own address, as a URL has it. */
function hostOf(localAddress: string): string {
  const address = localAddress.replace(/^::ffff:/, '');
  return address.includes(':') ? `[${address}]` : address;
}

function plain(status: number, text: string): Reply {
  return { status, type: 'text/plain', body: `${text}\n` };
}

async function send(
  { method }: http.IncomingMessage,
  response: http.ServerResponse,
  { status, type, body, headers }: Reply,
): Promise<void> {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const length = bytes instanceof Uint8Array ? bytes.length : bytes.size;
  // GRUB 2.06 knows the second by this spelling only.
  response.writeHead(status, { ...headers, 'Content-Type': type, 'Content-Length': length });
  if (method === 'HEAD') response.end();
  else if (bytes instanceof Uint8Array) response.end(bytes);
  // A file that has grown since is sent as long as it was said to be.
  else if (length === 0) response.end();
  else await pipeline(createReadStream(bytes.path, { end: length - 1 }), response);
}

function portOf(args: Arguments, name: string): number {
  const port = args.number(name)!;
  if (!Number.isInteger(port) || port > 65_535)
    throw usage(`--${name} wants a port from 0 to 65535, not ${port}`);
  return port;
}
