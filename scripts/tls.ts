// `swarmboot init`: the site's own authority and the certificate of its image server, made by the openssl program below
// REPO/tls, and the reading of them.

import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { isIP } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { messageOf, SwarmbootError } from '../agent/core/errors.ts';
import { type Command, expectWords, usage } from './command.ts';
import { absent, attempt, REPO_OPTION, settle } from './repository.ts';
import { giveToService } from './secrets.ts';

const OPENSSL = '/usr/bin/openssl';
const AUTHORITY_DAYS = 3650;
const SERVER_DAYS = 730;
const NAMES_MAX = 64;
const DNS_NAME =
  /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/i;
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** What the server shows, and by what it is known. */
export interface ServerCertificate {
  /** Private key, PEM. */
  readonly key: string;
  /** Its certificate, PEM. */
  readonly chain: string;
  /** DNS names in it. */
  readonly names: readonly string[];
  /** How nodes are to call the server that they have reached by `address`: so, if the certificate has it, else by a name. */
  hostFor(address: string): string;
}

/** The authority by which nodes know the image server. */
export interface Authority {
  /** PEM. */
  readonly text: string;
  /** Unix time, s: before this no certificate of the site is valid. */
  readonly sinceSec: number;
}

export const init: Command = {
  name: 'init',
  synopsis: '[--name HOST|ADDR]...',
  summary:
    "Makes the site's authority, unless there is one, and a certificate for the image server: serve then speaks TLS.",
  options: [
    REPO_OPTION,
    {
      name: 'name',
      kind: 'list',
      value: 'HOST|ADDR',
      help: 'how nodes and browsers call the image server (default: the host name and addresses of this machine)',
    },
  ],
  run: async (args, terminal) => {
    expectWords(args);
    const repo = args.text('repo')!;
    const given = args.list('name');
    const names = given.length === 0 ? ownNames() : [...new Set(given)];
    for (const name of names)
      if (isIP(name) === 0 && !DNS_NAME.test(name))
        throw usage(`--name wants a host name or an address, not "${name}"`);
    if (names.length > NAMES_MAX)
      throw usage(`a certificate has ${NAMES_MAX} names at most, not ${names.length}`);
    const isNew = await makeCertificates(repo, names, terminal.signal);
    const folder = tlsFolder(repo);
    if (isNew) terminal.out.write(`${folder}/authority.key is the site's: keep it secret\n`);
    terminal.out.write(`${folder}/server.pem is for ${names.join(', ')}\n`);
    const next = isNew ? 'build the RAM disk anew (swarmboot initrd build), and ' : '';
    terminal.out.write(`${next}start swarmboot serve anew\n`);
  },
};

/** The host name and every address by which others reach this machine. */
function ownNames(): string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const reached = addresses.filter(({ internal, address }) => !internal && !/^fe80:/i.test(address));
  if (reached.length === 0)
    throw usage(
      'this machine has no address on a network that is up; give --name for each of those that nodes will use',
    );
  const name = hostname().toLowerCase();
  return [...(DNS_NAME.test(name) ? [name] : []), ...new Set(reached.map(({ address }) => address))];
}

/**
 * Makes what is missing below REPO/tls, and the server's certificate always anew. True when the authority is new. Throws
 * SwarmbootError 'missing' (no openssl program) or 'repository'.
 */
async function makeCertificates(
  repo: string,
  names: readonly string[],
  signal: AbortSignal,
): Promise<boolean> {
  const folder = tlsFolder(repo);
  return attempt(`make certificates in ${folder}`, async () => {
    await fs.mkdir(folder, { recursive: true });
    const draft = await fs.mkdtemp(path.join(folder, 'making-'));
    try {
      const old = await readAuthority(repo);
      if (old === null) await makeAuthority(draft, folder, signal);
      await makeServer(draft, folder, names, (await readAuthority(repo))!, signal);
      return old === null;
    } finally {
      await fs.rm(draft, { recursive: true });
    }
  });
}

async function makeAuthority(draft: string, folder: string, signal: AbortSignal): Promise<void> {
  await fs.writeFile(path.join(draft, 'authority.cnf'), authorityConfig());
  const kind = ['-x509', '-sha256', '-days', `${AUTHORITY_DAYS}`, '-config', 'authority.cnf'];
  const made = ['-keyout', 'authority.key', '-out', 'authority.pem'];
  await openssl(draft, ['req', ...kind, ...KEY, ...made], signal);
  await fs.chmod(path.join(draft, 'authority.key'), 0o600);
  await fs.chmod(path.join(draft, 'authority.pem'), 0o644);
  // The certificate last: from then on there is an authority.
  for (const name of ['authority.key', 'authority.pem'])
    await settle(path.join(draft, name), path.join(folder, name));
}

async function makeServer(
  draft: string,
  folder: string,
  names: readonly string[],
  { sinceSec }: Authority,
  signal: AbortSignal,
): Promise<void> {
  await fs.writeFile(path.join(draft, 'server.cnf'), serverConfig(names));
  await fs.writeFile(path.join(draft, 'index.txt'), '');
  const request = ['-new', '-sha256', '-config', 'server.cnf', '-keyout', 'server.key', '-out', 'server.csr'];
  await openssl(draft, ['req', ...request, ...KEY], signal);
  const by = ['-cert', '../authority.pem', '-keyfile', '../authority.key'];
  // Valid as long as the authority has been: a node whose clock is behind goes by the time of its RAM disk, which knows that.
  const times = ['-startdate', timeOf(sinceSec), '-days', `${SERVER_DAYS}`];
  const files = ['-in', 'server.csr', '-out', 'server.pem'];
  await openssl(
    draft,
    ['ca', '-batch', '-notext', '-config', 'server.cnf', ...by, ...times, ...files],
    signal,
  );
  await fs.chmod(path.join(draft, 'server.pem'), 0o644);
  await giveToService(path.join(draft, 'server.key'));
  for (const name of ['server.key', 'server.pem'])
    await settle(path.join(draft, name), path.join(folder, name));
}

/** Nothing of this machine's own openssl.cnf: every site's authority is the same kind. */
function authorityConfig(): string {
  return `[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = Swarmboot authority of ${commonName(hostname())}
[extensions]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
`;
}

function serverConfig(names: readonly string[]): string {
  const list = names.map((name) => `${isIP(name) === 0 ? 'DNS' : 'IP'}:${name}`);
  return `[req]
distinguished_name = name
prompt = no
[name]
CN = Swarmboot image server
[ca]
default_ca = site
[site]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = policy
x509_extensions = extensions
[policy]
commonName = supplied
[extensions]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = ${list.join(', ')}
`;
}

/** What X.509 takes for a name: letters, digits and a little more, 64 with what stands before it. */
function commonName(text: string): string {
  return text.replace(/[^A-Za-z0-9.-]/g, '').slice(0, 40) || 'this site';
}

/** As openssl reads it: 20261123000000Z. */
function timeOf(sec: number): string {
  return `${new Date(sec * 1000).toISOString().replace(/[-:T]|\..*$/g, '')}Z`;
}

async function openssl(cwd: string, args: readonly string[], signal: AbortSignal): Promise<void> {
  await promisify(execFile)(OPENSSL, args, { cwd, signal }).catch((error: NodeJS.ErrnoException) => {
    signal.throwIfAborted();
    if (error.code === 'ENOENT') {
      throw new SwarmbootError('missing', `${OPENSSL} is not there; apt install openssl`, { cause: error });
    }
    throw error;
  });
}

/** The site's authority; null: there is none. Throws SwarmbootError('repository') when it cannot be used. */
export async function readAuthority(repo: string): Promise<Authority | null> {
  const text = await readPem(repo, 'authority.pem');
  if (text === null) return null;
  const certificate = parse(text, path.join(tlsFolder(repo), 'authority.pem'));
  return { text, sinceSec: Date.parse(certificate.validFrom) / 1000 };
}

/** What `serve` shows; null: there is no TLS. Throws SwarmbootError('repository') when it cannot be used. */
export async function readServerCertificate(repo: string): Promise<ServerCertificate | null> {
  const chain = await readPem(repo, 'server.pem');
  if (chain === null) return null;
  const place = path.join(tlsFolder(repo), 'server.pem');
  const certificate = parse(chain, place);
  const key = await readPem(repo, 'server.key');
  if (key === null) throw unusable(place, 'server.key is not beside it');
  const names = [...(certificate.subjectAltName ?? '').matchAll(/DNS:([^,"\s]+)/g)].map(([, name]) => name!);
  return {
    key,
    chain,
    names,
    hostFor: (address) => (certificate.checkIP(address) === undefined ? (names[0] ?? address) : address),
  };
}

function tlsFolder(repo: string): string {
  return path.resolve(repo, 'tls');
}

async function readPem(repo: string, name: string): Promise<string | null> {
  const file = path.join(tlsFolder(repo), name);
  return (await attempt(`read ${file}`, () => fs.readFile(file, 'utf8').catch(absent))) ?? null;
}

function parse(text: string, place: string): X509Certificate {
  try {
    return new X509Certificate(text);
  } catch (error) {
    throw unusable(place, messageOf(error));
  }
}

function unusable(place: string, why: string): SwarmbootError {
  return new SwarmbootError('repository', `${place} cannot be used (${why}); run swarmboot init`);
}
