// Under which names the image server is asked. A page of somebody else's, in the browser of an admin, can have its own name
// lead to our address (DNS rebinding), and would then read what we answer: such a name stands in the header `Host`.

/** How an address is written in a Host header; brackets around IPv6. Of what follows the host only a port may be. */
const HOST = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?$/i;
const IPV4 = /^\d{1,3}(?:\.\d{1,3}){3}$/;

/**
 * Whether a request with this Host header asks for us: by any IP address, as `localhost`, or by one of `names` (in small
 * letters). Without a header it is no browser: HTTP/1.0 has none, and of HTTP/1.1 Node demands one.
 */
export function isOwnHost(header: string | undefined, names: ReadonlySet<string>): boolean {
  if (header === undefined) return true;
  const host = HOST.exec(header)?.[1]?.toLowerCase().replace(/\.$/, '');
  if (host === undefined) return false;
  return host.startsWith('[') || IPV4.test(host) || host === 'localhost' || names.has(host);
}
