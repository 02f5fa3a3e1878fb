// Signed boot, as docs/secureboot.md has it: a machine whose firmware starts only what is signed boots over the network, and
// refuses what is not. One machine at a time; nothing is installed.

import { doesNotMatch, match } from 'node:assert/strict';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { kernelRoot } from './kernel.ts';
import { type Lab, type Machine, shellOf } from './lab.ts';
import {
  answerDhcp,
  BOOT,
  BOOT_MS,
  bash,
  COMMAND_LINE,
  ETC,
  flipped,
  machine,
  PAGE,
  serveBootFiles,
  withChanged,
} from './signed.ts';
import { OVMF_VARS } from './vm.ts';

const VARIABLES = '/run/variables.fd';
/** What iPXE says of whatever the firmware does not load for it. */
const NOT_LOADED = /boot\/kernel\.\.\.[^\n]* ok\nCould not select: Exec format error/;

let lab: Lab;
let machines = 0;

before(async () => {
  lab = await serveBootFiles('secureboot');
  mkdirSync(ETC, { recursive: true });
  writeFileSync(join(ETC, 'command-line'), COMMAND_LINE);
  for (const heading of ['Keys', 'Sign']) bash(shellOf(PAGE, heading));
  // As a firmware's setup does it: the certificate as the key of the platform, and as one that may sign.
  copyFileSync(OVMF_VARS, VARIABLES);
  bash(`cd ${ETC}; cert-to-efi-sig-list secureboot.pem list
    for name in db KEK PK; do flash-var ${VARIABLES} $name list; done`);
  answerDhcp();
});
after(() => lab?.stop());

test('a signed loader and a signed image boot up to the agent, with the command line that was signed', async () => {
  const { vm } = start();
  await vm.until(/this machine waits\./, BOOT_MS);
  match(vm.console, new RegExp(`Command line: ${COMMAND_LINE}\n`));
  await vm.kill();
});

test('an image in which one bit of the RAM disk is another is refused', async () => {
  await refused('kernel', flipped('kernel'), NOT_LOADED);
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
function refused(name: string, bytes: Uint8Array, said: RegExp): Promise<void> {
  return withChanged({ [name]: bytes }, async () => {
    const { vm } = start();
    await vm.until(said, BOOT_MS);
    doesNotMatch(vm.console, /Linux version|Run \/init/);
    await vm.kill();
  });
}

function start(): Machine {
  machines += 1;
  return machine(lab, 'secureboot', machines, { secureBoot: VARIABLES, disks: 0 }).powerOn();
}
