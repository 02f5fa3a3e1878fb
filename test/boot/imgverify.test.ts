// Signed boot without Secure Boot, as docs/secureboot.md has it: an iPXE from a stick checks kernel and RAM disk itself, boots
// what the site has signed, and nothing else. On its network DHCP names another authority. One machine at a time; nothing is
// installed.

import { doesNotMatch, equal, match, ok } from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
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

/** Of somebody else, with keys made by the same commands. */
const OTHER = '/run/other';
const SIGNATURES = ['kernel.sig', 'initrd.img.sig'] as const;
const SITE_WORDS = 'quiet IMAGESERVER=http://10.9.0.1:8080 IMAGENAME=web DISKS_LAYOUT=web';
/** The DHCP option that iPXE reads its setting `trust` from, as dnsmasq calls it. */
const TRUST_OPTION = 'encap:175,90';
/** What an iPXE that was built without `TRUST=` believes: the authority of ipxe.org. */
const BUILT_IN = '9faf717b7f8ca2f93c256c79f8ac5591895d66d1ff3bee6397a70d29c65eed1a';
const STICK = '/run/stick';

const script = /^```ipxe\n(.*?)^```$/ms.exec(PAGE)![1]!.replace(SITE_WORDS, COMMAND_LINE);
/** Built for nobody in particular: `make secureboot-test` fetches it. */
const loader = readFileSync(new URL('../../build/ipxe/ipxe.efi', import.meta.url));
let lab: Lab;
let machines = 0;

before(async () => {
  lab = await serveBootFiles('imgverify');
  for (const folder of [OTHER, ETC]) {
    mkdirSync(folder, { recursive: true });
    bash(shellOf(PAGE, 'imgverify').replaceAll(ETC, folder));
    for (const name of SIGNATURES) copyFileSync(join(BOOT, name), join(folder, name));
  }
  answerDhcp(`--dhcp-option-force=${TRUST_OPTION},${fingerprint(OTHER)}`);
  makeStick();
});
after(() => lab?.stop());

test('iPXE boots a kernel and a RAM disk that the site has signed, up to the agent', async () => {
  const { vm } = start('disk');
  await vm.until(/this machine waits\./, BOOT_MS);
  match(vm.console, new RegExp(`Command line: kernel initrd=initrd.img ${COMMAND_LINE}\n`));
  await vm.kill();
});

test('iPXE refuses a RAM disk in which one bit is another, and a kernel', async () => {
  for (const name of ['initrd.img', 'kernel'])
    await withChanged({ [name]: flipped(name) }, () => refused(name));
});

test('iPXE refuses what another authority has signed, though DHCP names that one', async () => {
  await withChanged(signedByOthers(), () => refused('kernel'));
});

test('an iPXE from the network that was built without an authority believes the one that DHCP names', async () => {
  writeFileSync(join(BOOT, 'snponly.efi'), loader);
  // What the script inside it asks for.
  writeFileSync(join(BOOT, 'menu.ipxe'), script);
  await withChanged(signedByOthers(), async () => {
    const { vm } = start('network');
    await vm.until(/boot\/initrd\.img\.sig\.\.\. ok\n.*Linux version/s, BOOT_MS);
    await vm.kill();
  });
});

/** Until a machine has said that the file is not what its signature says, and that it tries again. */
async function refused(name: string): Promise<void> {
  const { vm } = start('disk');
  const said = `boot/${name}\\.sig\\.\\.\\. ok\nCould not verify: Permission denied.*\nNothing is started`;
  await vm.until(new RegExp(said), BOOT_MS);
  doesNotMatch(vm.console, /Linux version|Run \/init/);
  await vm.kill();
}

function signedByOthers(): Record<string, Uint8Array> {
  return Object.fromEntries(SIGNATURES.map((name) => [name, readFileSync(join(OTHER, name))]));
}

/** A machine that starts from the network, or from the stick. */
function start(from: 'network' | 'disk'): Machine {
  machines += 1;
  const disks = from === 'network' ? 0 : [`fat:rw:${STICK}`];
  return machine(lab, 'imgverify', machines, { disks }).powerOn(from);
}

/** An iPXE as if built with `TRUST=bootca.pem EMBED=boot.ipxe`, in a folder that QEMU shows as a stick. */
function makeStick(): void {
  const bytes = Buffer.from(loader);
  replace(bytes, Buffer.from(BUILT_IN, 'hex'), Buffer.from(fingerprint(ETC).replaceAll(':', ''), 'hex'));
  const begin = bytes.indexOf('#!ipxe\n');
  const embedded = bytes.subarray(begin, bytes.indexOf(0, begin));
  replace(bytes, Buffer.from(embedded), Buffer.from(script.padEnd(embedded.length, '\n')));
  mkdirSync(join(STICK, 'EFI/BOOT'), { recursive: true });
  writeFileSync(join(STICK, 'EFI/BOOT/BOOTX64.EFI'), bytes);
}

/** In `bytes`, in the one place that holds `old`. */
function replace(bytes: Buffer, old: Buffer, by: Buffer): void {
  equal(by.length, old.length);
  const at = bytes.indexOf(old);
  ok(at > 0 && !bytes.includes(old, at + 1));
  by.copy(bytes, at);
}

/** As iPXE and dnsmasq write it: SHA-256 of an authority's certificate. */
function fingerprint(folder: string): string {
  return new X509Certificate(readFileSync(join(folder, 'bootca.pem'))).fingerprint256;
}
