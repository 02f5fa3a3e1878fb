// The keys of encrypted publications as a repository keeps them: an identity of age for each, below REPO/keys. What a node
// gets of it is the key of that one file.

import * as fs from 'node:fs/promises';
import { AGE_HEADER_BYTES_MAX, AGE_MAGIC, type FileKey, readAgeHeader } from '../agent/core/age.ts';
import type { CatalogEntry } from '../agent/core/catalog.ts';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import { Identity } from './agefile.ts';
import { attempt, keyPath, tarballPath } from './repository.ts';

/** The identities in the file `place`, as age-keygen writes them. Throws SwarmbootError('missing') when there is none. */
export async function readIdentities(place: string): Promise<readonly Identity[]> {
  const text = await fs.readFile(place, 'utf8').catch((error: unknown) => {
    throw new SwarmbootError('missing', `cannot read ${place} (${messageOf(error)}); name another file`, {
      cause: error,
    });
  });
  const lines = text.split(/\r?\n/).filter((line) => line !== '' && !line.startsWith('#'));
  const identities = lines.map(Identity.parse).filter((identity) => identity !== null);
  if (identities.length > 0 && identities.length === lines.length) return identities;
  throw new SwarmbootError(
    'missing',
    `${place} holds other things than lines like AGE-SECRET-KEY-1...; name what age-keygen or publish has written`,
  );
}

/** True when the file begins as an encrypted one. Throws SwarmbootError('missing'). */
export async function isEncrypted(file: string): Promise<boolean> {
  return (await startOf(file, AGE_MAGIC.length)).toString('latin1') === AGE_MAGIC;
}

/**
 * The key of an encrypted file, by the first identity that opens it. Throws SwarmbootError 'archive' for a header that is
 * none or is for others, and 'missing' when the file cannot be read.
 */
export async function openFileKey(file: string, identities: readonly Identity[]): Promise<FileKey> {
  const start = await startOf(file, AGE_HEADER_BYTES_MAX);
  const header = readAgeHeader(start);
  const keys = header === null ? [] : identities.map((identity) => identity.open(header));
  const key = keys.find((found) => found !== null);
  if (key !== undefined) return key;
  throw new SwarmbootError(
    'archive',
    `${file} is encrypted for somebody else; name the identity that it was made for`,
  );
}

/** The key of an encrypted publication. Throws SwarmbootError('repository') when the repository cannot open it itself. */
export function fileKeyOf(repo: string, entry: CatalogEntry): Promise<FileKey> {
  const place = keyPath(repo, entry);
  return attempt(`read ${place}`, async () => {
    try {
      return await openFileKey(tarballPath(repo, entry), await readIdentities(place));
    } catch (error) {
      const what = `${entry.name} cannot be opened (${messageOf(error)}); publish it again`;
      throw new SwarmbootError('repository', what, { cause: error });
    }
  });
}

async function startOf(file: string, bytesMax: number): Promise<Buffer> {
  try {
    await using handle = await fs.open(file);
    const buffer = Buffer.alloc(bytesMax);
    const { bytesRead } = await handle.read(buffer);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    const what = `cannot read ${file} (${messageOf(error)}); give a readable tarball`;
    throw new SwarmbootError('missing', what, { cause: error });
  }
}
