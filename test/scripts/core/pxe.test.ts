import { equal, match, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { SwarmbootError } from '../../../agent/core/errors.ts';
import { parseNodes } from '../../../scripts/core/nodes.ts';
import {
  dhcpAdvice,
  dnsmasqConf,
  grubConf,
  ipxeScript,
  type PxeSite,
  pxelinuxDefault,
} from '../../../scripts/core/pxe.ts';

const SITE: PxeSite = {
  interface: 'eth1',
  address: '10.9.3.1',
  netmask: '255.255.254.0',
  ipv6: true,
  httpPort: 8080,
  bootFolder: '/var/lib/swarmboot/boot',
};
const NODES = parseNodes('node001 mac=52:54:00:09:00:01\nnode002 mac=52:54:00:09:00:02', 'nodes.conf').all;
const RANGE = { mode: 'dhcp', first: '10.9.2.10', last: '10.9.3.200', nodes: NODES } as const;

test('as the DHCP server: the range, names, router advertisements without a route, and a loader for each firmware', () => {
  const text = dnsmasqConf(SITE, RANGE);
  for (const line of [
    'port=0',
    'interface=eth1',
    'dhcp-range=10.9.2.10,10.9.3.200,255.255.254.0,1h',
    'dhcp-host=52:54:00:09:00:01,node001',
    'dhcp-host=52:54:00:09:00:02,node002',
    'ra-param=eth1,0,0',
    'dhcp-boot=tag:ipxe,http://10.9.3.1:8080/boot/boot.ipxe,,10.9.3.1',
    'tftp-root=/var/lib/swarmboot/boot',
  ]) {
    match(text, new RegExp(`^${line.replaceAll('.', '\\.')}$`, 'm'));
  }
  equal(dnsmasqConf({ ...SITE, ipv6: false }, RANGE).includes('enable-ra'), false);
});

test('beside a DHCP server: no addresses, no names, no router advertisements', () => {
  const text = dnsmasqConf(SITE, { mode: 'proxy' });
  match(text, /^dhcp-range=10\.9\.2\.0,proxy,255\.255\.254\.0$/m);
  equal(/dhcp-host|enable-ra|,1h/.test(text), false);
});

test('a range that is not of the network, or the wrong way round, is refused', () => {
  for (const [first, last] of [
    ['10.9.1.255', '10.9.3.1'],
    ['10.9.2.1', '10.9.4.0'],
    ['10.9.3.1', '10.9.2.1'],
    ['x', '10.9.3.1'],
    ['10.9.2.1\ndhcp-script=/bin/sh', '10.9.3.1'],
    ['fd09::1', 'fd09::2'],
  ] as const) {
    throws(
      () => dnsmasqConf(SITE, { ...RANGE, first, last }),
      (error) =>
        error instanceof SwarmbootError &&
        error.code === 'usage' &&
        /--range [\s\S]* in 10\.9\.2\.0/.test(error.message),
      `${first} ${last}`,
    );
  }
});

test("iPXE's first script asks for its machine's entry, six times, and goes on to the own disk", () => {
  equal(
    ipxeScript(SITE),
    `#!ipxe
isset \${netX/ip} || dhcp ||
set asked:int32 0
:ask
chain --replace --autofree http://10.9.3.1:8080/boot/ipxe/\${netX/mac:hexhyp} ||
inc asked
iseq \${asked} 6 && goto disk ||
echo No answer from http://10.9.3.1:8080/boot, asking again in 10 seconds
sleep 10
goto ask
:disk
iseq \${platform} efi && exit 1 ||
sanboot --no-describe --drive 0x80 || exit 1
`,
  );
});

test('PXELINUX hands over to iPXE, GRUB reads its entry over HTTP, people read what a DHCP server must answer', () => {
  match(pxelinuxDefault(), /KERNEL ipxe\.lkrn\n {2}INITRD boot\.ipxe\n$/);
  equal(
    grubConf(SITE),
    'insmod http\nwhile true; do\n  configfile (http,10.9.3.1:8080)/boot/grub/$net_default_mac\n  sleep 10\ndone\n',
  );
  match(
    dhcpAdvice(SITE),
    /option 93 is 16\) +boot file http:\/\/10\.9\.3\.1:8080\/boot\/\w+\.efi, and option 60 HTTPClient/,
  );
});
