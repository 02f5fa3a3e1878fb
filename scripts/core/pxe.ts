// The texts of a network boot: what dnsmasq reads, and the first file that each boot loader reads, which leads it to
// `swarmboot serve`. Decides who gets which loader; writes no file.
//
// BIOS and UEFI firmware get iPXE by TFTP, UEFI HTTP boot gets it by HTTP; iPXE itself gets the address of its script, and
// everything from there on comes by HTTP. iPXE sends DHCP option 175, the firmware does not. UEFI gets the iPXE that uses the
// firmware's own driver of the card (snponly.efi): Debian 12's other one, ipxe.efi, hangs when it is to hand back to the firmware.

import { parseAddress } from '../../agent/core/address.ts';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { IPXE_DISK } from './bootentry.ts';
import type { Node } from './nodes.ts';

/** What `serve` answers at, and where the loaders lie. */
export interface PxeSite {
  readonly interface: string;
  /** Own IPv4 address on it. */
  readonly address: string;
  readonly netmask: string;
  /** It has an IPv6 address besides the link-local one. */
  readonly ipv6: boolean;
  readonly httpPort: number;
  /** Folder of the loaders, and root of TFTP. */
  readonly bootFolder: string;
}

/** Either beside a site's own DHCP server, or as the only one, with the addresses that it may give. */
export type DhcpMode =
  | { readonly mode: 'proxy' }
  | { readonly mode: 'dhcp'; readonly first: string; readonly last: string; readonly nodes: readonly Node[] };

const ARCH = { bios: [0], efi: [7, 9], http: [16] } as const;
/** Asks before a machine gives up and boots from its own disk, ten seconds apart. */
const ATTEMPTS = 6;

/** `http://10.9.0.1:8080/boot`. */
function bootUrl({ address, httpPort }: PxeSite): string {
  return `http://${address}:${httpPort}/boot`;
}

/** The configuration of dnsmasq. Throws SwarmbootError('usage') when the range is not of the interface's network. */
export function dnsmasqConf(site: PxeSite, dhcp: DhcpMode): string {
  return lines(
    '# Written by `swarmboot pxe config`, and anew each time. Lines of your own belong into a file that has the line',
    '# conf-file=<this file>; dnsmasq -C reads that one.',
    '',
    '# No DNS.',
    'port=0',
    `interface=${site.interface}`,
    'bind-dynamic',
    '',
    ...(dhcp.mode === 'proxy' ? proxyLines(site) : dhcpLines(site, dhcp)),
    '',
    '# iPXE reads its script by HTTP; this is told to nobody else. On BIOS it takes no file of a proxy that names no server.',
    'dhcp-match=set:ipxe,175',
    `dhcp-boot=tag:ipxe,${bootUrl(site)}/boot.ipxe,,${site.address}`,
    '',
    '# The loaders.',
    'enable-tftp',
    `tftp-root=${site.bootFolder}`,
  );
}

/** Addresses come from the site's DHCP server; this one adds where to boot from. */
function proxyLines(site: PxeSite): readonly string[] {
  const service = (arch: number, file: string) => `pxe-service=tag:!ipxe,${arch},"Swarmboot",${file}`;
  return [
    '# Beside the DHCP server of this network, which gives the addresses.',
    `dhcp-range=${networkOf(site.address, site.netmask)},proxy,${site.netmask}`,
    ...ARCH.bios.map((arch) => service(arch, 'undionly.kpxe')),
    ...ARCH.efi.map((arch) => service(arch, 'snponly.efi')),
    '',
    '# UEFI HTTP boot calls itself HTTPClient, and takes an answer from that only.',
    'dhcp-pxe-vendor=PXEClient,HTTPClient',
    ...ARCH.http.map((arch) => `dhcp-match=set:http,option:client-arch,${arch}`),
    `dhcp-boot=tag:http,tag:!ipxe,${bootUrl(site)}/snponly.efi`,
  ];
}

function dhcpLines(site: PxeSite, dhcp: DhcpMode & { mode: 'dhcp' }): readonly string[] {
  const { first, last, nodes } = dhcp;
  checkRange(site, first, last);
  const match = (tag: keyof typeof ARCH) =>
    ARCH[tag].map((arch) => `dhcp-match=set:${tag},option:client-arch,${arch}`);
  return [
    '# The only DHCP server of this network.',
    `dhcp-range=${first},${last},${site.netmask},1h`,
    ...nodes.map(({ mac, name }) => `dhcp-host=${mac},${name}`),
    '',
    ...(site.ipv6
      ? [
          '# iPXE waits long for a router advertisement. These give no default route.',
          'enable-ra',
          `ra-param=${site.interface},0,0`,
          `dhcp-range=::,constructor:${site.interface},ra-only,64,1h`,
          '',
        ]
      : []),
    ...match('bios'),
    'dhcp-boot=tag:bios,tag:!ipxe,undionly.kpxe',
    ...match('efi'),
    'dhcp-boot=tag:efi,tag:!ipxe,snponly.efi',
    '',
    '# UEFI HTTP boot calls itself HTTPClient, and takes an answer from that only.',
    ...match('http'),
    'dhcp-option-force=tag:http,tag:!ipxe,option:vendor-class,HTTPClient',
    `dhcp-boot=tag:http,tag:!ipxe,${bootUrl(site)}/snponly.efi`,
  ];
}

/** What a DHCP server that we do not write for must answer; for people. */
export function dhcpAdvice(site: PxeSite): string {
  const url = bootUrl(site);
  return lines(
    `The DHCP server of this network must answer, with next-server (siaddr) ${site.address}:`,
    `  to iPXE (it sends option 175)                   boot file ${url}/boot.ipxe`,
    '  to BIOS PXE (option 93 is 0)                    boot file undionly.kpxe',
    '  to UEFI PXE (option 93 is 7 or 9)               boot file snponly.efi',
    `  to UEFI HTTP boot (option 93 is 16)             boot file ${url}/snponly.efi, and option 60 HTTPClient`,
    `and TFTP must give the files of ${site.bootFolder}. docs/pxe.md has this for ISC dhcpd and Kea.`,
  );
}

/** iPXE's first script: asks `serve` what this machine is to boot. When nobody answers, it boots from its own disk. */
export function ipxeScript(site: PxeSite): string {
  return lines(
    '#!ipxe',
    // Loaded by PXELINUX, it has no address yet.
    `isset \${netX/ip} || dhcp ||`,
    'set asked:int32 0',
    ':ask',
    `chain --replace --autofree ${bootUrl(site)}/ipxe/\${netX/mac:hexhyp} ||`,
    'inc asked',
    `iseq \${asked} ${ATTEMPTS} && goto disk ||`,
    `echo No answer from ${bootUrl(site)}, asking again in 10 seconds`,
    'sleep 10',
    'goto ask',
    ':disk',
    ...IPXE_DISK,
  );
}

/** PXELINUX without an HTTP path prefix cannot name its own MAC in a URL: it hands over to iPXE, which can. */
export function pxelinuxDefault(): string {
  return lines('DEFAULT ipxe', 'PROMPT 0', 'LABEL ipxe', '  KERNEL ipxe.lkrn', '  INITRD boot.ipxe');
}

/** GRUB's first file. What it asks for leads away from it; when it comes back, something could not be fetched. */
export function grubConf({ address, httpPort }: PxeSite): string {
  return lines(
    'insmod http',
    'while true; do',
    `  configfile (http,${address}:${httpPort})/boot/grub/$net_default_mac`,
    '  sleep 10',
    'done',
  );
}

function checkRange({ address, netmask }: PxeSite, first: string, last: string): void {
  const [low, high] = [numberOf(first), numberOf(last)];
  const network = networkOf(address, netmask);
  const inside = [first, last].every((end) => numberOf(end) !== null && networkOf(end, netmask) === network);
  if (low !== null && high !== null && inside && low <= high) return;
  throw new SwarmbootError(
    'usage',
    `--range ${first},${last} is no range of addresses in ${network} (netmask ${netmask}); give FIRST,LAST of that network`,
  );
}

function networkOf(address: string, netmask: string): string {
  const mask = parseAddress(netmask)!;
  return parseAddress(address)!
    .map((byte, index) => byte & mask[index]!)
    .join('.');
}

/** Null when it is no IPv4 address. */
function numberOf(address: string): number | null {
  const bytes = parseAddress(address);
  return bytes?.length === 4 ? bytes.reduce((sum, byte) => sum * 256 + byte, 0) : null;
}

function lines(...list: readonly string[]): string {
  return `${list.join('\n')}\n`;
}
