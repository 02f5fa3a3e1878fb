import { equal, throws } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type CatalogEntry, parseCatalogEntry } from '../../agent/core/catalog.ts';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { ENTRY } from './manifests.ts';

const refusal = (reason: RegExp) => (error: unknown) =>
  error instanceof SwarmbootError && error.code === 'catalog' && reason.test(error.message);

describe('an entry is refused that has', () => {
  const wrong: [keyof CatalogEntry, unknown[]][] = [
    ['name', ['', '.hidden', '../x', 'a/b', 'a b', 'a\n', 'x'.repeat(129), 7, null]],
    ['kind', ['disk', '', 'toString', 0]],
    ['file', ['', '..', '../x', 'a/b', 'x'.repeat(256)]],
    ['compression', ['xz', null]],
    ['size', [0, -1, 1.5, 2 ** 53, '1', Number.NaN]],
    ['unpackedSize', [-1, '0']],
    ['entryCount', [-1, 0.5]],
    ['sha256', ['', '0A'.repeat(32), '0a'.repeat(31), `${'0a'.repeat(32)}\n`]],
    ['pieceLength', [0, 8192, 65_537, 134_217_728]],
    ['infoHash', ['1b'.repeat(32), 'xx'.repeat(20)]],
    ['infoHashV2', ['2c'.repeat(20)]],
  ];
  for (const [key, values] of wrong) {
    test(`no ${key}, or a wrong one`, () => {
      for (const value of [...values, undefined]) {
        throws(() => parseCatalogEntry({ ...ENTRY, [key]: value }), refusal(new RegExp(`"${key}" is `)));
      }
    });
  }
});

test('an entry is encrypted by age or not at all; one from before there was a choice is not', () => {
  equal(parseCatalogEntry({ ...ENTRY, encryption: 'age' }).encryption, 'age');
  equal(parseCatalogEntry({ ...ENTRY, encryption: null }).encryption, null);
  equal(parseCatalogEntry({ ...ENTRY, encryption: undefined }).encryption, null);
  for (const value of ['pgp', '', 'AGE', false, 0, {}])
    throws(() => parseCatalogEntry({ ...ENTRY, encryption: value }), refusal(/"encryption" is .* age, null/));
});
