// Network boot beyond README.md's: beside a DHCP server that is there already, and with the boot loaders of a site that
// stays with PXELINUX or GRUB. A machine counts as booted when the agent shows that it waits; nothing is installed here.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { setPriority, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { kernelRoot } from './kernel.ts';
import { INTERFACE, ip, Lab, type Machine, type MachineOptions, REPO } from './lab.ts';

const DNSMASQ = '/usr/sbin/dnsmasq';
const BOOT_MS = 300_000;
const MINUTE = 60_000;
/** The interface of the site's own DHCP server, and that end of its cable which is plugged into the nodes' network. */
const [SITE, PLUG] = ['site0', 'site1'];
const NODES = '* param=console=ttyS0\n';
const BIOS = { boots: 'BIOS', card: 'e1000', memoryMib: 768 } as const;
const UEFI = { boots: 'UEFI', card: 'virtio-net-pci', memoryMib: 768 } as const;
/** No more than these machines need: all the others would only be unpacked. */
const MODULES = 'e1000,virtio_net,virtio_blk,virtio_pci';
const OWN_DISK = 'started from its own disk';
/** The agent, or else the firmware went on to the disk, or to nothing, or GRUB did not get its first file. */
const AGENT_OR_NONE = /this machine (waits)\.|started from its own disk|[Nn]o bootable|grub> /;
/** A firmware waits some seconds for an answer, by a clock that goes on while the busy host does not let it run. */
const STARTS_MAX = 3;

const folder = mkdtempSync(join(tmpdir(), 'swarmboot-loaders-'));
const servers: ChildProcess[] = [];
let lab: Lab;

// cluster.test.ts takes longest: its machines come first.
setPriority(5);

before(async () => {
  lab = Lab.serve(
    'loaders',
    `swarmboot initrd build --kernel ${kernelRoot()} --level 3 --modules ${MODULES}
    echo '${NODES.trim()}' > ${REPO}/nodes.conf
    swarmboot pxe config --mode proxy --interface ${INTERFACE}
    exec node scripts/swarmboot.ts serve`,
  );
  await lab.until(/first seeder: port \d+\n/, 5 * MINUTE);
  ip('link', 'add', SITE, 'type', 'veth', 'peer', 'name', PLUG);
  ip('link', 'set', PLUG, 'master', INTERFACE, 'up');
  for (const address of ['10.9.0.2/24', 'fd09::2/64']) ip('address', 'add', address, 'dev', SITE);
  ip('link', 'set', SITE, 'up');
});
after(async () => {
  await lab?.stop();
  rmSync(folder, { recursive: true, force: true });
});

afterEach(stopDnsmasq);

test('beside a DHCP server that gives addresses only, BIOS, UEFI and UEFI HTTP boot lead to the agent', async () => {
  siteDhcp('');
  dnsmasq(join(REPO, 'dnsmasq.conf'));
  const machines = [
    machine('proxy-bios', '52:54:00:09:01:01', BIOS),
    machine('proxy-uefi', '52:54:00:09:01:02', UEFI),
    machine('proxy-http', '52:54:00:09:01:03', { ...UEFI, boots: 'UEFI HTTP' }),
  ];
  await Promise.all(machines.map(waits));
  for (const one of machines) await one.cutPower();
});

test('with a DHCP server that names PXELINUX or GRUB, a machine boots the agent, or its own disk once it is named', async () => {
  siteDhcp(`enable-tftp
tftp-root=${REPO}/boot
dhcp-mac=set:plain,52:54:00:09:02:01
dhcp-mac=set:http,52:54:00:09:02:02
dhcp-mac=set:grub,52:54:00:09:02:03
dhcp-boot=tag:plain,lpxelinux.0
dhcp-boot=tag:http,lpxelinux.0
dhcp-option-force=tag:http,210,http://10.9.0.1:8080/boot/
dhcp-boot=tag:grub,grubnetx64.efi
`);
  const machines = [
    machine('pxelinux-tftp', '52:54:00:09:02:01', { ...BIOS, disks: [biosDisk('one')] }),
    machine('pxelinux-http', '52:54:00:09:02:02', { ...BIOS, disks: [biosDisk('two')] }),
    machine('grub', '52:54:00:09:02:03', { ...UEFI, disks: [uefiDisk()] }),
  ];
  await Promise.all(machines.map(waits));
  for (const one of machines) await one.cutPower();
  const names = machines.map(({ name }, index) => `${name} mac=52:54:00:09:02:0${index + 1} image=web\n`);
  writeFileSync(join(REPO, 'nodes.conf'), NODES + names.join(''));
  await lab.until(/3 nodes in/, MINUTE);
  await Promise.all(machines.map(async (one) => one.powerOn().vm.until(new RegExp(OWN_DISK), BOOT_MS)));
  for (const one of machines) await one.cutPower();
});

type Kind = Pick<MachineOptions, 'boots' | 'card' | 'memoryMib'> & { readonly disks?: readonly string[] };

function machine(name: string, mac: string, kind: Kind): Machine {
  return lab.machine({ name, mac, disks: 0, ...kind });
}

/** Until the agent has said that it waits, on the console and to the image server. */
async function waits(one: Machine): Promise<void> {
  for (let start = 1; start <= STARTS_MAX; start++) {
    const [, agent] = await one.powerOn().vm.until(AGENT_OR_NONE, BOOT_MS);
    if (agent !== undefined) return one.recorded(/waits to be armed/, MINUTE);
    await one.cutPower();
  }
  throw new Error(`${one.name}: its firmware gave up the network ${STARTS_MAX} times`);
}

/** The site's own DHCP server; `more` is the rest of its configuration. */
function siteDhcp(more: string): void {
  const conf = join(folder, 'site.conf');
  writeFileSync(
    conf,
    `port=0
interface=${SITE}
bind-dynamic
dhcp-range=10.9.0.100,10.9.0.199,255.255.255.0,1h
dhcp-leasefile=${join(folder, 'leases')}
pid-file=
enable-ra
dhcp-range=::,constructor:${SITE},ra-only,64,1h
${more}`,
  );
  dnsmasq(conf);
}

function dnsmasq(conf: string): void {
  servers.push(spawn(DNSMASQ, ['--keep-in-foreground', `--conf-file=${conf}`], { stdio: 'ignore' }));
}

async function stopDnsmasq(): Promise<void> {
  for (const server of servers.splice(0)) {
    const ended = once(server, 'close');
    if (server.kill()) await ended;
  }
}

/** A disk whose boot code says on the serial line that it runs. */
function biosDisk(name: string): string {
  const sector = Buffer.alloc(512);
  // The text at 0x7c17, byte by byte to port 0x3f8; then the machine halts. Without interrupts, or SeaBIOS's timer
  // would write what it still holds back of its own text into the middle of this one.
  sector.set([0xfa, 0xfc, 0x31, 0xc0, 0x8e, 0xd8, 0xbe, 0x17, 0x7c, 0xac, 0x84, 0xc0, 0x74, 0x06]);
  sector.set([0xba, 0xf8, 0x03, 0xee, 0xeb, 0xf5, 0xf4, 0xeb, 0xfd], 14);
  sector.write(OWN_DISK, 23);
  sector.set([0x55, 0xaa], 510);
  const disk = join(folder, `${name}.img`);
  writeFileSync(disk, Buffer.concat([sector, Buffer.alloc(1024 * 1024)]));
  return disk;
}

/** A disk with a GRUB of its own, as QEMU shows a folder. */
function uefiDisk(): string {
  const content = join(folder, 'uefi');
  for (const name of ['EFI/BOOT/BOOTX64.EFI', 'EFI/debian/grub.cfg'])
    mkdirSync(dirname(join(content, name)), { recursive: true });
  copyFileSync('/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed', join(content, 'EFI/BOOT/BOOTX64.EFI'));
  writeFileSync(join(content, 'EFI/debian/grub.cfg'), `echo ${OWN_DISK}\nsleep 600\n`);
  return `fat:rw:${content}`;
}
