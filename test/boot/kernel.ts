// Debian's kernel with all its modules, unpacked but not installed: what an initrd for virtual machines is built from,
// whatever kernel this machine runs. Never the cloud kernel: that has no e1000.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { BUILD } from './image.ts';

/** Depends on the newest kernel, whose package has its version in the name. */
const NEWEST = 'linux-image-amd64';

/**
 * The folder that holds `boot/vmlinuz-VERSION` and `lib/modules/VERSION`: KERNEL_ROOT of the environment, or
 * build/boot-lab/kernel, which the first call fills. Throws when the package cannot be had.
 */
export function kernelRoot(): string {
  const { KERNEL_ROOT } = process.env;
  if (KERNEL_ROOT !== undefined) return KERNEL_ROOT;
  const root = join(BUILD, 'kernel');
  if (existsSync(root)) return root;
  mkdirSync(BUILD, { recursive: true });
  const work = mkdtempSync(join(BUILD, 'kernel-unfinished-'));
  try {
    const facts = run('/usr/bin/apt-cache', ['depends', NEWEST], work);
    const name = /Depends: (linux-image-\d[\w.+-]*-amd64)$/m.exec(facts)?.[1];
    if (name === undefined) throw new Error(`apt knows no ${NEWEST}: apt-get update`);
    run('/usr/bin/apt-get', ['--quiet', '-o', 'APT::Sandbox::User=root', 'download', name], work);
    const packed = readdirSync(work).find((file) => file.endsWith('.deb'));
    if (packed === undefined) throw new Error(`apt-get download ${name} brought no package`);
    run('/usr/bin/dpkg', ['--extract', packed, 'root'], work);
    renameSync(join(work, 'root'), root);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return root;
}

function run(program: string, args: readonly string[], cwd: string): string {
  return execFileSync(program, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}
