import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { DiskFacts } from '../agent/core/diskfacts.ts';
import { SwarmbootError } from '../agent/core/errors.ts';
import { FakeRooms, install, stagesOf } from './rooms.ts';

const LAYOUT = JSON.stringify({
  format: 1,
  disks: [
    {
      match: { type: 'virtual' },
      label: 'gpt',
      partitions: [
        { name: 'bios', size: '1MiB', type: 'bios-boot' },
        { name: 'root', size: 'rest', fs: { type: 'ext4', mount: '/' } },
      ],
    },
  ],
});
const DISK: DiskFacts = {
  name: 'vda',
  path: '/dev/vda',
  ids: [],
  sizeBytes: 2 ** 32,
  sectorBytes: 512,
  model: '',
  serial: 'd1',
  type: 'virtual',
  removable: false,
  label: null,
  content: null,
  partitions: [],
  uses: [],
};

/** A node with one disk, whose image can start by itself. */
function node(files: Record<string, string> = {}): FakeRooms {
  const rooms = new FakeRooms();
  rooms.disks = [DISK];
  rooms.siteFiles = { 'layouts/default.json': LAYOUT, ...files };
  for (const path of [
    'boot/vmlinuz-6.1',
    'boot/initrd.img-6.1',
    'usr/sbin/grub-install',
    'usr/sbin/grub-mkconfig',
    'usr/sbin/grub-probe',
    'usr/lib/grub/i386-pc',
  ])
    rooms.files.set(path, '');
  rooms.files.set(
    'boot/grub/grub.cfg',
    "menuentry 'x' {\n linux /boot/vmlinuz-6.1 root=UUID=1 ro\n initrd /boot/initrd.img-6.1\n}\n",
  );
  return rooms;
}

const ran = (rooms: FakeRooms, program: string) => rooms.asked.indexOf(`run ${program}`);
const notes = (rooms: FakeRooms) =>
  rooms.events.flatMap((event) => (event.fact === 'note' ? [event.text] : [])).join('\n');

describe('an install onto disks', () => {
  test('has the stages of disks, scripts and boot loader around those of an install into a folder', async () => {
    const rooms = node();
    await install(rooms, { DISKS_LAYOUT: 'search', OVERRIDES: 'site' });
    assert.deepEqual(stagesOf(rooms), [
      'parameters',
      'catalog',
      'check',
      'BOEL binaries',
      'pre-install',
      'disks',
      'staging',
      'image',
      'extract',
      'overrides',
      'main-install',
      'finish',
      'post-install',
      'boot loader',
      'seed-wait',
      'leave',
      'post-action',
    ]);
  });

  test('extracts between the making of file systems and the boot loader, lets go of the disks, reports, starts anew', async () => {
    const rooms = node();
    await install(rooms, { DISKS_LAYOUT: 'default' });
    const order = [
      rooms.asked.indexOf('extract tools into /'),
      ran(rooms, 'sfdisk'),
      ran(rooms, 'mkfs.ext4'),
      rooms.asked.indexOf('extract debian into /a'),
      rooms.asked.indexOf('remove /tmp/staging'),
      rooms.asked.indexOf('reported'),
      ran(rooms, 'umount'),
    ];
    assert.deepEqual(
      order,
      [...order].sort((a, b) => a - b),
    );
    assert.ok(
      order.every((at) => at >= 0),
      String(order),
    );
    assert.equal(rooms.files.get('etc/hostname'), 'node001\n');
    assert.match(rooms.files.get('var/log/swarmboot-install.log') ?? '', /a line/);
  });

  test('takes the layout of the host before that of a group, of the image and the default one', async () => {
    const broken = (name: string) => ({ [`layouts/${name}.json`]: '{}' });
    for (const [flags, name] of [
      [{}, 'node001'],
      [{ GROUPNAMES: 'gpu,compute' }, 'compute'],
      [{}, 'node'],
      [{}, 'debian'],
    ] as const) {
      const rooms = node(broken(name));
      await assert.rejects(
        install(rooms, { DISKS_LAYOUT: 'search', ...flags }),
        (error) => error instanceof SwarmbootError && error.message.startsWith(`layouts/${name}.json is no`),
      );
    }
  });

  test('refuses before anything is written: no layout, a broken one, two disks, too little room', async () => {
    const twoDisks = node();
    twoDisks.disks = [DISK, { ...DISK, name: 'vdb', path: '/dev/vdb' }];
    const none = node();
    none.siteFiles = {};
    const small = node();
    const entries = small.manifest.entries.map((entry) => ({ ...entry, unpackedSize: 2 ** 33 }));
    small.manifest = { ...small.manifest, entries };
    for (const [rooms, code] of [
      [none, 'missing'],
      [node({ 'layouts/default.json': '{' }), 'layout'],
      [twoDisks, 'disk'],
      [small, 'disk'],
    ] as const) {
      await assert.rejects(
        install(rooms, { DISKS_LAYOUT: 'search' }),
        (error) => error instanceof SwarmbootError && error.code === code,
      );
      assert.deepEqual(rooms.asked, ['start', 'catalog', 'stop']);
    }
  });

  test('DRY_RUN prints disks and commands, and writes nothing', async () => {
    const rooms = node({ 'scripts/post-install/10all.motd': '#!/bin/sh\n' });
    await install(rooms, { DISKS_LAYOUT: 'search', DRY_RUN: 'y' });
    assert.deepEqual(rooms.asked, ['start', 'catalog', 'stop']);
    assert.match(notes(rooms), /\$ \/usr\/sbin\/sfdisk .*\n {6}label: gpt/);
    assert.match(notes(rooms), /scripts\/post-install\/10all\.motd/);
    assert.match(notes(rooms), /nothing was written/);
  });

  test('that fails leaves the swarms first, then lets go of the disks', async () => {
    const rooms = node();
    const broken = new SwarmbootError('archive', 'the archive ends too early');
    rooms.faults.push(['extract debian into /a', broken]);
    await assert.rejects(install(rooms, { DISKS_LAYOUT: 'search' }), broken);
    assert.ok(rooms.asked.indexOf('remove /tmp/staging') < ran(rooms, 'umount'));
    assert.ok(ran(rooms, 'umount') > 0);
    assert.equal(ran(rooms, 'chroot'), -1);
  });

  test('opens a shell before each stage that BREAK names', async () => {
    const rooms = node();
    await install(rooms, { DISKS_LAYOUT: 'search', 'si.break': 'disks,seed-wait' });
    assert.equal(rooms.asked.filter((what) => what === 'shell').length, 2);
    assert.ok(rooms.asked.indexOf('shell') < ran(rooms, 'sfdisk'));
  });
});

test('an install into a folder touches no disk, whatever layouts there are', async () => {
  const rooms = node();
  await install(rooms);
  assert.ok(!rooms.asked.some((what) => what.startsWith('run ') && what !== 'run sync'));
});
