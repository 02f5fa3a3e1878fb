// Who asks the image server, and what he has to be in a closed site to ask for something. What is not named here is for enrolled nodes.

/**
 * `anybody`: also by plain HTTP, for neither boot loaders nor browsers know tokens. `tls`: nodes ask it before they enrol.
 * `reporter`: each message is judged by itself. `node`: with the token of an enrolled node, over TLS.
 */
export type Access = 'anybody' | 'tls' | 'reporter' | 'node';

/** `path`: of a URL, without its query. What `Watch` shows to people has been answered before. */
export function accessOf(path: string): Access {
  if (path.startsWith('/boot/')) return 'anybody';
  if (path === '/reports') return 'reporter';
  return path === '/enrol' || path === '/echo' || path.startsWith('/nodes/') ? 'tls' : 'node';
}

/** Who asks, as far as he has shown it. */
export type Asker =
  /** Of an open site. */
  | { readonly is: 'anybody' }
  /** Over TLS, with the token of this node. */
  | { readonly is: 'node'; readonly mac: string }
  /** Over TLS, without a token; or by plain HTTP. */
  | { readonly is: 'stranger' | 'plain' };
