// Rows of networks that break: links, packets, connections, addresses.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Ms } from '../../../agent/core/units.ts';
import type { Machine } from '../machine.ts';
import { cutConnections, filter, isolate, linkDown, loseSome, squeeze } from '../network.ts';
import { type Figures, partOf, type Row } from '../row.ts';
import type { Scene } from '../scene.ts';

const DOWN_MS: Ms = 30_000;
const CUT_EVERY_MS: Ms = 2000;
/** A link that is back carries bytes again by then. */
const RECOVERY_MS: Ms = 10_000;
/** Of the image: more than announces and reports are. */
const GOING_SHARE = 0.005;
/** What comes to a link beside the pieces: announces, reports, acknowledgements of what it gives, repeated packets. */
const EXTRA_SHARE_MAX = 0.15;

/** Bytes of the image that were asked for twice, as far as the agents know, by the size of all images. */
function wasted({ machines, sizeBytes }: Scene): number {
  const bytes = machines.reduce((sum, { wastedBytes }) => sum + wastedBytes, 0);
  return bytes / (machines.length * sizeBytes);
}

/** Takes links away from these machines for half a minute, and tells how soon bytes come again. */
async function outage(
  scene: Scene,
  machines: readonly Machine[],
  cut: (machine: Machine) => () => void,
): Promise<Figures> {
  await scene.progress(0.4);
  const back = machines.map((machine) => scene.fault(cut(machine)));
  await sleep(DOWN_MS);
  for (const undo of back) undo();
  const backMs = scene.now();
  const recovered = await Promise.all(
    machines
      .filter(({ isInstalled }) => !isInstalled)
      .map(async (machine) => {
        const before = scene.share([machine]);
        await scene.until(
          'bytes again',
          () => scene.share([machine]) > before + GOING_SHARE || machine.isInstalled,
        );
        return scene.now() - backMs;
      }),
  );
  await scene.installed();
  const slowest = Math.max(0, ...recovered);
  const extra = Math.max(...machines.map((machine) => scene.share([machine]) - 1));
  scene.must(slowest <= RECOVERY_MS, `row 14: going again only after ${Math.round(slowest)} ms`);
  scene.must(extra < EXTRA_SHARE_MAX, `row 14: ${extra.toFixed(3)} of the image came twice`);
  return { recoverySec: slowest / 1000, extra, wasted: wasted(scene) };
}

export const linksGo: Row = {
  number: 14,
  fault: 'links are gone for 30 s',
  variants: ['one, no carrier', 'one, carrier stays', 'all, carrier stays', 'all, no carrier'],
  run: async (scene, variant) => {
    await scene.begin();
    const machines = variant.startsWith('one') ? scene.some(1) : scene.machines;
    const cut = variant.endsWith('no carrier') ? linkDown : isolate;
    return outage(scene, machines, ({ node }) => cut(node));
  },
};

export const packetsAreLost: Row = {
  number: 15,
  fault: 'packets are lost by chance',
  variants: ['1 %', '5 %', '20 %'],
  run: async (scene, variant) => {
    const percent = Number.parseFloat(variant);
    for (const { node } of [scene.server, ...scene.machines]) scene.fault(loseSome(node, percent));
    scene.patienceMs *= 4;
    await scene.begin();
    await scene.installed();
    return { wasted: wasted(scene) };
  },
};

export const peersVanish: Row = {
  number: 16,
  fault: 'a peer is gone without a word',
  variants: ['one machine', '20 % of the machines'],
  run: async (scene, variant) => {
    await scene.begin();
    await scene.progress(0.3);
    const gone = variant.startsWith('one')
      ? scene.some(1)
      : scene.some(partOf('20 %', scene.machines.length));
    for (const { node } of gone) scene.fault(isolate(node));
    const rest = scene.machines.filter((machine) => !gone.includes(machine));
    await scene.installed(rest);
    const lastMs = Math.max(...rest.map(({ life }) => life.installedMs ?? 0));
    return { restSec: lastMs / 1000 };
  },
};

export const resetStorm: Row = {
  number: 17,
  fault: 'all connections are cut every 2 s',
  variants: ['of one machine', 'of all machines'],
  run: async (scene, variant) => {
    await scene.begin();
    const victims = variant.startsWith('of one') ? scene.some(1) : scene.machines;
    const storm = setInterval(() => {
      for (const { node } of victims) cutConnections(node);
    }, CUT_EVERY_MS);
    scene.fault(() => clearInterval(storm));
    await scene.installed();
    clearInterval(storm);
    return { wasted: wasted(scene) };
  },
};

export const slowPeers: Row = {
  number: 12,
  fault: 'machines with an uplink of 64 kbit/s',
  variants: ['20 %', '50 %', '5 %'],
  run: async (scene, variant) => {
    const slow = scene.some(partOf(variant, scene.machines.length));
    for (const { node } of slow) scene.fault(squeeze(node, 64e3));
    await scene.begin();
    const rest = scene.machines.filter((machine) => !slow.includes(machine));
    await scene.installed(rest);
    const times = rest.map(({ life }) => life.installedMs ?? 0).sort((a, b) => a - b);
    await scene.installed();
    return {
      restSec: times.at(-1)! / 1000,
      lastOverMedian: times.at(-1)! / times[times.length >> 1]!,
    };
  },
};

export const blackHole: Row = {
  number: 18,
  fault: 'packets longer than 1,400 bytes never arrive',
  variants: ['at one machine', 'at one machine, for 20 s'],
  run: async (scene, variant) => {
    const [victim] = scene.some(1);
    const long = 'iifname != "lo" meta length > 1400 drop';
    const undo = scene.fault(filter(victim!.node, { input: [long], output: [] }));
    await scene.begin();
    const rest = scene.machines.filter((machine) => machine !== victim);
    if (variant.endsWith('20 s')) {
      await sleep(20_000);
      undo();
    }
    await scene.installed(rest);
    const got = scene.share([victim!]);
    return { itGot: got, it: victim!.isInstalled ? 'installed' : (victim!.life.failure?.code ?? 'waits') };
  },
};

export const addressChanges: Row = {
  number: 38,
  fault: 'a machine loses its address and gets another',
  variants: ['at once', 'after 5 s'],
  run: async (scene, variant) => {
    await scene.begin();
    await scene.progress(0.4);
    const [victim] = scene.some(1);
    await scene.renumber(victim!, variant === 'at once' ? 0 : 5000);
    const before = scene.share([victim!]);
    const changedMs = scene.now();
    await scene.until(
      'bytes again',
      () => scene.share([victim!]) > before + GOING_SHARE || victim!.isInstalled || !victim!.isRunning,
    );
    const recoverySec = (scene.now() - changedMs) / 1000;
    await scene.installed();
    return { recoverySec, it: victim!.isInstalled ? 'installed' : (victim!.life.failure?.code ?? 'waits') };
  },
};
