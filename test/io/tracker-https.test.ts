import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { it } from 'node:test';
import tls from 'node:tls';
import { promisify } from 'node:util';
import { encode } from '../../agent/core/bencode.ts';
import { announce } from './trackers.ts';

it('the tracker client asks over HTTPS, only servers that it can trust, and never falls back to HTTP', async (t) => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'swarmboot-https-'));
  t.after(() => rm(folder, { recursive: true }));
  const [keyPath, certPath] = [path.join(folder, 'key.pem'), path.join(folder, 'cert.pem')];
  const kind = ['-x509', '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-days', '2'];
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
  await promisify(execFile)('/usr/bin/openssl', [
    'req',
    ...kind,
    ...subject,
    '-keyout',
    keyPath,
    '-out',
    certPath,
  ]);
  const [key, cert] = [await readFile(keyPath), await readFile(certPath, 'utf8')];

  let location: string | null = null;
  const server = https.createServer({ key, cert }, (_, response) => {
    if (location !== null) response.writeHead(302, { location });
    response.end(encode({ interval: 60 }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const url = `https://127.0.0.1:${port}/announce`;

  await assert.rejects(announce(url), /\/announce could not be asked: self-signed certificate/);
  tls.setDefaultCACertificates([cert]);
  assert.partialDeepStrictEqual(await announce(url), { intervalMs: 60_000 });
  location = `http://127.0.0.1:${port}/announce`;
  await assert.rejects(announce(url), /redirected to "http:.*followed only on the same host/);
});
