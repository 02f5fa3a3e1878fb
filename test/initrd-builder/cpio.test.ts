import { deepEqual, equal, match, throws } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Content, cpioArchive, Tree } from '../../initrd-builder/cpio.ts';

const folder = mkdtempSync(join(tmpdir(), 'swarmboot-cpio-'));
after(() => rmSync(folder, { recursive: true }));

const text = (words: string): Content => ({ type: 'bytes', bytes: Buffer.from(words) });
const link = (target: string): Content => ({ type: 'link', target });

function treeOf(...rows: readonly (readonly [path: string, mode: number, content: Content])[]) {
  const tree = new Tree(['first', 'last']);
  for (const [path, mode, content] of rows) tree.add('first', { path, mode, content, source: 'a test' });
  return tree;
}

const archiveOf = (tree: Tree<'first' | 'last'>) => cpioArchive(tree.members().get('first') ?? []);

/** What busybox makes of an archive: path, type and mode, content or target of each member. */
function unpacked(archive: Uint8Array): string[] {
  const into = mkdtempSync(join(folder, 'unpacked-'));
  execFileSync('/usr/bin/busybox', ['cpio', '-i', '-m'], { cwd: into, input: archive, stdio: 'pipe' });
  return readdirSync(into, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((path) => {
      const stat = lstatSync(join(into, path));
      const mode = (stat.mode & 0o7777).toString(8);
      if (stat.isSymbolicLink()) return `${path} -> ${readlinkSync(join(into, path))}`;
      if (stat.isDirectory()) return `${path}/ ${mode}`;
      return `${path} ${mode} ${readFileSync(join(into, path), 'utf8')} ${stat.uid} ${stat.mtimeMs}`;
    });
}

const SAMPLE = [
  ['/usr/sbin/tool', 0o755, text('#!tool')],
  ['/tmp', 0o1777, { type: 'folder' }],
  ['/bin', 0o777, link('usr/bin')],
  ['/etc/odd name', 0o600, text('12345')],
  ['/etc/empty', 0o644, text('')],
] as const;

test('an archive holds the tree that was put in: content, modes, links, folders above', () => {
  const uid = process.getuid?.() === 0 ? 0 : process.getuid?.();
  deepEqual(unpacked(archiveOf(treeOf(...SAMPLE))), [
    'bin -> usr/bin',
    'etc/ 755',
    `etc/empty 644  ${uid} 0`,
    `etc/odd name 600 12345 ${uid} 0`,
    'tmp/ 1777',
    'usr/ 755',
    'usr/sbin/ 755',
    `usr/sbin/tool 755 #!tool ${uid} 0`,
  ]);
});

test('a file of this machine is read for its bytes alone: not for its time or owner', () => {
  const file = join(folder, 'here');
  writeFileSync(file, 'bytes', { mode: 0o666 });
  const fromFile = archiveOf(treeOf(['/etc/it', 0o600, { type: 'file', file }]));
  deepEqual(fromFile, archiveOf(treeOf(['/etc/it', 0o600, text('bytes')])));
});

test('the order of adding does not matter', () => {
  deepEqual(archiveOf(treeOf(...SAMPLE)), archiveOf(treeOf(...SAMPLE.toReversed())));
});

test('every record begins at a multiple of 4', () => {
  const archive = Buffer.from(archiveOf(treeOf(...SAMPLE)));
  equal(archive.length % 4, 0);
  for (let at = archive.indexOf('070701'); at >= 0; at = archive.indexOf('070701', at + 1)) equal(at % 4, 0);
  match(archive.toString('latin1'), /TRAILER!!!\0+$/);
});

test('the same path twice is an error that names both sources', () => {
  const tree = treeOf(['/etc/hosts', 0o644, text('one')]);
  throws(
    () => tree.add('last', { path: '/etc/hosts', mode: 0o644, content: text('two'), source: 'site.conf' }),
    /\/etc\/hosts is wanted by a test and by site\.conf; leave one of them out/,
  );
});

test('a member below a link is an error that names both', () => {
  const tree = treeOf(['/bin', 0o777, link('usr/bin')], ['/bin/tar', 0o755, text('tar')]);
  throws(() => tree.members(), /\/bin\/tar of a test lies below \/bin, which is a link of a test/);
});

test('paths that are not absolute and plain are refused', () => {
  for (const path of ['etc/hosts', '/', '/etc/', '/etc/../x', '/./x', '//x', '/a\0b', '']) {
    throws(() => treeOf([path, 0o644, text('')]), /is no plain absolute path/, path);
  }
});

test('a folder is made by the first part that has something in it, and by no other', () => {
  const tree = treeOf(['/usr/lib/one', 0o644, text('1')]);
  tree.add('last', { path: '/usr/lib/two', mode: 0o644, content: text('2'), source: 'a test' });
  const paths = [...tree.members().values()].map((members) => members.map(({ path }) => path));
  deepEqual(paths, [['/usr', '/usr/lib', '/usr/lib/one'], ['/usr/lib/two']]);
});
