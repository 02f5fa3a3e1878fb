// The files of the page as a browser gets them: everything in scripts/page, what its TypeScript imports (types are taken
// out, nothing is bundled), and the plotting library. Read once, at the start of the server.

import { readFileSync } from 'node:fs';
import { createRequire, stripTypeScriptTypes } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';

export interface PageFile {
  readonly type: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** By path of the URL. */
export type PageFiles = ReadonlyMap<string, PageFile>;

/** What a page may do: nothing but what this server sends it. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

const TOP = join(import.meta.dirname, '..');
const IMPORT = /\bfrom '([^']+)'/g;
/** Bare imports, and the module of the package that a browser reads. */
const PACKAGES: Readonly<Record<string, string>> = { uplot: 'uPlot.esm.js' };

/** Throws when a file is missing: then the installation is broken. */
export function loadPage(): PageFiles {
  const files = new Map<string, PageFile>();
  const add = (url: string, type: string, body: string) =>
    files.set(url, { type: `${type}; charset=utf-8`, body, headers: HEADERS });
  const script = (url: string, code: string) => add(url, 'text/javascript', code);
  const crawl = (file: string) => {
    if (files.has(urlOf(file))) return;
    const imports: string[] = [];
    const code = stripTypeScriptTypes(readFileSync(file, 'utf8')).replace(IMPORT, (whole, name: string) => {
      const module = PACKAGES[name];
      if (module === undefined) {
        imports.push(resolve(dirname(file), name));
        return whole;
      }
      const url = `/packages/${name}/${module}`;
      script(url, readFileSync(packageFile(name, module), 'utf8'));
      return `from '${url}'`;
    });
    script(urlOf(file), code);
    for (const next of imports) crawl(next);
  };
  const page = join(import.meta.dirname, 'page');
  add('/', 'text/html', readFileSync(join(page, 'index.html'), 'utf8'));
  const styles = [packageFile('uplot', 'uPlot.min.css'), join(page, 'page.css')];
  add('/page.css', 'text/css', styles.map((file) => readFileSync(file, 'utf8')).join('\n'));
  add('/favicon.svg', 'image/svg+xml', readFileSync(join(page, 'favicon.svg'), 'utf8'));
  crawl(join(page, 'app.ts'));
  return files;
}

const HEADERS = { ...SECURITY_HEADERS, 'Cache-Control': 'no-cache' };

/** `/scripts/page/app.ts`: what lies beside each other here does so there. */
function urlOf(file: string): string {
  return `/${relative(TOP, file)}`;
}

function packageFile(name: string, file: string): string {
  return join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), 'dist', file);
}
