import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { bootEntry, decideBoot } from '../../../scripts/core/bootentry.ts';
import { parseNodes } from '../../../scripts/core/nodes.ts';

const MAC = '52:54:00:09:00:01';
const NODES = parseNodes(
  `* param=console=ttyS0\nnode001 mac=${MAC} image=web layout=small groups=web,rack1 overrides=site,own param=DRY_RUN=y\n`,
  'nodes.conf',
);
const SERVER = 'http://10.9.0.1:8080';
const PLAIN = { plain: SERVER, images: SERVER };
const STRANGER = '52:54:00:09:00:09';

const install = decideBoot(NODES, MAC, true);
const disk = decideBoot(NODES, MAC, false);
const wait = decideBoot(NODES, STRANGER, false);

test('unknown machines wait, known ones boot from disk, armed ones are installed', () => {
  deepEqual([install.boot, disk.boot, wait.boot], ['install', 'disk', 'wait']);
  equal(decideBoot(NODES, STRANGER, true).boot, 'wait');
});

const WORDS =
  'quiet IMAGESERVER=http://10.9.0.1:8080 IMAGENAME=web HOSTNAME=node001 GROUPNAMES=web,rack1 ' +
  'DISKS_LAYOUT=small OVERRIDES=site,own console=ttyS0 DRY_RUN=y BOOTIF=01-52-54-00-09-00-01';

test('iPXE: an install', () => {
  equal(
    bootEntry('ipxe', install, PLAIN),
    `#!ipxe
# ${MAC}: node001 is armed and will be installed
kernel ${SERVER}/boot/kernel initrd=initrd.img ${WORDS} || goto failed
initrd ${SERVER}/boot/initrd.img || goto failed
boot || goto failed
:failed
echo The installer could not be loaded; asking again in 10 seconds
sleep 10
chain --replace --autofree ${SERVER}/boot/ipxe/52-54-00-09-00-01 || exit 1
`,
  );
});

test('iPXE: a machine that nobody knows gets the site-wide words and waits', () => {
  const [, , kernel] = bootEntry('ipxe', wait, PLAIN).split('\n');
  equal(
    kernel,
    `kernel ${SERVER}/boot/kernel initrd=initrd.img quiet IMAGESERVER=${SERVER} WAIT=y console=ttyS0 BOOTIF=01-52-54-00-09-00-09 || goto failed`,
  );
});

test('iPXE: the own disk', () => {
  equal(
    bootEntry('ipxe', disk, PLAIN),
    `#!ipxe
# ${MAC}: node001 is not armed and boots from its own disk
iseq \${platform} efi && exit 1 ||
sanboot --no-describe --drive 0x80 || exit 1
`,
  );
});

test('PXELINUX: an install, and the own disk', () => {
  equal(
    bootEntry('pxelinux', install, PLAIN),
    `# ${MAC}: node001 is armed and will be installed
DEFAULT install
PROMPT 0
LABEL install
  KERNEL ${SERVER}/boot/kernel
  INITRD ${SERVER}/boot/initrd.img
  APPEND ${WORDS}
`,
  );
  equal(
    bootEntry('pxelinux', disk, PLAIN),
    `# ${MAC}: node001 is not armed and boots from its own disk\nDEFAULT disk\nPROMPT 0\nLABEL disk\n  LOCALBOOT 0\n`,
  );
});

test('GRUB: an install, and the own disk', () => {
  equal(
    bootEntry('grub', install, PLAIN),
    `# ${MAC}: node001 is armed and will be installed
linux (http,10.9.0.1:8080)/boot/kernel ${WORDS}
initrd (http,10.9.0.1:8080)/boot/initrd.img
boot
`,
  );
  equal(
    bootEntry('grub', disk, PLAIN),
    `# ${MAC}: node001 is not armed and boots from its own disk
if search --no-floppy --set=root --file /EFI/BOOT/BOOTX64.EFI; then
  chainloader /EFI/BOOT/BOOTX64.EFI
  boot
fi
exit
`,
  );
});

test('what nodes.conf does not say is not said to the kernel', () => {
  const bare = decideBoot(parseNodes(`a mac=${MAC} image=web`, 'nodes.conf'), MAC, true);
  const words = 'quiet IMAGESERVER=http://[fd00::1]:80 IMAGENAME=web HOSTNAME=a BOOTIF=01-52-54-00-09-00-01';
  const plain = 'http://[fd00::1]:80';
  equal(bootEntry('pxelinux', bare, { plain, images: plain }).split('\n')[6], `  APPEND ${words}`);
});

test('with TLS nodes are told both addresses: theirs, and the one for the new system; loaders get files by plain HTTP', () => {
  const server = { plain: SERVER, images: 'https://10.9.0.1:8443' };
  const [, , kernel = '', initrd] = bootEntry('ipxe', install, server).split('\n');
  equal(
    kernel.startsWith(
      `kernel ${SERVER}/boot/kernel initrd=initrd.img quiet IMAGESERVER=https://10.9.0.1:8443 FIRST_BOOT_SERVER=${SERVER} IMAGENAME=web `,
    ),
    true,
    kernel,
  );
  equal(initrd, `initrd ${SERVER}/boot/initrd.img || goto failed`);
  const [, , waiting = ''] = bootEntry('ipxe', wait, server).split('\n');
  equal(/ IMAGESERVER=https:\/\/10\.9\.0\.1:8443 WAIT=y /.test(waiting), true, waiting);
});
