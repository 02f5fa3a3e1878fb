// What an initrd holds: the skeleton with its /init, the agent, the few programs it needs before the BOEL binaries have
// come, kernel modules, and what a site adds. Decides places and modes; reads and runs no more than it must.

import { execFile } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { extraTools, requireTools, type Tool } from './boel.ts';
import { type Content, Tree } from './cpio.ts';
import { BuildError } from './errors.ts';
import { libraryPlaces } from './libs.ts';
import type { ModuleFiles } from './modules.ts';

/**
 * Parts of an initrd, in the order of unpacking. Folders with a mode of their own belong into the first. Where memory is
 * short, the kernel leaves out the end; the first two are enough for /init to say so.
 */
export const PARTS = [
  'skeleton',
  'busybox',
  'modules',
  'firmware',
  'agent',
  'libraries',
  'tools',
  'site',
] as const;

export type Part = (typeof PARTS)[number];

/** A file that a site adds: which one, and where it goes. */
export interface AddedFile {
  readonly file: string;
  readonly path: string;
}

export interface TreeOptions {
  /** The agent's executable. */
  readonly agent: string;
  /** The folder with /init and what it reads. */
  readonly skeleton: string;
  readonly kernelVersion: string;
  readonly modules: ModuleFiles;
  /** Words of `extraTools`. */
  readonly extras: readonly string[];
  readonly added: readonly AddedFile[];
  /** Lines `NAME=value` for the agent, the last of a name wins. */
  readonly params: readonly string[];
  /** Swarmboot's own, for /etc/os-release. */
  readonly version: string;
}

const BUSYBOX: Tool = { path: '/usr/bin/busybox', package: 'busybox-static' };

/** What systeminformation runs when the agent describes its machine. */
const FACT_TOOLS: readonly Tool[] = [
  { path: '/usr/bin/lsblk', package: 'util-linux' },
  { path: '/usr/bin/lscpu', package: 'util-linux' },
];

/** Folders that must be there before anything is mounted or written. */
const FOLDERS: readonly (readonly [path: string, mode: number])[] = [
  ['/dev', 0o755],
  ['/etc', 0o755],
  ['/mnt', 0o755],
  ['/proc', 0o755],
  ['/root', 0o700],
  ['/run', 0o755],
  ['/sys', 0o755],
  ['/tmp', 0o1777],
  ['/usr/bin', 0o755],
  ['/usr/lib/x86_64-linux-gnu', 0o755],
  ['/usr/sbin', 0o755],
  ['/var', 0o755],
];

/** As on Debian: one folder each for programs and libraries, reached by the old names too. */
const LINKS: readonly (readonly [path: string, target: string])[] = [
  ['/bin', 'usr/bin'],
  ['/lib', 'usr/lib'],
  ['/sbin', 'usr/sbin'],
  ['/var/run', '/run'],
];

const PARAMETER = /^[A-Za-z][\w.-]*=[^\n\0]*$/;
/** Where the agent looks for parameters that nothing else gave. */
const LOCAL_CFG = '/local.cfg';
const BUILDER = 'the initrd builder';

const run = promisify(execFile);

/** Puts an initrd together. Throws BuildError when something is absent, or is wanted in one place by two. */
export async function assembleTree(options: TreeOptions): Promise<Tree<Part>> {
  const tools = [...FACT_TOOLS, ...extraTools(options.extras)];
  requireTools([BUSYBOX, ...tools]);
  const tree = new Tree<Part>(PARTS);
  const put = (part: Part, path: string, mode: number, content: Content, source: string) =>
    tree.add(part, { path, mode, content, source });
  const putFiles = (part: Part, files: Iterable<readonly [string, string]>, mode: number) => {
    for (const [path, file] of files) put(part, path, mode, { type: 'file', file }, file);
  };

  addSkeleton(put, options);
  const modules = join('/usr/lib/modules', options.kernelVersion);
  putFiles('modules', below(modules, options.modules.modules), 0o644);
  putFiles('firmware', below('/usr/lib/firmware', options.modules.firmware), 0o644);
  putFiles('agent', [['/usr/bin/swarmboot-agent', options.agent]], 0o755);
  const programs = tools.map((tool) => tool.path);
  putFiles('libraries', libraryPlaces([options.agent, ...programs]), 0o755);
  putFiles(
    'tools',
    programs.map((path) => [path, path]),
    0o755,
  );
  putFiles('busybox', [[BUSYBOX.path, BUSYBOX.path]], 0o755);
  for (const path of await appletPaths()) {
    const target = path.startsWith('/usr/bin/') ? 'busybox' : '../bin/busybox';
    if (!tree.has(path)) put('busybox', path, 0o777, { type: 'link', target }, BUSYBOX.path);
  }
  addSite(put, options);
  return tree;
}

type Put = (part: Part, path: string, mode: number, content: Content, source: string) => void;

const below = (folder: string, files: ReadonlyMap<string, string>) =>
  [...files].map(([path, file]) => [join(folder, path), file] as const);

const textContent = (lines: readonly string[]): Content => ({
  type: 'bytes',
  bytes: Buffer.from(lines.map((line) => `${line}\n`).join('')),
});

function addSkeleton(put: Put, options: TreeOptions): void {
  for (const [path, mode] of FOLDERS) put('skeleton', path, mode, { type: 'folder' }, BUILDER);
  for (const [path, target] of LINKS) put('skeleton', path, 0o777, { type: 'link', target }, BUILDER);
  const texts: readonly (readonly [path: string, lines: readonly string[]])[] = [
    ['/etc/hosts', ['127.0.0.1 localhost', '::1 localhost']],
    ['/etc/passwd', ['root:x:0:0:root:/root:/bin/sh']],
    ['/etc/group', ['root:x:0:']],
    [
      '/etc/os-release',
      [
        'NAME=Swarmboot',
        'ID=swarmboot',
        `VERSION_ID=${options.version}`,
        `PRETTY_NAME="Swarmboot ${options.version}"`,
      ],
    ],
  ];
  for (const [path, lines] of texts) put('skeleton', path, 0o644, textContent(lines), BUILDER);
  const entries = readdirSync(options.skeleton, { recursive: true, withFileTypes: true });
  for (const entry of entries.filter((found) => found.isFile())) {
    const file = join(entry.parentPath, entry.name);
    // Whoever checked the sources out may have a umask of his own: only what runs is told apart.
    const mode = (statSync(file).mode & 0o100) === 0 ? 0o644 : 0o755;
    put('skeleton', join('/', relative(options.skeleton, file)), mode, { type: 'file', file }, file);
  }
}

/** Where busybox wants its links, in the folders of a merged /usr. */
async function appletPaths(): Promise<string[]> {
  const { stdout } = await run(BUSYBOX.path, ['--list-full'], { env: {} });
  const paths = stdout.split('\n').filter((path) => /^(?:usr\/)?s?bin\/[^/]+$/.test(path));
  const merged = paths.map((path) => (path.startsWith('usr/') ? `/${path}` : `/usr/${path}`));
  return [...new Set(merged)].filter((path) => path !== BUSYBOX.path);
}

/** What differs from site to site, last: the other parts need not be made again for it. */
function addSite(put: Put, options: TreeOptions): void {
  for (const param of options.params) {
    if (!PARAMETER.test(param)) throw new BuildError(`"${param}" is no parameter; write --param NAME=value`);
  }
  // A node of the RAM disk has disks to find, unlike an agent that installs into a folder.
  const lines = ['DISKS_LAYOUT=search', ...options.params.map(quoted)];
  put('site', LOCAL_CFG, 0o644, textContent(lines), 'the parameters (--param)');
  for (const { file, path } of options.added) {
    const stat = statSync(file, { throwIfNoEntry: false });
    if (!stat?.isFile()) throw new BuildError(`${file} is no file; correct --add ${file}:${path}`);
    put('site', path, stat.mode & 0o777, { type: 'file', file }, `${file} (--add)`);
  }
}

/** As a parameter file wants it: in the quotes that the value does not use. */
function quoted(param: string): string {
  const equals = param.indexOf('=') + 1;
  const [name, value] = [param.slice(0, equals), param.slice(equals)];
  if (/^[\w.,:/@%+-]*$/.test(value)) return param;
  if (!value.includes('"')) return `${name}"${value}"`;
  throw new BuildError(
    `"${param}" has quotes in its value, which a parameter file cannot hold; leave them out`,
  );
}
