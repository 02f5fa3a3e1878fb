// What we tell a peer of our interest in it (BEP 3). Gained at once; lost at choke rounds only, for where pieces come
// one by one it would come and go with each, and each word is a packet.

import type { SwarmCommand } from './events.ts';
import type { Peer } from './peer.ts';

/** True when the peer has just become interesting. */
export function gainInterest(peer: Peer, commands: SwarmCommand[]): boolean {
  if (peer.useful === 0 || peer.wanted) return false;
  peer.wanted = true;
  commands.push({ type: 'interested', slot: peer.slot });
  return true;
}

/** True when the peer has just turned out to have nothing more that we lack. */
export function loseInterest(peer: Peer, commands: SwarmCommand[]): boolean {
  if (!peer.wanted || peer.useful > 0) return false;
  peer.wanted = false;
  commands.push({ type: 'uninterested', slot: peer.slot });
  return true;
}
