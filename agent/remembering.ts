// Keeps the peers of a torrent beside its staging file while the install runs, and gives those of an install before this one
// that was cut off. What cannot be kept or read stops nothing: it spares a search, no more.

import { formatPeers, parsePeers } from './core/remembered.ts';
import type { Rooms, TransferRoom } from './core/rooms.ts';
import type { Ms } from './core/units.ts';

/** At most so often is it written, and only when it is different. */
export const REMEMBER_MS: Ms = 10_000;

/** Where the peers are that belong to the staging file at `path`. */
export function peersPath(path: string): string {
  return `${path}.peers`;
}

/** Tells `transfer` of the peers that are known of before, and keeps those that it has until `signal` is aborted. */
export async function rememberPeers(
  transfer: TransferRoom,
  path: string,
  { memory, sleep, tell }: Pick<Rooms, 'memory' | 'sleep' | 'tell'>,
  signal: AbortSignal,
): Promise<void> {
  let kept = (await memory.read(peersPath(path))) ?? '';
  const peers = parsePeers(kept);
  if (peers.length > 0) {
    transfer.addPeers(peers);
    tell({ fact: 'note', text: `${peers.length} peers are remembered from the install that was cut off` });
  }
  while (!signal.aborted) {
    await sleep(REMEMBER_MS, signal).catch(() => {});
    const { addresses } = transfer.view();
    // Whoever is alone now has use for the ones that it had.
    if (signal.aborted || addresses.length === 0) continue;
    const text = formatPeers(addresses);
    if (text === kept) continue;
    kept = text;
    await memory.write(peersPath(path), text);
  }
}
