import { deepEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { build } from 'esbuild';
import { files, importsOf, isOurs, ROOT, text } from './sources.ts';

/** The rule of dependencies: a file whose path matches the first may import only what matches the second. */
const RULES: readonly (readonly [string, RegExp, RegExp])[] = [
  ['agent/core imports agent/core', /^agent\/core\//, /^agent\/core\//],
  [
    'agent/io imports agent/core, node: and packages',
    /^agent\/io\//,
    /^agent\/core\/|^node:|^[a-z@](?!.*\.ts$)/,
  ],
  [
    'the engine imports agent/core and its own parts',
    /^agent\/(?:engine|transfer|webwire|infosearch|localsearch)\.ts$/,
    /^agent\/(?:core\/|engine|transfer|webwire|infosearch|localsearch)/,
  ],
  [
    'the rest of agent imports agent, node: and packages',
    /^agent\/(?!core\/|io\/)/,
    /^agent\/|^node:|^[a-z@](?!.*\.ts$)/,
  ],
  ['scripts/core imports the two cores', /^scripts\/core\//, /^(?:agent|scripts)\/core\//],
  [
    'scripts imports scripts, agent, initrd-builder, node: and packages',
    /^scripts\/(?!core\/|page\/)/,
    /^(?:agent|initrd-builder|scripts)\/|^node:|^[a-z@](?!.*\.ts$)/,
  ],
  [
    'scripts/page imports itself, the two cores and uplot',
    /^scripts\/page\//,
    /^scripts\/page\/|^(?:agent|scripts)\/core\/|^uplot$/,
  ],
  ['initrd-builder imports initrd-builder and node:', /^initrd-builder\//, /^initrd-builder\/|^node:/],
];

/** What starts on its own: the agent, the page, and whatever the Makefile runs. */
function entries(): string[] {
  const run = [...text('Makefile').matchAll(/\bnode ((?:scripts|initrd-builder|test)\/\S+\.ts)/g)].map(
    (match) => match[1] ?? '',
  );
  return ['agent/main.ts', 'scripts/swarmboot.ts', 'scripts/page/app.ts', ...run];
}

const SOURCES = files('.ts', 'agent', 'initrd-builder', 'scripts');
const EVERYTHING = [...SOURCES, ...files('.ts', 'test')];

for (const [title, who, allowed] of RULES) {
  test(`${title} and nothing else`, () => {
    const wrong = SOURCES.filter((path) => who.test(path)).flatMap((path) =>
      importsOf(path)
        .filter((target) => !allowed.test(target))
        .map((target) => `${path} imports ${target}`),
    );
    deepEqual(wrong, []);
  });
}

test('nobody outside test imports test', () => {
  deepEqual(
    SOURCES.filter((path) => importsOf(path).some((target) => target.startsWith('test/'))),
    [],
  );
});

test('imports make no cycle, types included', () => {
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    ok(!trail.includes(path), `cycle: ${[...trail.slice(trail.indexOf(path)), path].join(' -> ')}`);
    if (done.has(path)) return;
    for (const target of importsOf(path).filter(isOurs)) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const path of EVERYTHING) visit(path, []);
});

test('each npm package is imported by one file of the agent', () => {
  const users = new Map<string, string[]>();
  for (const path of files('.ts', 'agent')) {
    for (const target of importsOf(path)) {
      if (!isOurs(target) && !target.startsWith('node:') && target !== 'package.json')
        users.set(target, [...(users.get(target) ?? []), path]);
    }
  }
  deepEqual(
    [...users].filter(([, paths]) => paths.length > 1),
    [],
  );
});

/** The package of an import: of `@noble/hashes/blake2.js`, `@noble/hashes`. */
function packageOf(target: string): string {
  const words = target.split('/');
  return words.slice(0, target.startsWith('@') ? 2 : 1).join('/');
}

test('every dependency in package.json is imported by the product', () => {
  const manifest: { dependencies: Record<string, string> } = JSON.parse(text('package.json'));
  const used = new Set(SOURCES.flatMap(importsOf).map(packageOf));
  deepEqual(
    Object.keys(manifest.dependencies).filter((name) => !used.has(name)),
    [],
  );
});

test('every file is an entry or is reached from one', () => {
  const reached = new Set<string>();
  const visit = (path: string): void => {
    if (reached.has(path)) return;
    reached.add(path);
    for (const target of importsOf(path).filter(isOurs)) visit(target);
  };
  for (const path of entries()) visit(path);
  deepEqual(
    SOURCES.filter((path) => !reached.has(path) && !path.endsWith('.d.ts')),
    [],
  );
});

test('the scan of imports misses nothing that esbuild sees', async () => {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: EVERYTHING,
    bundle: true,
    platform: 'node',
    packages: 'external',
    format: 'esm',
    outdir: 'out',
    write: false,
    metafile: true,
    logLevel: 'silent',
  });
  for (const [path, input] of Object.entries(metafile.inputs)) {
    const scanned = importsOf(path);
    deepEqual(
      input.imports.map((item) => item.path).filter((target) => !scanned.includes(target)),
      [],
      `imports of ${path}`,
    );
  }
});
