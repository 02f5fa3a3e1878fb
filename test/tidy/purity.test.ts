import { deepEqual, doesNotMatch } from 'node:assert/strict';
import { test } from 'node:test';
import { createContext, runInContext } from 'node:vm';
import { build } from 'esbuild';
import { files, ROOT } from './sources.ts';

// Functions of their arguments alone, so the core may use them though the language itself lacks them.
const PURE_EXTRAS = { TextEncoder, TextDecoder, URL, URLSearchParams };

// What the host adds to the language, and the parts of the language that read a clock or throw dice.
const LANGUAGE = new Set<string>(
  JSON.parse(runInContext('JSON.stringify(Object.getOwnPropertyNames(globalThis))', createContext({}))),
);
const FORBIDDEN = [
  ...Object.getOwnPropertyNames(globalThis).filter((name) => !LANGUAGE.has(name) && !(name in PURE_EXTRAS)),
  'Date',
  'Math.random',
  'Temporal',
  'Intl',
  'WeakRef',
  'FinalizationRegistry',
  'SharedArrayBuffer',
  'Atomics',
  'WebAssembly',
  'eval',
  'Function',
  'globalThis',
  'require',
  'console',
];

const MARK = 'FORBIDDEN_IN_CORE_';
// esbuild puts the mark only where the name is the free one, not a property and not a local of the same name.
const MARKS = Object.fromEntries(FORBIDDEN.map((name) => [name, `${MARK}${name.replace('.', '_')}`]));

async function bundle(path: string): Promise<string> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: [path],
    bundle: true,
    platform: 'neutral',
    format: 'iife',
    target: 'esnext',
    treeShaking: false,
    write: false,
    metafile: true,
    define: MARKS,
    logLevel: 'silent',
  });
  deepEqual(
    Object.values(metafile.inputs).flatMap((input) => input.imports.filter((item) => item.external)),
    [],
    'no import from outside',
  );
  return outputFiles[0]?.text ?? '';
}

for (const path of files('.ts', 'agent/core', 'scripts/core')) {
  test(`${path} is pure: no imports from outside, no clock, no chance, nothing of the host`, async () => {
    const code = await bundle(path);
    doesNotMatch(code, new RegExp(`${MARK}\\w+`));
    runInContext(code, createContext({ ...PURE_EXTRAS }));
  });
}

test('the purity check sees a clock, dice and the host, and leaves locals and properties alone', async () => {
  const seen = async (code: string) => {
    const { outputFiles } = await build({
      stdin: { contents: code, loader: 'ts' },
      write: false,
      define: MARKS,
    });
    return new RegExp(MARK).test(outputFiles[0]?.text ?? '');
  };
  for (const bad of [
    'Date.now()',
    'Math.random()',
    'process.exit()',
    'setTimeout(f, 1)',
    'Buffer.from(x)',
    'performance.now()',
    'fetch(u)',
    'crypto.hash(a)',
  ]) {
    deepEqual(await seen(`export const f = () => ${bad};`), true, bad);
  }
  deepEqual(
    await seen(
      'export const f = (crypto: { hash(): void }) => crypto.hash(); export const g = (a: { Date: 1 }) => a.Date;',
    ),
    false,
  );
});
