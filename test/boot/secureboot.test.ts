// Signed boot, as docs/secureboot.md has it: a machine whose firmware starts only what is signed boots over the network, and
// refuses what is not. One machine at a time; nothing is installed.

import { doesNotMatch, match } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { kernelRoot } from './kernel.ts';
import { INTERFACE, Lab, type Machine, REPO, shellOf } from './lab.ts';
import { OVMF_VARS } from './vm.ts';

const ETC = '/etc/swarmboot';
const BOOT = join(REPO, 'boot');
const COMMAND_LINE = 'console=ttyS0 IMAGESERVER=http://10.9.0.1:8080 WAIT=y';
const VARIABLES = '/run/variables.fd';
const MODULES = 'virtio_net,virtio_blk,virtio_pci';
const BOOT_MS = 300_000;
const MINUTE = 60_000;
/** What iPXE says of whatever the firmware does not load for it. */
const NOT_LOADED = /boot\/kernel\.\.\.[^\n]* ok\nCould not select: Exec format error/;

let lab: Lab;
let machines = 0;

before(async () => {
  lab = Lab.serve(
    'secureboot',
    `swarmboot initrd build --kernel ${kernelRoot()} --level 3 --modules ${MODULES}
    swarmboot pxe config --mode dhcp --range 10.9.0.100,10.9.0.199 --interface ${INTERFACE}
    /usr/sbin/dnsmasq --conf-file=${REPO}/dnsmasq.conf
    exec node scripts/swarmboot.ts serve`,
  );
  await lab.until(/first seeder: port \d+\n/, 5 * MINUTE);
  mkdirSync(ETC, { recursive: true });
  writeFileSync(join(ETC, 'command-line'), COMMAND_LINE);
  const page = readFileSync(new URL('../../docs/secureboot.md', import.meta.url), 'utf8');
  for (const heading of ['Keys', 'Sign']) bash(shellOf(page, heading));
  // As a firmware's setup does it: the certificate as the key of the platform, and as one that may sign.
  copyFileSync(OVMF_VARS, VARIABLES);
  bash(`cd ${ETC}; cert-to-efi-sig-list secureboot.pem list
    for name in db KEK PK; do flash-var ${VARIABLES} $name list; done`);
});
after(() => lab?.stop());

test('a signed loader and a signed image boot up to the agent, with the command line that was signed', async () => {
  const { vm } = start();
  await vm.until(/this machine waits\./, BOOT_MS);
  match(vm.console, new RegExp(`Command line: ${COMMAND_LINE}\n`));
  await vm.kill();
});

test('an image in which one bit of the RAM disk is another is refused', async () => {
  const path = join(BOOT, 'kernel');
  const image = readFileSync(path);
  image[image.length >> 1]! ^= 1;
  await refused('kernel', image, NOT_LOADED);
});

test('an image that nobody has signed is refused, and so is a kernel that others have signed', async () => {
  await refused('kernel', readFileSync(join(BOOT, 'unified.efi')), NOT_LOADED);
  const boot = join(kernelRoot(), 'boot');
  const name = readdirSync(boot).find((file) => file.startsWith('vmlinuz-'));
  await refused('kernel', readFileSync(join(boot, name!)), NOT_LOADED);
});

test('a loader that nobody has signed is refused by the firmware', async () => {
  await refused('snponly.efi', readFileSync('/usr/lib/ipxe/snponly.efi'), /failed to load .*: Access Denied/);
});

/** Puts `bytes` in the place of a file in REPO/boot, and awaits that a machine refuses to start it. */
async function refused(name: string, bytes: Uint8Array, said: RegExp): Promise<void> {
  const path = join(BOOT, name);
  const before = readFileSync(path);
  writeFileSync(path, bytes);
  const { vm } = start();
  await vm.until(said, BOOT_MS);
  doesNotMatch(vm.console, /Linux version|Run \/init/);
  await vm.kill();
  writeFileSync(path, before);
}

function bash(script: string): void {
  execFileSync('/bin/bash', ['-euc', script], { stdio: 'ignore' });
}

function start(): Machine {
  machines += 1;
  const mac = `52:54:00:09:03:0${machines}`;
  const rest = {
    boots: 'UEFI',
    secureBoot: VARIABLES,
    card: 'virtio-net-pci',
    memoryMib: 1024,
    disks: 0,
  } as const;
  return lab.machine({ name: `secureboot-${machines}`, mac, ...rest }).powerOn();
}
