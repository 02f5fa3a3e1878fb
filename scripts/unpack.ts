// Unpacks a tarball exactly as a node does.

import { createReadStream, mkdirSync, statSync } from 'node:fs';
import type { FileKey } from '../agent/core/age.ts';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import { formatBytes, MIB } from '../agent/core/units.ts';
import { decrypted } from '../agent/io/decrypt.ts';
import { extract } from '../agent/io/extract.ts';
import { tarWriter } from '../agent/io/tree.ts';
import { recognised } from '../agent/plan.ts';
import { isEncrypted, openFileKey, readIdentities } from './agekeys.ts';
import { compressionOf } from './archive.ts';
import { type Command, expectWords, usage } from './command.ts';
import { Progress } from './progress.ts';

export const unpack: Command = {
  name: 'unpack',
  synopsis: 'TARBALL --into DIR [--identity FILE]',
  summary: 'Unpacks a tarball as a node would, refusing what a node would refuse.',
  options: [
    { name: 'into', kind: 'text', value: 'DIR', help: 'the target; made when it is not there' },
    { name: 'identity', kind: 'text', value: 'FILE', help: 'what opens an encrypted tarball' },
  ],
  run: async (args, terminal) => {
    const [tarball] = expectWords(args, 'TARBALL');
    const target = args.text('into');
    if (target === undefined) throw usage('--into DIR is missing');
    const key = await keyOf(tarball, args.text('identity'));
    const compression = key === null ? compressionOf(tarball) : null;
    try {
      mkdirSync(target, { recursive: true });
    } catch (error) {
      throw new SwarmbootError(
        'extract',
        `cannot make ${target} (${messageOf(error)}); choose another --into`,
        {
          cause: error,
        },
      );
    }
    const progress = new Progress(terminal.err, 'unpacking', statSync(tarball).size);
    const bytes = createReadStream(tarball, { highWaterMark: MIB });
    const packed =
      compression === null ? await recognised(decrypted(bytes, key!)) : { source: bytes, compression };
    const { entries, unpackedBytes, notes } = await extract(
      { ...packed, expected: null, onProgress: (used) => progress.update(used) },
      tarWriter(target),
      terminal.signal,
    ).finally(() => key?.erase());
    progress.end();
    for (const note of notes) terminal.err.write(`${note}\n`);
    terminal.out.write(`unpacked ${entries} members, ${formatBytes(unpackedBytes)}, into ${target}\n`);
  },
};

/** The key of an encrypted tarball; null for one that is not. */
async function keyOf(tarball: string, identity: string | undefined): Promise<FileKey | null> {
  const sealed = await isEncrypted(tarball);
  if (sealed && identity === undefined) throw usage(`${tarball} is encrypted: --identity FILE is missing`);
  if (!sealed && identity !== undefined) throw usage(`${tarball} is not encrypted; leave out --identity`);
  return identity === undefined ? null : openFileKey(tarball, await readIdentities(identity));
}
