// Rows of those that die: the tracker, the image server with its first seeder, machines.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Ms } from '../../../agent/core/units.ts';
import { refusePorts, swallowPorts } from '../network.ts';
import { TRACKER_PORT } from '../ports.ts';
import { partOf, type Row } from '../row.ts';
import type { Scene } from '../scene.ts';

const RESTART_MS: Ms = 10_000;
/** So long without a byte anywhere: nothing comes any more. */
const STANDSTILL_MS: Ms = 8000;

/** All that came to the machines, once nothing comes any more; the counters themselves carry some announces. */
async function standstill(scene: Scene): Promise<void> {
  let [share, sinceMs] = [0, scene.now()];
  await scene.until('standstill', () => {
    const now = scene.share();
    if (now - share > 0.001) [share, sinceMs] = [now, scene.now()];
    return scene.now() - sinceMs > STANDSTILL_MS || scene.machines.every(({ isInstalled }) => isInstalled);
  });
}

/** Resolves when the first seeder has sent so many times the image. */
async function sent(scene: Scene, copies: number): Promise<number> {
  let bytes = 0;
  await scene.until(`${copies} copies out`, async () => {
    bytes = await scene.server.sentBytes();
    return bytes >= copies * scene.sizeBytes;
  });
  return bytes / scene.sizeBytes;
}

export const undisturbed: Row = {
  number: 0,
  fault: 'none',
  variants: ['none'],
  run: async (scene) => {
    await scene.begin();
    await scene.installed();
    return { seederCopies: (await scene.server.sentBytes()) / scene.sizeBytes };
  },
};

export const trackerDies: Row = {
  number: 2,
  fault: 'tracker dies in the middle and never returns',
  variants: ['10 %, refuses', '50 %, refuses', '90 %, refuses', '50 %, is silent'],
  run: async (scene, variant) => {
    await scene.begin();
    await scene.progress(Number.parseFloat(variant) / 100);
    const { node } = scene.server;
    const die = variant.endsWith('silent') ? swallowPorts : refusePorts;
    scene.fault(die(node, [TRACKER_PORT]));
    await scene.installed();
    return {};
  },
};

export const serverRestarts: Row = {
  number: 3,
  fault: 'image server with tracker and first seeder is killed, and comes back empty',
  variants: ['10 %', '30 %', '60 %'],
  run: async (scene, variant) => {
    await scene.begin();
    await scene.progress(Number.parseFloat(variant) / 100);
    await scene.server.kill();
    await sleep(RESTART_MS);
    await scene.server.start();
    const backMs = scene.now();
    let listedMs: Ms | null = null;
    const listed = scene.until('all in the list', async () => {
      const peers = await trackerPeers(scene);
      if (peers >= scene.machines.filter(({ isRunning }) => isRunning).length)
        listedMs = scene.now() - backMs;
      return listedMs !== null || scene.machines.every(({ isInstalled }) => isInstalled);
    });
    await scene.installed();
    await listed;
    return { listedSec: listedMs === null ? 'all done before' : listedMs / 1000 };
  },
};

async function trackerPeers(scene: Scene): Promise<number> {
  const text = await scene.server.ask('metrics');
  return Number(/^swarmboot_tracker_peers(?:\{[^}]*\})? (\d+)$/m.exec(text)?.[1] ?? 0);
}

export const seederDies: Row = {
  number: 4,
  fault: 'image server with tracker and first seeder dies after so many copies',
  variants: ['1.0 copies', '0.9 copies'],
  run: async (scene, variant) => {
    await scene.begin();
    const copies = await sent(scene, Number.parseFloat(variant));
    await scene.server.kill();
    if (copies >= 1) {
      await scene.installed();
      return { copies };
    }
    await standstill(scene);
    const verified = scene.machines.map(({ verifiedBytes }) => verifiedBytes);
    scene.must(
      scene.machines.every(({ isRunning }) => isRunning),
      'I2: somebody ended while the first seeder was away',
    );
    const spread = (Math.max(...verified) - Math.min(...verified)) / scene.sizeBytes;
    await scene.server.start();
    const backMs = scene.now();
    await scene.installed();
    return { copies, spread, resumedSec: (scene.now() - backMs) / 1000 };
  },
};

export const peersDie: Row = {
  number: 6,
  fault: 'machines are killed, one after the other',
  variants: ['20 % stay away', '20 % come back', '50 % come back'],
  run: async (scene, variant) => {
    await scene.begin();
    const victims = scene.some(partOf(variant, scene.machines.length));
    const comeBack = variant.endsWith('come back');
    for (const [at, victim] of victims.entries()) {
      await scene.progress((0.8 * (at + 1)) / (victims.length + 1));
      if (victim.isInstalled) continue;
      await victim.life.child.kill();
      if (comeBack) setTimeout(() => victim.start(), 2000);
    }
    if (comeBack) await sleep(2500);
    await scene.installed();
    const rest = scene.machines.filter((machine) => !victims.includes(machine));
    const lastMs = Math.max(...rest.map(({ life }) => life.installedMs ?? 0));
    return { killed: victims.length, restSec: lastMs / 1000 };
  },
};

export const trackerNeverThere: Row = {
  number: 1,
  fault: 'tracker is not there when the install begins',
  variants: ['refuses', 'is silent', 'refuses, back after 20 s'],
  run: async (scene, variant) => {
    await scene.server.start();
    const die = variant.startsWith('refuses') ? refusePorts : swallowPorts;
    const back = scene.fault(die(scene.server.node, [TRACKER_PORT]));
    for (const machine of scene.machines) machine.start();
    await sleep(20_000);
    const before = scene.share();
    // Whoever has no tracker waits for it, or finds his peers otherwise.
    if (before < 0.1) back();
    await scene.installed();
    return { withoutTracker: before < 0.1 ? 'waits' : 'goes on' };
  },
};

export const allLeaveAtOnce: Row = {
  number: 8,
  fault: 'who is installed leaves at once',
  variants: ['no seed-wait', 'high BITTORRENT_UPLOAD_MIN'],
  run: async (scene, variant) => {
    for (const machine of scene.machines)
      machine.flags =
        variant === 'no seed-wait' ? { BITTORRENT_SEED_WAIT: 'n' } : { BITTORRENT_UPLOAD_MIN: '100000' };
    await scene.begin();
    await scene.installed();
    const times = scene.machines.map(({ life }) => life.installedMs ?? 0).sort((a, b) => a - b);
    return { lastOverMedian: times.at(-1)! / times[times.length >> 1]! };
  },
};

export const rejoins: Row = {
  number: 7,
  fault: 'a machine starts anew with the same address and another id',
  variants: ['after 1 s', 'after 5 s'],
  run: async (scene, variant) => {
    await scene.begin();
    await scene.progress(0.3);
    const [victim] = scene.some(1);
    await victim!.life.child.kill();
    await sleep(variant === 'after 1 s' ? 1000 : 5000);
    victim!.start();
    const startedMs = scene.now();
    const base = scene.share([victim!]);
    await scene.until('the first bytes', () => scene.share([victim!]) > base + 0.02 || victim!.isInstalled);
    const firstBytesSec = (scene.now() - startedMs) / 1000;
    await scene.installed();
    return { firstBytesSec };
  },
};
