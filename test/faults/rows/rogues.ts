// Rows of peers that mean harm, or are broken so that it looks like that.

import type { Behaviour } from '../rogue.ts';
import { type Figures, partOf, type Row } from '../row.ts';
import type { Scene } from '../scene.ts';

/** Puts peers of that behaviour in the place of so many machines, and installs the others. */
async function among(scene: Scene, behaviour: Behaviour, share: string): Promise<void> {
  await scene.server.start();
  for (const machine of scene.some(partOf(share, scene.machines.length))) scene.rogue(machine, behaviour);
  for (const machine of scene.machines) machine.start();
  await scene.installed();
  for (const child of scene.rogues) scene.must(child.isRunning, `a rogue ended: ${child.complaints}`);
}

/** Who found out whom, and what it cost. */
function guiltFigures({ machines, server, rogueHosts, sizeBytes }: Scene): Figures {
  const found = new Set([...machines, server].flatMap(({ bans }) => bans.map(({ host }) => host)));
  const guilty = [...rogueHosts].filter((host) => found.has(host)).length;
  const waits = machines.flatMap(({ bans, badPiecesMs }) => {
    const first = badPiecesMs[0];
    return first === undefined || bans.length === 0 ? [] : [(bans[0]!.atMs - first) / 1000];
  });
  const wasted = machines.reduce((sum, { wastedBytes }) => sum + wastedBytes, 0);
  return {
    wasted: wasted / (machines.length * sizeBytes),
    banned: `${guilty}/${rogueHosts.size}`,
    banSec: waits.length === 0 ? 'none' : Math.max(...waits),
  };
}

export const poisoners: Row = {
  number: 9,
  fault: 'peers that send wrong bytes',
  variants: [
    '20 % poisons blocks',
    '20 % poisons one block',
    '5 % poisons pieces',
    '50 % poisons blocks',
    '50 % poisons pieces',
    '20 % poisons pieces',
  ],
  run: async (scene, variant) => {
    const behaviour = variant.replace(/^[\d.]+ % /, '') as Behaviour;
    await among(scene, behaviour, variant);
    const figures = guiltFigures(scene);
    const { size } = scene.rogueHosts;
    scene.must(figures.banned === `${size}/${size}`, `not all poisoners were found: ${figures.banned}`);
    return figures;
  },
};

export const liars: Row = {
  number: 10,
  fault: 'peers that say they have what they do not give',
  variants: ['5 %', '20 %', '50 %'],
  run: async (scene, variant) => {
    await among(scene, 'lies', variant);
    return {};
  },
};

export const stalled: Row = {
  number: 11,
  fault: 'peers that take requests and never answer',
  variants: ['5 %', '20 %', '50 %'],
  run: async (scene, variant) => {
    await among(scene, 'stalls', variant);
    return {};
  },
};

export const flappers: Row = {
  number: 13,
  fault: 'peers that choke all the time and hang up after ten blocks',
  variants: ['5 %', '20 %'],
  run: async (scene, variant) => {
    await among(scene, 'flaps', variant);
    const peak = Math.max(...scene.machines.map(({ life }) => life.child.peakFds));
    return { peakFds: peak };
  },
};

export const copiedIds: Row = {
  number: 28,
  fault: 'a peer that calls everybody with the id of another',
  variants: ['one caller'],
  run: async (scene) => {
    await among(scene, 'copies an id', '5 %');
    return {};
  },
};
