// Certificates of every kind, right and wrong, made by the openssl program; and a server that shows one.

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

export interface Certified {
  /** Both PEM. */
  readonly key: string;
  readonly cert: string;
}

export interface Wanted {
  /** As openssl has it: `IP:127.0.0.1`. */
  readonly name?: string;
  /** As openssl has them: `20260101000000Z`. */
  readonly from?: string;
  readonly to?: string;
}

const YESTERDAY = stamp(-1);
const TOMORROW = stamp(1);

function stamp(days: number): string {
  const time = new Date(Date.now() + days * 86_400_000).toISOString();
  return `${time.replace(/[-:T]|\..*$/g, '')}Z`;
}

/** An authority of the test's own, with its files in `folder`. */
export class TestAuthority {
  readonly pem: string;
  readonly #folder: string;
  #count = 0;

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'index.txt'), '');
    const made = ['-x509', '-days', '2', '-subj', '/CN=authority', '-keyout', 'ca.key', '-out', 'ca.pem'];
    this.#openssl('req', ...made, ...KEY);
    this.pem = readFileSync(join(folder, 'ca.pem'), 'utf8');
  }

  /** A server's certificate; for 127.0.0.1, and good today, unless other things are wanted. */
  issue({ name = 'IP:127.0.0.1', from = YESTERDAY, to = TOMORROW }: Wanted = {}): Certified {
    const at = (file: string) => join(this.#folder, file);
    const number = this.#count++;
    const [key, request, cert, config] = ['key', 'csr', 'pem', 'cnf'].map((kind) => `${number}.${kind}`);
    writeFileSync(
      at(config!),
      `[ca]\ndefault_ca = site\n[site]\ndatabase = index.txt\nnew_certs_dir = .\nrand_serial = yes\ndefault_md = sha256
policy = policy\nunique_subject = no\n[policy]\ncommonName = supplied\n[extensions]\nsubjectAltName = ${name}\n`,
    );
    this.#openssl('req', '-new', '-subj', '/CN=server', ...KEY, '-keyout', key!, '-out', request!);
    const by = ['-cert', 'ca.pem', '-keyfile', 'ca.key', '-startdate', from, '-enddate', to];
    const files = ['-in', request!, '-out', cert!, '-notext', '-batch'];
    this.#openssl('ca', '-config', config!, '-extensions', 'extensions', ...by, ...files);
    return { key: readFileSync(at(key!), 'utf8'), cert: readFileSync(at(cert!), 'utf8') };
  }

  /** A certificate for 127.0.0.1 that nobody but itself has signed. */
  selfSigned(): Certified {
    const files = ['-keyout', 'self.key', '-out', 'self.pem'];
    const names = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
    this.#openssl('req', '-x509', '-days', '2', ...names, ...KEY, ...files);
    const read = (file: string) => readFileSync(join(this.#folder, file), 'utf8');
    return { key: read('self.key'), cert: read('self.pem') };
  }

  #openssl(...words: readonly string[]): void {
    execFileSync('/usr/bin/openssl', words, { cwd: this.#folder, stdio: 'pipe' });
  }
}

interface Test {
  after(done: () => void): void;
}

/** A server on a free port of loopback that shows a certificate; it is closed when the test ends. */
export async function listenTls(
  test: Test,
  options: https.ServerOptions,
  answer: RequestListener,
  host = '127.0.0.1',
): Promise<URL> {
  const server = https.createServer(options, answer);
  server.on('tlsClientError', () => {});
  server.listen(0, host);
  await once(server, 'listening');
  test.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return new URL(`https://${host.includes(':') ? `[${host}]` : host}:${port}`);
}
