// Kernel packages of a few small modules, unpacked: real ELF files, so that depmod and modinfo read them like every other.

import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface FakeModule {
  /** Below `kernel/`: `drivers/net/ethernet/intel/e1000.ko`. */
  readonly path: string;
  /** Symbols that it gives to others, and that it needs from them. */
  readonly gives?: readonly string[];
  readonly needs?: readonly string[];
  /** Lines of its module information: `alias=...`, `firmware=...`, `softdep=...`. */
  readonly says?: readonly string[];
}

/** A network card with a helper and firmware, a file system with a wish, a disk, and what nobody would ask for. */
export const MODULES: readonly FakeModule[] = [
  { path: 'drivers/net/mii.ko', gives: ['mii_check'] },
  {
    path: 'drivers/net/ethernet/intel/e1000.ko',
    needs: ['mii_check'],
    says: [
      'alias=pci:v00008086d0000100Esv*sd*bc*sc*i*',
      'firmware=intel/e1000.bin',
      'firmware=intel/absent.bin',
    ],
  },
  { path: 'drivers/net/wireless/iwl.ko', needs: ['mii_check'] },
  { path: 'fs/ext4/ext4.ko', says: ['softdep=pre: crc32c'] },
  { path: 'crypto/crc32c_generic.ko', says: ['alias=crc32c'] },
  { path: 'drivers/ata/ata_piix.ko' },
  { path: 'sound/core/snd-pcm.ko' },
];

/** A folder as `dpkg -x` of a kernel package leaves it; depmod has not run. */
export function kernelPackage(
  folder: string,
  version: string,
  modules: readonly FakeModule[] = MODULES,
): string {
  const base = join(folder, 'lib/modules', version);
  mkdirSync(join(folder, 'boot'), { recursive: true });
  mkdirSync(base, { recursive: true });
  writeFileSync(join(folder, 'boot', `vmlinuz-${version}`), `kernel ${version}`);
  writeFileSync(join(base, 'modules.order'), modules.map(({ path }) => `kernel/${path}\n`).join(''));
  writeFileSync(join(base, 'modules.builtin'), 'kernel/net/packet/af_packet.ko\n');
  for (const module of modules) {
    const file = join(base, 'kernel', module.path);
    mkdirSync(dirname(file), { recursive: true });
    const { gives = [], needs = [], says = [] } = module;
    const source = [
      '.section .modinfo,"a"',
      ...says.map((line) => `.string "${line}"`),
      '.string "license=GPL"',
      '.section __ksymtab_strings,"a"',
      ...gives.map((symbol) => `.string "${symbol}"`),
      '.data',
      ...needs.map((symbol) => `.quad ${symbol}`),
      '.quad 0',
    ];
    execFileSync('/usr/bin/as', ['--64', '-o', file, '-'], { input: `${source.join('\n')}\n` });
  }
  return folder;
}
