// What the tests of signed boot have in common: an image server whose boot files are signed by the commands of
// docs/secureboot.md, and files in which something is changed after that.

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { kernelRoot } from './kernel.ts';
import { INTERFACE, Lab, type Machine, type MachineOptions, REPO } from './lab.ts';

export const PAGE = readFileSync(new URL('../../docs/secureboot.md', import.meta.url), 'utf8');
/** Where the page keeps keys. */
export const ETC = '/etc/swarmboot';
export const BOOT = join(REPO, 'boot');
/** In the place of the page's own: a machine that waits writes nothing. */
export const COMMAND_LINE = 'console=ttyS0 IMAGESERVER=http://10.9.0.1:8080 WAIT=y';
/** What a machine takes at most until it has booted, or has refused to. */
export const BOOT_MS = 300_000;
const SERVE_MS = 300_000;
const MODULES = 'virtio_net,virtio_blk,virtio_pci';

/** An image server that has boot files, not signed yet, and nobody who gives addresses. */
export async function serveBootFiles(name: string): Promise<Lab> {
  const lab = Lab.serve(
    name,
    `swarmboot initrd build --kernel ${kernelRoot()} --level 3 --modules ${MODULES}
    swarmboot pxe config --mode dhcp --range 10.9.0.100,10.9.0.199 --interface ${INTERFACE}
    exec node scripts/swarmboot.ts serve`,
  );
  await lab.until(/first seeder: port \d+\n/, SERVE_MS);
  return lab;
}

/** Answers DHCP and TFTP as `swarmboot pxe config` has it, with more options of dnsmasq; ends with the test's namespaces. */
export function answerDhcp(...more: readonly string[]): void {
  execFileSync('/usr/sbin/dnsmasq', [`--conf-file=${REPO}/dnsmasq.conf`, ...more]);
}

export function bash(script: string): void {
  execFileSync('/bin/bash', ['-euc', script], { stdio: 'ignore' });
}

/** Does `act` while files in REPO/boot, by their names, have other bytes. */
export async function withChanged(
  files: Readonly<Record<string, Uint8Array>>,
  act: () => Promise<void>,
): Promise<void> {
  const before = Object.keys(files).map((name) => [name, readFileSync(join(BOOT, name))] as const);
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(BOOT, name), bytes);
  try {
    await act();
  } finally {
    for (const [name, bytes] of before) writeFileSync(join(BOOT, name), bytes);
  }
}

/** A file of REPO/boot with the lowest bit of its middle byte flipped. */
export function flipped(name: string): Uint8Array {
  const bytes = readFileSync(join(BOOT, name));
  bytes[bytes.length >> 1]! ^= 1;
  return bytes;
}

/** The UEFI machine of that number, without power. */
export function machine(
  lab: Lab,
  name: string,
  number: number,
  rest: Pick<MachineOptions, 'disks' | 'secureBoot'>,
): Machine {
  const mac = `52:54:00:09:03:0${number}`;
  return lab.machine({
    name: `${name}-${number}`,
    mac,
    boots: 'UEFI',
    card: 'virtio-net-pci',
    memoryMib: 1024,
    ...rest,
  });
}
