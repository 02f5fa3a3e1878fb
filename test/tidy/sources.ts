// What the tidy tests read: the files under version control's eye, and who imports whom.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

/** The top of the repository. */
export const ROOT = join(import.meta.dirname, '..', '..');

const NOT_OURS = new Set(['.git', 'node_modules', 'build']);

/** Paths of all our files from the top, sorted; with folders' names, only those below them. */
export function files(extension: string, ...folders: string[]): string[] {
  const found: string[] = [];
  const walk = (folder: string) => {
    for (const entry of readdirSync(join(ROOT, folder), { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory() && !NOT_OURS.has(entry.name)) walk(path);
      else if (entry.isFile() && entry.name.endsWith(extension)) found.push(path);
    }
  };
  for (const folder of folders.length > 0 ? folders : ['.']) walk(folder);
  return found.sort();
}

/** The text of one of our files. */
export function text(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

// The formatter puts each import and re-export at the start of a line, in single quotes: this reads that form, types
// included. That nothing is missed is checked against esbuild's own parser (imports.test.ts).
const STATEMENT =
  /^(?:import|export)\b[^;'"`]*?\bfrom\s+'([^']+)'|^import\s+'([^']+)'|\bimport\(\s*'([^']+)'/gm;

/** What a file imports, as written for packages and `node:`, as a path from the top for our own files. */
export function importsOf(path: string): string[] {
  const found = new Set<string>();
  for (const [, from, bare, dynamic] of text(path).matchAll(STATEMENT)) {
    const target = from ?? bare ?? dynamic ?? '';
    found.add(target.startsWith('.') ? normalize(join(dirname(path), target)) : target);
  }
  return [...found];
}

/** True for an import that is one of our own files, not a package and not `node:`. */
export function isOurs(target: string): boolean {
  return /^(?:agent|initrd-builder|scripts|test)\//.test(target);
}
