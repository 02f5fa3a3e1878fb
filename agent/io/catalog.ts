// Manifests, torrents and magnet links, fetched or read from wherever the caller says. What they mean is decided in
// core; here they are only brought, within limits of size and time.

import { hash } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { open } from 'node:fs/promises';
import { get as getHttp, type IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { FILE_KEY_BYTES, FileKey } from '../core/age.ts';
import { BENCODE_BYTES_MAX } from '../core/bencode.ts';
import { BOUNDS } from '../core/bounds.ts';
import { type Credentials, distrusted, requestOptions } from '../core/credentials.ts';
import { messageOf, SwarmbootError } from '../core/errors.ts';
import { nameFault } from '../core/filelist.ts';
import type { Magnet } from '../core/magnet.ts';
import { MANIFEST_BYTES_MAX, MANIFEST_NAME } from '../core/manifest.ts';
import { isTrackerUrl } from '../core/metainfo.ts';
import type { CatalogRoom } from '../core/rooms.ts';
import type { PeerAddress } from '../core/tracker.ts';
import type { Ms } from '../core/units.ts';

const REDIRECTS_MAX = BOUNDS.redirects;
/** A server that sends nothing for so long is away. */
const SILENCE_MAX_MS: Ms = 10_000;
const REQUEST_MAX_MS: Ms = 60_000;

/** Fetches with `credentials` from image servers. What it brings is yet to be believed, unless it says otherwise. */
export function openCatalog(credentials: Credentials): CatalogRoom {
  const fetch = (url: URL, bytesMax: number, signal: AbortSignal) =>
    fetchBytes(url, bytesMax, credentials, signal);
  return {
    fetchManifest: (server, signal) => fetch(below(server, MANIFEST_NAME), MANIFEST_BYTES_MAX, signal),
    fetchTorrent: (server, { name }, signal) =>
      fetch(below(server, `torrents/${name}.torrent`), BENCODE_BYTES_MAX, signal),
    async fetchKey(server, { name }, signal) {
      const bytes = await fetch(below(server, `keys/${name}`), FILE_KEY_BYTES, signal);
      try {
        if (bytes.length === FILE_KEY_BYTES) return new FileKey(bytes);
        throw new SwarmbootError('catalog', `the key of "${name}" is none; publish ${name} again`);
      } finally {
        bytes.fill(0);
      }
    },
    async fetchFile(server, file, signal) {
      const bytes = await fetch(below(server, `files/${file.path}`), file.size, signal);
      if (bytes.length === file.size && hash('sha256', bytes, 'hex') === file.sha256) return bytes;
      throw new SwarmbootError(
        'catalog',
        `${file.path} from ${server.href} is not what the manifest promises; if it was not just being changed, publish or sign again on the image server`,
      );
    },
    addressesOf: (server) =>
      lookup(server.hostname.replace(/^\[(.*)\]$/, '$1'), { all: true }).then(
        (found) => found.map(({ address }) => address),
        () => [],
      ),
    async readTorrentSource(source, signal) {
      if (/^magnet:/i.test(source)) return { kind: 'magnet', magnet: await readMagnet(source) };
      if (/^https?:\/\//i.test(source)) {
        if (!URL.canParse(source))
          throw new SwarmbootError('torrent', `${source} is not a URL; check its spelling`);
        return { kind: 'torrent', bytes: await fetch(new URL(source), BENCODE_BYTES_MAX, signal) };
      }
      return { kind: 'torrent', bytes: await readFileWithin(source, BENCODE_BYTES_MAX, signal) };
    },
  };
}

/**
 * Reads a magnet link. Throws SwarmbootError('torrent') when it names no v1 info hash: peers find one another by it,
 * and the piece hashes of a v2-only torrent do not travel with its info dictionary.
 */
export async function readMagnet(text: string): Promise<Magnet> {
  // Loaded on demand: of all installs, only those by magnet link pay for the package.
  const { default: parse } = await import('parse-torrent');
  const link = await parse(neededOf(text)).catch((error: unknown) => {
    if (/[?&]xt=urn:btmh:/i.test(text) && !/[?&]xt=urn:btih:/i.test(text)) {
      throw new SwarmbootError(
        'torrent',
        `the magnet link has a v2 info hash alone; use the .torrent file instead`,
      );
    }
    throw badMagnet(messageOf(error));
  });
  // The package takes any 32 or 40 characters for a hash, whatever follows them.
  const topics = [link.xt].flat().filter((topic) => topic.startsWith('urn:btih:'));
  if (!topics.every((topic) => /^urn:btih:([0-9a-f]{40}|[a-z2-7]{32})$/i.test(topic))) {
    throw badMagnet('its info hash is not 40 hex digits or 32 letters of base 32');
  }
  const name = typeof link.dn === 'string' && nameFault(link.dn) === null ? link.dn : null;
  return {
    infoHashV1: Buffer.from(link.infoHash, 'hex'),
    infoHashV2: link.infoHashV2 === undefined ? null : sha256OfHex(link.infoHashV2),
    name,
    trackers: link.announce.filter(isTrackerUrl),
    peers: link.peerAddresses.flatMap(peerOf),
  };
}

/**
 * The link with nothing but the fields that we read. Of the others the package believes too much: `infoHash=` would stand
 * for a hash that nobody has checked, and `so=0-4294967294` becomes a list of all these numbers.
 */
function neededOf(text: string): string {
  const fields = text.slice(text.indexOf('?') + 1).split('&');
  return `magnet:?${fields.filter((field) => /^(?:xt|dn|tr|x\.pe)=/.test(field)).join('&')}`;
}

function badMagnet(reason: string): SwarmbootError {
  return new SwarmbootError('torrent', `bad magnet link: ${reason}; copy it again, in quotes for a shell`);
}

function sha256OfHex(text: string): Uint8Array {
  if (!/^[0-9a-f]{64}$/.test(text)) throw badMagnet('its v2 info hash is not 64 hex digits');
  return Buffer.from(text, 'hex');
}

/** `192.0.2.1:6881` or `[2001:db8::1]:6881`; host names and nonsense give nothing. */
function peerOf(text: string): PeerAddress[] {
  const match = /^(?:\[([0-9a-f:.]+)\]|([0-9.]+)):(\d{1,5})$/i.exec(text);
  const host = match?.[1] ?? match?.[2] ?? '';
  const port = Number(match?.[3]);
  return isIP(host) === 0 || !(port >= 1 && port <= 65535) ? [] : [{ host, port }];
}

/** `path` below the address of the server, which may itself have a path. */
function below(server: URL, path: string): URL {
  const base = new URL(server);
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  return new URL(path, base);
}

/**
 * Gets `url`, following a few redirects within its own origin. Throws SwarmbootError 'catalog', or 'signature' when the server
 * is not to be believed.
 */
async function fetchBytes(
  url: URL,
  bytesMax: number,
  credentials: Credentials,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(REQUEST_MAX_MS)]);
  let at = url;
  for (let hops = 0; hops <= REDIRECTS_MAX; hops++) {
    try {
      const answer = await requestBytes(at, bytesMax, credentials, limit);
      if (answer instanceof Uint8Array) return answer;
      at = answer;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof SwarmbootError) throw error;
      const distrust = distrusted(at, error, new Date().toISOString());
      if (distrust !== null) throw distrust;
      const why = limit.aborted ? `no whole answer within ${REQUEST_MAX_MS / 1000} s` : messageOf(error);
      throw unreachable(at, why, error);
    }
    if (at.origin !== url.origin) throw unreachable(url, `it redirects to another server, ${at.origin}`);
  }
  throw unreachable(url, `it redirects more than ${REDIRECTS_MAX} times`);
}

function unreachable(url: URL, why: string, cause?: unknown): SwarmbootError {
  const next = 'check the address, and that "swarmboot serve" runs there';
  return new SwarmbootError('catalog', `cannot get ${url.href}: ${why}; ${next}`, { cause });
}

/** One GET: the body, or the URL that it redirects to. Rejects with an Error whose message says what went wrong. */
async function requestBytes(
  url: URL,
  bytesMax: number,
  credentials: Credentials,
  signal: AbortSignal,
): Promise<Uint8Array | URL> {
  const options = { ...requestOptions(credentials, url), signal, agent: false };
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array | URL>();
  // TLS takes a quarter of the agent's start: only an https server pays for it.
  const get = url.protocol === 'https:' ? process.getBuiltinModule('node:https').get : getHttp;
  const request = get(url, options, (response) => {
    readAnswer(url, response, bytesMax)
      .then(resolve, reject)
      .finally(() => request.destroy());
  });
  request.setTimeout(SILENCE_MAX_MS, () => {
    request.destroy(new Error(`it sent nothing for ${SILENCE_MAX_MS / 1000} s`));
  });
  request.on('error', reject);
  return promise;
}

async function readAnswer(url: URL, response: IncomingMessage, bytesMax: number): Promise<Uint8Array | URL> {
  const { statusCode: status = 0, headers } = response;
  if (status >= 300 && status < 400 && headers.location !== undefined) {
    if (!URL.canParse(headers.location, url)) throw new Error('it redirects to nowhere');
    return new URL(headers.location, url);
  }
  if (status !== 200) throw new Error(`the server answered ${status}`);
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > bytesMax) throw new Error(`the answer is longer than ${bytesMax} bytes`);
    parts.push(part);
  }
  const whole = Buffer.concat(parts, length);
  // It may be a key, and these are the buffers of a socket, which are used again.
  for (const part of parts) part.fill(0);
  return whole;
}

async function readFileWithin(path: string, bytesMax: number, signal: AbortSignal): Promise<Uint8Array> {
  try {
    await using file = await open(path);
    const stat = await file.stat();
    if (!stat.isFile()) throw new Error('it is not a file');
    if (stat.size > bytesMax) {
      throw new SwarmbootError(
        'torrent',
        `${path} is no torrent: longer than ${bytesMax} bytes; check the path`,
      );
    }
    return await file.readFile({ signal });
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof SwarmbootError) throw error;
    throw new SwarmbootError('missing', `cannot read ${path}: ${messageOf(error)}; check the path`, {
      cause: error,
    });
  }
}
