// The RAM disk's /init in virtual machines, started without firmware's help, one at a time. The initrd is what `swarmboot
// initrd build` makes; for most tests a small archive behind it puts a script in the agent's place.

import { deepEqual, doesNotMatch, equal, match } from 'node:assert/strict';
import { createReadStream, createWriteStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { after, before, test } from 'node:test';
import { buildInitrd } from '../../initrd-builder/build.ts';
import { cpioArchive } from '../../initrd-builder/cpio.ts';
import { BUILD } from './image.ts';
import { kernelRoot } from './kernel.ts';
import { UNTIMED, Vm } from './vm.ts';

const AGENT = join(import.meta.dirname, '..', '..', 'build', 'swarmboot-agent');
const BOOTED = join(BUILD, 'initrd');
/** Bounds, not expectations: a machine shows what it has to within 15 s, on two cores that others use too. */
const BOOT_MS = 300_000;
const SHELL_MS = 60_000;
const MAC = '52:54:00:09:00:01';
const OTHER_MAC = '52:54:00:09:00:02';
const FAILS_WITH_SHELL = 'SHELL_ON_FAIL=y';

const folder = mkdtempSync(join(tmpdir(), 'swarmboot-init-'));
const machines: Vm[] = [];

// cluster.test.ts takes longest: its machines come first.
setPriority(5);

before(async () => {
  const options = { agent: AGENT, extras: [], added: [], params: [], version: '0', modules: ['default'] };
  const { signal } = new AbortController();
  await buildInitrd({ ...options, kernel: kernelRoot(), level: 3, out: BOOTED }, () => {}, signal);
});

after(async () => {
  for (const vm of machines) await vm.kill();
  rmSync(folder, { recursive: true, force: true });
});

interface Boot {
  readonly words: string;
  /** A script in the agent's place; without it the agent itself runs. */
  readonly agent?: string;
  readonly model?: 'e1000' | 'virtio-net-pci';
  readonly memoryMib?: number;
  readonly extra?: readonly string[];
}

async function boot(name: string, options: Boot): Promise<Vm> {
  const { words, agent, model = 'virtio-net-pci', memoryMib = 512, extra = [] } = options;
  let initrd = join(BOOTED, 'initrd.img');
  if (agent !== undefined) {
    const path = join(folder, `${name}.img`);
    const script = Buffer.from(`#!/bin/sh\n${agent}\n`);
    const content = { type: 'bytes', bytes: script } as const;
    const member = { path: '/usr/bin/swarmboot-agent', mode: 0o755, content, source: 'the test' };
    await pipeline(createReadStream(initrd), createWriteStream(path));
    writeFileSync(path, cpioArchive([member]), { flag: 'a' });
    initrd = path;
  }
  const append = `console=ttyS0 quiet panic=-1 ${UNTIMED} ${words}`;
  const kernel = { kernel: join(BOOTED, 'kernel'), initrd, append };
  const nic = { model, mac: MAC, tap: null };
  const rest = { firmware: 'bios', disks: [], nic, bootOrder: 'disk', kernel } as const;
  // What restarts is seen by its end.
  const vm = Vm.start({ name, memoryMib, ...rest, extra: ['-no-reboot', ...extra] });
  machines.push(vm);
  return vm;
}

/** The shell that opens after a failure. */
async function failed(vm: Vm): Promise<void> {
  await vm.until(/INSTALLATION FAILED/, BOOT_MS);
  await vm.until(/# $/, SHELL_MS);
}

async function lease(vm: Vm): Promise<Record<string, string>> {
  const text = await vm.run('cat /run/swarmboot/lease', SHELL_MS);
  const lines = text.trim().split('\n');
  return Object.fromEntries(lines.map((line) => line.split('=', 2)));
}

test('the agent starts once the network is up; when it fails, the console says what, and Enter starts the machine again', async (t) => {
  const vm = await boot('agent', { words: '' });
  await vm.until(/network: eth0/, BOOT_MS);
  const begun = performance.now();
  await vm.until(/swarmboot-agent: the parameters are wrong/, BOOT_MS);
  t.diagnostic(
    `first line of the agent ${Math.round(performance.now() - begun)} ms after the network was up`,
  );
  await vm.until(/INSTALLATION FAILED: the agent ended with status 3\./, BOOT_MS);
  await vm.until(/With SHELL_ON_FAIL=y on the kernel command line, a shell opens here/, BOOT_MS);
  await vm.until(/Press Enter/, BOOT_MS);
  vm.type('\n');
  equal(await vm.ended, 0);
});

test('of two network cards the one that booted is configured by DHCP, and the lease tells of it', async () => {
  const vm = await boot('two-cards', {
    words: `BOOTIF=01-${OTHER_MAC.replaceAll(':', '-')} ${FAILS_WITH_SHELL}`,
    agent: 'exit 16',
    extra: [
      ...['-netdev', 'user,id=net1,ipv6=off,net=10.9.0.0/24,hostname=node5,domainname=lab.test'],
      ...['-device', `virtio-net-pci,netdev=net1,mac=${OTHER_MAC}`],
    ],
  });
  await failed(vm);
  deepEqual(await lease(vm), {
    METHOD: 'dhcp',
    DEVICE: 'eth1',
    MAC: OTHER_MAC,
    VLAN: '',
    ADDRESS: '10.9.0.15/24',
    GATEWAY: '10.9.0.2',
    DNS: '10.9.0.3',
    HOSTNAME: 'node5',
    DOMAIN: 'lab.test',
    NEXT_SERVER: '10.9.0.2',
    ADDRESS6: '',
  });
  equal(await vm.run('cat /etc/resolv.conf', SHELL_MS), 'search lab.test\nnameserver 10.9.0.3\n');
  equal(await vm.run('hostname', SHELL_MS), 'node5\n');
  match(await vm.run('ip route', SHELL_MS), /default via 10\.9\.0\.2 dev eth1/);
  // The client stays, to renew the lease of an install that takes long.
  match(await vm.run('ps', SHELL_MS), /udhcpc -i eth1/);
});

test('words of the kernel command line do not become environment of the agent, it dumps no core, and every console has its output', async () => {
  const vm = await boot('environment', {
    // The last console is /dev/console; the serial line is only one of the others.
    words: 'console=tty0 NODE_OPTIONS=--inspect LD_PRELOAD=/x.so SSL_CERT_FILE=/x.pem IFS=a PATH=/x',
    agent:
      "tr '\\0' '\\n' </proc/self/environ; grep -c 'core file size *0 *0 ' /proc/self/limits; echo that is all",
  });
  await vm.until(/network: eth0/, BOOT_MS);
  const [text] = await vm.until(/^PATH=[\s\S]*that is all$/m, BOOT_MS);
  equal(text, 'PATH=/usr/sbin:/usr/bin\nHOME=/\nTERM=linux\n1\nthat is all');
  await vm.until(/The agent has ended well[\s\S]*Press Enter/, BOOT_MS);
  doesNotMatch(vm.console, /shell/);
});

test('fixed addresses of both families on a VLAN', async () => {
  const vm = await boot('fixed', {
    words:
      'vlan=eth0.5:eth0 ip=10.0.2.77:10.0.2.9:10.0.2.2:255.255.255.0:node7:eth0.5:none ' +
      `ip=[fd09::77]:::64::eth0.5:off nameserver=9.9.9.9 nameserver=fd09::1 HOSTNAME=node9 ${FAILS_WITH_SHELL}`,
    agent: 'exit 16',
    model: 'e1000',
  });
  await failed(vm);
  deepEqual(await lease(vm), {
    METHOD: 'static',
    DEVICE: 'eth0.5',
    MAC,
    VLAN: '5',
    ADDRESS: '10.0.2.77/24',
    GATEWAY: '10.0.2.2',
    DNS: '9.9.9.9 fd09::1',
    HOSTNAME: 'node9',
    DOMAIN: '',
    NEXT_SERVER: '10.0.2.9',
    ADDRESS6: 'fd09::77/64',
  });
  match(await vm.run('cat /proc/net/vlan/config', SHELL_MS), /eth0\.5 +\| 5 +\| eth0/);
  equal(await vm.run('cat /etc/resolv.conf', SHELL_MS), 'nameserver 9.9.9.9\nnameserver fd09::1\n');
  // The kernel asks modprobe for what nobody has loaded.
  await vm.run('mkdir /t; mount -t ext4 /dev/null /t; grep -q ext4 /proc/filesystems', SHELL_MS);
  // A shell with job control: Ctrl-C ends what runs in it, not the shell.
  vm.type("sh -c 'echo be''gun; sleep 1000'\n");
  await vm.until(/begun\n/, SHELL_MS);
  vm.type('\x03');
  await vm.until(/# $/, SHELL_MS);
  equal(await vm.run('echo still here', SHELL_MS), 'still here\n');
});

test('an address from what a router advertises', async () => {
  const vm = await boot('router', { words: 'ip=auto6', agent: 'cat /run/swarmboot/lease' });
  const [, address] = await vm.until(/^ADDRESS6=(.*)\n/m, BOOT_MS);
  equal(address, 'fec0::5054:ff:fe09:1/64');
  match(vm.console, /^ADDRESS=$/m);
});

test('with too little memory nothing is started, and the console says how much is there and how much is needed', async () => {
  const vm = await boot('memory', { words: '', memoryMib: 256 });
  await vm.until(/TOO LITTLE MEMORY: this machine has 20\d MiB, 400 MiB are needed/, BOOT_MS);
  await vm.until(/Press Enter/, BOOT_MS);
  doesNotMatch(vm.console, /network|swarmboot-agent/);
});
