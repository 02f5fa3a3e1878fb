// The agent: reads the parameters, joins the rooms, runs the install. The one catch of the program is here.

import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import minimist from 'minimist';
import packageJson from '../package.json' with { type: 'json' };
import { EXIT_STATUS, messageOf, SwarmbootError } from './core/errors.ts';
import {
  type Fact,
  formatHelp,
  PARAMETER_NAMES,
  type Params,
  parseKernelCommandLine,
  parseParameterFile,
  readParams,
} from './core/params.ts';
import type { LogFact } from './core/ports.ts';
import { formatEvent, type InstallEvent, plainText } from './core/report.ts';
import type { Rooms } from './core/rooms.ts';
import { Install } from './install.ts';
import { fetchCatalog, fetchFile, fetchTorrent, readTorrentSource } from './io/catalog.ts';
import { digests } from './io/digest.ts';
import { extract } from './io/extract.ts';
import { kernelCommandLine, machine, memoryAvailableBytes, poolAt, pools, readIfThere } from './io/host.ts';
import { openLog } from './io/log.ts';
import { openStore } from './io/store.ts';
import { streamWriter, tarWriter } from './io/tree.ts';
import { startPeer } from './peer.ts';

const LOCAL_CFG = '/local.cfg';
const HELP = `swarmboot-agent ${packageJson.version}: installs this machine by BitTorrent.

Usage: swarmboot-agent [--local-cfg FILE] [--NAME=value]...
       swarmboot-agent --help | --version

Parameters, as flags, on the kernel command line, or in a file (${LOCAL_CFG} if it is there):

${formatHelp()}`;

interface Flags {
  readonly help: boolean;
  readonly version: boolean;
  readonly localCfg: string | null;
  readonly facts: readonly Fact[];
}

/** Throws SwarmbootError 'usage' that names everything that is no flag. */
function readFlags(words: readonly string[]): Flags {
  const unknown: string[] = [];
  const found = minimist([...words], {
    string: ['local-cfg', ...PARAMETER_NAMES],
    boolean: ['help', 'version'],
    unknown: (word) => {
      unknown.push(word);
      return false;
    },
  });
  if (unknown.length > 0) {
    throw new SwarmbootError('usage', `not a flag: ${unknown.join(' ')}; --help lists them`);
  }
  const facts = PARAMETER_NAMES.flatMap((name) => {
    // minimist reads a dot in a name as a step into an object.
    const value = name
      .split('.')
      .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], found);
    const last: unknown = Array.isArray(value) ? value.at(-1) : value;
    return last === undefined ? [] : [{ name, value: last === '' ? null : String(last) }];
  });
  return { help: found.help, version: found.version, localCfg: found['local-cfg'] || null, facts };
}

function collectParams(flags: Flags) {
  const path = flags.localCfg ?? LOCAL_CFG;
  const file = readIfThere(path);
  if (file === null && flags.localCfg !== null) {
    throw new SwarmbootError('parameters', `${path} is not there; correct --local-cfg`);
  }
  return readParams([
    { origin: 'flags', facts: flags.facts },
    { origin: 'kernel command line', facts: parseKernelCommandLine(kernelCommandLine()) },
    { origin: path, facts: parseParameterFile(file ?? '') },
  ]);
}

/** Joins the real rooms. `tell` is where the happenings of the install go, `log` the facts of the engine. */
function openRooms(params: Params, log: LogFact, tell: (event: InstallEvent) => void): Rooms {
  const { bind, port, uploadMaxBytesPerSec } = params;
  return {
    catalog: { fetchCatalog, fetchFile, fetchTorrent, readTorrentSource },
    host: {
      pools,
      poolAt,
      memoryAvailableBytes,
      makeFolder: (pool) => mkdtemp(join(pool, 'swarmboot-')),
      removeFolder: (folder) => rm(folder, { recursive: true, force: true }),
    },
    hashes: digests,
    startEngine: () => startPeer({ host: bind, port, uploadBytesPerSec: uploadMaxBytesPerSec, log }),
    openStore: (torrent, path, signal) =>
      openStore(torrent, { path, mode: 'create', hashes: digests }, signal),
    extract: (job, signal) => {
      const writer = job.writer === 'tar' ? tarWriter(job.target) : streamWriter(job.target);
      return extract(job, writer, signal);
    },
    now: () => performance.now(),
    sleep: (ms, signal) => sleep(ms, undefined, { signal }).catch(() => signal.throwIfAborted()),
    tell,
  };
}

async function install(flags: Flags): Promise<void> {
  const ending = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    // Once: a second signal ends the process at once.
    process.once(name, () => {
      ending.abort(
        new SwarmbootError('interrupted', `stopped by ${name}; start again to install this machine`),
      );
    });
  }
  const { params, warnings } = collectParams(flags);
  const say = (line: string) => void process.stdout.write(`${line}\n`);
  const json = params.console === 'json';
  const log: LogFact = json ? openLog(say, () => performance.now()) : () => {};
  const tell = (event: InstallEvent) => {
    if (!json) return say(formatEvent(event));
    const { fact, ...values } = event;
    log(fact, values);
  };
  for (const text of warnings) tell({ fact: 'note', text });
  if (json) log('machine', { ...(await machine()) });
  await new Install(params, openRooms(params, log, tell), ending.signal).run();
}

async function main(): Promise<void> {
  // Nobody reads the console any more: the install goes on.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  try {
    const flags = readFlags(process.argv.slice(2));
    if (flags.help) process.stdout.write(HELP);
    else if (flags.version) process.stdout.write(`${packageJson.version}\n`);
    else await install(flags);
  } catch (error) {
    const ours = !(error instanceof SwarmbootError);
    process.exitCode = ours ? 1 : EXIT_STATUS[error.code];
    const text = ours && error instanceof Error ? (error.stack ?? error.message) : messageOf(error);
    process.stderr.write(`swarmboot-agent: ${text.split('\n').map(plainText).join('\n')}\n`);
  }
}

void main();
