// Lists the publications of a repository.

import { formatBytes } from '../agent/core/units.ts';
import { type Command, expectWords } from './command.ts';
import { REPO_OPTION, readEntries } from './repository.ts';
import { formatTable } from './table.ts';

export const list: Command = {
  name: 'list',
  synopsis: '[options]',
  summary: 'Lists what is published.',
  options: [{ name: 'json', kind: 'flag', help: 'print the catalog entries' }, REPO_OPTION],
  run: async (args, terminal) => {
    expectWords(args);
    const entries = await readEntries(args.text('repo')!);
    if (args.flag('json')) {
      terminal.out.write(`${JSON.stringify(entries, null, 2)}\n`);
      return;
    }
    const rows = entries.map((entry) => [
      entry.name,
      entry.kind,
      formatBytes(entry.size),
      formatBytes(entry.unpackedSize),
      String(entry.entryCount),
      entry.infoHash,
    ]);
    const heading = ['NAME', 'KIND', 'SIZE', 'UNPACKED', 'MEMBERS', 'INFO HASH'];
    terminal.out.write(formatTable([heading, ...rows]));
  },
};
