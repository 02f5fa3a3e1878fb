// Small texts kept in files, for an install that is cut off and begins again. They spare work and are never needed: what
// fails here is as if nothing had been kept.

import { constants } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { BOUNDS } from '../core/bounds.ts';

/** The text at `path`; null when there is none, or something that was not written here. */
export async function recall(path: string): Promise<string | null> {
  let file: Awaited<ReturnType<typeof open>> | null = null;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stat = await file.stat();
    if (!stat.isFile() || stat.size > BOUNDS.rememberedBytes) return null;
    return await file.readFile('utf8');
  } catch {
    return null;
  } finally {
    await file?.close().catch(() => {});
  }
}

/** Puts `text` at `path`, for its owner alone, in one step. */
export async function remember(path: string, text: string): Promise<void> {
  const draft = `${path}.new`;
  try {
    // One that was cut off may have left its draft.
    await rm(draft, { force: true });
    const file = await open(draft, 'wx', 0o600);
    try {
      await file.writeFile(text);
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } catch {
    await rm(draft, { force: true }).catch(() => {});
  }
}
