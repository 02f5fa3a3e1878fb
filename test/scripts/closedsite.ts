// A closed site for tests: a repository with a signed manifest that says so, an authority, a nodes file, and `swarmboot serve`.

import { equal } from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CatalogEntry } from '../../agent/core/catalog.ts';
import type { Credentials } from '../../agent/core/credentials.ts';
import { scratch } from '../content.ts';
import { published, swarmboot } from './commands.ts';
import { type Ports, type Served, serveRepository } from './server.ts';

export const MAC = '52:54:00:09:00:01';
export const OTHER = '52:54:00:09:00:02';
/** In nodes.conf with a serial number. */
export const NUMBERED = '52:54:00:09:00:03';

export interface Asked {
  readonly method?: 'GET' | 'POST';
  readonly body?: string;
  readonly token?: string | undefined;
  /** By the plain port. */
  readonly plain?: boolean;
  /** The address that asks. */
  readonly from?: string;
}

/** A closed site that nobody serves yet. */
export interface ClosedRepository {
  readonly folder: string;
  readonly repo: string;
  /** The image's own. */
  readonly tree: string;
  readonly image: CatalogEntry;
  /** What trust.json of its RAM disk holds. */
  readonly trust: string;
  readonly authority: string;
  run(...words: string[]): Promise<string>;
  /** Signs what is published now, for a closed site. */
  sign(): Promise<void>;
}

export interface ClosedSite extends Served, ClosedRepository {
  readonly secured: URL;
  readonly credentials: Credentials;
  ask(
    path: string,
    asked?: Asked,
  ): Promise<{ status: number; body: string; headers: http.IncomingHttpHeaders }>;
  enrol(
    mac: string,
    serial?: string,
    more?: Asked,
  ): Promise<{ status: number; body: string; token: string; secret: string }>;
  /** Serves the same repository once more. */
  again(): Promise<ClosedSite>;
}

export interface ClosedRepositoryOptions {
  /** Of the image. */
  readonly files?: Readonly<Record<string, string | Buffer>>;
  /** Options of `publish`. */
  readonly publish?: readonly string[];
  /** The image server's address. */
  readonly host?: string;
  /** What else is in nodes.conf. */
  readonly moreNodes?: readonly string[];
}

export interface ClosedSiteOptions extends Pick<ClosedRepositoryOptions, 'files' | 'publish'> {
  /** Options of `serve`. */
  readonly serve?: readonly string[];
}

export async function closedRepository(
  t: TestContext,
  { files = { motd: 'x' }, publish = [], host = '127.0.0.1', moreNodes = [] }: ClosedRepositoryOptions = {},
): Promise<ClosedRepository> {
  const folder = scratch(t);
  const [repo, tree] = [join(folder, 'repo'), join(folder, 'tree')];
  mkdirSync(tree);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(tree, name), content);
  const image = await published('web', '--kind', 'image', '--from', tree, '--repo', repo, ...publish);
  const lines = [
    `node001 mac=${MAC}`,
    `node002 mac=${OTHER}`,
    `node003 mac=${NUMBERED} serial=S3`,
    ...moreNodes,
  ];
  writeFileSync(join(repo, 'nodes.conf'), lines.map((line) => `${line} image=web\n`).join(''));
  const run = (...words: string[]) => runIn(repo, ...words);
  const key = join(folder, 'release');
  const { authority, trust } = await closeRepository(repo, key, host);
  const sign = async () => void (await run('sign', '--closed', '--key', `${key}.key`));
  return { folder, repo, tree, image, trust, authority, run, sign };
}

/**
 * Makes the site of a repository a closed one: an authority for `host`, and a manifest signed by a new key, that is kept in
 * `key` with .key and .pub behind it. Returns what trust.json of its RAM disk holds.
 */
export async function closeRepository(
  repo: string,
  key: string,
  host = '127.0.0.1',
): Promise<{ authority: string; trust: string }> {
  await runIn(repo, 'init', '--name', host);
  equal((await swarmboot(['keygen', key, '--unencrypted'])).status, 0);
  await runIn(repo, 'sign', '--closed', '--key', `${key}.key`);
  const authority = readFileSync(join(repo, 'tls', 'authority.pem'), 'utf8');
  const [, publicKey] = readFileSync(`${key}.pub`, 'utf8').split('\n');
  return { authority, trust: JSON.stringify({ keys: [publicKey], serialMin: 1, since: 0, authority }) };
}

/** A command on that repository, which has to succeed; what it printed. */
export async function runIn(repo: string, ...words: string[]): Promise<string> {
  const { status, out, err } = await swarmboot([...words, '--repo', repo]);
  equal(status, 0, err);
  return out;
}

export async function closedSite(
  t: TestContext,
  { serve: options = [], ...wanted }: ClosedSiteOptions = {},
): Promise<ClosedSite> {
  return serve(t, await closedRepository(t, wanted), {}, options);
}

async function serve(
  t: TestContext,
  site: ClosedRepository,
  ports: Ports,
  options: readonly string[],
): Promise<ClosedSite> {
  const served = await serveRepository(t, site.repo, ports, options);
  const port = /https port (\d+)/.exec(served.said())?.[1];
  const secured = new URL(`https://127.0.0.1:${port}`);
  while (!served.said().includes('seeding image web')) await sleep(20);
  const ask: ClosedSite['ask'] = async (path, { method = 'GET', body, token, plain, from } = {}) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const options = { method, headers, agent: false, localAddress: from };
    const url = new URL(path, plain ? served.url : secured);
    const request = plain
      ? http.request(url, options)
      : https.request(url, { ...options, ca: site.authority });
    request.end(body);
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return { status: response.statusCode!, headers: response.headers, body: await text(response) };
  };
  return {
    ...served,
    ...site,
    secured,
    credentials: { authority: site.authority, server: secured.origin, token: null },
    ask,
    enrol: async (mac, serial = '', more = {}) => {
      const answer = await ask('/enrol', { method: 'POST', body: JSON.stringify({ mac, serial }), ...more });
      const { token = '', secret = '' } = answer.status === 200 ? JSON.parse(answer.body) : {};
      return { ...answer, token, secret };
    },
    again: () => serve(t, site, { http: Number(new URL(served.url).port), https: Number(port) }, options),
  };
}
