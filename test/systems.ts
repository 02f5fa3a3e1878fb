// A job for TargetSystem as the installer would put it together, for the tests that finish a system; and a system of little
// more than what it does when it first comes up.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DiskPlan } from '../agent/core/diskplan.ts';
import type { Lease } from '../agent/core/lease.ts';
import type { SiteScript, SystemJob } from '../agent/core/systemrooms.ts';
import { openTree } from '../agent/io/target.ts';
import { TargetSystem } from '../agent/system.ts';

export const LEASE: Lease = {
  method: 'dhcp',
  device: 'eth0',
  mac: '52:54:00:09:00:01',
  vlan: null,
  address: '10.9.0.5/24',
  gateway: '10.9.0.1',
  dns: ['10.9.0.1', 'fd09::1'],
  hostName: 'node005',
  domain: 'lab.example',
  nextServer: '10.9.0.1',
  address6: '',
};

export const ROOT_UUID = '26a42e8d-d057-412b-b1ae-7330400c4997';

export const PLAN: DiskPlan = {
  prepare: [{ argv: ['/usr/sbin/sfdisk', '/dev/vda'], why: 'partition /dev/vda' }],
  release: [{ argv: ['/usr/bin/busybox', 'umount', '/a'], why: 'unmount /a' }],
  fstab: [
    { source: `UUID=${ROOT_UUID}`, mountPoint: '/', type: 'ext4', options: 'errors=remount-ro', pass: 1 },
    { source: 'UUID=5F3A-11C2', mountPoint: '/boot/efi', type: 'vfat', options: 'umask=0077', pass: 2 },
    { source: 'UUID=0c3d', mountPoint: 'none', type: 'swap', options: 'sw', pass: 0 },
  ],
  trials: [{ path: '/dev/vda', startBytes: 2 ** 20, sizeBytes: 2 ** 32 }],
  bootDisks: ['/dev/vda'],
  firmware: 'bios',
  mdadmConf: '',
  needs: [],
  capacityBytes: 4e9,
  lines: [],
};

export function script(name: string, content = '#!/bin/sh\n'): SiteScript {
  return { path: `scripts/${name}`, content: new TextEncoder().encode(content) };
}

export function makeJob(changes: Partial<SystemJob> = {}): SystemJob {
  return {
    target: '/a',
    runFolder: '/run/swarmboot',
    plan: PLAN,
    layoutName: 'default',
    lease: LEASE,
    hostName: 'node005',
    groups: ['rack1', 'gpu'],
    image: { name: 'web', sha256: 'ab'.repeat(32) },
    overrides: [{ name: 'site', sha256: 'cd'.repeat(32) }],
    server: 'http://10.9.0.1:8080',
    reportsUrls: ['http://10.9.0.1:8080/reports'],
    scripts: [],
    kernelCommandLine: 'BOOT_IMAGE=kernel quiet',
    installedAt: '2026-11-22T20:00:00Z',
    ...changes,
  };
}

/** Finishes a system in the folder `target`, for the node `mac`, which is to show `proof` at `server`. Its script runs in a chroot of it. */
export async function finishSystem(
  target: string,
  mac: string,
  server: string,
  proof: string,
): Promise<void> {
  for (const folder of ['lib/systemd', 'dev']) mkdirSync(join(target, folder), { recursive: true });
  for (const path of ['lib/systemd/systemd', 'dev/null']) writeFileSync(join(target, path), '');
  const places = { target, runFolder: target, reportsUrls: [`${server}/reports`] };
  await new TargetSystem(
    makeJob({ ...places, lease: { ...LEASE, mac } }),
    {
      run: async () => '',
      absentPrograms: () => [],
      openTree,
      endProcesses: () => [],
      addressOf: async (host) => host,
      shell: async () => {},
      note: () => {},
    },
    proof,
  ).finish(new AbortController().signal);
}

/** Files of an image that was made of an installed Debian (`a -> b`: a link). */
export const DEBIAN = {
  'lib -> usr/lib': '',
  'usr/lib/systemd/systemd': '',
  'usr/lib/systemd/system/systemd-networkd.service': '',
  'usr/bin/systemctl': '',
  'usr/bin/ssh-keygen': '',
  'usr/sbin/sshd': '',
  'etc/ssh/ssh_host_ed25519_key': 'the same everywhere',
  'etc/ssh/ssh_host_ed25519_key.pub': 'the same everywhere',
  'etc/ssh/ssh_config': 'stays',
  'etc/swarmboot/installed': 'from an installed machine',
  'etc/fstab': 'LABEL=golden / ext3 defaults 0 1\n',
  'etc/hostname': 'golden\n',
  'etc/hosts': '127.0.0.1\tlocalhost\n127.0.1.1\tgolden\n',
  'etc/machine-id': '0123456789abcdef0123456789abcdef\n',
  'var/lib/dbus/machine-id': '0123456789abcdef0123456789abcdef\n',
  'var/lib/systemd/random-seed': 'the same everywhere',
};

/** What lets an image start by itself on a BIOS. */
export const BOOTABLE = {
  'boot/vmlinuz-6.1': '',
  'boot/initrd.img-6.1': '',
  'usr/sbin/grub-install': '',
  'usr/sbin/grub-mkconfig': '',
  'usr/lib/grub/i386-pc/modinfo.sh': '',
};
