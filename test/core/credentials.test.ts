import { deepEqual, equal, match, throws } from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Credentials,
  distrusted,
  NO_CREDENTIALS,
  requestOptions,
} from '../../agent/core/credentials.ts';
import { SwarmbootError } from '../../agent/core/errors.ts';

const CREDENTIALS: Credentials = { authority: 'PEM', server: 'https://10.9.0.1:8443', token: 'secret' };
const optionsFor = (url: string, of: Partial<Credentials> = {}) =>
  requestOptions({ ...CREDENTIALS, ...of }, new URL(url));

test('with an authority only what it has signed is believed, over TLS 1.3', () => {
  const { ca, minVersion, rejectUnauthorized } = optionsFor('https://10.9.0.1:8443/manifest');
  deepEqual([ca, minVersion, rejectUnauthorized], ['PEM', 'TLSv1.3', true]);
});

test('with an authority nothing goes out by plain HTTP', () => {
  throws(
    () => optionsFor('http://10.9.0.1:8443/manifest'),
    (error) =>
      error instanceof SwarmbootError &&
      error.code === 'signature' &&
      /^http:\/\/10\.9\.0\.1:8443 is plain HTTP, .*; give IMAGESERVER=https/.test(error.message),
  );
});

test('the token is shown to the image server alone, and over TLS alone', () => {
  const shown = (url: string, of: Partial<Credentials> = {}) =>
    optionsFor(url, { authority: null, ...of }).headers.authorization;
  equal(shown('https://10.9.0.1:8443/a/b?c'), 'Bearer secret');
  for (const url of [
    'http://10.9.0.1:8443/',
    'https://10.9.0.1/',
    'https://10.9.0.1:8444/',
    'https://10.9.0.2:8443/',
    'https://10.9.0.1.example:8443/',
  ]) {
    equal(shown(url), undefined, url);
  }
  equal(shown('http://10.9.0.1:8443/', { server: 'http://10.9.0.1:8443' }), undefined);
  equal(shown('https://10.9.0.1:8443/', { token: null }), undefined);
  equal(shown('https://10.9.0.1:8443/', { server: null }), undefined);
});

test("who was given nothing believes the system's authorities, and asks by plain HTTP too", () => {
  const plain = { headers: { 'user-agent': 'swarmboot' }, rejectUnauthorized: true };
  for (const url of ['http://example.org/', 'https://example.org/'])
    deepEqual(requestOptions(NO_CREDENTIALS, new URL(url)), plain);
});

test('a fault of a certificate is told from one that may pass', () => {
  const url = new URL('https://10.9.0.1:8443/manifest');
  const told = (code: string) => distrusted(url, Object.assign(new Error('why'), { code }), '2036-01-01');
  for (const code of [
    'SELF_SIGNED_CERT_IN_CHAIN',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'ERR_SSL_WRONG_VERSION',
  ])
    match(told(code)!.message, /^https:\/\/10\.9\.0\.1:8443 is not believed: why \(.*\); is it the image/);
  for (const code of ['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID'])
    match(told(code)!.message, /; the clock of this machine says 2036-01-01; is it/);
  for (const code of ['ECONNREFUSED', 'ECONNRESET', 'ETIMEDOUT', 'ENOTFOUND', '']) equal(told(code), null);
  equal(distrusted(url, 'CERT_HAS_EXPIRED', ''), null);
});
