/** Peers that have all of the torrent, by the HTTP scrape of the tracker at `host:port` (BEP 48). */
export async function seedersAt(tracker: string, infoHash: Uint8Array): Promise<number> {
  const hash = Buffer.from(infoHash).toString('hex').replace(/../g, '%$&');
  const reply = await fetch(`http://${tracker}/scrape?info_hash=${hash}`);
  return Number(/8:completei(\d+)e/.exec(await reply.text())?.[1] ?? 0);
}
