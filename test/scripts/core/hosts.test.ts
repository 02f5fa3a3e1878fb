import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isOwnHost } from '../../../scripts/core/hosts.ts';

const NAMES = new Set(['images', 'images.site.example']);

test('a Host header that is an address, localhost, or a name of the server is its own', () => {
  equal(isOwnHost(undefined, NAMES), true);
  for (const header of [
    '10.9.0.1',
    '10.9.0.1:8080',
    '[fd09::1]:8080',
    '[fd09::1]',
    'localhost:8080',
    'LOCALHOST',
    'images',
    'Images.Site.Example:8443',
    'images.site.example.:8443',
  ]) {
    equal(isOwnHost(header, NAMES), true, header);
  }
});

test('any other name is not, however it looks: DNS rebinding', () => {
  for (const header of [
    '',
    ':8080',
    'attacker.example',
    'attacker.example:8080',
    'images.attacker.example',
    'ximages',
    '10.9.0.1.attacker.example',
    '10.9.0.1.nip.io:8080',
    'localhost.attacker.example',
    'attacker.example#[fd09::1]',
    'user@10.9.0.1',
    '10.9.0.1:8080:8080',
    '10.9.0.1, attacker.example',
    '[fd09::1',
    'fd09::1',
    '[attacker.example]',
  ]) {
    equal(isOwnHost(header, NAMES), false, header);
  }
});

test('no label before or behind a name makes it the server', () => {
  const label = fc.stringMatching(/^[a-z0-9]{1,12}$/);
  fc.assert(
    fc.property(label, fc.constantFrom(...NAMES, 'localhost', '10.9.0.1'), (other, name) => {
      return (
        !isOwnHost(`${name}.${other}x`, NAMES) && !isOwnHost(`${other}x${name}`.replace(/\d/g, 'x'), NAMES)
      );
    }),
  );
});
