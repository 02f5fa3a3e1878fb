// The publication that the bench installs, as prepare.ts leaves it.

import { join } from 'node:path';
import type { CatalogEntry } from '../../../agent/core/catalog.ts';
import { readEntries } from '../../../scripts/repository.ts';
import { BUNDLES } from '../contenders.ts';

export const FOLDER = join(BUNDLES, 'install');
/** The tree that was published. */
export const IMAGE = join(FOLDER, 'image');
export const REPOSITORY = join(FOLDER, 'repo');
export const IMAGE_NAME = 'image';

/** What the repository at `repo` says of the image. */
export async function readImage(repo: string): Promise<CatalogEntry> {
  const entry = (await readEntries(repo)).find(({ name }) => name === IMAGE_NAME);
  if (entry === undefined) throw new Error(`${repo} has no image; remove it, and start again`);
  return entry;
}
