// What a node shows to its image server, and what it wants to be shown: one value, made by main.ts and handed to every room
// that asks over HTTP, so that all of them believe the same.

import { messageOf, SwarmbootError } from './errors.ts';

export interface Credentials {
  /** Certificates in PEM: what they have signed is believed and nothing else, and only over TLS. Null: the system's are. */
  readonly authority: string | null;
  /** Origin of the image server that has given the token, to which alone it is shown: `https://10.9.0.1:8443`. Null: to nobody. */
  server: string | null;
  /** Bearer token (RFC 6750); null until this node is enrolled. It goes into no log, no report and no file. */
  token: string | null;
}

/** Of a program that was given nothing to believe by. */
export const NO_CREDENTIALS: Credentials = Object.freeze({ authority: null, server: null, token: null });

/** Options of a request as Node's clients for HTTP and HTTPS take them. */
export interface RequestOptions {
  readonly headers: Readonly<Record<string, string>>;
  readonly rejectUnauthorized: true;
  /** In place of the system's authorities, which then are not read. */
  readonly ca?: string;
  readonly minVersion?: 'TLSv1.3';
}

/**
 * What a request to `url` goes out with. Throws SwarmbootError('signature') when it must not go out: by plain HTTP although
 * there is an authority.
 */
export function requestOptions({ authority, server, token }: Credentials, url: URL): RequestOptions {
  const isTls = url.protocol === 'https:';
  if (authority !== null && !isTls) {
    throw new SwarmbootError(
      'signature',
      `${url.origin} is plain HTTP, and this RAM disk believes image servers by their certificate only; give IMAGESERVER=https://...`,
    );
  }
  const shown = token !== null && isTls && url.origin === server;
  return {
    headers: { 'user-agent': 'swarmboot', ...(shown ? { authorization: `Bearer ${token}` } : {}) },
    // Said here, so that nothing in the environment says otherwise.
    rejectUnauthorized: true,
    ...(authority === null ? {} : { ca: authority, minVersion: 'TLSv1.3' }),
  };
}

/** Codes by which Node and OpenSSL say that a certificate, or the TLS that it came by, is not to be believed. */
const DISTRUST =
  /CERT|ISSUER|SELF_SIGNED|UNABLE_TO_VERIFY|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH|^ERR_(SSL|TLS)_|^EPROTO$/;

/**
 * The error of a request to `url` as SwarmbootError('signature') when the other side is not to be believed; null when it is
 * another one, which may pass. `clock`: what time it is here, for people.
 */
export function distrusted(url: URL, error: unknown, clock: string): SwarmbootError | null {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (!DISTRUST.test(code)) return null;
  const said = messageOf(error);
  // Of OpenSSL's own lines the reason alone: `write EPROTO 40:error:0A:SSL routines:function:REASON:file.c:78:`.
  const why = /:([^:]+):[^:]*\.c:\d+:/.exec(said)?.[1] ?? said;
  // A certificate out of its time: mostly it is the clock that is.
  const time = /EXPIRED|NOT_YET_VALID/.test(code) ? `; the clock of this machine says ${clock}` : '';
  return new SwarmbootError(
    'signature',
    `${url.origin} is not believed: ${why} (${code})${time}; is it the image server? Then run "swarmboot init" there, and build the RAM disk anew when its authority is another one now`,
    { cause: error },
  );
}
