// Collects the BOEL binaries from this machine and publishes them; and what all builders' commands share.

import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import { collectBoel, EXTRA_WORDS, extraTools, TOOLS } from '../initrd-builder/boel.ts';
import { BuildError } from '../initrd-builder/errors.ts';
import { type Command, expectWords } from './command.ts';
import { factsOf, publishJob } from './publish.ts';
import { REPO_OPTION } from './repository.ts';

export const boelBuild: Command = {
  name: 'boel build',
  synopsis: '[options]',
  summary: 'Collects the tools that an install needs from this machine and publishes them as BOEL binaries.',
  options: [
    REPO_OPTION,
    { name: 'name', kind: 'text', help: 'under this name', default: 'boel' },
    { name: 'with', kind: 'text', value: 'WORDS', help: `more tools: ${EXTRA_WORDS.join(', ')}` },
  ],
  run: async (args, terminal) => {
    expectWords(args);
    const work = await fs.mkdtemp(path.join(tmpdir(), 'swarmboot-boel-'));
    try {
      const tree = path.join(work, 'tree');
      await building(terminal.signal, async () => {
        collectBoel([...TOOLS, ...extraTools(wordsOf(args.text('with')))], tree);
      });
      const entry = await publishJob(
        {
          repo: path.resolve(args.text('repo')!),
          name: args.text('name')!,
          kind: 'boel',
          from: tree,
          folder: true,
          compression: 'zstd',
          encrypt: false,
          announce: [],
        },
        terminal,
      );
      terminal.out.write(factsOf(entry));
    } finally {
      await fs.rm(work, { recursive: true, force: true });
    }
  },
};

/** The words of an option that takes several with commas between them. */
export function wordsOf(text: string | undefined): string[] {
  return (text ?? '').split(',').filter((word) => word !== '');
}

/** Runs `work` of initrd-builder; what it finds wrong becomes a SwarmbootError 'build'. */
export async function building<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof BuildError) throw new SwarmbootError('build', error.message, { cause: error });
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    const what = `cannot build (${messageOf(error)}); check that file, its rights and the space left`;
    throw new SwarmbootError('build', what, { cause: error });
  }
}
