import { deepEqual, equal, match, throws } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  checkBootable,
  configureCommands,
  grubDefaultsText,
  hideEfi,
  installCommands,
  kexecLoad,
  parseGrubConfig,
  revealEfi,
  serialConsoles,
  unmountHiddenEfi,
} from '../../agent/core/bootloader.ts';
import { formatCommand } from '../../agent/core/command.ts';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { openTree } from '../../agent/io/target.ts';
import { scratch } from '../content.ts';
import { makeJob, PLAN, ROOT_UUID } from '../systems.ts';

const BOOTABLE = [
  'boot/vmlinuz-6.1.0-50-amd64',
  'boot/initrd.img-6.1.0-50-amd64',
  'usr/sbin/grub-install',
  'usr/sbin/grub-mkconfig',
  'usr/lib/grub/i386-pc/modinfo.sh',
];

function treeOf(t: TestContext, paths: readonly string[]) {
  const root = scratch(t);
  for (const path of paths) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), '');
  }
  return openTree(root);
}

const fault = (pattern: RegExp) => (error: unknown) =>
  error instanceof SwarmbootError && error.code === 'system' && pattern.test(error.message);

test('an image with kernel, RAM disk and GRUB for this firmware is accepted', (t) => {
  checkBootable(treeOf(t, BOOTABLE), PLAN);
});

test('all that an image lacks is named at once, with the packages that bring it', (t) => {
  throws(
    () => checkBootable(treeOf(t, []), { ...PLAN, needs: ['/usr/sbin/mdadm'] }),
    fault(
      /kernel.*linux-image-amd64.*initrd.*initramfs-tools.*grub-install.*grub2-common.*grub-mkconfig.*grub-common.*BIOS.*grub-pc-bin.*\/usr\/sbin\/mdadm \(Debian: mdadm\)/s,
    ),
  );
});

test('GRUB for the other firmware is not enough', (t) => {
  throws(
    () => checkBootable(treeOf(t, BOOTABLE), { ...PLAN, firmware: 'efi' }),
    fault(/lacks:\n {2}GRUB for UEFI \(Debian: grub-efi-amd64-bin\)\n/),
  );
});

const commands = (list: readonly Parameters<typeof formatCommand>[0][]) => list.map(formatCommand);

test('the root file system gets its link by UUID before GRUB is configured', (t) => {
  deepEqual(commands(configureCommands(makeJob(), treeOf(t, BOOTABLE), '/dev/vda2')), [
    '/usr/bin/busybox mkdir -p /dev/disk/by-uuid',
    `/usr/bin/busybox ln -sfn /dev/vda2 /dev/disk/by-uuid/${ROOT_UUID}`,
    '/usr/bin/busybox chroot /a /usr/sbin/grub-mkconfig -o /boot/grub/grub.cfg',
  ]);
});

test('with RAID or LVM below it, the initial RAM disk is made anew', (t) => {
  const [root] = PLAN.fstab;
  const plan = {
    ...PLAN,
    needs: ['/usr/sbin/lvm'],
    fstab: [{ ...root!, source: '/dev/mapper/system-root' }],
  };
  const tree = treeOf(t, [...BOOTABLE, 'usr/sbin/update-initramfs']);
  deepEqual(commands(configureCommands(makeJob({ plan }), tree, '/dev/mapper/system-root')), [
    '/usr/bin/busybox chroot /a /usr/sbin/update-initramfs -u -k all',
    '/usr/bin/busybox chroot /a /usr/sbin/grub-mkconfig -o /boot/grub/grub.cfg',
  ]);
});

test('BIOS: all is on the disks before GRUB goes onto each of them', () => {
  const plan = { ...PLAN, bootDisks: ['/dev/vda', '/dev/vdb'] };
  deepEqual(commands(installCommands(makeJob({ plan }))), [
    '/usr/bin/busybox sync -f /a /a/boot/efi',
    '/usr/bin/busybox chroot /a /usr/sbin/grub-install --target=i386-pc /dev/vda',
    '/usr/bin/busybox chroot /a /usr/sbin/grub-install --target=i386-pc /dev/vdb',
  ]);
});

test('UEFI: GRUB goes where every firmware looks, and the firmware keeps its own list', () => {
  deepEqual(commands(installCommands(makeJob({ plan: { ...PLAN, firmware: 'efi' } }))), [
    '/usr/bin/busybox sync -f /a /a/boot/efi',
    '/usr/bin/busybox chroot /a /usr/sbin/grub-install --target=x86_64-efi --efi-directory=/boot/efi --removable --no-nvram',
  ]);
});

test('a serial console of the installer becomes one of the new system, the screen beside it', () => {
  const consoles = serialConsoles('quiet console=tty0 console=ttyS1,115200n8 console=$(x)');
  deepEqual(consoles, ['tty0', 'ttyS1,115200n8']);
  const text = grubDefaultsText(consoles);
  const read = `GRUB_CMDLINE_LINUX=quiet; ${text}echo "$GRUB_CMDLINE_LINUX|$GRUB_TERMINAL|$GRUB_SERIAL_COMMAND"`;
  equal(
    execFileSync('/usr/bin/busybox', ['sh', '-c', read], { encoding: 'utf8' }),
    'quiet console=tty0 console=ttyS1,115200n8|console serial|serial --unit=1 --speed=115200\n',
  );
});

test('a machine with a screen alone keeps the settings of its image', () => {
  deepEqual(serialConsoles('quiet console=tty0'), []);
  deepEqual(serialConsoles('quiet'), []);
});

test("without a speed, the kernel's own is taken", () => {
  match(grubDefaultsText(['ttyS0']), /serial --unit=0 --speed=9600"/);
});

const GRUB_CFG = `
set default="0"
menuentry 'Debian GNU/Linux' --class debian {
	load_video
	echo	'Loading Linux 6.1.0-50-amd64 ...'
	linux	/boot/vmlinuz-6.1.0-50-amd64 root=UUID=${ROOT_UUID} ro quiet console=ttyS0
	echo	'Loading initial ramdisk ...'
	initrd	/boot/early-ucode.cpio /boot/initrd.img-6.1.0-50-amd64
}
menuentry 'Debian GNU/Linux, with Linux 6.1.0-49-amd64' {
	linux	/boot/vmlinuz-6.1.0-49-amd64 root=UUID=${ROOT_UUID} ro
	initrd	/boot/initrd.img-6.1.0-49-amd64
}
`;

test('the first entry of grub.cfg says what will start', () => {
  deepEqual(parseGrubConfig(GRUB_CFG), {
    kernel: 'vmlinuz-6.1.0-50-amd64',
    initrd: 'initrd.img-6.1.0-50-amd64',
    commandLine: `root=UUID=${ROOT_UUID} ro quiet console=ttyS0`,
  });
});

test('a kernel without its own RAM disk is a fault, whatever other kernels have', () => {
  throws(() => parseGrubConfig(GRUB_CFG.replace(/\tinitrd.*ucode.*\n/, '')), fault(/grub-mkconfig/));
  throws(() => parseGrubConfig('set default="0"\n'), fault(/starts no kernel/));
});

test('kexec loads what the boot loader would start', (t) => {
  const tree = treeOf(t, BOOTABLE);
  deepEqual(kexecLoad(tree, parseGrubConfig(GRUB_CFG)).argv, [
    '/usr/sbin/kexec',
    '-s',
    '-l',
    `${tree.folder('boot')}/vmlinuz-6.1.0-50-amd64`,
    `--initrd=${tree.folder('boot')}/initrd.img-6.1.0-50-amd64`,
    `--command-line=root=UUID=${ROOT_UUID} ro quiet console=ttyS0`,
  ]);
});

test('on UEFI a folder hides the EFI system partition, and its files come to their place; on BIOS nothing is hidden', () => {
  deepEqual(hideEfi(makeJob()), []);
  const job = makeJob({ plan: { ...PLAN, firmware: 'efi' } });
  const [all, unfinished] = ['/a/boot/efi', '/a/boot/efi/swarmboot.unfinished'];
  const busybox = (words: string) => `/usr/bin/busybox ${words}`;
  deepEqual(hideEfi(job).map(formatCommand), [
    busybox(`rm -rf ${unfinished}`),
    busybox(`mkdir ${unfinished}`),
    busybox('sync'),
    busybox(`mount -o bind ${unfinished} ${all}`),
  ]);
  deepEqual([unmountHiddenEfi(job), ...revealEfi(job)].map(formatCommand), [
    busybox(`umount ${all}`),
    busybox(`cp -R ${unfinished}/. ${all}`),
    busybox(`rm -rf ${unfinished}`),
  ]);
});
