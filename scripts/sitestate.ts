// What a mirror is to follow of this image server, read from its repository.

import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { BOOT_FILE, type BootFile, type SiteState } from './core/sitestate.ts';
import { nodesPath, readArmed, readArming } from './nodes.ts';
import { absent, attempt, readEntries, trustPath } from './repository.ts';

/** Throws SwarmbootError('repository'). */
export async function readSiteState(repo: string): Promise<SiteState> {
  const armed = await Promise.all(
    [...(await readArmed(repo)).keys()].map(async (mac) => ({ mac, arming: await readArming(repo, mac) })),
  );
  const file = nodesPath(repo);
  return {
    format: 1,
    nodes: (await attempt(`read ${file}`, () => fs.readFile(file, 'utf8').catch(absent))) ?? null,
    // One that was disarmed meanwhile is none.
    armed: armed.flatMap(({ mac, arming }) => (arming === null ? [] : { mac, ...arming })),
    boot: await readBootFiles(repo),
    entries: (await readEntries(repo)).map(({ name }) => name),
  };
}

/** The files of REPO/boot that are offered, but what this server itself believes by. Throws SwarmbootError('repository'). */
export async function readBootFiles(repo: string): Promise<readonly BootFile[]> {
  const folder = path.join(repo, 'boot');
  return attempt(`read ${folder}`, async () => {
    const names = (await fs.readdir(folder).catch(absent)) ?? [];
    const found = await Promise.all(
      names
        .filter((name) => BOOT_FILE.test(name) && name !== path.basename(trustPath(repo)))
        .map(async (name) => {
          const stat = await fs.stat(path.join(folder, name)).catch(absent);
          if (!stat?.isFile()) return [];
          return { name, size: stat.size, changedMs: Math.floor(stat.mtimeMs) };
        }),
    );
    return found.flat();
  });
}
