// `swarmboot pxe config`: puts the boot loaders and their first files into REPO/boot and writes a configuration for dnsmasq.

import * as fs from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import * as path from 'node:path';
import { SwarmbootError } from '../agent/core/errors.ts';
import { type Arguments, type Command, expectWords, usage } from './command.ts';
import {
  type DhcpMode,
  dhcpAdvice,
  dnsmasqConf,
  grubConf,
  ipxeScript,
  type PxeSite,
  pxelinuxDefault,
} from './core/pxe.ts';
import { readNodes } from './nodes.ts';
import { absent, attempt, REPO_OPTION, settle } from './repository.ts';

/** Where Debian keeps the loaders, and what they are called in REPO/boot. Those of other packages are taken if there. */
const LOADERS = [
  { from: '/usr/lib/ipxe/undionly.kpxe', name: 'undionly.kpxe', package: 'ipxe', needed: true },
  { from: '/usr/lib/ipxe/snponly.efi', name: 'snponly.efi', package: 'ipxe', needed: true },
  { from: '/usr/lib/ipxe/ipxe.lkrn', name: 'ipxe.lkrn', package: 'ipxe', needed: true },
  { from: '/usr/lib/PXELINUX/lpxelinux.0', name: 'lpxelinux.0', package: 'pxelinux', needed: false },
  {
    from: '/usr/lib/syslinux/modules/bios/ldlinux.c32',
    name: 'ldlinux.c32',
    package: 'syslinux-common',
    needed: false,
  },
  {
    from: '/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed',
    name: 'grubnetx64.efi',
    package: 'grub-efi-amd64-signed',
    needed: false,
  },
  {
    // Not in that one.
    from: '/usr/lib/grub/x86_64-efi/http.mod',
    name: 'grub/x86_64-efi/http.mod',
    package: 'grub-efi-amd64-bin',
    needed: false,
  },
] as const;
/** Signs that mean something to dnsmasq or end its words. */
const SAFE_PATH = /^[A-Za-z0-9._/+@:-]+$/;
const SAFE_INTERFACE = /^[A-Za-z0-9._-]{1,15}$/;

export const pxeConfig: Command = {
  name: 'pxe config',
  synopsis: '[options]',
  summary: 'Writes what a network boot needs: boot loaders, their first files, a dnsmasq configuration.',
  options: [
    REPO_OPTION,
    {
      name: 'mode',
      kind: 'text',
      value: 'proxy|dhcp|off',
      help: 'beside a DHCP server, as the DHCP server, or neither',
      default: 'proxy',
    },
    { name: 'interface', kind: 'text', value: 'IF', help: "the nodes' network; absent: the only one" },
    { name: 'range', kind: 'text', value: 'FIRST,LAST', help: 'addresses to give, with --mode dhcp' },
    { name: 'http-port', kind: 'number', value: 'PORT', help: 'of swarmboot serve', default: 8080 },
    { name: 'out', kind: 'text', value: 'DIR', help: 'where dnsmasq.conf is put; absent: the repository' },
  ],
  run: async (args, terminal) => {
    expectWords(args);
    const repo = path.resolve(args.text('repo')!);
    const site = siteOf(args, path.join(repo, 'boot'));
    const dhcp = await modeOf(args, repo);
    const conf = dhcp === null ? null : dnsmasqConf(site, dhcp);
    const say = (line: string) => void terminal.out.write(`${line}\n`);
    say(`boot files in ${site.bootFolder}: ${(await putBootFiles(site)).join(', ')}`);
    if (conf === null) {
      terminal.out.write(dhcpAdvice(site));
      return;
    }
    const place = path.join(path.resolve(args.text('out') ?? repo), 'dnsmasq.conf');
    await put(place, conf);
    say(`wrote ${place}; start it as root: dnsmasq --conf-file=${place}`);
    if (dhcp?.mode === 'dhcp' && !site.ipv6) {
      say(`${site.interface} has no IPv6 address: iPXE waits some 13 seconds for a router before it goes on`);
    }
  },
};

/** Throws a usage error when the interface is not clear. */
function siteOf(args: Arguments, bootFolder: string): PxeSite {
  const wanted = args.text('interface');
  const candidates = Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) => {
    const own = addresses.find(({ family, internal }) => family === 'IPv4' && (!internal || name === wanted));
    if (own === undefined) return [];
    const { address, netmask } = own;
    const ipv6 = addresses.some(({ family, address: other }) => family === 'IPv6' && !/^fe80:/i.test(other));
    return [{ interface: name, address, netmask, ipv6 }];
  });
  const found = candidates.filter((candidate) => wanted === undefined || candidate.interface === wanted);
  const [only] = found;
  if (only === undefined || found.length > 1) {
    const names = candidates.map((candidate) => candidate.interface).join(', ') || 'none';
    const what =
      wanted === undefined ? 'there is not one network alone' : `${wanted} is not up with an IPv4 address`;
    throw usage(`${what}; give --interface IF; there are: ${names}`);
  }
  const httpPort = args.number('http-port')!;
  if (!Number.isInteger(httpPort) || httpPort < 1 || httpPort > 65_535) {
    throw usage(`--http-port wants a port from 1 to 65535, not ${httpPort}`);
  }
  for (const [text, form] of [
    [only.interface, SAFE_INTERFACE],
    [bootFolder, SAFE_PATH],
  ] as const) {
    if (!form.test(text))
      throw usage(`dnsmasq cannot be told of "${text}"; choose a name of letters and digits`);
  }
  return { ...only, httpPort, bootFolder };
}

/** Null: no DHCP. */
async function modeOf(args: Arguments, repo: string): Promise<DhcpMode | null> {
  const mode = args.text('mode');
  const range = args.text('range');
  if (mode !== 'dhcp' && range !== undefined) throw usage('--range is for --mode dhcp');
  if (mode === 'off') return null;
  if (mode === 'proxy') return { mode };
  if (mode !== 'dhcp') throw usage(`--mode is proxy, dhcp or off, not "${mode}"`);
  const [first, last, ...more] = range?.split(',') ?? [];
  if (first === undefined || last === undefined || more.length > 0) {
    throw usage('--mode dhcp wants the addresses that it may give: --range FIRST,LAST');
  }
  return { mode, first, last, nodes: (await readNodes(repo)).all };
}

/** Names of what was put. Throws SwarmbootError 'missing' when Debian's iPXE is not there, or 'repository'. */
async function putBootFiles(site: PxeSite): Promise<readonly string[]> {
  const contents = new Map<string, Uint8Array | string>();
  for (const { from, name, package: origin, needed } of LOADERS) {
    const content = await attempt(`read ${from}`, () => fs.readFile(from).catch(absent));
    if (content !== undefined) contents.set(name, content);
    else if (needed) {
      throw new SwarmbootError('missing', `${from} is not there; apt-get install ${origin}, then try again`);
    }
  }
  contents.set('boot.ipxe', ipxeScript(site));
  contents.set('pxelinux.cfg/default', pxelinuxDefault());
  contents.set('grub/grub.cfg', grubConf(site));
  for (const [name, content] of contents) await put(path.join(site.bootFolder, name), content);
  return [...contents.keys()];
}

async function put(place: string, content: Uint8Array | string): Promise<void> {
  await attempt(`write ${place}`, async () => {
    await fs.mkdir(path.dirname(place), { recursive: true });
    await fs.writeFile(`${place}.new`, content);
    await settle(`${place}.new`, place);
  });
}
