// Unpacks a tarball exactly as a node does.

import { createReadStream, mkdirSync, statSync } from 'node:fs';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import { formatBytes, MIB } from '../agent/core/units.ts';
import { extract } from '../agent/io/extract.ts';
import { tarWriter } from '../agent/io/tree.ts';
import { compressionOf } from './archive.ts';
import { type Command, expectWords, usage } from './command.ts';
import { Progress } from './progress.ts';

export const unpack: Command = {
  name: 'unpack',
  synopsis: 'TARBALL --into DIR',
  summary: 'Unpacks a tarball as a node would, refusing what a node would refuse.',
  options: [{ name: 'into', kind: 'text', value: 'DIR', help: 'the target; made when it is not there' }],
  run: async (args, terminal) => {
    const [tarball] = expectWords(args, 'TARBALL');
    const target = args.text('into');
    if (target === undefined) throw usage('--into DIR is missing');
    const compression = compressionOf(tarball);
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
    const { entries, unpackedBytes, notes } = await extract(
      {
        source: createReadStream(tarball, { highWaterMark: MIB }),
        compression,
        expected: null,
        onProgress: (bytes) => progress.update(bytes),
      },
      tarWriter(target),
      terminal.signal,
    );
    progress.end();
    for (const note of notes) terminal.err.write(`${note}\n`);
    terminal.out.write(`unpacked ${entries} members, ${formatBytes(unpackedBytes)}, into ${target}\n`);
  },
};
