// A machine that nobody has named or armed: it shows on its screen who it is and what an admin is to do, tells the image
// server what it is made of, and asks until it is armed. And one that was not fit to be installed: it shows why, and asks
// until it is armed again. Neither touches a disk.

import { messageOf, SwarmbootError } from './core/errors.ts';
import type { Inventory } from './core/inventory.ts';
import { type Message, type NodeAnswer, STATUS, WAITING } from './core/monitor.ts';
import { plainText } from './core/report.ts';
import { formatBytes, type Ms } from './core/units.ts';

/** Erases the console and goes to its top (ECMA-48). */
const CLEAR = '\x1b[2J\x1b[H';

/** Who waits, and for whose word. */
export interface Waiter {
  /** IMAGESERVER, as people know it. */
  readonly server: string;
  /** Of the interface that booted: `aa:bb:cc:dd:ee:ff`. */
  readonly mac: string;
  /** What DHCP calls it; may be empty. */
  readonly host: string;
  readonly inventory: Inventory;
  readonly pollingMs: Ms;
}

export interface WaitingRooms {
  /** Writes to the console as it is. */
  show(text: string): void;
  send(message: Message): void;
  /** Throws a SwarmbootError when there is no answer. */
  ask(signal: AbortSignal): Promise<NodeAnswer>;
  /** Rejects when the signal is aborted. */
  sleep(ms: Ms, signal: AbortSignal): Promise<void>;
}

/** Returns when the node is armed; its next network boot installs it then. Throws the signal's reason. */
export async function waitUntilArmed(
  waiter: Waiter,
  rooms: WaitingRooms,
  signal: AbortSignal,
): Promise<void> {
  const { mac, host, inventory, pollingMs } = waiter;
  let shown = '';
  let told: Inventory | null = inventory;
  for (;;) {
    rooms.send({
      format: 1,
      mac,
      host,
      image: null,
      install: null,
      status: STATUS.started,
      stage: WAITING,
      stages: [],
      text: 'waits to be armed',
      code: null,
      report: null,
      inventory: told,
      log: [],
      logFrom: 0,
    });
    told = null;
    const answer = await rooms.ask(signal).catch((error: unknown) => {
      signal.throwIfAborted();
      if (error instanceof SwarmbootError) return error;
      throw error;
    });
    if (!(answer instanceof SwarmbootError) && answer.armed) return;
    const screen = waitingScreen(waiter, answer);
    if (screen !== shown) rooms.show(`${CLEAR}${screen}`);
    shown = screen;
    await rooms.sleep(pollingMs, signal);
  }
}

/**
 * Shows why this machine is not installed, and returns when it is armed again: at another time than the first that the
 * server tells, for what failed stays armed. No clock of ours is compared with one of the server's. Throws the signal's reason.
 */
export async function waitUntilArmedAgain(
  { server, mac, host, pollingMs }: Omit<Waiter, 'inventory'>,
  reason: string,
  rooms: Omit<WaitingRooms, 'send'>,
  signal: AbortSignal,
): Promise<void> {
  rooms.show(parkedScreen(server, host || mac, reason));
  let first: string | null | undefined;
  for (;;) {
    const answer = await rooms.ask(signal).catch((error: unknown) => {
      signal.throwIfAborted();
      if (error instanceof SwarmbootError) return null;
      throw error;
    });
    if (answer !== null) {
      if (first === undefined) first = answer.armedSince;
      else if (answer.armed && answer.armedSince !== first) return;
    }
    await rooms.sleep(pollingMs, signal);
  }
}

function parkedScreen(server: string, name: string, reason: string): string {
  const lines = [
    '',
    'Swarmboot: this machine is parked.',
    '',
    ...reason.split('\n').map(plainText),
    '',
    `To install it, mend that; then start it anew, or run on ${server}`,
    '',
    `    swarmboot node arm ${plainText(name)}`,
    '',
  ];
  return lines.map((line) => `${line}\n`).join('');
}

/** What the console shows; `answer` is the server's, or why there is none. */
export function waitingScreen(waiter: Waiter, answer: NodeAnswer | SwarmbootError): string {
  const { mac, host, inventory } = waiter;
  const { vendor, model, serial, cpu, cores, memoryBytes, disks, links } = inventory;
  const rows = [
    ['MAC', mac],
    ['name', host],
    ['model', [vendor, model].filter(Boolean).join(' ')],
    ['serial', serial],
    ['processor', [cpu, `${cores} threads`].filter(Boolean).join(', ')],
    ['memory', formatBytes(memoryBytes)],
    ...disks.map((disk) => [
      'disk',
      [disk.name, formatBytes(disk.sizeBytes), disk.model, disk.serial].filter(Boolean).join(' '),
    ]),
    ...links.map((link) => [
      'link',
      [link.name, link.mac, link.up ? 'up' : 'down', ...link.addresses].join(' '),
    ]),
  ];
  const table = rows.map(([key = '', value = '']) => `    ${key.padEnd(9)}  ${plainText(value) || '-'}`);
  const lines = ['Swarmboot: this machine waits.', '', ...table, '', ...nextLines(waiter, answer)];
  return lines.map((line) => `${line}\n`).join('');
}

function nextLines({ server, mac }: Waiter, answer: NodeAnswer | SwarmbootError): readonly string[] {
  if (answer instanceof SwarmbootError) return messageOf(answer).split('\n').map(plainText);
  const arm = (name: string) => ['', `    swarmboot node arm ${name}`];
  if (answer.name !== null) {
    const name = plainText(answer.name);
    return [`It is ${name} of ${server}, and not armed. To install it, run there`, ...arm(name)];
  }
  return [
    `It is not in nodes.conf of ${server}. To install it, add there the line`,
    '',
    `    NAME mac=${mac} image=IMAGE`,
    '',
    'and run',
    ...arm('NAME'),
  ];
}
