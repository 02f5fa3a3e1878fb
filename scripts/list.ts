// Lists the publications of a repository.

import type { CatalogEntry } from '../agent/core/catalog.ts';
import { formatBytes } from '../agent/core/units.ts';
import { type Command, expectWords } from './command.ts';
import { newestSigned, type Signed } from './manifest.ts';
import { REPO_OPTION, readEntries } from './repository.ts';
import { formatTable } from './table.ts';

export const list: Command = {
  name: 'list',
  synopsis: '[options]',
  summary: 'Lists what is published.',
  options: [{ name: 'json', kind: 'flag', help: 'print the catalog entries' }, REPO_OPTION],
  run: async (args, terminal) => {
    expectWords(args);
    const repo = args.text('repo')!;
    const entries = await readEntries(repo);
    if (args.flag('json')) {
      terminal.out.write(`${JSON.stringify(entries, null, 2)}\n`);
      return;
    }
    const signed = await newestSigned(repo, null);
    const isSigned = (entry: CatalogEntry) =>
      signed?.manifest.entries.some(({ name, sha256 }) => name === entry.name && sha256 === entry.sha256);
    const rows = entries.map((entry) => [
      entry.name,
      entry.kind,
      formatBytes(entry.size),
      formatBytes(entry.unpackedSize),
      String(entry.entryCount),
      entry.infoHash,
      ...(signed === null ? [] : [isSigned(entry) ? 'yes' : 'not yet']),
    ]);
    const heading = ['NAME', 'KIND', 'SIZE', 'UNPACKED', 'MEMBERS', 'INFO HASH'];
    terminal.out.write(formatTable([[...heading, ...(signed === null ? [] : ['SIGNED'])], ...rows]));
    if (signed !== null) terminal.out.write(factsOf(signed));
  },
};

/** The newest signed manifest, in a line for people. */
function factsOf({ manifest }: Signed): string {
  const { serial, created, expires, closed, networks, machines } = manifest.release!;
  const day = (seconds: number) => new Date(seconds * 1000).toISOString().slice(0, 10);
  const rules = [
    closed ? 'its swarms are closed' : 'its swarms are open',
    ...(networks === null ? [] : [`peers in ${networks.join(', ')}`]),
    ...(machines === null ? [] : [`for ${machines.length} machines`]),
  ];
  const offered = `offered is manifest ${serial} of ${day(created)}, signed, believed until ${day(expires)}`;
  return `${offered}; ${rules.join('; ')}\n`;
}
