// Prints what a run of installs teaches, from what the server has kept of it.

import { writeFile } from 'node:fs/promises';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import { type Command, usage } from './command.ts';
import { formatReport } from './core/reporttext.ts';
import { reportOfRun } from './core/runreport.ts';
import { formatReportHtml } from './reporthtml.ts';
import { REPO_OPTION } from './repository.ts';
import { listRuns, readRun } from './runs.ts';
import { formatTable } from './table.ts';

export const report: Command = {
  name: 'report',
  synopsis: '[RUN] [options]',
  summary:
    'Tells how a run went: times, efficiency, and why the slow nodes were slow. Without RUN, the last one.',
  options: [
    { name: 'list', kind: 'flag', help: 'list the runs that are kept' },
    { name: 'json', kind: 'flag', help: 'print it as JSON' },
    { name: 'html', kind: 'text', value: 'FILE', help: 'write it as one HTML file, with plots' },
    REPO_OPTION,
  ],
  run: async (args, terminal) => {
    const repo = args.text('repo')!;
    const [word, ...more] = args.words;
    if (more.length > 0) throw usage(`too many words: "${more.join(' ')}"; see --help`);
    const runs = await listRuns(repo, (text) => void terminal.err.write(`${text}\n`));
    if (args.flag('list')) {
      const rows = runs.map(({ id, image, began }) => [id, image.name, began]);
      terminal.out.write(
        args.flag('json')
          ? `${JSON.stringify(runs, null, 2)}\n`
          : formatTable([['RUN', 'IMAGE', 'BEGAN'], ...rows]),
      );
      return;
    }
    const id = word ?? runs[0]?.id;
    if (id === undefined || !runs.some((run) => run.id === id)) {
      const what = word === undefined ? `no run is kept in ${repo}` : `no run "${word}" in ${repo}`;
      throw new SwarmbootError('repository', `${what}; see swarmboot report --list`);
    }
    const run = await readRun(repo, id);
    const told = reportOfRun(run);
    const file = args.text('html');
    if (file !== undefined) {
      await writeFile(file, formatReportHtml(told, run)).catch((error: unknown) => {
        throw new SwarmbootError('usage', `cannot write ${file}: ${messageOf(error)}; choose another --html`);
      });
      terminal.err.write(`wrote ${file}\n`);
    } else if (args.flag('json')) terminal.out.write(`${JSON.stringify(told, null, 2)}\n`);
    else terminal.out.write(formatReport(told));
  },
};
