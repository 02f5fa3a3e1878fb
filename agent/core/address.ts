// IP addresses and ports as bytes and as text: the compact lists of trackers and of peer exchange (BEP 7, 11, 23). One
// address has one text (RFC 5952; IPv4 inside IPv6 is plain IPv4), so that texts may be compared.

/** Where a peer listens; `host` is an IPv4 or IPv6 literal. */
export interface PeerAddress {
  readonly host: string;
  readonly port: number;
}

const PORT_BYTES = 2;
/** Bytes of one compact entry: address and port. */
export const COMPACT_IPV4_BYTES = 4 + PORT_BYTES;
export const COMPACT_IPV6_BYTES = 16 + PORT_BYTES;

/** The text of 4 or 16 bytes. */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  if (isMapped(bytes)) return bytes.subarray(12).join('.');
  const groups: number[] = [];
  for (let at = 0; at < 16; at += 2) groups.push((bytes[at]! << 8) | bytes[at + 1]!);
  const gap = longestZeros(groups);
  const text = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':');
  return gap === null ? text(0, 8) : `${text(0, gap.from)}::${text(gap.to, 8)}`;
}

/** The 4 or 16 bytes of an IPv4 or IPv6 literal (no brackets, no zone); null when it is none. */
export function parseAddress(text: string): Uint8Array | null {
  if (!text.includes(':')) return parseIpv4(text);
  const halves = text.split('::');
  if (halves.length > 2 || text.length > 45) return null;
  const head = parseGroups(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1]!, true) : [];
  if (head === null || tail === null) return null;
  const length = head.length + tail.length;
  if (halves.length === 2 ? length > 14 : length !== 16) return null;
  const bytes = new Uint8Array(16);
  bytes.set(head, 0);
  bytes.set(tail, 16 - tail.length);
  return isMapped(bytes) ? bytes.slice(12) : bytes;
}

/** Peers of a compact list of entries of 6 (IPv4) or 18 bytes (IPv6); null when the list ends inside an entry. */
export function readCompact(list: Uint8Array, entryBytes: number): PeerAddress[] | null {
  if (list.length % entryBytes !== 0) return null;
  const peers: PeerAddress[] = [];
  for (let at = 0; at < list.length; at += entryBytes) {
    const portAt = at + entryBytes - PORT_BYTES;
    const host = formatAddress(list.subarray(at, portAt));
    peers.push({ host, port: (list[portAt]! << 8) | list[portAt + 1]! });
  }
  return peers;
}

/** The compact list of those peers whose address has the length asked for; the others are left out. */
export function writeCompact(peers: readonly PeerAddress[], entryBytes: number): Uint8Array {
  const list = new Uint8Array(peers.length * entryBytes);
  let at = 0;
  for (const { host, port } of peers) {
    const address = parseAddress(host);
    if (address === null || address.length !== entryBytes - PORT_BYTES) continue;
    list.set(address, at);
    list[at + entryBytes - 2] = port >> 8;
    list[at + entryBytes - 1] = port & 0xff;
    at += entryBytes;
  }
  return list.subarray(0, at);
}

function isMapped(bytes: Uint8Array): boolean {
  return bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
}

/** The first longest run of two or more zero groups. */
function longestZeros(groups: readonly number[]): { from: number; to: number } | null {
  let best: { from: number; to: number } | null = null;
  for (let from = 0; from < groups.length; from++) {
    let to = from;
    while (groups[to] === 0) to++;
    if (to - from >= 2 && (best === null || to - from > best.to - best.from)) best = { from, to };
    from = Math.max(from, to - 1);
  }
  return best;
}

function parseIpv4(text: string): Uint8Array | null {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part))) return null;
  const bytes = parts.map(Number);
  return bytes.every((byte) => byte <= 255) ? Uint8Array.from(bytes) : null;
}

/** The bytes of groups joined by colons; the last may be an IPv4 literal when `ipv4End`. */
function parseGroups(text: string, ipv4End: boolean): number[] | null {
  if (text === '') return [];
  const bytes: number[] = [];
  const groups = text.split(':');
  for (const [index, group] of groups.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
      continue;
    }
    const address = ipv4End && index === groups.length - 1 ? parseIpv4(group) : null;
    if (address === null) return null;
    bytes.push(...address);
  }
  return bytes;
}
