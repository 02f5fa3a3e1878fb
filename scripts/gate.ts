// Who may ask the image server of a closed site for what. Boot files and what is shown to people are for everybody; all else
// is for enrolled nodes, over TLS. An open site asks nobody who he is.

import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import { type Asker, accessOf } from './core/access.ts';
import { RequestRates, WRONG_TOKENS_AT_ONCE_MAX, WRONG_TOKENS_PER_SEC_MAX } from './core/httplimits.ts';
import type { Enrolments } from './enrolment.ts';
import type { Reply } from './site.ts';

const BEARER = /^Bearer (\S{1,256})$/;

export class Gate {
  /** Null: nobody knows yet, and nobody is answered but boot loaders and people. */
  closed: boolean | null = null;
  readonly #enrolments: Enrolments;
  readonly #clock: () => number;
  readonly #wrongTokens = new RequestRates(WRONG_TOKENS_PER_SEC_MAX, WRONG_TOKENS_AT_ONCE_MAX);

  /** @param clock monotonic, ms */
  constructor(enrolments: Enrolments, clock: () => number) {
    this.#enrolments = enrolments;
    this.#clock = clock;
  }

  /** Who asks; or the answer to who may not ask for that. Throws SwarmbootError('repository'). */
  async admit(request: IncomingMessage, path: string): Promise<{ asker: Asker } | { refusal: Reply }> {
    if (this.closed === false) return { asker: { is: 'anybody' } };
    const access = accessOf(path);
    if (this.closed === null && access !== 'anybody')
      return refuse(503, 'the repository cannot be read yet; /readyz says why');
    if (!(request.socket instanceof TLSSocket)) {
      if (access === 'anybody' || access === 'reporter') return { asker: { is: 'plain' } };
      return refuse(403, 'this site is closed, and answers this over TLS alone: come by https');
    }
    // Whoever is to enrol (again) may still show a token of before.
    if (access === 'anybody' || access === 'tls') return { asker: { is: 'stranger' } };
    const { authorization } = request.headers;
    if (authorization === undefined) {
      if (access !== 'node') return { asker: { is: 'stranger' } };
      return refuse(401, 'this site is closed: enrol first, then show the token');
    }
    const token = BEARER.exec(authorization)?.[1] ?? '';
    const mac = await this.#enrolments.nodeOf(token);
    if (mac !== null) return { asker: { is: 'node', mac } };
    if (!this.#wrongTokens.take(request.socket.remoteAddress ?? '', this.#clock()))
      return refuse(429, 'too many wrong tokens; wait');
    return refuse(401, 'this token is not that of an enrolled node; it may be at an end');
  }
}

function refuse(status: number, text: string): { refusal: Reply } {
  const headers: Record<string, string> = status === 401 ? { 'WWW-Authenticate': 'Bearer' } : {};
  return { refusal: { status, type: 'text/plain', body: `${text}\n`, headers } };
}
