// Rows of too many at once, and of who is asked and does not answer: floods, storms, a monitor that is gone.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ms } from '../../../agent/core/units.ts';
import { filter, on, refusePorts, swallowPorts } from '../network.ts';
import { HTTP_PORT, TRACKER_PORT } from '../ports.ts';
import type { Row } from '../row.ts';
import type { Scene } from '../scene.ts';

const ASK_EVERY_MS: Ms = 200;
const SYNS_PER_SEC = 5000;
const STORM_NODES = 150;

/** The 95th of a hundred times, in milliseconds. */
function p95(times: readonly number[]): number {
  const sorted = [...times].sort((left, right) => left - right);
  return sorted[Math.floor(0.95 * (sorted.length - 1))] ?? 0;
}

/** How long the image server takes to answer, asked over and over until `work` is done. */
async function answerTimes(scene: Scene, work: Promise<void>): Promise<number[]> {
  const times: number[] = [];
  let isDone = false;
  const done = work.finally(() => {
    isDone = true;
  });
  done.catch(() => {});
  while (!isDone) {
    const since = scene.now();
    await scene.server.ask('catalog').catch(() => '');
    times.push(scene.now() - since);
    await sleep(ASK_EVERY_MS);
  }
  await done;
  return times;
}

export const idleCrowd: Row = {
  number: 29,
  fault: '1,000 connections each to agent, tracker, first seeder and image server, idle or slow',
  variants: ['from one address'],
  run: async (scene) => {
    await scene.server.start();
    const [crowd] = scene.some(1);
    scene.rogue(crowd!, 'crowds');
    await sleep(3000);
    for (const machine of scene.machines) machine.start();
    const times = await answerTimes(scene, scene.installed());
    const server = scene.server.children.at(-1)!;
    return { answerP95Ms: p95(times), serverFds: server.peakFds };
  },
};

/** Raw packets that ask for connections nobody wants: what answers is thrown away. */
const SYN_FLOOD = `
import random, socket, struct, sys, time
host, target, ports, rate = sys.argv[1], sys.argv[2], [int(p) for p in sys.argv[3].split(',')], int(sys.argv[4])
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
def checksum(data):
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff
pseudo = socket.inet_aton(host) + socket.inet_aton(target) + struct.pack('!BBH', 0, 6, 20)
began, sent = time.monotonic(), 0
while True:
    while sent < (time.monotonic() - began) * rate:
        head = lambda check: struct.pack('!HHLLBBHHH', port, to, number, 0, 5 << 4, 2, 64240, check, 0)
        port, to, number = random.randint(1024, 65535), random.choice(ports), random.getrandbits(32)
        raw.sendto(head(checksum(pseudo + head(0))), (target, 0))
        sent += 1
    time.sleep(0.005)
`;

export const halfOpen: Row = {
  number: 30,
  fault: `${SYNS_PER_SEC} connections per second are begun and never finished`,
  variants: ['at the ports of the image server'],
  run: async (scene) => {
    await scene.server.start();
    const [attacker] = scene.some(1);
    const { host } = scene.server.node;
    scene.retire(attacker!);
    scene.fault(filter(attacker!.node, { output: ['tcp flags rst drop'] }));
    const words = [attacker!.node.host, host, `${HTTP_PORT},${TRACKER_PORT}`, String(SYNS_PER_SEC)];
    const flood = scene.run(attacker!.node, ['/usr/bin/python3', '-c', SYN_FLOOD, ...words], 'flood');
    for (const machine of scene.machines) machine.start();
    const times = await answerTimes(scene, scene.installed());
    scene.must(flood.isRunning, `the flood ended: ${flood.complaints}`);
    return { answerP95Ms: p95(times) };
  },
};

export const announceStorm: Row = {
  number: 31,
  fault: `${STORM_NODES} more nodes announce three times each in the same second`,
  variants: ['at the start'],
  run: async (scene) => {
    await scene.server.start();
    const [crowd] = scene.some(1);
    const addresses = Array.from({ length: STORM_NODES }, (_, at) => `10.78.210.${at + 1}`);
    for (const address of addresses)
      on(crowd!.node, '/usr/sbin/ip', ['address', 'add', `${address}/32`, 'dev', 'eth0']);
    scene.rogue(crowd!, 'storms');
    for (const machine of scene.machines) machine.start();
    await scene.installed();
    const said = readFileSync(join(scene.logs, `${crowd!.name}-rogue.log`), 'utf8');
    const { answered, lost, p99Ms } = JSON.parse(said.trim().split('\n').at(-1)!) as Record<string, number>;
    scene.must(lost === 0, `row 31: ${lost} announces were lost`);
    return { answered: answered!, lost: lost!, p99Ms: p99Ms! };
  },
};

export const monitorIsGone: Row = {
  number: 36,
  fault: 'nobody takes reports once the catalog is read',
  variants: ['refuses', 'is silent'],
  run: async (scene, variant) => {
    await scene.begin();
    const hasCatalog = () => scene.machines.every(({ life }) => life.ended.includes('catalog'));
    await scene.until('catalogs', hasCatalog);
    const { node } = scene.server;
    const die = variant === 'refuses' ? refusePorts : swallowPorts;
    const back = scene.fault(die(node, [HTTP_PORT]));
    await scene.installed();
    back();
    let imaged = 0;
    await scene.until('the last report of all', async () => {
      const text = await scene.server.ask('metrics').catch(() => '');
      imaged = Number(/^swarmboot_nodes\{state="imaged"\} (\d+)$/m.exec(text)?.[1] ?? 0);
      return imaged === scene.machines.length;
    });
    return { told: `${imaged}/${scene.machines.length}` };
  },
};
