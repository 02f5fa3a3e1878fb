// The peers of a swarm as a node keeps them beside its staging, so that one that starts anew while no tracker answers finds
// its swarm again. A memory that makes no sense is none.

import { type PeerAddress, parseAddress } from './address.ts';
import { BOUNDS } from './bounds.ts';

/** One line for each peer: `10.0.0.1 7000`. */
export function formatPeers(peers: readonly PeerAddress[]): string {
  return peers
    .slice(0, BOUNDS.rememberedPeers)
    .map(({ host, port }) => `${host} ${port}\n`)
    .join('');
}

/** Reads what `formatPeers` wrote; lines that are none of it, and what is beyond its limit, are passed over. */
export function parsePeers(text: string): PeerAddress[] {
  const peers: PeerAddress[] = [];
  for (const line of text.split('\n')) {
    const [, host = '', digits = ''] = /^([0-9a-f.:]{2,45}) ([0-9]{1,5})$/.exec(line) ?? [];
    const port = Number(digits);
    if (parseAddress(host) === null || port === 0 || port > 65_535) continue;
    if (peers.push({ host, port }) === BOUNDS.rememberedPeers) break;
  }
  return peers;
}
