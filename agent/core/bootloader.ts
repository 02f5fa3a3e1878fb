// How the new system is made to start by the tools of its own image, GRUB among them: what the image must bring, the
// commands in their order, and what the finished configuration says. Runs nothing.

import type { Command } from './command.ts';
import type { DiskPlan } from './diskplan.ts';
import { SwarmbootError } from './errors.ts';
import { parseKernelCommandLine } from './params.ts';
import type { SystemJob, TreeRoom } from './systemrooms.ts';
import { HEADER } from './targetfiles.ts';

const BUSYBOX = '/usr/bin/busybox';
export const GRUB_CONFIG = 'boot/grub/grub.cfg';
export const GRUB_DEFAULTS = 'etc/default/grub.d/swarmboot.cfg';
const UPDATE_INITRAMFS = 'usr/sbin/update-initramfs';

/** Places of the kernel in the target, for what runs in a chroot; in the order of mounting. */
const CHROOT_MOUNTS = [
  { folder: 'dev', options: ['-o', 'bind', '/dev'] },
  { folder: 'proc', options: ['-t', 'proc', 'proc'] },
  { folder: 'sys', options: ['-t', 'sysfs', 'sysfs'] },
  // Its own, so that nothing of the install stays below the folder.
  { folder: 'run', options: ['-t', 'tmpfs', '-o', 'mode=0755', 'tmpfs'] },
] as const;

/** Makes a chroot of the target usable. */
export function chrootMounts(tree: TreeRoom): Command[] {
  return CHROOT_MOUNTS.map(({ folder, options }) => ({
    argv: [BUSYBOX, 'mount', ...options, tree.folder(folder)],
    why: `mount /${folder} in the target`,
  }));
}

/** Undoes `chrootMounts`. Lazily: what still uses a place of the kernel must not keep the file systems of the target busy. */
export function chrootUnmounts(tree: TreeRoom): Command[] {
  return CHROOT_MOUNTS.map(({ folder }) => ({
    argv: [BUSYBOX, 'umount', '-l', tree.folder(folder)],
    why: `unmount /${folder} in the target`,
  })).reverse();
}

/** A command of the target's own, with the target as its root folder. */
export function inTarget(target: string, argv: readonly string[], why: string): Command {
  return { argv: [BUSYBOX, 'chroot', target, ...argv], why };
}

/** Where the EFI system partition is mounted in the new system. */
const EFI = 'boot/efi';
/** A folder on it in which no firmware looks for something to start. */
const EFI_UNFINISHED = `${EFI}/swarmboot.unfinished`;

/**
 * Puts a folder of the EFI system partition in the place of the whole: a boot loader that lies below /boot/efi of the image
 * must not start half a system after a power cut. Nothing is to be done on a BIOS, which starts boot code, not files.
 */
export function hideEfi({ plan, target }: SystemJob): Command[] {
  if (plan.firmware !== 'efi') return [];
  const [all, unfinished] = [`${target}/${EFI}`, `${target}/${EFI_UNFINISHED}`];
  return [
    // One may be there from an install that was cut off, on a partition that is kept.
    { argv: [BUSYBOX, 'rm', '-rf', unfinished], why: 'remove what an earlier install has left' },
    { argv: [BUSYBOX, 'mkdir', unfinished], why: 'make a folder that no firmware knows' },
    { argv: [BUSYBOX, 'sync'], why: 'let nothing of the system before be left on the disks' },
    { argv: [BUSYBOX, 'mount', '-o', 'bind', unfinished, all], why: `show it alone as /${EFI}` },
  ];
}

/** Undoes what hides the EFI system partition; without this it cannot be let go of. */
export function unmountHiddenEfi({ target }: SystemJob): Command {
  return { argv: [BUSYBOX, 'umount', `${target}/${EFI}`], why: `show all of /${EFI}` };
}

/** Puts what lay hidden where firmware looks for it; after `unmountHiddenEfi`. */
export function revealEfi({ target }: SystemJob): Command[] {
  const unfinished = `${target}/${EFI_UNFINISHED}`;
  return [
    {
      argv: [BUSYBOX, 'cp', '-R', `${unfinished}/.`, `${target}/${EFI}`],
      why: `put the image's files into /${EFI}`,
    },
    { argv: [BUSYBOX, 'rm', '-rf', unfinished], why: 'remove the folder that hid them' },
  ];
}

/** Throws SwarmbootError 'system' that names all that the image lacks to start by itself, with the Debian packages. */
export function checkBootable(tree: TreeRoom, plan: DiskPlan): void {
  const boot = tree.list('boot');
  const efi = plan.firmware === 'efi';
  const needs: readonly [there: boolean, what: string, packages: string][] = [
    [boot.some((name) => name.startsWith('vmlinuz')), 'a kernel (/boot/vmlinuz*)', 'linux-image-amd64'],
    [
      boot.some((name) => /^(initrd|initramfs)/.test(name)),
      'an initial RAM disk (/boot/initrd*)',
      'initramfs-tools, before the kernel',
    ],
    [tree.has('usr/sbin/grub-install'), '/usr/sbin/grub-install', 'grub2-common'],
    [tree.has('usr/sbin/grub-mkconfig'), '/usr/sbin/grub-mkconfig', 'grub-common'],
    efi
      ? [tree.has('usr/lib/grub/x86_64-efi'), 'GRUB for UEFI', 'grub-efi-amd64-bin']
      : [tree.has('usr/lib/grub/i386-pc'), 'GRUB for BIOS', 'grub-pc-bin'],
    ...plan.needs.map((path): [boolean, string, string] => [
      tree.has(path.slice(1)),
      path,
      PACKAGES[path] ?? 'the one with it',
    ]),
  ];
  const lacking = needs.filter(([there]) => !there);
  if (lacking.length === 0) return;
  const list = lacking.map(([, what, packages]) => `\n  ${what} (Debian: ${packages})`).join('');
  throw new SwarmbootError(
    'system',
    `the image cannot start by itself on these disks; it lacks:${list}\n  Put them into the image and publish it again.`,
  );
}

/** The Debian packages with the programs that DiskPlan.needs may name. */
const PACKAGES: Readonly<Record<string, string>> = { '/usr/sbin/mdadm': 'mdadm', '/usr/sbin/lvm': 'lvm2' };

/** The words that make the installer speak on a serial line; empty when it does not. */
export function serialConsoles(kernelCommandLine: string): string[] {
  const words = parseKernelCommandLine(kernelCommandLine).flatMap(({ name, value }) =>
    name === 'console' && value !== null && /^tty[A-Za-z0-9]{0,8}(,[0-9a-z]{1,12})?$/.test(value)
      ? [value]
      : [],
  );
  return words.some((word) => word.startsWith('ttyS')) ? words : [];
}

/** GRUB_DEFAULTS for a machine that is reached over its serial line: kernel and boot menu speak there, too. */
export function grubDefaultsText(consoles: readonly string[]): string {
  const line = consoles.map((word) => `console=${word}`).join(' ');
  const serial = consoles.findLast((word) => word.startsWith('ttyS'))!;
  const unit = /^ttyS(\d*)/.exec(serial)?.[1] || '0';
  const speed = /,(\d+)/.exec(serial)?.[1] ?? '9600';
  return `${HEADER}GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX ${line}"
GRUB_TERMINAL="console serial"
GRUB_SERIAL_COMMAND="serial --unit=${unit} --speed=${speed}"
`;
}

/**
 * Commands up to the configuration. grub-mkconfig names the root file system by its UUID only where udev has made a link
 * for it, and the installer has no udev; `rootDevice` is what holds the target's root.
 */
export function configureCommands(job: SystemJob, tree: TreeRoom, rootDevice: string): Command[] {
  const { plan, target } = job;
  const commands: Command[] = [];
  if (plan.needs.some((path) => /\/(mdadm|lvm)$/.test(path)) && tree.has(UPDATE_INITRAMFS)) {
    commands.push(
      inTarget(
        target,
        [`/${UPDATE_INITRAMFS}`, '-u', '-k', 'all'],
        'put RAID and LVM into the initial RAM disk',
      ),
    );
  }
  const uuid = /^UUID=([0-9A-Za-z-]+)$/.exec(rootOf(plan))?.[1];
  if (uuid !== undefined) {
    const folder = '/dev/disk/by-uuid';
    commands.push(
      { argv: [BUSYBOX, 'mkdir', '-p', folder], why: `make ${folder}` },
      {
        argv: [BUSYBOX, 'ln', '-sfn', rootDevice, `${folder}/${uuid}`],
        why: 'let the boot loader find the root file system by its UUID',
      },
    );
  }
  const why = 'write the configuration of the boot loader';
  commands.push(inTarget(target, ['/usr/sbin/grub-mkconfig', '-o', `/${GRUB_CONFIG}`], why));
  return commands;
}

/**
 * Waits until each file system of the target has on its disk what was written to it, and fails when one could not write it:
 * syncfs(2) tells, sync(2) does not.
 */
export function flushTarget({ plan, target }: SystemJob): Command {
  const mounts = plan.fstab.filter(({ type }) => type !== 'swap').map(({ mountPoint }) => mountPoint);
  const folders = mounts.map((mountPoint) => (mountPoint === '/' ? target : `${target}${mountPoint}`));
  return { argv: [BUSYBOX, 'sync', '-f', ...folders], why: 'write everything to the disks' };
}

/** Commands that make the disks startable: the very last, and with all else on the disks by then. */
export function installCommands(job: SystemJob): Command[] {
  const { plan, target } = job;
  const command = (why: string, ...options: string[]) =>
    inTarget(target, ['/usr/sbin/grub-install', ...options], why);
  const flush = flushTarget(job);
  if (plan.firmware === 'bios') {
    const disks = plan.bootDisks.map((disk) =>
      command(`install the boot loader on ${disk}`, '--target=i386-pc', disk),
    );
    return [flush, ...disks];
  }
  const options = ['--target=x86_64-efi', '--efi-directory=/boot/efi', '--removable', '--no-nvram'];
  return [flush, command('install the boot loader on the EFI system partition', ...options)];
}

/** What a machine started by this configuration would run: the kernel and RAM disk of its first entry. */
export interface BootEntry {
  /** Names in /boot. */
  readonly kernel: string;
  readonly initrd: string;
  readonly commandLine: string;
}

/** Throws SwarmbootError 'system' when the text has no entry with a kernel and its RAM disk. */
export function parseGrubConfig(text: string): BootEntry {
  const linux = /^[ \t]*linux[ \t]+(\S+)[ \t]*(.*)$/m.exec(text);
  const rest =
    linux === null ? '' : text.slice(linux.index + linux[0].length).split(/^\s*(?:menuentry|\})/m)[0]!;
  // Several are read one after the other; the last is the system's, what comes before it is microcode.
  const initrd = /^[ \t]*initrd[ \t]+(?:\S+[ \t]+)*(\S+)[ \t]*$/m.exec(rest);
  const nameOf = (path: string | undefined) => path?.split('/').at(-1) ?? '';
  const entry = {
    kernel: nameOf(linux?.[1]),
    initrd: nameOf(initrd?.[1]),
    commandLine: linux?.[2]?.trim() ?? '',
  };
  if (entry.kernel !== '' && entry.initrd !== '') return entry;
  throw new SwarmbootError(
    'system',
    `/${GRUB_CONFIG} of the target starts no kernel with an initial RAM disk; look for what grub-mkconfig said in the log, and that the image has both for the same version`,
  );
}

/** Loads the system that the boot loader would start. */
export function kexecLoad(tree: TreeRoom, entry: BootEntry): Command {
  const boot = tree.folder('boot');
  return {
    argv: [
      '/usr/sbin/kexec',
      '-s',
      '-l',
      `${boot}/${entry.kernel}`,
      `--initrd=${boot}/${entry.initrd}`,
      `--command-line=${entry.commandLine}`,
    ],
    why: 'load the kernel of the new system',
  };
}

function rootOf(plan: DiskPlan): string {
  return plan.fstab.find(({ mountPoint }) => mountPoint === '/')?.source ?? '';
}
