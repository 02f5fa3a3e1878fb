// What a machine that boots over the network is told to boot: the decision, and its text for each boot loader. Everything
// that goes into a text was checked by pattern before: names and words by nodes.ts, the MAC by mac.ts.

import { bootInterface } from '../../agent/core/mac.ts';
import type { Node, Nodes } from './nodes.ts';

/** iPXE's way to the own disk. UEFI firmware goes on to its next boot option after a failure only; a success leads into its menu. */
export const IPXE_DISK: readonly string[] = [
  `iseq \${platform} efi && exit 1 ||`,
  'sanboot --no-describe --drive 0x80 || exit 1',
];

/** GRUB's. From its `exit` the firmware of UEFI does not go on: the loader of the disk is started instead. */
const GRUB_DISK: readonly string[] = [
  'if search --no-floppy --set=root --file /EFI/BOOT/BOOTX64.EFI; then',
  '  chainloader /EFI/BOOT/BOOTX64.EFI',
  '  boot',
  'fi',
  'exit',
];

/** Listing a machine wipes nothing: only an armed node is installed. */
export type BootDecision =
  | { readonly boot: 'install'; readonly mac: string; readonly node: Node }
  /** The RAM disk, which tells what the machine is made of and waits to be armed. */
  | { readonly boot: 'wait'; readonly mac: string; readonly params: readonly string[] }
  | { readonly boot: 'disk'; readonly mac: string; readonly node: Node };

export function decideBoot(nodes: Nodes, mac: string, armed: boolean): BootDecision {
  const node = nodes.byMac(mac);
  if (node === null) return { boot: 'wait', mac, params: nodes.params };
  return { boot: armed ? 'install' : 'disk', mac, node };
}

/** The loaders that ask for an entry. */
export type Loader = 'ipxe' | 'pxelinux' | 'grub';

/** How a node calls its image server. */
export interface ServerAddresses {
  /** For boot loaders, and for the new system: `http://10.9.0.1:8080`. */
  readonly plain: string;
  /** IMAGESERVER: the same, or `https://10.9.0.1:8443`. */
  readonly images: string;
}

/** The entry, as text of the loader's language. */
export function bootEntry(loader: Loader, decision: BootDecision, server: ServerAddresses): string {
  const title = `# ${decision.mac}: ${describe(decision)}`;
  const words = decision.boot === 'disk' ? null : kernelWords(decision, server);
  switch (loader) {
    case 'ipxe':
      return lines('#!ipxe', title, ...ipxe(words, decision.mac, server.plain));
    case 'pxelinux':
      return lines(title, ...pxelinux(words, server.plain));
    case 'grub':
      return lines(title, ...grub(words, server.plain));
  }
}

function describe(decision: BootDecision): string {
  switch (decision.boot) {
    case 'install':
      return `${decision.node.name} is armed and will be installed`;
    case 'wait':
      return 'not in nodes.conf, waits';
    case 'disk':
      return `${decision.node.name} is not armed and boots from its own disk`;
  }
}

/** The kernel's command line but for what a loader adds. */
function kernelWords(
  decision: Exclude<BootDecision, { boot: 'disk' }>,
  { plain, images }: ServerAddresses,
): string {
  const words = ['quiet', `IMAGESERVER=${images}`];
  const add = (name: string, value: string | null) => {
    if (value !== null && value !== '') words.push(`${name}=${value}`);
  };
  if (decision.boot === 'wait') words.push('WAIT=y', ...decision.params);
  else {
    const { name, groups, image, layout, overrides, params } = decision.node;
    if (images !== plain) add('FIRST_BOOT_SERVER', plain);
    add('IMAGENAME', image);
    add('HOSTNAME', name);
    add('GROUPNAMES', groups.join(','));
    add('DISKS_LAYOUT', layout);
    add('OVERRIDES', overrides.join(','));
    words.push(...params);
  }
  return [...words, `BOOTIF=${bootInterface(decision.mac)}`].join(' ');
}

function ipxe(words: string | null, mac: string, server: string): readonly string[] {
  if (words === null) return IPXE_DISK;
  return [
    // UEFI kernels look for their initrd by this name.
    `kernel ${server}/boot/kernel initrd=initrd.img ${words} || goto failed`,
    `initrd ${server}/boot/initrd.img || goto failed`,
    'boot || goto failed',
    ':failed',
    'echo The installer could not be loaded; asking again in 10 seconds',
    'sleep 10',
    `chain --replace --autofree ${server}/boot/ipxe/${bootInterface(mac).slice(3)} || exit 1`,
  ];
}

function pxelinux(words: string | null, server: string): readonly string[] {
  if (words === null) return ['DEFAULT disk', 'PROMPT 0', 'LABEL disk', '  LOCALBOOT 0'];
  return [
    'DEFAULT install',
    'PROMPT 0',
    'LABEL install',
    `  KERNEL ${server}/boot/kernel`,
    `  INITRD ${server}/boot/initrd.img`,
    `  APPEND ${words}`,
  ];
}

function grub(words: string | null, server: string): readonly string[] {
  if (words === null) return GRUB_DISK;
  const folder = `(http,${server.replace(/^http:\/\//, '')})/boot`;
  return [`linux ${folder}/kernel ${words}`, `initrd ${folder}/initrd.img`, 'boot'];
}

function lines(...list: readonly string[]): string {
  return `${list.join('\n')}\n`;
}
