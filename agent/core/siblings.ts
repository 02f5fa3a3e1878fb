// The trackers of a site with several image servers. Each server names its own tracker alone; nodes that know all servers ask
// all trackers, in one order, so that they meet at the first that lives and not each at another.

import { isAtHost } from './release.ts';

/** An image server, and under which names and addresses it is known. */
export interface KnownServer {
  readonly url: URL;
  readonly hosts: readonly string[];
}

/**
 * The tiers of a torrent (BEP 12) that came from one of these servers: wherever it names a tracker at one of them, the trackers
 * of all follow, at the same port and path, in the order of `servers`. Servers of one site have the same ports, therefore.
 */
export function withSiblings(
  tiers: readonly (readonly string[])[],
  servers: readonly KnownServer[],
): readonly (readonly string[])[] {
  if (servers.length < 2) return tiers;
  const seen = new Set<string>();
  return tiers
    .flatMap((tier) => [
      ...servers.map((server) => tier.flatMap((url) => atServer(url, server, servers) ?? [])),
      tier.filter((url) => ownerOf(url, servers) === null),
    ])
    .map((tier) => tier.filter((url) => !seen.has(url) && seen.add(url)))
    .filter((tier) => tier.length > 0);
}

/** Such a tracker, but at that server; null: it is at none of them. */
function atServer(url: string, server: KnownServer, servers: readonly KnownServer[]): string | null {
  const owner = ownerOf(url, servers);
  if (owner === null || owner === server) return owner && url;
  const parsed = new URL(url);
  // The tracker of a closed site is the server itself, whatever its port.
  if (parsed.origin === owner.url.origin) return `${server.url.origin}${parsed.pathname}`;
  parsed.hostname = server.url.hostname;
  return parsed.href;
}

function ownerOf(url: string, servers: readonly KnownServer[]): KnownServer | null {
  return servers.find(({ hosts }) => isAtHost(url, hosts)) ?? null;
}
