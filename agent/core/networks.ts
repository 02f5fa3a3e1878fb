// Networks as an admin writes them (RFC 4632, RFC 4291): which addresses lie in them. An IPv4 address inside IPv6 is the
// IPv4 address, so that a socket for both families changes nothing.

import { formatAddress, parseAddress } from './address.ts';

/** A network, as the bytes of its first address and the bits that its addresses share. */
interface Network {
  readonly base: Uint8Array;
  readonly bits: number;
}

/** Bits in front of an IPv4 address inside IPv6. */
const MAPPED_BITS = 96;

/** The one text of a network like `10.0.0.0/8` or `fd00::/8`; null for what is none, and where bits behind it are set. */
export function parseNetwork(text: string): string | null {
  const network = read(text);
  return network === null ? null : `${formatAddress(network.base)}/${network.bits}`;
}

/** Tells of a host, an IPv4 or IPv6 literal, whether it lies in one of the networks; what is no address lies in none. */
export function insideOf(networks: readonly string[]): (host: string) => boolean {
  const all = networks.flatMap((text) => read(text) ?? []);
  return (host) => {
    // The zone of a link-local address is this machine's name for a link.
    const address = parseAddress(host.split('%', 1)[0]!);
    return address !== null && all.some((network) => contains(network, address));
  };
}

function read(text: string): Network | null {
  const [, host, digits] = /^([0-9a-fA-F.:]{2,45})\/(0|[1-9][0-9]{0,2})$/.exec(text) ?? [];
  const base = parseAddress(host ?? '');
  if (base === null) return null;
  const mapped = base.length === 4 && host!.includes(':');
  const bits = Number(digits) - (mapped ? MAPPED_BITS : 0);
  if (bits < 0 || bits > 8 * base.length) return null;
  const network = { base, bits };
  return base.every((byte, at) => (byte & maskAt(network, at)) === byte) ? network : null;
}

function contains(network: Network, address: Uint8Array): boolean {
  const { base } = network;
  return (
    address.length === base.length && base.every((byte, at) => (address[at]! & maskAt(network, at)) === byte)
  );
}

/** The bits of byte `at` that belong to the network. */
function maskAt({ bits }: Network, at: number): number {
  const within = Math.max(0, Math.min(8, bits - 8 * at));
  return (0xff << (8 - within)) & 0xff;
}
