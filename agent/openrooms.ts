// The real rooms of an install, joined: here and nowhere else the stages meet the disks, the network and the clock.

import { randomUUID } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import packageJson from '../package.json' with { type: 'json' };
import type { Command } from './core/command.ts';
import type { Credentials } from './core/credentials.ts';
import { machineSerial } from './core/enrolment.ts';
import type { ErrorCode } from './core/errors.ts';
import type { Lease } from './core/lease.ts';
import type { Params } from './core/params.ts';
import type { Admission, LogFact } from './core/ports.ts';
import type { InstallEvent } from './core/report.ts';
import type { Membership, Rooms, ServersRoom } from './core/rooms.ts';
import type { Trust } from './core/trust.ts';
import type { Ms } from './core/units.ts';
import { openCatalog } from './io/catalog.ts';
import { absentPrograms, runCommand } from './io/command.ts';
import { decrypted } from './io/decrypt.ts';
import { admissionBy, digests, firstBootProof, signatureChecks } from './io/digest.ts';
import { diskFacts, firmware } from './io/disks.ts';
import { extract } from './io/extract.ts';
import {
  kernelCommandLine,
  memoryAvailableBytes,
  networkLinks,
  poolAt,
  pools,
  readIfThere,
  watchProcessors,
} from './io/host.ts';
import { recall, remember } from './io/memory.ts';
import { enrol } from './io/monitor.ts';
import { leftIn, stagingFolders, takeOver } from './io/pool.ts';
import { call, echo, rewrite } from './io/probe.ts';
import { openShell } from './io/shell.ts';
import { openStore } from './io/store.ts';
import { endProcesses, openTree } from './io/target.ts';
import { streamWriter, tarWriter } from './io/tree.ts';
import { startPeer } from './peer.ts';

/** Of the machine, as its firmware says it; nothing where there is no such table. */
const SERIAL_PATH = '/sys/class/dmi/id/product_serial';

/** What main.ts brings: whom to believe, and where what is told goes. */
export interface Brought {
  readonly trust: Trust | null;
  readonly credentials: Credentials;
  readonly servers: ServersRoom | null;
  /** The facts of the engine. */
  readonly log: LogFact;
  /** The happenings of the install. */
  tell(event: InstallEvent): void;
  logLines(): readonly string[];
  reported(): Promise<void>;
}

/** Joins the real rooms. */
export function openRooms(params: Params, lease: Lease, brought: Brought): Rooms {
  const { trust, credentials, servers, log, tell, logLines, reported } = brought;
  const { bind, port, uploadMaxBytesPerSec } = params;
  const run = (command: Command, code: ErrorCode, signal: AbortSignal) =>
    runCommand(command, code, signal, (text) => tell({ fact: 'command', text }));
  const enrolling = new Enrolling(lease, credentials);
  return {
    catalog: openCatalog(credentials),
    servers,
    host: {
      pools,
      poolAt,
      memoryAvailableBytes,
      watchProcessors,
      ...stagingFolders(),
      leftIn,
      takeOver,
    },
    machine: machineRoom(lease),
    probe: {
      links: networkLinks,
      call,
      echo: (server, bytes, signal) => echo(server, bytes, credentials, signal),
      rewrite,
    },
    memory: { read: recall, write: remember },
    system: {
      run,
      absentPrograms,
      openTree,
      endProcesses,
      addressOf,
      shell: openShell,
      note: (text) => tell({ fact: 'note', text }),
    },
    hashes: digests,
    signatures: signatureChecks,
    trust,
    version: packageJson.version,
    get admission() {
      return enrolling.admission;
    },
    enrol: (server, signal) => enrolling.enrol(server, signal),
    startEngine: () =>
      startPeer({ host: bind, port, uploadBytesPerSec: uploadMaxBytesPerSec, log, credentials }),
    openStore: (torrent, path, mode, signal) => openStore(torrent, { path, mode, hashes: digests }, signal),
    extract: (job, signal) => {
      const { fileKey } = job;
      const writer = job.writer === 'tar' ? tarWriter(job.target) : streamWriter(job.target);
      const opening = fileKey !== null && {
        decrypt: (source: AsyncIterable<Uint8Array>) => decrypted(source, fileKey),
      };
      return extract({ ...job, ...opening }, writer, signal);
    },
    now: () => performance.now(),
    sleep: pause,
    tell,
    logLines,
    reported,
  };
}

/** What is to be known of this machine. */
function machineRoom(lease: Lease): Rooms['machine'] {
  return {
    diskFacts,
    firmware,
    lease: () => lease,
    kernelCommandLine,
    uuid: randomUUID,
    date: () => new Date().toISOString(),
  };
}

function addressOf(host: string): Promise<string> {
  return lookup(host).then(
    ({ address }) => address,
    () => host,
  );
}

/** How this machine enrols, and what it is admitted by from then on. */
class Enrolling {
  readonly #mac: string;
  readonly #credentials: Credentials;
  #admission: Admission | null = null;

  constructor({ mac }: Lease, credentials: Credentials) {
    this.#mac = mac;
    this.#credentials = credentials;
  }

  get admission(): Admission | null {
    return this.#admission;
  }

  /** Whoever asks with the credentials from then on shows the token. Throws as `Rooms.enrol` does. */
  async enrol(server: URL, signal: AbortSignal): Promise<Membership | null> {
    const serial = machineSerial(readIfThere(SERIAL_PATH) ?? '');
    const enrolled = await enrol(server, { mac: this.#mac, serial }, this.#credentials, signal);
    if (enrolled === null) return null;
    this.#credentials.server = server.origin;
    this.#credentials.token = enrolled.token;
    const secret = Buffer.from(enrolled.secret, 'base64url');
    this.#admission = admissionBy(() => secret);
    return { proof: firstBootProof(enrolled.token) };
  }
}

/** Resolves after `ms`; rejects with the signal's reason. */
export function pause(ms: Ms, signal: AbortSignal): Promise<void> {
  return sleep(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
}
