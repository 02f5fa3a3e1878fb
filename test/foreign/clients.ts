// How each peer of another maker is driven: everything off but plain TCP, the tracker, and one torrent.

import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Launch, Program } from './process.ts';

const READY_MS = 30_000;

/** What a client is told to do. */
export interface Job {
  /** The .torrent file. */
  readonly torrent: string;
  /** Where the content is, or goes. */
  readonly folder: string;
  /** Name of the content in the folder. */
  readonly name: string;
  /** An own empty folder for settings and marks. */
  readonly state: string;
  /** Where it listens. */
  readonly host: string;
  readonly port: number;
  /** `host:port` of the seeder, for copies that know no tracker. */
  readonly seeder: string;
  /** A leecher that has everything goes on as a seeder, or leaves at once if it can; not given: what it likes. */
  readonly stays?: boolean;
  readonly launch: Launch;
}

/** A client at work. */
export interface Running {
  readonly program: Program;
  /** A leecher that is up and joins its swarm when `complete` is called; others have begun when they start. */
  readonly waits?: boolean;
  /** Resolves when it has the whole content: it has ended by itself, or goes on as a seeder. */
  complete(timeoutMs: number): Promise<void>;
}

export interface Client {
  readonly name: string;
  /** Debian's package. */
  readonly package: string;
  readonly path: string;
  /** What prints the version; empty when nothing does. */
  readonly versionArgs: readonly string[];
  /** Starts a seeder of finished content; resolves when it runs, which is not yet when the tracker knows it. */
  seed(job: Job): Promise<Running>;
  /** Starts a leecher. */
  fetch(job: Job): Promise<Running>;
}

/** A client that tells what it reads in a .torrent file. */
export interface ReadingClient extends Client {
  /** The v1 info hash, in hexadecimal; null when it cannot read the file. */
  infoHash(torrent: string): string | null;
}

export const aria2: ReadingClient = {
  name: 'aria2',
  package: 'aria2',
  path: '/usr/bin/aria2c',
  versionArgs: ['--version'],
  infoHash: (torrent) => hashIn(aria2.path, ['-S', torrent], /^Info Hash: (\w{40})$/m),
  // Checks the content again, for --bt-seed-unverified would claim what is not there.
  seed: async (job) => startAria2(job, ['--check-integrity=true', '--seed-ratio=0.0']),
  fetch: async (job) => (job.stays ? startStayingAria2(job) : startAria2(job, ['--seed-time=0'])),
};

function startStayingAria2(job: Job): Running {
  const { hook, complete } = doneHook(job);
  const { program } = startAria2(job, ['--seed-ratio=0.0', `--on-bt-download-complete=${hook}`]);
  return { program, complete: complete(program) };
}

function startAria2(job: Job, args: readonly string[]): Running {
  const program = new Program(
    aria2.path,
    [
      ...['--no-conf', '--enable-dht6=false', '--disable-ipv6=true', '--bt-enable-lpd=false'],
      // Without its socket for the DHT it speaks to no UDP tracker; private torrents do not use the DHT itself.
      ...[`--dht-listen-port=${job.port}`, `--dht-file-path=${join(job.state, 'dht.dat')}`],
      ...['--enable-peer-exchange=false', '--bt-require-crypto=false', '--bt-min-crypto-level=plain'],
      ...['--bt-max-peers=0', '--disk-cache=64M', '--file-allocation=none', '--summary-interval=0'],
      ...['--console-log-level=warn', '--show-console-readout=false', '--allow-overwrite=true'],
      ...[`--interface=${job.host}`, `--listen-port=${job.port}`, `--dir=${job.folder}`],
      ...args,
      job.torrent,
    ],
    job.launch,
  );
  return { program, complete: (timeoutMs) => program.success(timeoutMs) };
}

/** A script that a client is to run when it has everything, and how to wait for that. */
function doneHook(job: Job): { hook: string; complete: (program: Program) => Running['complete'] } {
  const done = join(job.state, 'done');
  const hook = join(job.state, 'hook');
  writeFileSync(hook, `#!/bin/sh\n: > ${JSON.stringify(done)}\n`);
  chmodSync(hook, 0o755);
  const complete = (program: Program) => (timeoutMs: number) =>
    program.until('a complete torrent', () => existsSync(done), timeoutMs);
  return { hook, complete };
}

export const transmission = transmissionOf(100);

/** Transmission that uploads to so many peers of a torrent at the same time. */
export function transmissionOf(uploadSlots: number): ReadingClient {
  const start = (job: Job) => startTransmission(job, uploadSlots);
  return {
    name: 'transmission',
    package: 'transmission-daemon',
    path: '/usr/bin/transmission-daemon',
    versionArgs: ['--version'],
    infoHash: (torrent) => hashIn('/usr/bin/transmission-show', [torrent], /^ *Hash: (\w{40})$/m),
    seed: start,
    fetch: start,
  };
}

async function startTransmission(job: Job, uploadSlots: number): Promise<Running> {
  const { hook, complete } = doneHook(job);
  const watched = join(job.state, 'watched');
  mkdirSync(watched);
  writeFileSync(
    join(job.state, 'settings.json'),
    JSON.stringify({
      'bind-address-ipv4': job.host,
      'peer-port': job.port,
      'dht-enabled': false,
      'lpd-enabled': false,
      'pex-enabled': false,
      'utp-enabled': false,
      'port-forwarding-enabled': false,
      'rpc-enabled': false,
      encryption: 0,
      'cache-size-mb': 64,
      preallocation: 0,
      'upload-slots-per-torrent': uploadSlots,
      'download-queue-enabled': false,
      'seed-queue-enabled': false,
      'download-dir': job.folder,
      'watch-dir': watched,
      'watch-dir-enabled': true,
      'script-torrent-done-enabled': true,
      'script-torrent-done-filename': hook,
    }),
  );
  // Torrents found in the watched folder at the start are added at once.
  writeFileSync(join(watched, 'one.torrent'), readFileSync(job.torrent));
  const program = new Program(transmission.path, ['-f', '-g', job.state, '--log-error'], job.launch);
  return { program, complete: complete(program) };
}

export const rtorrent: Client = {
  name: 'rtorrent',
  package: 'rtorrent',
  path: '/usr/bin/rtorrent',
  versionArgs: ['-h'],
  seed: startRtorrent,
  fetch: startRtorrent,
};

async function startRtorrent(job: Job): Promise<Running> {
  const done = join(job.state, 'done');
  const settings = join(job.state, 'settings');
  writeFileSync(
    settings,
    [
      'system.daemon.set=true',
      `session.path.set=${job.state}`,
      `directory.default.set=${job.folder}`,
      `network.bind_address.set=${job.host}`,
      `network.local_address.set=${job.host}`,
      `network.port_range.set=${job.port}-${job.port}`,
      'protocol.encryption.set=none',
      'dht.mode.set=disable',
      'protocol.pex.set=no',
      'trackers.use_udp.set=no',
      'pieces.hash.on_completion.set=no',
      `method.set_key=event.download.finished,done,"execute.nothrow=/usr/bin/touch,${done}"`,
      `load.start=${job.torrent}`,
      '',
    ].join('\n'),
  );
  const program = new Program(rtorrent.path, ['-n', '-o', `import=${settings}`], job.launch);
  return {
    program,
    complete: (timeoutMs) => program.until('a complete torrent', () => existsSync(done), timeoutMs),
  };
}

/** libtorrent through its Python binding, with settings of its own, or those of ours for a network like a cluster's. */
export function libtorrent(profile: 'default' | 'high_performance_seed' | 'lan'): ReadingClient {
  const start = async (job: Job, role: 'seed' | 'fetch'): Promise<Running> => {
    const script = join(import.meta.dirname, 'libtorrent-peer.py');
    const args = [script, role, profile, job.torrent, job.folder, job.host, String(job.port)];
    const program = new Program('/usr/bin/python3', args, { ...job.launch, told: true });
    return toldToGo(program, role);
  };
  return {
    name: profile === 'default' ? 'libtorrent' : `libtorrent ${profile}`,
    package: 'python3-libtorrent',
    path: '/usr/bin/python3',
    versionArgs: ['-c', 'import libtorrent; print("libtorrent", libtorrent.version)'],
    infoHash: (torrent) => hashIn('/usr/bin/python3', ['-c', LIBTORRENT_HASH, torrent], /^(\w{40})$/m),
    seed: (job) => start(job, 'seed'),
    fetch: (job) => start(job, 'fetch'),
  };
}

/** A program of ours around a peer: as a leecher it says "ready", waits for "go", and says "complete". */
export async function toldToGo(program: Program, role: 'seed' | 'fetch'): Promise<Running> {
  const waits = role === 'fetch';
  if (waits) await program.until('be ready', () => program.output.includes('ready'), READY_MS);
  const complete = (timeoutMs: number) => {
    program.tell('go');
    return program.until('a complete torrent', () => program.output.includes('complete'), timeoutMs);
  };
  return { program, waits, complete };
}

const LIBTORRENT_HASH =
  'import libtorrent, sys; print(libtorrent.torrent_info(sys.argv[1]).info_hashes().v1)';

function hashIn(path: string, args: readonly string[], pattern: RegExp): string | null {
  return pattern.exec(spawnSync(path, args, { encoding: 'utf8' }).stdout)?.[1] ?? null;
}
