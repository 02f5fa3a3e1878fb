// The proof that it boots for real: an image server made by README.md's own commands, machines with empty disks that are
// powered on, and the systems that come up on them.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { STATUS } from '../../agent/core/monitor.ts';
import type { NodeReport } from '../../agent/core/report.ts';
import { BUILD, goldenTree, PASSWORD } from './image.ts';
import { kernelRoot } from './kernel.ts';
import { Lab, type Machine, REPO } from './lab.ts';

const MINUTE = 60_000;
const INSTALL_MS = 10 * MINUTE;
const TYPED_MS = 2 * MINUTE;
const LOOK_MS = 500;
/** Of what the nodes fetched, they gave each other at least this much. */
const SHARE_MIN = 1 / 3;

let golden = '';
let lab: Lab;
/** One of each firmware, as README.md's nodes.conf has them. */
let bios: Machine;
let uefi: Machine;
let uefiHttp: Machine;

before(async () => {
  golden = await goldenTree(console.error);
  lab = Lab.start(golden, kernelRoot());
});
after(() => lab?.stop());

test("README.md's commands lead from nothing to an image server that waits for its nodes", async () => {
  await lab.until(/first seeder: port \d+\n/, 5 * MINUTE);
  for (const name of ['image web', 'override site', 'boel boel'])
    await lab.until(new RegExp(`seeding ${name}`), MINUTE);
});

test('machines with empty disks install themselves over BIOS, UEFI and UEFI HTTP boot, even after a power cut half way, and feed each other', async () => {
  const common = { memoryMib: 768, disks: 1 };
  bios = lab.machine({ name: 'node001', mac: '52:54:00:09:00:01', boots: 'BIOS', card: 'e1000', ...common });
  uefi = lab.machine({
    name: 'node002',
    mac: '52:54:00:09:00:02',
    boots: 'UEFI',
    card: 'virtio-net-pci',
    ...common,
  });
  uefiHttp = lab.machine({
    name: 'node003',
    mac: '52:54:00:09:00:03',
    boots: 'UEFI HTTP',
    card: 'virtio-net-pci',
    ...common,
  });
  const all = [bios, uefi, uefiHttp];
  for (const machine of all) machine.powerOn();
  const reports = await Promise.all(
    all.map(async (machine) => installed(machine, machine === uefi ? await cutHalfWay(machine) : '')),
  );
  const sum = (pick: (report: NodeReport) => number) =>
    reports.reduce((total, report) => total + pick(report), 0);
  const taken = sum((report) => report.bytesVerified);
  const given = sum((report) => report.uploadedBytes);
  const percent = Math.round((100 * given) / taken);
  console.log(`of ${taken} bytes that the nodes fetched, they gave each other ${percent} %`);
  assert.ok(given / taken >= SHARE_MIN, `only ${percent} %`);
});

test('what came up is the image with the override laid over it, each under its own name', async () => {
  const identities = await Promise.all([bios, uefi, uefiHttp].map(checkSystem));
  assert.equal(new Set(identities).size, 3, 'every machine-id is its own');
  await uefiHttp.cutPower();
});

test('the site closes, and its image is encrypted', async () => {
  await lab.swarmboot('publish', 'web', '--kind', 'image', '--from', '/srv/golden/web', '--encrypt');
  await lab.swarmboot('sign', '--closed', '--key', '/etc/swarmboot/release.key');
  await lab.until(/the site is closed: nodes enrol, and show their tokens over TLS\n/, MINUTE);
  await lab.until(/manifest 2 is signed/, MINUTE);
});

describe('from then on', { concurrency: true }, () => {
  const other = { boots: 'BIOS', card: 'virtio-net-pci', memoryMib: 768, disks: 1 } as const;

  test('a second boot goes to the local disk', () => bootsFromDisk(bios));

  test('an armed node enrols and installs itself again, and may start by kexec', () => installsAgain(uefi));

  test('a rule that fits two disks is a refusal', async () => {
    const twins = lab.machine({ ...other, name: 'node004', mac: '52:54:00:09:00:04', disks: 2 });
    await arm('node004', '52:54:00:09:00:04');
    const { vm } = twins.powerOn();
    await vm.until(/INSTALLATION FAILED/, INSTALL_MS);
    const said = twins.record()?.message;
    assert.equal(said?.status, STATUS.failed);
    assert.match(said.text, /fits 2 disks/);
    assert.match(vm.console, /fits 2 disks/);
    assert.equal(twins.written(), false, 'the disks are as they were');
    await twins.cutPower();
  });

  test('a node whose disk is too slow is parked before anything is written, and begins anew once it is armed again', async () => {
    const mac = '52:54:00:09:00:05';
    const slow = lab.machine({ ...other, name: 'node005', mac, diskBytesPerSec: 400_000 });
    await arm('node005', mac);
    const { vm } = slow.powerOn();
    await vm.until(/\ncheck: .*; vda writes [\d.]+ KiB\/s\n/, INSTALL_MS);
    await vm.until(/this machine is parked\.\n\n.*\/dev\/vda writes .*, less than the 1\.0 MiB\/s/, TYPED_MS);
    await slow.recorded(/\/dev\/vda writes/, MINUTE);
    const { status, stage, code, report } = slow.record()!.message;
    assert.deepEqual([status, stage, code], [STATUS.failed, 'check', 'check']);
    assert.ok(report!.diskBytesPerSec! < 2 ** 20, `${report!.diskBytesPerSec}`);
    assert.equal(slow.blank(), true);
    await lab.swarmboot('node', 'arm', 'node005');
    await vm.until(/Booting from|iPXE/, TYPED_MS);
    await slow.cutPower();
  });

  test('a machine that nobody has named waits, shows who it is, and begins once it is armed; DRY_RUN shows its plan', async () => {
    const stranger = lab.machine({ ...other, name: 'node006', mac: '52:54:00:09:00:06' });
    const { vm } = stranger.powerOn();
    await vm.until(/Swarmboot: this machine waits\./, INSTALL_MS);
    await vm.until(/NAME mac=52:54:00:09:00:06 image=IMAGE/, TYPED_MS);
    await stranger.recorded(/waits to be armed/, MINUTE);
    const inventory = stranger.record()?.message.inventory;
    assert.deepEqual(
      inventory?.disks.map(({ name, sizeBytes }) => [name, sizeBytes]),
      [['vda', 4 * 2 ** 30]],
    );
    assert.match(await lab.swarmboot('node', 'list'), /52:54:00:09:00:06 .*unknown/);
    await arm('node006', '52:54:00:09:00:06', 'param=DRY_RUN=y');
    await vm.until(/to be fetched: .*image web/, INSTALL_MS);
    await vm.until(/\/usr\/sbin\/sfdisk [\s\S]*DRY_RUN=y: nothing was written/, TYPED_MS);
    await vm.until(/The agent has ended well/, TYPED_MS);
    assert.equal(stranger.written(), false);
    await stranger.cutPower();
  });

  test('RAM disk and BOEL binaries built twice are the same byte for byte', async () => {
    const [one, two] = ['one', 'two'].map((name) => join(BUILD, name)) as [string, string];
    for (const folder of [one, two]) {
      rmSync(folder, { recursive: true, force: true });
      await lab.swarmboot('boel', 'build', '--repo', folder);
      // Level 19 takes two minutes each time, and says no more.
      await lab.swarmboot('initrd', 'build', '--repo', folder, '--level', '3');
    }
    const [tarball] = readdirSync(join(one, 'tarballs'));
    for (const name of ['boot/kernel', 'boot/initrd.img', `tarballs/${tarball}`])
      execFileSync('/usr/bin/cmp', [join(one, name), join(two, name)]);
  });
});

describe('a node with the key in its RAM disk', () => {
  const other = { boots: 'BIOS', card: 'virtio-net-pci', memoryMib: 768, disks: 1 } as const;
  const manifest = join(REPO, 'signed', '2', 'manifest.json');
  const trust = join(REPO, 'boot', 'trust.json');

  test('refuses a manifest in which the image is another, and its disk is not touched', async () => {
    const signed = readFileSync(manifest, 'utf8');
    // A server that is not the admin's own checks nothing itself.
    renameSync(trust, `${trust}.away`);
    const { sha256 } = JSON.parse(signed).entries.find(({ name }: { name: string }) => name === 'web');
    writeFileSync(
      manifest,
      signed.replace(
        sha256,
        sha256.replace(/./, (digit: string) => (digit === '0' ? '1' : '0')),
      ),
    );
    // Its clock has lost its battery: to it every certificate would come from the future.
    const clock = '1970-01-02';
    const victim = lab.machine({ ...other, name: 'node007', mac: '52:54:00:09:00:07', clock });
    await arm('node007', '52:54:00:09:00:07');
    const { vm } = victim.powerOn();
    await vm.until(/INSTALLATION FAILED/, INSTALL_MS);
    assert.match(vm.console, /the manifest of https:.* is not what key [0-9A-F]{16} has signed/);
    await victim.recorded(/has signed/, MINUTE);
    const { status, stage, code } = victim.record()!.message;
    assert.deepEqual([status, stage, code], [STATUS.failed, 'catalog', 'signature']);
    assert.equal(victim.written(), false, 'the disk is as it was');
    await victim.cutPower();
    writeFileSync(manifest, signed);
    renameSync(`${trust}.away`, trust);
  });
});

/** Names one more node and arms it; the rest is said for all nodes in README.md's nodes.conf. */
async function arm(name: string, mac: string, more = ''): Promise<void> {
  appendFileSync(join(REPO, 'nodes.conf'), `${name} mac=${mac} ${more}\n`);
  await lab.swarmboot('node', 'arm', name);
}

/**
 * Waits until the new system of `machine` has said that it came up, later than `since`. Returns the last report of the
 * install. Throws when the install fails, or takes too long.
 */
async function installed(machine: Machine, since: string): Promise<NodeReport> {
  let report: NodeReport | null = null;
  for (const begun = performance.now(); performance.now() - begun < INSTALL_MS; await sleep(LOOK_MS)) {
    const record = machine.record();
    if (record === null || record.at <= since) continue;
    const { message } = record;
    if (message.status < 0) {
      const log = await lab.swarmboot('logs', machine.name);
      throw new Error(`${machine.name} has failed: ${message.text}\n${log}`);
    }
    if (message.status === STATUS.rebooted && report !== null) {
      assert.match(await lab.swarmboot('logs', machine.name), / {2}post-action \.\.\.\n/);
      return report;
    }
    report = message.report ?? report;
  }
  throw new Error(`${machine.name} is not installed after ${INSTALL_MS} ms:\n${machine.tail()}`);
}

/** Logs in at the serial line and compares with the image server's own. Returns the machine-id. */
async function checkSystem(machine: Machine): Promise<string> {
  const { vm } = machine;
  await vm.login('root', PASSWORD, TYPED_MS);
  const typed = (command: string) => vm.run(command, TYPED_MS);
  const here = (program: string, ...args: string[]) => execFileSync(program, args, { encoding: 'utf8' });
  assert.equal(await typed('hostname'), `${machine.name}\n`);
  assert.equal(
    await typed('dpkg-query --show'),
    here('/usr/bin/dpkg-query', `--admindir=${golden}/var/lib/dpkg`, '--show'),
  );
  const capability = here('/usr/sbin/getcap', join(golden, 'srv/known/capable')).replace(golden, '');
  assert.equal(await typed('getcap /srv/known/capable'), capability);
  const list = here(
    '/usr/bin/getfacl',
    '--omit-header',
    '--numeric',
    '--absolute-names',
    join(golden, 'srv/known/shared'),
  );
  assert.equal(await typed('getfacl --omit-header --numeric /srv/known/shared 2>/dev/null'), list);
  assert.equal(await typed('cat /srv/known/content'), 'what every node must hold\n');
  assert.equal(await typed('cat /srv/known/motto /etc/motd'), "the site's own\ninstalled from the swarm\n");
  assert.equal(
    await typed('cat /srv/known/scripts'),
    `pre-install for ${machine.name}\nmain-install for ${machine.name}\npost-install for ${machine.name}\n`,
  );
  await checkMounts(typed);
  return await typed('cat /etc/machine-id');
}

/** What fstab says is what is mounted, as the layout has it. */
async function checkMounts(typed: (command: string) => Promise<string>): Promise<void> {
  const fstab = (await typed('cat /etc/fstab'))
    .split('\n')
    .filter((line) => /^[^#]/.test(line))
    .map((line) => line.split(/\s+/));
  assert.deepEqual(fstab.map(([, place, type]) => `${type} at ${place}`).sort(), [
    'ext4 at /',
    'swap at none',
    'vfat at /boot/efi',
  ]);
  for (const [source = '', place = ''] of fstab) {
    const shown =
      place === 'none' ? 'swapon --noheadings --show=UUID' : `findmnt --noheadings --output UUID ${place}`;
    assert.equal(`UUID=${(await typed(shown)).trim()}`, source);
  }
}

/** Reboots the system in `machine`, and looks whether it is the same one that comes up. */
async function bootsFromDisk(machine: Machine): Promise<void> {
  const { vm } = machine;
  const facts = async () =>
    (await vm.run('cat /etc/machine-id /proc/sys/kernel/random/boot_id', TYPED_MS)).split('\n');
  const [machineId, bootId] = await facts();
  const { at } = machine.record()!;
  vm.type('reboot\n');
  await vm.login('root', PASSWORD, INSTALL_MS);
  const [sameMachineId, otherBootId] = await facts();
  assert.equal(sameMachineId, machineId);
  assert.notEqual(otherBootId, bootId);
  assert.equal(machine.record()!.at, at, 'nothing was installed');
}

/**
 * Cuts the power of `machine` while it extracts. Then its firmware tries the disk first: the image's own file for UEFI is
 * there, and nothing must start by it. Returns when the image server last heard of it before that.
 */
async function cutHalfWay(machine: Machine): Promise<string> {
  await extracting(machine);
  await machine.cutPower();
  const { at } = machine.record()!;
  machine.powerOn('disk');
  return at;
}

async function installsAgain(machine: Machine): Promise<void> {
  appendFileSync(join(REPO, 'nodes.conf'), `${machine.name} param=POST_ACTION=kexec\n`);
  const identity = await machine.vm.run('cat /etc/machine-id', TYPED_MS);
  await lab.swarmboot('node', 'arm', machine.name);
  await machine.cutPower();
  const { at } = machine.record()!;
  machine.powerOn();
  await installed(machine, at);
  const log = await lab.swarmboot('logs', machine.name);
  assert.match(log, / {2}enrol \.\.\.\n[\s\S]* {2}enrolled\n/);
  assert.notEqual(await checkSystem(machine), identity, 'it is a new system');
  const words = await machine.vm.run('cat /proc/cmdline', TYPED_MS);
  assert.doesNotMatch(words, /BOOT_IMAGE=/, 'GRUB, which adds this word, had no part in it');
}

/** Waits until `machine` has written a part of the image to its disk. */
async function extracting(machine: Machine): Promise<void> {
  for (const begun = performance.now(); performance.now() - begun < INSTALL_MS; await sleep(LOOK_MS)) {
    if (machine.record()?.message.status === STATUS.extracting) return;
  }
  throw new Error(`${machine.name} does not extract:\n${machine.tail()}`);
}
