// The golden client's tree that the boot test installs: a Debian that an admin of small machines might make. It boots from
// BIOS and UEFI, has the drivers of two network cards, and holds what an installer tends to lose: a file capability, an
// ACL, known content. Kept in build/boot-lab as long as its definition stays the same.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { debianSources, debianSuite } from '../../scripts/demo/image.ts';

/** Where the boot test keeps what it makes. */
export const BUILD = join(import.meta.dirname, '..', '..', 'build', 'boot-lab');

/** Of root, at the serial console. */
export const PASSWORD = 'swarmboot';

const PACKAGES = [
  // The system, with a kernel that knows e1000 as well as virtio.
  ...['systemd-sysv', 'udev', 'linux-image-amd64', 'initramfs-tools', 'zstd', 'iproute2'],
  // In place of usrmerge, which brings all of Perl.
  'usr-is-merged',
  // Boot loaders for both firmwares, without the packages that want to be asked where to install.
  ...['grub2-common', 'grub-pc-bin', 'grub-efi-amd64-bin'],
  // To make, and to see, what an archive tends to lose.
  ...['libcap2-bin', 'acl'],
];

/** What of the kernel's modules stays; all of them would be three quarters of the image. */
const MODULES = [
  ...['arch/*', 'crypto/*', 'lib/*', 'fs/ext4/*', 'fs/jbd2/*', 'fs/mbcache.ko', 'fs/fat/*', 'fs/nls/*'],
  ...['fs/efivarfs/*', 'fs/autofs/*', 'drivers/virtio/*', 'drivers/block/virtio_blk.ko', 'drivers/ata/*'],
  ...['drivers/scsi/scsi_mod.ko', 'drivers/scsi/scsi_common.ko', 'drivers/scsi/sd_mod.ko'],
  ...['drivers/char/hw_random/*', 'drivers/firmware/*', 'drivers/net/virtio_net.ko'],
  ...['drivers/net/net_failover.ko', 'net/core/*', 'drivers/net/ethernet/intel/e1000/*'],
];

const DPKG_OPTIONS = [
  ...['doc', 'info', 'lintian', 'locale', 'man', 'zoneinfo/right', 'bash-completion'].map(
    (name) => `path-exclude=/usr/share/${name}/*`,
  ),
  ...['udev/hwdb.d', 'x86_64-linux-gnu/gconv', 'grub/x86_64-efi/monolithic'].map(
    (name) => `path-exclude=/usr/lib/${name}/*`,
  ),
  'path-exclude=/lib/modules/*/kernel/*',
  ...MODULES.map((name) => `path-include=/lib/modules/*/kernel/${name}`),
];

/** In place before the packages come: the first initramfs is made with these already. */
const FILES: Readonly<Record<string, string>> = {
  'etc/initramfs-tools/conf.d/small': 'MODULES=list\nCOMPRESS=zstd\nFSTYPE=ext4\n',
  'usr/share/initramfs-tools/modules.d/small': 'virtio_pci\nvirtio_blk\nahci\nsd_mod\next4\ncrc32c_generic\n',
  'etc/default/grub':
    'GRUB_DEFAULT=0\nGRUB_TIMEOUT=0\nGRUB_DISTRIBUTOR=Debian\nGRUB_TERMINAL=console\n' +
    'GRUB_CMDLINE_LINUX_DEFAULT="quiet mitigations=off"\nGRUB_DISABLE_RECOVERY=true\nGRUB_DISABLE_SUBMENU=y\n',
  'etc/hostname': 'golden\n',
  'etc/hosts': '127.0.0.1 localhost\n::1 localhost\n127.0.1.1 golden\n',
  'etc/systemd/network/80-dhcp.network': '[Match]\nName=en* eth*\n\n[Network]\nDHCP=yes\n',
  'srv/known/content': 'what every node must hold\n',
  'srv/known/capable': 'a file with a capability\n',
  'srv/known/shared': 'a file with an access control list\n',
  'srv/known/motto': "the image's own\n",
};

/** Of no use to a machine that lives for minutes, and slow under emulation. */
const MASKED = [
  ...['apt-daily.timer', 'apt-daily-upgrade.timer', 'dpkg-db-backup.timer', 'e2scrub_all.timer'],
  ...['e2scrub_reap.service', 'fstrim.timer', 'systemd-logind.service', 'systemd-pstore.service'],
];

/** Shell for mmdebstrap, the root as its "$1". */
const HOOKS = [
  // Each of these takes seconds of an emulated machine to say nothing.
  'chmod -x "$1"/etc/grub.d/05_debian_theme "$1"/etc/grub.d/20_linux_xen "$1"/etc/grub.d/30_*',
  `echo root:${PASSWORD} | chroot "$1" chpasswd`,
  'chroot "$1" systemctl --quiet enable systemd-networkd.service',
  `chroot "$1" systemctl --quiet mask ${MASKED.join(' ')}`,
  // What an image must not start half installed: a GRUB for UEFI, without any configuration.
  'chroot "$1" install -d /boot/efi/EFI/BOOT',
  'chroot "$1" grub-mkimage -O x86_64-efi -o /boot/efi/EFI/BOOT/BOOTX64.EFI -p /none normal echo',
  'chroot "$1" setcap cap_net_bind_service,cap_net_raw+ep /srv/known/capable',
  'chroot "$1" setfacl --modify user:daemon:r,group:12345:rw /srv/known/shared',
];

/** The folder that holds the tree; made first, in about a minute, when it is not there. */
export async function goldenTree(say: (line: string) => void): Promise<string> {
  if (process.getuid?.() !== 0) throw new Error('only root can make the image: sudo make boot-test');
  const suite = await debianSuite();
  const definition = JSON.stringify([suite, PACKAGES, DPKG_OPTIONS, FILES, HOOKS]);
  const key = createHash('sha256').update(definition).digest('hex').slice(0, 12);
  const tree = join(BUILD, `golden-${key}`);
  if (existsSync(tree)) return tree;
  await mkdir(BUILD, { recursive: true });
  for (const name of await readdir(BUILD)) {
    if (name.startsWith('golden-')) await rm(join(BUILD, name), { recursive: true, force: true });
  }
  say(`making a Debian ${suite} with mmdebstrap; it is kept for the next run`);
  const skeleton = join(BUILD, 'skeleton');
  await rm(skeleton, { recursive: true, force: true });
  for (const [path, text] of Object.entries(FILES)) {
    await mkdir(dirname(join(skeleton, path)), { recursive: true });
    await writeFile(join(skeleton, path), text);
  }
  const unfinished = `${tree}.unfinished`;
  await mmdebstrap([
    '--mode=root',
    '--format=directory',
    '--variant=minbase',
    '--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr',
    `--include=${PACKAGES.join(',')}`,
    ...DPKG_OPTIONS.map((option) => `--dpkgopt=${option}`),
    `--essential-hook=sync-in ${skeleton} /`,
    ...HOOKS.map((hook) => `--customize-hook=${hook}`),
    ...[suite, unfinished, ...(await debianSources())],
  ]);
  await rename(unfinished, tree);
  return tree;
}

async function mmdebstrap(args: readonly string[]): Promise<void> {
  const logPath = join(BUILD, 'mmdebstrap.log');
  const log = await open(logPath, 'w');
  const child = spawn('/usr/bin/mmdebstrap', args, { stdio: ['ignore', log.fd, log.fd] });
  const status = await new Promise<number | null>((done, failed) =>
    child.once('error', failed).once('close', done),
  ).finally(() => log.close());
  if (status === 0) return;
  const last = (await readFile(logPath, 'utf8')).trimEnd().split('\n').slice(-8).join('\n  ');
  throw new Error(`mmdebstrap ended with status ${status}:\n  ${last}\n${logPath} has the rest`);
}
