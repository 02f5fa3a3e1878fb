// Peers as the tests of the core need them: connected, known only by number.

import { Peer } from '../../agent/core/peer.ts';

export function peerOf(slot: number, pieceCount: number, { fast = true, outgoing = true } = {}): Peer {
  const identity = {
    peerId: slot.toString(16).padStart(40, '0'),
    address: { host: '10.0.0.1', port: 1000 + slot },
    outgoing,
    fast,
  };
  return new Peer(slot, identity, pieceCount, 0);
}
