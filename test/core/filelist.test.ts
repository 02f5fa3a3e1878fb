import { deepEqual } from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Bencodable } from '../../agent/core/bencode.ts';
import { KIB } from '../../agent/core/units.ts';
import {
  leaf,
  PIECE,
  parse,
  refused,
  root,
  sha1s,
  torrentWith,
  twoFiles,
  v1Files,
  v1Info,
} from '../metainfos.ts';

type Fields = { [key: string]: Bencodable };

describe('v1 lists of files', () => {
  const cases: [string, Bencodable, RegExp][] = [
    ['length and files', { ...v1Files({ length: 1, path: ['x'] }), length: 1 }, /both "length" and "files"/],
    ['an empty name', v1Info({ name: '' }), /the name is empty/],
    ['a name of two dots', v1Info({ name: '..' }), /the name is "\.\."/],
    ['a name of one dot', v1Info({ name: '.' }), /the name is "\."/],
    ['an absolute name', v1Info({ name: '/etc/passwd' }), /slash/],
    ['a name with a zero byte', v1Info({ name: 'a\0b' }), /control character/],
    ['a name with an escape sequence', v1Info({ name: '\x1b]0;x' }), /control character/],
    ['a name that is not UTF-8', v1Info({ name: Uint8Array.of(0xc3, 0x28) }), /not UTF-8/],
    ['a name of 256 bytes', v1Info({ name: 'é'.repeat(128) }), /longer than 255 bytes/],
    ['a symbolic link', v1Info({ attr: 'l', 'symlink path': ['x'] }), /symbolic link/],
    ['a symbolic link among files', v1Files({ attr: 'xl', length: 0, path: ['x'] }), /symbolic link/],
    ['a path of two dots', v1Files({ length: 1, path: ['x', '..', '..', 'y'] }), /the name is "\.\."/],
    ['an empty path', v1Files({ length: 1, path: [] }), /an empty path/],
    ['an empty part of a path', v1Files({ length: 1, path: ['', 'x'] }), /the name is empty/],
    ['a path of another kind', v1Files({ length: 1, path: 'x' }), /"path" is not of kind list/],
    ['a path of numbers', v1Files({ length: 1, path: [1] }), /not of kind bytes/],
    [
      'a path too long',
      v1Files({ length: 1, path: Array(20).fill('x'.repeat(250)) }),
      /longer than 4000 bytes/,
    ],
    ['a file twice', v1Files({ length: 1, path: ['x'] }, { length: 1, path: ['x'] }), /two files at "x"/],
    [
      'a file that is a folder',
      v1Files({ length: 1, path: ['x'] }, { length: 1, path: ['x', 'y'] }),
      /two files/,
    ],
    [
      'a folder that is a file',
      v1Files({ length: 1, path: ['x', 'y'] }, { length: 1, path: ['x'] }),
      /two files/,
    ],
  ];
  for (const [name, info, reason] of cases)
    test(`refused: ${name}`, () => refused(torrentWith(info), reason));
});

describe('v2 file trees beside them', () => {
  test('many files, padded to pieces', () => {
    const torrent = parse(torrentWith(twoFiles({})));
    deepEqual(torrent.piecesV2, new Uint8Array(64).fill(1));
  });

  const cases: [string, Fields, RegExp][] = [
    ['another size', { 'file tree': { b: leaf(100), c: { d: leaf(8) } } }, /differ/],
    ['another name', { 'file tree': { b: leaf(100), c: { e: leaf(7) } } }, /differ/],
    ['another file', { 'file tree': { b: leaf(100), c: { d: leaf(7) }, e: leaf(0) } }, /differ/],
    ['no file tree', { 'file tree': 1 }, /"file tree" is not of kind dict/],
    ['an empty folder', { 'file tree': { b: leaf(100), c: {} } }, /empty folder/],
    [
      'a file that is a folder',
      { 'file tree': { b: { ...leaf(100), x: leaf(1) }, c: { d: leaf(7) } } },
      /folder too/,
    ],
    ['an escape in the tree', { 'file tree': { '..': leaf(100) } }, /the name is "\.\."/],
    [
      'a root of 31 bytes',
      { 'file tree': { b: { '': { length: 1, 'pieces root': sha1s(1) } } } },
      /not 32 bytes/,
    ],
    [
      'an empty file with a root',
      { 'file tree': { b: { '': { length: 0, 'pieces root': root } } } },
      /does not fit/,
    ],
    ['a file without a root', { 'file tree': { b: { '': { length: 5 } } } }, /does not fit/],
    ['a deep tree', { 'file tree': { b: deep(40) } }, /nested deeper/],
    ['an unknown version', { 'meta version': 3 }, /meta version 3/],
    ['pieces of no power of two', { 'piece length': 48 * KIB }, /power of two/],
    ['pieces below 16 KiB', { 'piece length': 8 * KIB }, /"piece length" is 8192/],
    [
      'no padding',
      {
        files: [
          { length: 100, path: ['b'] },
          { length: 7, path: ['c', 'd'] },
        ],
        pieces: sha1s(1),
      },
      /does not begin at a piece/,
    ],
    [
      'a piece of padding alone',
      {
        files: [
          { length: 100, path: ['b'] },
          { attr: 'p', length: 2 * PIECE - 100, path: ['.pad', '1'] },
          { length: 7, path: ['c', 'd'] },
        ],
        pieces: sha1s(3),
      },
      /padding alone/,
    ],
  ];
  for (const [name, changes, reason] of cases) {
    test(`refused: ${name}`, () => refused(torrentWith(twoFiles(changes)), reason));
  }
});

function deep(levels: number): Bencodable {
  return levels === 0 ? 1 : { x: deep(levels - 1) };
}
