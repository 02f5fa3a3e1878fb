import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { fstabText, hostsText, recordText, resolvText } from '../../agent/core/targetfiles.ts';
import { LEASE, makeJob, PLAN, ROOT_UUID } from '../systems.ts';

test('fstab has a header, aligned columns, and nothing but the plan', () => {
  equal(
    fstabText(PLAN.fstab),
    `# Written by swarmboot when this machine was installed.
# source                                   mount point  type  options            dump  pass
UUID=${ROOT_UUID}  /            ext4  errors=remount-ro  0     1
UUID=5F3A-11C2                             /boot/efi    vfat  umask=0077         0     2
UUID=0c3d                                  none         swap  sw                 0     0
`,
  );
});

test('a space in a mount point is written as fstab(5) wants it', () => {
  const [root] = PLAN.fstab;
  equal(/\/srv\/a\\040b /.test(fstabText([{ ...root!, mountPoint: '/srv/a b' }])), true);
});

test('hosts of an image without any', () => {
  equal(hostsText('', 'node005', ''), '127.0.0.1\tlocalhost\n127.0.1.1\tnode005\n');
});

test("hosts keeps the image's lines and drops the golden client's own name", () => {
  equal(
    hostsText(
      '127.0.0.1\tlocalhost loghost # here\n127.0.1.1 golden.example golden\n\n::1 localhost ip6-localhost\n10.9.0.1 server\n',
      'node005',
      'lab.example',
    ),
    '127.0.0.1\tlocalhost loghost # here\n127.0.1.1\tnode005.lab.example\tnode005\n::1 localhost ip6-localhost\n10.9.0.1 server\n',
  );
});

test('a host that the file names already gets no second address, unless it only says so in a comment', () => {
  equal(
    hostsText('127.0.0.1 localhost\n10.9.0.5 node005.lab node005\n', 'node005', ''),
    '127.0.0.1 localhost\n10.9.0.5 node005.lab node005\n',
  );
  equal(
    hostsText('127.0.0.1 localhost\n10.9.0.5 other # node005\n', 'node005', ''),
    '127.0.0.1 localhost\n127.0.1.1\tnode005\n10.9.0.5 other # node005\n',
  );
});

test('resolv.conf names servers and domain, and is not written without servers', () => {
  equal(
    resolvText(LEASE),
    '# Written by swarmboot when this machine was installed.\nsearch lab.example\nnameserver 10.9.0.1\nnameserver fd09::1\n',
  );
  equal(resolvText({ ...LEASE, dns: [] }), null);
});

test('the record says what the system was made from', () => {
  const lines = recordText(makeJob()).split('\n');
  deepEqual(lines.slice(1, 5), [
    "IMAGENAME='web'",
    `IMAGE_SHA256='${'ab'.repeat(32)}'`,
    "OVERRIDES='site'",
    `OVERRIDES_SHA256='${'cd'.repeat(32)}'`,
  ]);
  equal(lines.includes("INSTALLED_AT='2026-11-22T20:00:00Z'"), true);
});
