// The publications that the benches install, as prepare.ts leaves them, and the programs that do it.

import { join } from 'node:path';
import type { CatalogEntry } from '../../../agent/core/catalog.ts';
import { readEntries } from '../../../scripts/repository.ts';
import { BUNDLES } from '../contenders.ts';

export const FOLDER = join(BUNDLES, 'install');
/** The tree that was published. */
export const IMAGE = join(FOLDER, 'image');
export const REPOSITORY = join(FOLDER, 'repo');
/** The same image, encrypted. */
export const SEALED_REPOSITORY = join(FOLDER, 'sealed');
export const IMAGE_NAME = 'image';

const TOP = join(import.meta.dirname, '..', '..', '..');
export const SWARMBOOT = join(TOP, 'scripts', 'swarmboot.ts');
/** As `make agent` leaves it. */
export const AGENT = join(TOP, 'build', 'swarmboot-agent');
/** A file of a tree takes whole pages of memory. */
const PAGE_BYTES = 4096;

/** Memory that one node's install of it takes: what is staged, and the tree. */
export function installedBytes({ size, unpackedSize, entryCount }: CatalogEntry): number {
  return size + unpackedSize + entryCount * PAGE_BYTES;
}

/** What the repository at `repo` says of the image. */
export async function readImage(repo: string): Promise<CatalogEntry> {
  const entry = (await readEntries(repo)).find(({ name }) => name === IMAGE_NAME);
  if (entry === undefined) throw new Error(`${repo} has no image; remove it, and start again`);
  return entry;
}
