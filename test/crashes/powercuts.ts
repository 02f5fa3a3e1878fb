// Power cuts: the disk of a node lies in a file that reflinks copy in a moment, as it is on the platter, while the node
// installs. Each copy is looked at as a machine would after a power cut, and then installed further.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { agent } from '../agentsite.ts';
import {
  assertInstalled,
  assertTrees,
  crashSite,
  nodeAt,
  piecesSaved,
  run,
  type Site,
  SLOW,
} from './crashes.ts';

interface Test {
  after(done: () => void | Promise<void>): void;
}

/** Copies that are taken of one install. */
const CUTS_EACH = 10;
/** What the first install is taken to take; each later one is taken to take as long as the one before. */
const INSTALL_MS = 5000;
/** The last copies are taken when the install has told that it is done. */
const BEYOND = 1.2;
const NODE = 'node';

function sh(program: string, ...words: readonly string[]): string {
  return execFileSync(program, words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
}

/** Mounts a file by a loop device. */
function mount(image: string, folder: string, ...options: readonly string[]): void {
  mkdirSync(folder, { recursive: true });
  sh('/usr/bin/mount', '-o', ['loop', ...options].join(','), image, folder);
}

/**
 * Takes `count` copies of a disk, rounded up to whole installs, in the middle of installs, and throws when one of them says that it is installed and is
 * not, is damaged, or cannot be installed. As root.
 */
export async function powerCuts(test: Test, count: number): Promise<void> {
  const site = await crashSite(test, SLOW.bytes, SLOW.uploadBytesPerSec);
  const [lab, disk] = [join(site.folder, 'lab'), join(site.folder, 'disk')];
  const outer = join(site.folder, 'outer.img');
  sh('/usr/bin/truncate', '--size=6G', outer);
  sh('/usr/sbin/mkfs.xfs', '-q', '-m', 'reflink=1', outer);
  mount(outer, lab);
  test.after(() => void sh('/usr/bin/umount', lab));
  const sums = { cuts: 0, told: 0, resumed: 0, pieces: 0 };
  let installMs = INSTALL_MS;
  while (sums.cuts < count) {
    const cutEveryMs = (BEYOND * installMs) / CUTS_EACH;
    const { cuts, ms } = await installAndCut({ site, lab, disk, cutEveryMs });
    installMs = ms;
    for (const cut of cuts) {
      const saved = await afterCut(site, disk, cut);
      if (cut.told) sums.told++;
      if (saved > 0) sums.resumed++;
      sums.pieces += saved;
      rmSync(cut.image);
      sums.cuts++;
    }
  }
  console.log(
    `power cuts: ${sums.cuts}, of them ${sums.told} after the install was told to be done, all whole; the others were installed afterwards, ${sums.resumed} of them with ${sums.pieces} pieces saved`,
  );
}

interface Cut {
  readonly image: string;
  /** The node had told that it was installed. */
  readonly told: boolean;
}

/** One install on a new disk, and copies of that disk at random moments. */
async function installAndCut({
  site,
  lab,
  disk,
  cutEveryMs,
}: {
  readonly site: Site;
  readonly lab: string;
  readonly disk: string;
  readonly cutEveryMs: number;
}): Promise<{ cuts: Cut[]; ms: number }> {
  const image = join(lab, 'disk.img');
  rmSync(image, { force: true });
  sh('/usr/bin/truncate', '--size=256M', image);
  sh('/usr/sbin/mkfs.ext4', '-q', image);
  // In half of the installs data reach the disk as soon as they can; else only when somebody waits for them.
  mount(image, disk, ...(Math.random() < 0.5 ? ['nodelalloc', 'commit=1'] : []));
  try {
    const startedMs = performance.now();
    let ms = 0;
    const { ended, child } = agent(nodeAt(site, NODE, disk).flags);
    child.once('close', () => {
      ms = performance.now() - startedMs;
    });
    let out = '';
    child.stdout!.on('data', (text) => {
      out += text;
    });
    const cuts: Cut[] = [];
    for (let at = 0; at < CUTS_EACH; at++) {
      await sleep(2 * Math.random() * cutEveryMs);
      // What was told before the copy is taken must be in it.
      const told = out.includes('"fact":"installed"');
      const copy = join(lab, `cut${at}.img`);
      sh('/usr/bin/cp', '--reflink=always', image, copy);
      cuts.push({ image: copy, told });
    }
    const { status, err } = await ended;
    assert.equal(status, 0, err);
    return { cuts, ms };
  } finally {
    sh('/usr/bin/umount', disk);
  }
}

/** The machine starts again: its journal is replayed, and the install begins anew. Returns how many pieces it still had. */
async function afterCut(site: Site, disk: string, { image, told }: Cut): Promise<number> {
  mount(image, disk);
  try {
    const node = nodeAt(site, NODE, disk);
    // Its staging may not have been freed yet.
    if (told) assertTrees(site, node);
    const { status, out, err } = await run(node);
    assert.equal(status, 0, `${out.slice(-2000)}${err}`);
    assertInstalled(site, node);
    return piecesSaved(out);
  } finally {
    sh('/usr/bin/umount', disk);
    sh('/usr/sbin/fsck.ext4', '-f', '-n', image);
  }
}
