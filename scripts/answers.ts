// What the image server answers over HTTP, route by route: to people what watch.ts shows, to boot loaders and nodes what site.ts
// knows, and by itself the manifest, torrents, keys, and in a closed site the tracker.

import { createReadStream } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { TARBALLS_PATH } from '../agent/core/catalog.ts';
import { ENROL_NAME } from '../agent/core/enrolment.ts';
import { messageOf } from '../agent/core/errors.ts';
import { MANIFEST_NAME } from '../agent/core/manifest.ts';
import { withAnnounce } from '../agent/core/metainfo.ts';
import type { LogFact } from '../agent/core/ports.ts';
import { fileKeyOf } from './agekeys.ts';
import type { Asker } from './core/access.ts';
import type { ServerAddresses } from './core/bootentry.ts';
import { SITE_STATE_NAME } from './core/sitestate.ts';
import type { Gate } from './gate.ts';
import type { Doors } from './listen.ts';
import { type Signed, unsignedManifest } from './manifest.ts';
import { tarballPath } from './repository.ts';
import type { Seeded, Seeder } from './seeder.ts';
import type { Reply, Site } from './site.ts';
import { readSiteState } from './sitestate.ts';
import type { Tarballs } from './tarballs.ts';
import type { ServerCertificate } from './tls.ts';
import type { TrackerServer } from './tracker.ts';
import type { Watch } from './watch.ts';

/** Who knows the answers. */
export interface AnswersParts {
  readonly repo: string;
  readonly tracker: TrackerServer;
  readonly seeder: Seeder;
  readonly site: Site;
  readonly watch: Watch;
  readonly doors: Doors;
  readonly certificate: ServerCertificate | null;
  readonly gate: Gate;
  readonly tarballs: Tarballs;
  readonly log: LogFact;
}

export class Answers {
  /** What is offered, when it is signed. */
  signed: Signed | null = null;
  readonly #parts: AnswersParts;

  constructor(parts: AnswersParts) {
    this.#parts = parts;
  }

  /** Answers a request. Never rejects. */
  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      if (request.method === 'GET' && request.url === '/events')
        return this.#parts.watch.stream(request, response);
      await send(request, response, await this.#answer(request, response));
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      // Whoever goes away in the middle of an answer, or before it, is no fault of ours.
      if (code !== 'ERR_STREAM_PREMATURE_CLOSE' && code !== 'ERR_STREAM_UNABLE_TO_PIPE') {
        this.#parts.log('not answered', { url: request.url, reason: messageOf(error) });
      }
      if (!response.headersSent) response.writeHead(500);
      response.end();
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<Reply> {
    const path = (request.url ?? '').split('?')[0]!;
    const reads = request.method === 'GET' || request.method === 'HEAD';
    const { watch, gate, site, tracker, seeder } = this.#parts;
    const shown = reads ? await watch.get(path) : null;
    if (shown !== null) return shown;
    const admitted = await gate.admit(request, path);
    if ('refusal' in admitted) return admitted.refusal;
    const { asker } = admitted;
    if (request.method === 'POST' && path === '/reports') return site.report(request, asker);
    if (request.method === 'POST' && path === `/${ENROL_NAME}`) return site.enrol(request, asker);
    if (request.method === 'POST' && path === '/echo') return site.echo(request);
    if (!reads) return plain(405, 'only GET and HEAD are answered, and POST to /reports, /enrol and /echo');
    if (asker.is === 'node' && path === '/announce')
      return { type: 'text/plain', ...tracker.answer(request) };
    if (path === `/${MANIFEST_NAME}`) {
      return { status: 200, type: 'application/octet-stream', body: this.#manifest() };
    }
    // A mirror of a closed site would have to admit nodes: that is more than to read.
    if (path === `/${SITE_STATE_NAME}` && asker.is === 'anybody') return this.#siteState();
    const sealed = /^\/keys\/([^/]+)$/.exec(path)?.[1];
    if (sealed !== undefined) return this.#key(sealed, asker);
    if (path.startsWith(`/${TARBALLS_PATH}`)) return this.#tarball(request, response, path);
    const name = /^\/torrents\/([^/]+)\.torrent$/.exec(path)?.[1];
    const seeded = name === undefined ? undefined : seeder.seeded.get(name);
    if (seeded !== undefined) {
      const body = this.#torrentFor(seeded, request);
      return { status: 200, type: 'application/x-bittorrent', body };
    }
    const addresses = this.#addressesFor(request.socket.localAddress ?? '');
    return (await site.get(path, addresses)) ?? plain(404, 'nothing is here; / shows the cluster');
  }

  /** How a node that has reached `localAddress` is to call us from now on. */
  #addressesFor(localAddress: string): ServerAddresses {
    const { certificate, doors } = this.#parts;
    const plain = `http://${hostOf(localAddress)}:${doors.httpPort}`;
    if (certificate === null) return { plain, images: plain };
    const host = certificate.hostFor(localAddress.replace(/^::ffff:/, ''));
    return { plain, images: `https://${hostOf(host)}:${doors.httpsPort}` };
  }

  #manifest(): string | Uint8Array {
    if (this.signed !== null) return this.signed.document;
    const entries = [...this.#parts.seeder.seeded.values()].map(({ entry }) => entry);
    return JSON.stringify(unsignedManifest(entries, this.#parts.site.files));
  }

  /** A tarball that is offered, or a part of it. */
  #tarball(request: IncomingMessage, response: ServerResponse, path: string): Reply {
    const { repo, seeder, tarballs } = this.#parts;
    const file = path.slice(TARBALLS_PATH.length + 1);
    const found = [...seeder.seeded.values()].find(({ entry }) => entry.file === file);
    if (found === undefined) return plain(404, 'no tarball of that name is offered');
    const place = { path: tarballPath(repo, found.entry), sizeBytes: found.entry.size };
    return tarballs.answer(request, response, place);
  }

  async #siteState(): Promise<Reply> {
    const body = JSON.stringify(await readSiteState(this.#parts.repo));
    return { status: 200, type: 'application/json', body, headers: { 'Cache-Control': 'no-store' } };
  }

  /** The key of an encrypted publication, for enrolled nodes alone. */
  async #key(name: string, asker: Asker): Promise<Reply> {
    if (asker.is !== 'node')
      return plain(403, 'keys are for enrolled nodes: close the site with swarmboot sign --closed');
    const entry = this.#parts.seeder.seeded.get(name)?.entry;
    if (entry === undefined || entry.encryption === null) return plain(404, `no key belongs to "${name}"`);
    const key = await fileKeyOf(this.#parts.repo, entry);
    const headers = { 'Cache-Control': 'no-store' };
    return { status: 200, type: 'application/octet-stream', body: key.reveal(), headers };
  }

  /**
   * A torrent without trackers gets ours, under the address by which the asker reached us. Closed, a site has no other, and
   * the asker shows his token to the very name alone by which he came.
   */
  #torrentFor({ torrent, torrentBytes }: Seeded, { headers, socket }: IncomingMessage): Uint8Array {
    const own = hostOf(socket.localAddress ?? '');
    if (this.#parts.gate.closed) {
      const host = headers.host ?? `${own}:${this.#parts.doors.httpsPort}`;
      return withAnnounce(torrentBytes, [[`https://${host}/announce`]]);
    }
    if (torrent.announce.length > 0) return torrentBytes;
    const at = `${own}:${this.#parts.tracker.httpPort}/announce`;
    return withAnnounce(torrentBytes, [[`http://${at}`], [`udp://${at}`]]);
  }
}

/** A socket's own address, as a URL has it. */
function hostOf(localAddress: string): string {
  const address = localAddress.replace(/^::ffff:/, '');
  return address.includes(':') ? `[${address}]` : address;
}

function plain(status: number, text: string): Reply {
  return { status, type: 'text/plain', body: `${text}\n` };
}

async function send(
  { method }: IncomingMessage,
  response: ServerResponse,
  { status, type, body, headers }: Reply,
): Promise<void> {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const length = bytes instanceof Uint8Array ? bytes.length : bytes.size;
  // GRUB 2.06 knows the second by this spelling only.
  response.writeHead(status, { ...headers, 'Content-Type': type, 'Content-Length': length });
  if (method === 'HEAD') response.end();
  else if (bytes instanceof Uint8Array) response.end(bytes);
  // A file that has grown since is sent as long as it was said to be.
  else if (length === 0) response.end();
  else {
    const { path, begin = 0 } = bytes;
    await pipeline(createReadStream(path, { start: begin, end: begin + length - 1 }), response);
  }
}
