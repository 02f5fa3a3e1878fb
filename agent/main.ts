// The agent: reads the parameters, joins the rooms, runs the install. The one catch of the program is here.

import { randomUUID } from 'node:crypto';
import minimist from 'minimist';
import packageJson from '../package.json' with { type: 'json' };
import type { Credentials } from './core/credentials.ts';
import { EXIT_STATUS, messageOf, SwarmbootError } from './core/errors.ts';
import { LEASE_PATH, type Lease, parseLease } from './core/lease.ts';
import type { Message } from './core/monitor.ts';
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
import { parseTrust, TRUST_PATH, type Trust } from './core/trust.ts';
import type { Ms } from './core/units.ts';
import { Install } from './install.ts';
import { runCommand } from './io/command.ts';
import { diskFacts } from './io/disks.ts';
import { kernelCommandLine, machine, readIfThere } from './io/host.ts';
import { openLog } from './io/log.ts';
import { askNode, Monitor } from './io/monitor.ts';
import { openRooms, pause } from './openrooms.ts';
import { Reporting } from './reporting.ts';
import { Servers } from './servers.ts';
import { waitUntilArmed, waitUntilArmedAgain } from './waiting.ts';

const LOCAL_CFG = '/local.cfg';
/** The image server decides by the last report what the next network boot does: it is worth some waiting. */
const REPORTED_MAX_MS: Ms = 30_000;
/** Looking at all disks and links takes a second or two. */
const EQUIPPED_MAX_MS: Ms = 5000;
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

/** Aborted by the first SIGINT or SIGTERM; a second one ends the process at once. */
function endedBySignals(): AbortSignal {
  const ending = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => {
      ending.abort(
        new SwarmbootError('interrupted', `stopped by ${name}; start again to install this machine`),
      );
    });
  }
  return ending.signal;
}

async function install(flags: Flags): Promise<void> {
  const ending = endedBySignals();
  const { params, warnings } = collectParams(flags);
  const found = parseLease(readIfThere(LEASE_PATH) ?? '');
  const lease = { ...found, mac: found.mac || (params.bootMac ?? '') };
  const say = (line: string) => void process.stdout.write(`${line}\n`);
  const json = params.console === 'json';
  const log: LogFact = json ? openLog(say, () => performance.now()) : () => {};
  const trust = readTrust();
  const credentials = credentialsOf(trust);
  const monitor = monitorOf(params, lease, credentials);
  if (params.wait) return wait(params, lease, monitor, credentials, ending);
  const host = params.hostName ?? lease.hostName;
  const who = {
    mac: lease.mac,
    host,
    image: params.imageName,
    install: randomUUID(),
    postAction: params.postAction,
  };
  const reporting = new Reporting(
    who,
    (message) => monitor?.send(message),
    () => performance.now(),
  );
  let shownMs: Ms = 0;
  const tell = (event: InstallEvent) => {
    reporting.take(event);
    if (!json) {
      const nowMs = performance.now();
      // No more progress lines than a slow console bears.
      if (event.fact === 'report' && nowMs - shownMs < params.pollingMs) return;
      if (event.fact === 'report') shownMs = nowMs;
      const text = formatEvent(event);
      return text === '' ? undefined : say(text);
    }
    const { fact, ...values } = event;
    log(fact, values);
  };
  for (const text of warnings) tell({ fact: 'note', text });
  // The install does not wait for it, and does not fail with it.
  const equipment = diskFacts().then(machine);
  equipment.then(
    (inventory) => {
      reporting.equipped(inventory);
      if (json) log('machine', { ...inventory });
    },
    (error: unknown) =>
      tell({ fact: 'note', text: `this machine's parts are not told: ${messageOf(error)}` }),
  );
  const reported = async () => monitor?.flush(REPORTED_MAX_MS);
  const logLines = () => reporting.lines;
  const servers = serversOf(params, (text) => tell({ fact: 'note', text }));
  const brought = { trust, credentials, servers, log, tell, logLines, reported };
  const rooms = openRooms(params, lease, brought);
  const run = new Install(params, rooms, ending).run().finally(async () => {
    // An install that fails at once has more to tell than its failure.
    await Promise.race([equipment.catch(() => null), pause(EQUIPPED_MAX_MS, ending).catch(() => null)]);
    await reported();
  });
  await run.catch((error: unknown) =>
    parkOrFail(params, { ...lease, hostName: host }, credentials, error, ending),
  );
}

/**
 * Keeps a machine that was not fit, or may not enrol, as it is, with the reason on the console, until the image server has armed it again; then
 * starts it anew. Throws every other fault, and that one too when a shell of /init's waits for the end of the agent.
 */
async function parkOrFail(
  params: Params,
  { mac, hostName }: Lease,
  credentials: Credentials,
  error: unknown,
  signal: AbortSignal,
): Promise<void> {
  const { pollingMs, shellOnFail } = params;
  const servers = serversOf(params, () => {});
  const parked = error instanceof SwarmbootError && (error.code === 'check' || error.code === 'enrolment');
  if (!parked || shellOnFail || servers === null || mac === '') throw error;
  const ask = asking(servers, mac, credentials);
  const waiter = { server: nameOf(servers), mac, host: hostName, pollingMs };
  await waitUntilArmedAgain(waiter, error.message, { show, ask, sleep: pause }, signal);
  await restart(signal);
}

/** Waits until the image server has armed this machine, then starts it anew: its next network boot installs it. */
async function wait(
  params: Params,
  lease: Lease,
  monitor: Monitor | null,
  credentials: Credentials,
  signal: AbortSignal,
): Promise<void> {
  const servers = serversOf(params, () => {});
  if (servers === null || monitor === null) {
    throw new SwarmbootError(
      'parameters',
      'WAIT=y is for a machine that has booted from the RAM disk of an image server; leave it out',
    );
  }
  const waiter = {
    server: nameOf(servers),
    mac: lease.mac,
    host: lease.hostName,
    inventory: await machine(await diskFacts()),
    pollingMs: params.pollingMs,
  };
  const rooms = {
    show,
    send: (message: Message) => monitor.send(message),
    ask: asking(servers, lease.mac, credentials),
    sleep: pause,
  };
  await waitUntilArmed(waiter, rooms, signal);
  await restart(signal);
}

async function restart(signal: AbortSignal): Promise<void> {
  const command = { argv: ['/usr/bin/busybox', 'reboot', '-f'], why: 'start the machine anew' };
  await runCommand(command, 'system', signal, (line) => show(`${line}\n`));
}

function show(text: string): void {
  process.stdout.write(text);
}

/** The image server knows nodes by their MAC; an agent that nobody has told its own may be one of several on a machine. */
function monitorOf({ imageServers }: Params, lease: Lease, credentials: Credentials): Monitor | null {
  if (imageServers === null || lease.mac === '') return null;
  return new Monitor(
    imageServers.map((server) => new URL(server)),
    credentials,
  );
}

function serversOf({ imageServers }: Params, note: (text: string) => void): Servers | null {
  return imageServers === null ? null : new Servers(imageServers, { sleep: pause, note });
}

/** As people know them. */
function nameOf({ all }: Servers): string {
  return all.map(({ href }) => href.replace(/\/$/, '')).join(' or ');
}

/** What one of the servers knows of a node. */
function asking(servers: Servers, mac: string, credentials: Credentials) {
  return (signal: AbortSignal) =>
    servers.ask((server, limit) => askNode(server, mac, credentials, limit), signal);
}

/** What the RAM disk was given to believe by; null outside of one, and in one that was given nothing. */
function readTrust(): Trust | null {
  const text = readIfThere(TRUST_PATH);
  return text === null ? null : parseTrust(text);
}

/** The one value that all rooms ask with: who enrols this node puts the token into it. */
function credentialsOf(trust: Trust | null): Credentials {
  return { authority: trust?.authority ?? null, server: null, token: null };
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
