// The image server: the paper's four stages in order (tracker, tarballs, torrents, first seeder), and what is answered over
// HTTP (answers.ts). Follows the repository while it runs.

import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { SwarmbootError } from '../agent/core/errors.ts';
import type { LogFact } from '../agent/core/ports.ts';
import { OPEN_RULES } from '../agent/core/release.ts';
import { swarmHash } from '../agent/core/torrent.ts';
import { KIB, type Ms } from '../agent/core/units.ts';
import { admissionBy } from '../agent/io/digest.ts';
import { openLog } from '../agent/io/log.ts';
import { Answers } from './answers.ts';
import { type Arguments, type Command, expectWords, type Terminal, usage } from './command.ts';
import { Enrolments } from './enrolment.ts';
import { Gate } from './gate.ts';
import { Doors } from './listen.ts';
import { isClosed, newestSigned, readTrust } from './manifest.ts';
import { Metrics } from './metrics.ts';
import { Mirror, mirrorOption } from './mirror.ts';
import { ClusterMonitor } from './monitor.ts';
import { REPO_OPTION, readEntries } from './repository.ts';
import type { ImageSource } from './runs.ts';
import { describeSeeded, Seeder } from './seeder.ts';
import { Site } from './site.ts';
import { Tarballs } from './tarballs.ts';
import { readAuthority, readServerCertificate, type ServerCertificate } from './tls.ts';
import { TrackerServer } from './tracker.ts';
import { Watch } from './watch.ts';

/** How soon a new publication is offered. */
const FOLLOW_MS: Ms = 1000;
/** What the engine says that an admin wants to read; the comings and goings of peers are not among it. */
const FACTS = new Set([
  'announce failed',
  'tracker warns',
  'not seeded',
  'not remembered',
  'checked',
  'peer banned',
  'not answered',
]);

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
      name: 'mirror',
      kind: 'text',
      value: 'URL',
      help: 'offer the same as that image server, and go on without it',
    },
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
    const mirror = await openMirror(args, terminal.signal, say);
    const log: LogFact = (fact, values) => {
      // Of the trackers of a server that is away, its mirror has told already.
      if (FACTS.has(fact) && (mirror === null || fact !== 'announce failed')) write(fact, values);
    };
    const server = await ImageServer.start(args, log, say, mirror);
    try {
      say(`tracker: port ${server.tracker.httpPort}, TCP and UDP`);
      say(`catalog and torrents: http port ${server.httpPort}`);
      await server.sayTls(say);
      say(`first seeder: port ${server.seeder.port}`);
      say(await server.site.bootFiles());
      await Promise.all([server.follow(terminal, say), mirror?.follow()]);
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
  readonly tarballs: Tarballs;
  readonly log: LogFact;
}

class ImageServer {
  readonly tracker: TrackerServer;
  readonly seeder: Seeder;
  readonly site: Site;
  readonly #monitor: ClusterMonitor;
  readonly #answers: Answers;
  readonly #repo: string;
  readonly #doors: Doors;
  readonly #certificate: ServerCertificate | null;
  readonly #gate: Gate;
  /** Whether it is closed, as it was last told. */
  #isTold = false;
  /** Why what is offered is not what the repository holds; empty: it is. */
  #problem = 'the repository has not been read yet';

  private constructor(parts: Parts) {
    const { repo, tracker, seeder, monitor, metrics, site, doors, certificate, gate } = parts;
    this.tracker = tracker;
    this.seeder = seeder;
    this.site = site;
    this.#monitor = monitor;
    const watch = new Watch({ monitor, metrics, problem: () => this.#problem });
    this.#answers = new Answers({ ...parts, watch });
    this.#repo = repo;
    this.#doors = doors;
    this.#certificate = certificate;
    this.#gate = gate;
    doors.answer((request, response) => void this.#answers.serve(request, response));
  }

  /** Opens the ports, the tracker's first: when the first seeder is there, it can be found. */
  static async start(
    args: Arguments,
    log: LogFact,
    say: (line: string) => void,
    mirror: Mirror | null,
  ): Promise<ImageServer> {
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
        announce: mirror?.trackersAt(tracker.httpPort) ?? [],
        // Without TLS nobody enrols, and nobody could be admitted.
        admission: certificate === null ? null : admissionBy(() => enrolments.runSecret),
      });
      opened.push(seeder);
      const monitor = await ClusterMonitor.open(repo, (name) => imageOf(seeder, name), say);
      opened.push({ stop: () => monitor.close() });
      const tarballs = new Tarballs();
      const metrics = new Metrics({
        tarballBytes: () => tarballs.sentBytes,
        cluster: () => monitor.cluster(),
        tracker: () => tracker.stats(),
        seeded: () => seeder.sights(),
      });
      const site = new Site({
        repo,
        monitor,
        metrics,
        enrolments,
        onMessage: mirror?.heard ?? (() => {}),
        say,
      });
      const gate = new Gate(enrolments, clock);
      await openGate(gate, repo);
      const doors = await Doors.open({ host, httpPort, httpsPort, certificate });
      const own = { repo, tracker, seeder, monitor, metrics, site, doors, certificate, gate, log };
      return new ImageServer({ ...own, tarballs });
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
        if (serial !== undefined && serial !== this.#answers.signed?.manifest.release?.serial)
          say(`manifest ${serial} is signed: what it names is offered, and nothing else`);
        this.#answers.signed = signed;
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
}

/** What follows the server that --mirror names; null: none is named. */
async function openMirror(
  args: Arguments,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<Mirror | null> {
  const server = mirrorOption(args);
  if (server === null) return null;
  return Mirror.open({ repo: args.text('repo')!, server, host: args.text('host')!, say, signal });
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

function portOf(args: Arguments, name: string): number {
  const port = args.number(name)!;
  if (!Number.isInteger(port) || port > 65_535)
    throw usage(`--${name} wants a port from 0 to 65535, not ${port}`);
  return port;
}
