// Takes a publication back.

import { SwarmbootError } from '../agent/core/errors.ts';
import { type Command, expectWords } from './command.ts';
import { changed } from './manifest.ts';
import { REPO_OPTION, removeEntry } from './repository.ts';

export const remove: Command = {
  name: 'remove',
  synopsis: 'NAME [options]',
  summary: 'Takes a publication back and deletes its files.',
  options: [REPO_OPTION],
  run: async (args, terminal) => {
    const [name] = expectWords(args, 'NAME');
    const repo = args.text('repo')!;
    if (!(await removeEntry(repo, name))) {
      throw new SwarmbootError(
        'missing',
        `nothing called "${name}" is published in ${repo}; see swarmboot list`,
      );
    }
    terminal.out.write(`removed ${name}\n`);
    await changed(repo, (line) => terminal.err.write(`${line}\n`));
  },
};
