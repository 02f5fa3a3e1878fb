import { deepEqual, throws } from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type CatalogEntry, parseCatalog, parseCatalogEntry } from '../../agent/core/catalog.ts';
import { SwarmbootError } from '../../agent/core/errors.ts';

const ENTRY: CatalogEntry = {
  name: 'debian-12',
  kind: 'image',
  file: 'image-debian-12-0123456789ab.tar.zst',
  compression: 'zstd',
  size: 414_000_000,
  unpackedSize: 1_200_000_000,
  entryCount: 30_000,
  sha256: '0a'.repeat(32),
  pieceLength: 524_288,
  infoHash: '1b'.repeat(20),
  infoHashV2: '2c'.repeat(32),
};

const FILES = [
  { path: 'layouts/default.json', size: 400, sha256: '3d'.repeat(32) },
  { path: 'scripts/post-install/10all.motd', size: 0, sha256: '4e'.repeat(32) },
];

const refusal = (reason: RegExp) => (error: unknown) =>
  error instanceof SwarmbootError && error.code === 'catalog' && reason.test(error.message);

test('a catalog is read; fields that are not known are left out', () => {
  const other = {
    ...ENTRY,
    name: 'site',
    kind: 'override',
    compression: 'none',
    unpackedSize: 0,
    entryCount: 0,
  };
  const text = JSON.stringify({
    format: 1,
    entries: [{ ...ENTRY, colour: 'red' }, other],
    files: FILES,
    colour: 'blue',
  });
  deepEqual(parseCatalog(text), { format: 1, entries: [ENTRY, other], files: FILES });
  deepEqual(parseCatalog('{"format":1,"entries":[],"files":[]}'), { format: 1, entries: [], files: [] });
});

describe('a catalog is refused', () => {
  const cases: [string, string, RegExp][] = [
    ['that is HTML', '<html>', /not JSON .*; publish again/],
    ['that is a list', '[]', /the catalog is not a JSON object/],
    ['of another format', '{"format":2,"entries":[]}', /"format" is 2/],
    ['without entries', '{"format":1}', /"entries" is missing/],
    ['with fields by way of the prototype', '{"__proto__":{"format":1,"entries":[]}}', /"format" is missing/],
    [
      'with an entry that is null',
      '{"format":1,"entries":[null]}',
      /entry 1 of the catalog is not a JSON object/,
    ],
    ['without files', '{"format":1,"entries":[]}', /"files" is missing/],
    ...[
      'layouts/../x.json',
      'layouts/.x.json',
      'scripts/10all.x',
      'scripts/post-install/all.x',
      'scripts/post-install/10all.x/y',
      'catalog/x.json',
      '/layouts/x.json',
    ].map((path): [string, string, RegExp] => [
      `with a file at ${path}`,
      JSON.stringify({ format: 1, entries: [], files: [{ ...FILES[0], path }] }),
      /in file 1 of the catalog, "path" is/,
    ]),
    [
      'with a file that is too large',
      JSON.stringify({ format: 1, entries: [], files: [{ ...FILES[0], size: 2 ** 21 }] }),
      /"size" is 2097152/,
    ],
    ['with a name twice', JSON.stringify({ format: 1, entries: [ENTRY, ENTRY] }), /"debian-12" twice/],
  ];
  for (const [name, text, reason] of cases)
    test(name, () => throws(() => parseCatalog(text), refusal(reason)));
});

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

test('any JSON gives a catalog or a refusal, nothing else', () => {
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
      try {
        parseCatalog(text);
      } catch (error) {
        return error instanceof SwarmbootError;
      }
    }),
  );
});
