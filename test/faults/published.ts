// The image that the fault lab installs, published once: noise in files of many sizes, links, an empty folder.

import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CatalogEntry } from '../../agent/core/catalog.ts';
import { noise } from '../content.ts';
import { published } from '../scripts/commands.ts';

export const IMAGE_NAME = 'web';
const LARGE_FILES = 16;
const SMALL_FILES = 200;

export interface Published {
  /** What every target must become. */
  readonly tree: string;
  readonly repo: string;
  readonly entry: CatalogEntry;
}

/** Publishes an image of about `bytes` below `folder`. */
export async function publishImage(folder: string, bytes: number): Promise<Published> {
  const [tree, repo] = [join(folder, 'tree'), join(folder, 'repo')];
  for (const place of ['large', 'small', 'empty']) mkdirSync(join(tree, place), { recursive: true });
  for (let file = 0; file < LARGE_FILES; file++)
    writeFileSync(join(tree, 'large', `noise${file}`), noise(Math.floor(bytes / LARGE_FILES), file));
  for (let file = 0; file < SMALL_FILES; file++)
    writeFileSync(join(tree, 'small', `note${file}`), noise(file * 37, 1000 + file));
  symlinkSync('large/noise0', join(tree, 'link'));
  linkSync(join(tree, 'large/noise1'), join(tree, 'again'));
  const words = ['--kind', 'image', '--from', tree, '--repo', repo, '--compress', 'none'];
  return { tree, repo, entry: await published(IMAGE_NAME, ...words) };
}
