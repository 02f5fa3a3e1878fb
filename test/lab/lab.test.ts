// The lab keeps what its links promise, and leaves nothing. Run by `make lab-test`, in a room of its own.

import { deepEqual, equal, ok } from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { listening } from '../bench/listening.ts';
import { Program } from '../foreign/process.ts';
import { CONGESTION_CONTROL, Lab, type LabNode } from './lab.ts';
import { enterRoom } from './room.ts';

const PORT = 7001;
const READY_MS = 10_000;
const COPY_MS = 60_000;
const FAST = 20e6;
const SLOW = 5e6;
/** What is sent of a file's bytes: full TCP packets with Ethernet headers. */
const WIRE_SHARE = 1514 / 1448;
const DATAGRAMS = 5000;
/** Share of the packets that is lost in the test of losses, and how far a fair dice may be off: five deviations. */
const LOSS_SHARE = 0.1;
const LOSS_OFF = 5 * Math.sqrt((LOSS_SHARE * (1 - LOSS_SHARE)) / DATAGRAMS);

before(() => enterRoom('make lab-test'));

test('a link carries its rate within 5 % in each direction, and its counters tell what it carried', async () => {
  await withLab({ bitsPerSec: [FAST, FAST, FAST, SLOW, SLOW, FAST], lossShare: 0 }, async (lab) => {
    const copies = [
      { from: 0, to: 1, rate: FAST, bytes: 8e6 },
      { from: 2, to: 3, rate: SLOW, bytes: 2e6 },
      { from: 4, to: 5, rate: SLOW, bytes: 2e6 },
    ];
    const took = await Promise.all(copies.map(({ from, to, bytes }) => copy(lab, from, to, bytes)));
    for (const [index, { from, to, rate, bytes }] of copies.entries()) {
      const wireBytes = bytes * WIRE_SHARE;
      within(took[index]!, (wireBytes * 8) / rate, 0.05);
      within(lab.sentBytes(from), wireBytes, 0.01);
      within(lab.receivedBytes()[to]!, wireBytes, 0.01);
    }
  });
});

test('a link that loses a tenth of its packets lets nine tenths through', async () => {
  await withLab({ bitsPerSec: [1e9, 1e9], lossShare: LOSS_SHARE }, async ({ nodes }) => {
    const [sender, receiver] = nodes as [LabNode, LabNode];
    await new Program(process.execPath, ['-e', SEND, receiver.host], sender).success(COPY_MS);
    const counts = /^Udp: (\d+) (\d+)/m.exec(on(receiver, ['/bin/cat', '/proc/self/net/snmp']))!;
    // Read by somebody, or by nobody, as here.
    const arrived = Number(counts[1]) + Number(counts[2]);
    ok(Math.abs(arrived / DATAGRAMS - (1 - LOSS_SHARE)) < LOSS_OFF, `${arrived} of ${DATAGRAMS} arrived`);
  });
});

test('connections of the lab have its congestion control, whatever the machine has', async () => {
  await withLab({ bitsPerSec: [FAST, FAST], lossShare: 0 }, async (lab) => {
    const copying = copy(lab, 0, 1, 2e6);
    await sleep(300);
    const sockets = on(lab.nodes[0]!, ['/usr/bin/ss', '--tcp', '--info', 'state', 'established']);
    await copying;
    ok(new RegExp(`\\b${CONGESTION_CONTROL}\\b`).test(sockets), sockets);
  });
});

test('nothing is left of a lab whose process was killed', async () => {
  const before = seen();
  const nap = `${process.pid}.25`;
  const room = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const command = `ip netns exec node1 sleep ${nap} & echo up; wait`;
  const args = [...room, process.execPath, join(import.meta.dirname, 'shell.ts')];
  const env = { ...process.env, NODES: '3', COMMAND: command };
  const shell = spawn('/usr/bin/unshare', args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  shell.stdout.on('data', (text: Buffer) => {
    said += text.toString();
  });
  await until(() => said.includes('up\n') && sleepers(nap) === 1);
  shell.kill('SIGKILL');
  await once(shell, 'close');
  await until(() => sleepers(nap) === 0);
  deepEqual(seen(), before);
});

/** Datagrams to a host, not more at once than the queue of a link takes. */
const SEND = `
  const socket = require('node:dgram').createSocket('udp4');
  let sent = 0;
  const some = () => {
    for (let many = 0; many < 50 && sent < ${DATAGRAMS}; many++, sent++) socket.send(Buffer.alloc(100), 9, process.argv[1]);
    if (sent < ${DATAGRAMS}) setTimeout(some, 5);
    else setTimeout(() => socket.close(), 100);
  };
  some();
`;

async function withLab(
  options: Parameters<typeof Lab.raise>[0],
  use: (lab: Lab) => Promise<void>,
): Promise<void> {
  const lab = Lab.raise(options);
  try {
    await use(lab);
  } finally {
    lab.close();
  }
}

/** Seconds of one plain TCP copy. */
async function copy(lab: Lab, from: number, to: number, bytes: number): Promise<number> {
  const [sender, receiver] = [lab.nodes[from]!, lab.nodes[to]!];
  const source = [`OPEN:/dev/zero,readbytes=${bytes}`, `TCP-LISTEN:${PORT}`];
  const sending = new Program('/usr/bin/socat', ['-u', '-b', '1048576', ...source], sender);
  await sending.until('listening', () => listening(sending, PORT), READY_MS);
  const began = performance.now();
  const sink = [`TCP:${sender.host}:${PORT}`, 'OPEN:/dev/null'];
  await new Program('/usr/bin/socat', ['-u', '-b', '1048576', ...sink], receiver).success(COPY_MS);
  await sending.success(COPY_MS);
  return (performance.now() - began) / 1000;
}

function on({ launcher }: LabNode, command: readonly string[]): string {
  const [path, ...args] = [...launcher, ...command];
  return execFileSync(path!, args, { encoding: 'utf8' });
}

function within(value: number, wanted: number, share: number): void {
  ok(Math.abs(value / wanted - 1) <= share, `${value} is not within ${share * 100} % of ${wanted}`);
}

/** What a lab could leave where it was started: links, names of namespaces, files in memory. */
function seen(): unknown {
  const links = JSON.parse(execFileSync('/usr/sbin/ip', ['-json', 'link']).toString()) as {
    ifname: string;
  }[];
  return [links.map(({ ifname }) => ifname), readdirSync('/run/netns'), readdirSync('/dev/shm')];
}

/** Processes whose command is to sleep for `nap`, in this room and those within. */
function sleepers(nap: string): number {
  return readdirSync('/proc').filter((name) => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, 'utf8') === `sleep\0${nap}\0`;
    } catch {
      return false;
    }
  }).length;
}

async function until(ready: () => boolean): Promise<void> {
  for (const since = performance.now(); !ready(); await sleep(20))
    equal(performance.now() - since < READY_MS, true, 'not in time');
}
