// A small Debian in which the package is tried: what it depends on and a few tools, not the package itself. Kept in build/deb-lab
// as long as its definition stays the same; each test gets a copy that it may spoil.

import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { debianSources, debianSuite } from '../../scripts/demo/image.ts';

const TOP = join(import.meta.dirname, '..', '..');
const LAB = join(TOP, 'build', 'deb-lab');
/** For `initrd build`, whose tools are recommended only. */
const EXTRAS = ['busybox-static', 'kmod'];

/** The packages that `make deb-test` has built: a version, and the next one. */
export function builtPackages(): readonly [first: string, next: string] {
  const folder = join(TOP, 'build', 'deb');
  const [first, next] = readdirSync(folder)
    .filter((name) => /~test\d_amd64\.deb$/.test(name))
    .sort();
  if (first === undefined || next === undefined)
    throw new Error(`no two versions in ${folder}; run: make deb-test`);
  return [join(folder, first), join(folder, next)];
}

/** Makes the root with mmdebstrap when it is not there; this wants a Debian archive. */
export async function prepareRoot(): Promise<string> {
  if (process.getuid?.() !== 0) throw new Error('only root can install packages: sudo make deb-test');
  const [first] = builtPackages();
  const depends = execFileSync('dpkg-deb', ['--field', first, 'Depends'], { encoding: 'utf8' });
  // Of alternatives the first; versions are what the suite has.
  const names = depends.split(',').map((item) => item.trim().split(/[ |]/)[0]!);
  const suite = await debianSuite();
  const include = [...new Set([...names, ...EXTRAS])].sort().join(',');
  const key = createHash('sha256').update(`${suite} ${include}`).digest('hex').slice(0, 12);
  const archive = join(LAB, `root-${key}.tar`);
  if (existsSync(archive)) return archive;
  rmSync(LAB, { recursive: true, force: true });
  mkdirSync(LAB, { recursive: true });
  const args = [
    ...['--mode=root', '--format=tar', '--variant=minbase', `--include=${include}`],
    ...['--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr', suite, archive, ...(await debianSources())],
  ];
  const { status, stderr } = spawnSync('/usr/bin/mmdebstrap', args, { encoding: 'utf8' });
  if (status === 0) return archive;
  rmSync(archive, { force: true });
  throw new Error(`mmdebstrap ended with status ${status}:\n${stderr.split('\n').slice(-8).join('\n')}`);
}

export interface Outcome {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

interface Test {
  after(done: () => void): void;
}

/** A machine, as far as a folder is one: no process but ours runs in it. */
export class Root {
  readonly folder: string;

  /** A copy of the one that was prepared. */
  constructor(test: Test) {
    this.folder = mkdtempSync(join(LAB, 'machine-'));
    test.after(() => {
      execFileSync('/usr/bin/umount', [join(this.folder, 'proc')]);
      rmSync(this.folder, { recursive: true });
    });
    const archive = readdirSync(LAB).find((name) => /^root-\w+\.tar$/.test(name));
    if (archive === undefined) throw new Error(`no root in ${LAB}; run: make deb-test`);
    const words = [
      '--extract',
      '--numeric-owner',
      '--preserve-permissions',
      '--xattrs',
      '--xattrs-include=*',
    ];
    execFileSync('/usr/bin/tar', [...words, '-C', this.folder, '-f', join(LAB, archive)]);
    execFileSync('/usr/bin/mount', ['-t', 'proc', 'proc', join(this.folder, 'proc')]);
  }

  /** The place of a path of this root. */
  path(path: string): string {
    return join(this.folder, path);
  }

  has(path: string): boolean {
    return existsSync(this.path(path));
  }

  run(...words: readonly string[]): Outcome {
    return this.runAs('root:root', ...words);
  }

  runAs(user: string, ...words: readonly string[]): Outcome {
    const [program, ...args] = chrooted(this.folder, user, words);
    const done = spawnSync(program!, args, { encoding: 'utf8', env: ENVIRONMENT });
    return { status: done.status, out: done.stdout, err: done.stderr };
  }

  /** What it prints. Throws when it fails. */
  must(...words: readonly string[]): string {
    const { status, out, err } = this.run(...words);
    if (status !== 0) throw new Error(`${words.join(' ')} ended with status ${status}:\n${out}${err}`);
    return out;
  }

  /** Every path outside of dpkg's own books, caches, logs, and what is gone at the next boot. */
  paths(): string[] {
    const skipped = /^\/(?:proc|dev|sys|run|tmp|var\/lib\/dpkg|var\/cache|var\/log)(?:\/|$)/;
    const out = execFileSync('/usr/bin/find', [this.folder, '-xdev', '-printf', '/%P\\n'], {
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    });
    return out
      .split('\n')
      .filter((path) => path !== '' && !skipped.test(path))
      .sort();
  }
}

/** What services and maintainer scripts get, and nothing of ours. */
export const ENVIRONMENT = {
  PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
  DEBIAN_FRONTEND: 'noninteractive',
  LC_ALL: 'C.UTF-8',
};

/** The command line that runs `words` in the root as that user. */
export function chrooted(folder: string, user: string, words: readonly string[]): string[] {
  return ['/usr/sbin/chroot', `--userspec=${user}`, folder, ...words];
}
