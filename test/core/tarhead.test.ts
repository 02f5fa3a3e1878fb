import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { quoted, readMember } from '../../agent/core/tarhead.ts';
import { bytesOf, gnuLong, header, joined, member, octal, pax, sparse, sparseStored } from './archives.ts';

function refused(...parts: readonly Uint8Array[]): string {
  try {
    readMember(joined(...parts));
  } catch (error) {
    assert(error instanceof SwarmbootError && error.code === 'archive', String(error));
    return error.message;
  }
  assert.fail('accepted');
}

test('a plain header is read', () => {
  const read = readMember(header({ name: 'a', prefix: 'dir/sub', size: 7, mode: 0o4755 }));
  assert.equal(read.name, 'dir/sub/a');
  assert.deepEqual([read.type, read.storedBytes, read.fileBytes, read.mode], ['file', 7, 7, 0o4755]);
  assert.equal(read.mtimeSec, 1_700_000_000);
});

test('the prefix field belongs to POSIX headers alone', () => {
  assert.equal(readMember(header({ name: 'a', prefix: '123', magic: 'ustar  \0' })).name, 'a');
});

test('pax records overrule the header', () => {
  const records = [
    ['path', 'p/\xff'],
    ['size', '9'],
    ['mtime', '1.5'],
    ['uid', '3000000'],
    ['SCHILY.xattr.user.a', 'x\ny=\0z'],
  ] as const;
  const read = readMember(joined(pax(records), header({ size: 0 })));
  assert.deepEqual([read.name, read.storedBytes, read.mtimeSec, read.uid], ['p/\xff', 9, 1.5, 3_000_000]);
  assert.deepEqual(read.xattrs, ['user.a']);
});

test('GNU long names and links are read', () => {
  const long = 'x'.repeat(300);
  const read = readMember(joined(gnuLong('L', long), gnuLong('K', `${long}/y`), header({ flag: '2' })));
  assert.deepEqual([read.name, read.linkName], [long, `${long}/y`]);
});

test('a sparse file counts its holes as data', () => {
  const map = sparse(5000, [
    [0, 512],
    [4999, 1],
  ]);
  const read = readMember(joined(map, header({ size: 513 })));
  assert.deepEqual([read.storedBytes, read.fileBytes, read.sparse, read.mapStored], [513, 5000, true, false]);
  const commas = [
    ['GNU.sparse.size', '5000'],
    ['GNU.sparse.numblocks', '2'],
    ['GNU.sparse.name', 'real'],
    ['GNU.sparse.map', '0,512,4999,1'],
  ] as const;
  assert.equal(
    readMember(joined(pax(commas), header({ name: 'GNUSparseFile.1/real', size: 513 }))).name,
    'real',
  );
  const stored = readMember(
    joined(sparseStored(3, 'real'), header({ name: 'GNUSparseFile.1/real', size: 515 })),
  );
  assert.deepEqual([stored.name, stored.fileBytes, stored.mapStored], ['real', 3, true]);
});

test('a sparse header that GNU tar would read otherwise is refused', () => {
  const refusedMap = (bytes: number, map: [number, number][], size: number) =>
    refused(sparse(bytes, map), header({ size }));
  assert.match(refusedMap(5, [[0, 5]], 4), /a sparse map of 5 bytes where 4 are stored/);
  assert.match(refusedMap(5, [[0, 5]], 1024), /a sparse map of 5 bytes where 1024 are stored/);
  assert.match(refusedMap(9, [[0, 5]], 5), /ends at 5 in a file of 9 bytes/);
  assert.match(
    refusedMap(
      9,
      [
        [5, 4],
        [0, 5],
      ],
      9,
    ),
    /not in order/,
  );
  assert.match(
    refusedMap(
      9,
      [
        [0, 1],
        [8, 1],
      ],
      2,
    ),
    /starts within a record/,
  );
  assert.match(refusedMap(0, [], 0), /no known form/);
  const records = (...names: string[]) =>
    refused(pax(names.map((name) => [`GNU.sparse.${name}`, '1'])), header({ size: 1 }));
  assert.match(records('size'), /no known form/);
  assert.match(records('realsize'), /whose size is no number/);
  assert.match(records('major', 'minor', 'realsize'), /no known form/);
  assert.match(records('offset', 'numbytes', 'numblocks', 'size'), /before the number of its stretches/);
  assert.match(records('map', 'numblocks', 'size'), /before the number of its stretches/);
  assert.match(records('numblocks', 'numbytes', 'offset', 'size'), /do not take turns/);
  assert.match(records('numblocks', 'offset', 'offset', 'size'), /do not take turns/);
  assert.match(records('size', 'numblocks', 'offset'), /does not hold what it says/);
  assert.match(records('size', 'pairs'), /a pax header holds GNU\.sparse\.pairs/);
  const good = sparse(5, [[0, 5]]);
  assert.match(refused(good, header({ size: 5, magic: 'ustar  \0' })), /fits no file/);
  const star = `${'0'.repeat(11)} `.repeat(2);
  assert.match(refused(good, header({ size: 5, fields: [[476, star]] })), /fits no file/);
});

test('sizes beyond octal are read', () => {
  const large = '\x80\0\0\0\0\0\0\x02\0\0\0\0';
  assert.equal(readMember(header({ sizeField: large })).storedBytes, 2 ** 33);
});

test('types that are no part of the agreement are refused by name', () => {
  assert.match(
    refused(header({ flag: 'S', name: 'disk.img' })),
    /"disk\.img" is an old GNU sparse file; .*--format=pax/,
  );
  for (const flag of ['N', 'X', 'M', 'V', 'D', 'A', '8']) {
    assert.match(refused(header({ flag })), new RegExp(`unknown type "${flag}"`));
  }
});

test('what two readers could understand differently is refused', () => {
  assert.match(refused(pax([['path', 'a']], 'g'), header({})), /global header sets "path"/);
  assert.match(refused(pax([['path', 'a']]), pax([['path', 'b']]), header({})), /two extended headers/);
  assert.match(refused(gnuLong('L', 'a'), gnuLong('L', 'b'), header({})), /two extended headers/);
  assert.match(refused(gnuLong('L', 'a'), pax([['mtime', '1']]), header({})), /two extended headers/);
  assert.match(
    refused(
      pax([
        ['path', 'a'],
        ['path', 'b'],
      ]),
      header({}),
    ),
    /"path" twice/,
  );
  assert.match(refused(pax([['GNU.dumpdir', 'x']]), header({})), /holds "GNU\.dumpdir"/);
  assert.match(refused(pax([['size', '5']]), header({ flag: '5', name: 'd/' })), /a directory with content/);
  assert.match(refused(header({ flag: '1', linkName: 'a', size: 512 })), /a hardlink with content/);
  assert.match(refused(header({ name: 'a/' })), /ends with a slash/);
  assert.match(refused(header({ sizeField: '+AAAAAAAAAB' })), /size is no number/);
  assert.match(refused(header({ sizeField: '\xff'.repeat(12) })), /size is no number/);
  assert.match(refused(pax([['size', '-1']]), header({})), /size is no number/);
  assert.match(refused(pax([['size', '0x10']]), header({})), /size is no number/);
  assert.match(refused(sparse(10, [[10, 0]]), header({ flag: '2' })), /fits no file/);
  assert.match(refused(pax([[' path', 'a']]), header({})), /holds " path"/);
  assert.match(refused(pax([['\tpath', 'a']]), header({})), /holds "\\x09path"/);
  assert.match(refused(pax([['comment\0', 'a']]), header({})), /holds "comment\\x00"/);
  const sums: ((sum: number) => string)[] = [
    (sum) => `${octal(sum, 6)}x `,
    (sum) => `\0${octal(sum, 6)} `,
    (sum) => `\x80\0\0\0\0\0${String.fromCharCode(sum >> 8, sum & 255)}`,
  ];
  for (const sumField of sums) {
    assert.match(refused(header({ sumField })), /checksum is no octal number/);
    assert.match(refused(header({ flag: 'L', sumField }), header({})), /checksum is no octal number/);
  }
  assert.match(refused(new Uint8Array(512), header({})), /members follow the end/);
  assert.match(refused(header({}), header({})), /do not end/);
  assert.match(refused(bytesOf('x')), /incomplete/);
});

test('modes, owners and times are numbers, or empty', () => {
  const empty = [100, 108, 116].map((offset) => [offset, '\0'.repeat(8)] as const);
  const read = readMember(header({ fields: [...empty, [136, '\0'.repeat(12)]] }));
  assert.deepEqual([read.mode, read.uid, read.gid, read.mtimeSec], [0, 0, 0, 0]);
  assert.equal(readMember(header({ fields: [[136, `${'\xff'.repeat(11)}\xfb`]] })).mtimeSec, -5);
  assert.equal(readMember(joined(pax([['mtime', '-0.25']]), header({}))).mtimeSec, -0.25);
  for (const offset of [100, 108, 116, 136])
    assert.match(refused(header({ fields: [[offset, '  8  ']] })), /mode, owner, group or time is no number/);
  for (const [key, value] of [
    ['mtime', 'now'],
    ['mtime', '1e400'],
    ['uid', '0x10'],
    ['gid', ''],
  ] as const)
    assert.match(refused(pax([[key, value]]), header({})), /mode, owner, group or time is no number/);
});

test('access lists and labels kept as text are named', () => {
  const records = [
    ['SCHILY.acl.access', 'user::rw-'],
    ['RHT.security.selinux', 'x'],
  ] as const;
  assert.deepEqual(readMember(joined(pax(records), header({}))).xattrs, [
    'SCHILY.acl.access',
    'RHT.security.selinux',
  ]);
});

test('comments in a global header are passed over', () => {
  assert.equal(readMember(joined(pax([['comment', 'abc']], 'g'), header({ name: 'a' }))).name, 'a');
});

test('malformed pax records are refused', () => {
  const bad = [
    'x',
    '5 a=',
    '99 a=b\n',
    '6 a=bb\n',
    '5 a=b\n',
    ' 6 a=b\n',
    '06 a=b\n',
    '5 ab\n',
    '4 =\n',
    '0 \n',
  ];
  for (const text of bad) assert.match(refused(member({ flag: 'x' }, text), header({})), /pax header/, text);
});

test('pax records with any bytes come back as they were', () => {
  const text = fc.string({ unit: fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code)) });
  fc.assert(
    fc.property(text, text, (path, link) => {
      fc.pre(path !== '' && !path.endsWith('/'));
      const parts = joined(
        pax([
          ['path', path],
          ['linkpath', link],
        ]),
        header({ flag: '2' }),
      );
      const read = readMember(parts);
      assert.deepEqual([read.name, read.linkName], [path, link]);
    }),
  );
});

test('random records are read or refused, never more', () => {
  const flags = fc.constantFrom('0', '1', '2', '5', 'x', 'g', 'L', 'K', 'S', '\0');
  const content = fc.uint8Array({ maxLength: 600 }).map((bytes) => String.fromCharCode(...bytes));
  fc.assert(
    fc.property(fc.array(fc.tuple(flags, content), { maxLength: 4 }), fc.nat(3000), (members, cut) => {
      const bytes = joined(...members.map(([flag, text]) => member({ flag }, text)));
      try {
        readMember(bytes.subarray(0, cut));
      } catch (error) {
        assert(error instanceof SwarmbootError, String(error));
      }
    }),
  );
});

test('names are shown without their control characters', () => {
  assert.equal(quoted('a\x1b[31m"\xff'), '"a\\x1b[31m\\x22\\xff"');
});
