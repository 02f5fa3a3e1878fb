import { deepEqual, doesNotMatch, equal, match, rejects } from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { type Command, formatCommand } from '../agent/core/command.ts';
import { SwarmbootError } from '../agent/core/errors.ts';
import { parseMessage } from '../agent/core/monitor.ts';
import type { SystemJob, SystemRooms } from '../agent/core/systemrooms.ts';
import { openTree } from '../agent/io/target.ts';
import { INSTALL_LOG, SCRIPT_MAX_MS, TargetSystem } from '../agent/system.ts';
import { scratch } from './content.ts';
import { BOOTABLE, DEBIAN, LEASE, makeJob, PLAN, ROOT_UUID, script } from './systems.ts';

const never = new AbortController().signal;

/** Rooms with a real tree, that remember what was to be run and answer from a list. */
class FakeRooms implements SystemRooms {
  readonly ran: string[] = [];
  readonly commands: Command[] = [];
  readonly codes = new Set<string>();
  readonly notes: string[] = [];
  /** What a command says or does, by a part of it. */
  readonly answers: [string, (command: Command) => string][] = [];
  stillRunning: readonly string[] = [];
  absent: readonly string[] = [];
  readonly openTree = openTree;

  async run(command: Command, code: string): Promise<string> {
    const text = formatCommand(command).replaceAll(/\/\S*swarmboot-test-[A-Za-z0-9]+\//g, '/T/');
    this.ran.push(text.replace('/usr/bin/busybox ', ''));
    this.commands.push(command);
    this.codes.add(code);
    return this.answers.find(([part]) => text.includes(part))?.[1](command) ?? '';
  }
  absentPrograms(commands: readonly Command[]): readonly string[] {
    return commands.flatMap(({ argv }) => argv.slice(0, 1)).filter((path) => this.absent.includes(path));
  }
  endProcesses(): readonly string[] {
    return this.stillRunning;
  }
  async addressOf(host: string): Promise<string> {
    return host === 'server.lab' ? '10.9.0.1' : host;
  }
  async shell(): Promise<void> {
    this.ran.push('(shell)');
  }
  note(text: string): void {
    this.notes.push(text);
  }
}

const CHROOT = [
  'mount -o bind /dev /T/a/dev',
  'mount -t proc proc /T/a/proc',
  'mount -t sysfs sysfs /T/a/sys',
  'mount -t tmpfs -o mode=0755 tmpfs /T/a/run',
];
const FLUSH = 'sync -f /T/a /T/a/boot/efi';
const LEAVE = ['run', 'sys', 'proc', 'dev'].map((folder) => `umount -l /T/a/${folder}`);

/** A target with these files in it (`a -> b`: a link), and the system that is to be made of it. */
function arena(t: TestContext, files: Record<string, string> = {}, changes: Partial<SystemJob> = {}) {
  const folder = scratch(t);
  const target = join(folder, 'a');
  const runFolder = join(folder, 'run');
  for (const path of [target, runFolder]) mkdirSync(path);
  for (const [path, content] of Object.entries(files)) {
    const [place = '', to] = path.split(' -> ');
    mkdirSync(join(target, dirname(place)), { recursive: true });
    if (to === undefined) writeFileSync(join(target, place), content);
    else symlinkSync(to, join(target, place));
  }
  const rooms = new FakeRooms();
  const system = new TargetSystem(makeJob({ target, runFolder, ...changes }), rooms);
  const read = (path: string) => readFileSync(join(target, path), 'utf8');
  return { rooms, system, target, runFolder, read, tree: openTree(target) };
}

const GRUB_CFG = `linux /boot/vmlinuz-6.1 root=UUID=${ROOT_UUID} ro\ninitrd /boot/initrd.img-6.1\n`;

/** What GRUB's programs do, as far as it is looked at. */
function answerAsGrub(rooms: FakeRooms, target: string, config = GRUB_CFG): void {
  rooms.answers.push(
    ['grub-probe', () => 'a warning\n/dev/vda2\n'],
    [
      'grub-mkconfig',
      () => {
        writeFileSync(join(target, 'boot/grub/grub.cfg'), config);
        return '';
      },
    ],
  );
}

test('disks are prepared command by command, and released in the order of the plan', async (t) => {
  const { rooms, system } = arena(t);
  await system.prepareDisks(never);
  await system.release();
  await system.release();
  deepEqual(rooms.ran, ['/usr/sbin/sfdisk /dev/vda', 'sync', 'umount /a']);
});

test('on UEFI, what firmware could start is hidden until all else is on the disks, or they are let go of', async (t) => {
  const image = { ...BOOTABLE, 'usr/lib/grub/x86_64-efi/modinfo.sh': '' };
  const { rooms, system, target } = arena(t, image, { plan: { ...PLAN, firmware: 'efi' } });
  answerAsGrub(rooms, target);
  await system.prepareDisks(never);
  equal(rooms.ran.splice(0).at(-1), 'mount -o bind /T/a/boot/efi/swarmboot.unfinished /T/a/boot/efi');
  await system.installBootLoader(never);
  const shown = rooms.ran.indexOf('umount /T/a/boot/efi');
  equal(rooms.ran[shown - 1], FLUSH);
  match(
    rooms.ran.slice(shown + 1).join('\n'),
    /^cp -R .*\nrm -rf .*\nsync -f .*\n.*grub-install .*\nsync -f .*$/,
  );
  await system.prepareDisks(never);
  rooms.ran.length = 0;
  await system.release();
  deepEqual(rooms.ran, [...LEAVE, 'umount /T/a/boot/efi', 'sync', 'umount /a']);
});

test('disks are left alone when a program of their plan is absent', async (t) => {
  const { rooms, system } = arena(t);
  rooms.absent = ['/usr/sbin/sfdisk'];
  await rejects(
    system.prepareDisks(never),
    /needs \/usr\/sbin\/sfdisk, not among the BOEL binaries; nothing was touched/,
  );
  await system.release();
  deepEqual(rooms.ran, []);
});

test('disks that could not be prepared are released all the same, and so far as that goes', async (t) => {
  const { rooms, system } = arena(t);
  const fail = () => {
    throw new SwarmbootError('disk', 'it is broken');
  };
  rooms.answers.push(['sfdisk', fail], ['umount', fail]);
  await rejects(system.prepareDisks(never), /it is broken/);
  await system.release();
  deepEqual(rooms.ran, ['/usr/sbin/sfdisk /dev/vda', 'sync', 'umount /a']);
  deepEqual(rooms.notes, ['while releasing: it is broken']);
});

describe('scripts of the site', () => {
  test('those before the system is there run in the installer, with variables as environment and file', async (t) => {
    const scripts = [
      script('main-install/20node005.b'),
      script('main-install/10all.a', '#!/bin/sh\necho a\n'),
    ];
    const { rooms, system, runFolder, target } = arena(t, {}, { scripts });
    const seen: string[] = [];
    rooms.answers.push([
      '/scripts/',
      ({ argv, env }) => {
        const file = readFileSync(join(runFolder, 'scripts/variables.txt'), 'utf8');
        equal(statSync(argv[0]!).mode & 0o777, 0o755);
        seen.push(readFileSync(argv[0]!, 'utf8'), env!.TARGET!);
        match(file, /^HOSTNAME='node005'$/m);
        return '';
      },
    ]);
    await system.runScripts('main-install', never);
    deepEqual(rooms.ran, ['/T/run/scripts/10all.a', '/T/run/scripts/20node005.b']);
    deepEqual(seen, ['#!/bin/sh\necho a\n', target, '#!/bin/sh\n', target]);
    deepEqual(readdirSync(runFolder), []);
    deepEqual([...rooms.codes], ['script']);
    equal(rooms.commands[0]!.timeoutMs, SCRIPT_MAX_MS);
  });

  test('those of post-install run in a chroot of the target, which is made for them', async (t) => {
    const { rooms, system } = arena(t, {}, { scripts: [script('post-install/10web.x')] });
    await system.runScripts('post-install', never);
    deepEqual(rooms.ran, [...CHROOT, 'chroot /T/a /run/swarmboot/10web.x']);
    equal(rooms.commands.at(-1)!.env!.TARGET, '/');
    match(rooms.commands.at(-1)!.why, /^run the post-install script 10web\.x$/);
  });

  test('nothing is done in a phase without scripts', async (t) => {
    const { rooms, system } = arena(t, {}, { scripts: [script('post-install/10db.x')] });
    for (const phase of ['pre-install', 'main-install', 'post-install'] as const) {
      await system.runScripts(phase, never);
    }
    deepEqual(rooms.ran, []);
  });

  test('the first that fails ends the phase, and none of them stays behind', async (t) => {
    const scripts = [script('post-install/10all.x'), script('post-install/20all.y')];
    const { rooms, system, target } = arena(t, {}, { scripts });
    rooms.answers.push([
      '10all.x',
      () => {
        throw new SwarmbootError('script', 'ended with status 3');
      },
    ]);
    await rejects(system.runScripts('post-install', never), { code: 'script' });
    doesNotMatch(rooms.ran.join(), /20all/);
    deepEqual(readdirSync(join(target, 'run')), []);
  });
});

describe('finishing a system', () => {
  test("a plain Debian becomes this node's own", async (t) => {
    const { rooms, system, read, tree } = arena(t, DEBIAN);
    await system.finish(never);
    match(read('etc/fstab'), new RegExp(`^UUID=${ROOT_UUID} +/ +ext4`, 'm'));
    doesNotMatch(read('etc/fstab'), /golden/);
    equal(read('etc/hostname'), 'node005\n');
    equal(read('etc/hosts'), '127.0.0.1\tlocalhost\n127.0.1.1\tnode005.lab.example\tnode005\n');
    equal(read('etc/machine-id'), '');
    for (const path of ['var/lib/dbus/machine-id', 'var/lib/systemd/random-seed'])
      equal(tree.has(path), false);
    deepEqual(tree.list('etc/ssh'), ['ssh_config']);
    match(read('etc/systemd/network/10-swarmboot.network'), /MACAddress=52:54:00:09:00:01/);
    match(read('etc/resolv.conf'), /nameserver 10\.9\.0\.1\n/);
    equal(tree.has('etc/swarmboot/installed'), false);
    equal(tree.has('etc/mdadm/mdadm.conf'), false);
    deepEqual(rooms.ran, [
      ...CHROOT,
      'chroot /T/a /usr/bin/ssh-keygen -A',
      'chroot /T/a /usr/bin/systemctl enable systemd-networkd.service',
    ]);
    deepEqual([...rooms.codes], ['system']);
    deepEqual(rooms.notes, ['the image configures no network: its systemd-networkd is enabled for it']);
  });

  test('the new system is to say that it has come up, to an address that needs no name service', async (t) => {
    const { system, read, tree } = arena(t, DEBIAN, { reportsUrls: ['http://server.lab:8080/reports'] });
    await system.finish(never);
    const { mac, host, image, status } = parseMessage(read('usr/lib/swarmboot/rebooted.json'));
    deepEqual([mac, host, image, status], ['52:54:00:09:00:01', 'node005', 'web', 102]);
    match(read('usr/lib/swarmboot/first-boot'), /^ {2}for url in 'http:\/\/10\.9\.0\.1:8080\/reports'; do$/m);
    equal(tree.has('usr/lib/swarmboot/busybox'), true);
    // The link leads to the unit, as the new system would follow it.
    equal(
      tree.read('etc/systemd/system/multi-user.target.wants/swarmboot-first-boot.service'),
      read('etc/systemd/system/swarmboot-first-boot.service'),
    );
  });

  test('what an image has not is noted, and the rest is done', async (t) => {
    const { rooms, system, tree } = arena(t, {}, { hostName: '', lease: { ...LEASE, mac: '' } });
    await system.finish(never);
    equal(rooms.notes.length, 3);
    match(rooms.notes[0]!, /nobody has named this machine/);
    match(rooms.notes[1]!, /network configuration stays/);
    match(rooms.notes[2]!, /MAC is not known/);
    deepEqual(tree.list('etc'), ['fstab', 'machine-id']);
    deepEqual(rooms.ran, []);
  });

  test('a new system that would have to speak TLS says nothing, and the install says so', async (t) => {
    const { rooms, system, tree } = arena(t, DEBIAN, { reportsUrls: ['https://10.9.0.1:8443/reports'] });
    await system.finish(never);
    match(
      rooms.notes.at(-1)!,
      /not tell the image server .*: it knows no TLS, and FIRST_BOOT_SERVER is missing/,
    );
    equal(tree.has('usr/lib/swarmboot/busybox'), false);
  });

  test('an image without systemd and without a known network says so', async (t) => {
    const { rooms, system } = arena(t, { 'usr/sbin/sshd': '' });
    await system.finish(never);
    match(rooms.notes[0]!, /sshd and no ssh-keygen/);
    match(rooms.notes[1]!, /none of systemd-networkd, ifupdown/);
    match(rooms.notes[2]!, /the image has no systemd/);
  });

  test('links that the image keeps for others are left to them', async (t) => {
    const { system, tree } = arena(t, {
      'etc/resolv.conf -> /run/resolv.conf': '',
      'var/lib/dbus/machine-id -> /etc/machine-id': '',
    });
    await system.finish(never);
    equal(tree.isLink('etc/resolv.conf') && tree.isLink('var/lib/dbus/machine-id'), true);
    equal(tree.has('run/resolv.conf'), false);
  });

  test('arrays are told of in mdadm.conf', async (t) => {
    const plan = { ...PLAN, mdadmConf: 'ARRAY /dev/md0 UUID=1\n' };
    const { system, read } = arena(t, {}, { plan });
    await system.finish(never);
    equal(read('etc/mdadm/mdadm.conf'), 'ARRAY /dev/md0 UUID=1\n');
  });
});

describe('the boot loader', () => {
  test('is configured, then installed, with everything on the disks between', async (t) => {
    const { rooms, system, target, tree, read } = arena(t, BOOTABLE);
    answerAsGrub(rooms, target);
    rooms.answers.push(['grub-install', () => String(equal(tree.has('etc/swarmboot/installed'), false))]);
    await system.installBootLoader(never);
    match(read('etc/swarmboot/installed'), /^IMAGENAME='web'$/m);
    deepEqual(rooms.ran, [
      ...CHROOT,
      'chroot /T/a /usr/sbin/grub-probe --target=device /',
      'mkdir -p /dev/disk/by-uuid',
      `ln -sfn /dev/vda2 /dev/disk/by-uuid/${ROOT_UUID}`,
      'chroot /T/a /usr/sbin/grub-mkconfig -o /boot/grub/grub.cfg',
      FLUSH,
      'chroot /T/a /usr/sbin/grub-install --target=i386-pc /dev/vda',
      FLUSH,
    ]);
    deepEqual(rooms.notes, ['the new system starts vmlinuz-6.1 with initrd.img-6.1']);
    equal(tree.has('etc/default/grub.d/swarmboot.cfg'), false);
  });

  test('a headless machine stays reachable over its serial line', async (t) => {
    const { rooms, system, target, read } = arena(t, BOOTABLE, { kernelCommandLine: 'console=ttyS0,115200' });
    answerAsGrub(rooms, target);
    await system.installBootLoader(never);
    match(read('etc/default/grub.d/swarmboot.cfg'), /console=ttyS0,115200"$/m);
  });

  test('an image that cannot start by itself is refused before anything is run', async (t) => {
    const { rooms, system } = arena(t);
    await rejects(system.installBootLoader(never), { code: 'system' });
    deepEqual(rooms.ran, []);
  });

  test('a configuration that starts nothing is found before GRUB is installed', async (t) => {
    const { rooms, system, target } = arena(t, BOOTABLE);
    answerAsGrub(rooms, target, 'set default=0\n');
    await rejects(system.installBootLoader(never), { code: 'system' });
    doesNotMatch(rooms.ran.join(), /grub-install/);
  });

  test('a root file system without a device is a fault', async (t) => {
    const { rooms, system } = arena(t, BOOTABLE);
    rooms.answers.push(['grub-probe', () => 'overlay\n']);
    await rejects(system.installBootLoader(never), /names no device .*: overlay;/);
  });
});

test('the chroot is made once, and what still runs in it is ended before it is left', async (t) => {
  const { rooms, system, target } = arena(t, { ...DEBIAN, ...BOOTABLE });
  answerAsGrub(rooms, target);
  rooms.stillRunning = ['gpg-agent'];
  await system.prepareDisks(never);
  await system.finish(never);
  await system.installBootLoader(never);
  await system.release();
  equal(rooms.ran.filter((line) => line === CHROOT[0]).length, 1);
  deepEqual(rooms.ran.slice(-6), [...LEAVE, 'sync', 'umount /a']);
  match(rooms.notes.at(-1)!, /gpg-agent/);
});

test('the log stays in the new system, not for everybody to read', (t) => {
  const { system, read, target } = arena(t);
  system.keepLog(['one', 'two']);
  equal(read(INSTALL_LOG), 'one\ntwo\n');
  equal(statSync(join(target, INSTALL_LOG)).mode & 0o777, 0o640);
});

describe('after the install', () => {
  const KEXEC = `/usr/sbin/kexec -s -l /T/a/boot/vmlinuz-6.1 --initrd=/T/a/boot/initrd.img-6.1 '--command-line=root=UUID=${ROOT_UUID} ro'`;
  const cases = [
    ['reboot', ['sync', 'umount /a', 'sync', 'reboot -f']],
    ['poweroff', ['sync', 'umount /a', 'sync', 'poweroff -f']],
    ['shell', ['sync', 'umount /a', '(shell)', 'sync', 'reboot -f']],
    ['kexec', [KEXEC, 'sync', 'umount /a', 'sync', '/usr/sbin/kexec -e']],
  ] as const;
  for (const [action, ran] of cases) {
    test(`${action}: all is released first`, async (t) => {
      const { rooms, system } = arena(t, { ...BOOTABLE, 'boot/grub/grub.cfg': GRUB_CFG });
      await system.prepareDisks(never);
      await system.postAction(action, never);
      deepEqual(rooms.ran.slice(1), ran);
    });
  }

  test('where kexec cannot load the new system, the machine starts anew', async (t) => {
    const { rooms, system } = arena(t);
    await system.postAction('kexec', never);
    deepEqual(rooms.ran, ['sync', 'reboot -f']);
    match(rooms.notes[0]!, /no kexec, the machine starts anew instead/);
  });
});
