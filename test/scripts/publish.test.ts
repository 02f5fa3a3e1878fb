import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import test from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { parseTorrent } from '../../agent/core/metainfo.ts';
import { hex } from '../../agent/core/units.ts';
import { digests } from '../../agent/io/digest.ts';
import { compareTrees } from '../../scripts/trees.ts';
import { archive, gnuLong, member } from '../core/archives.ts';
import { assertWhole, PROGRAM, published, snapshot, swarmboot } from './commands.ts';
import { plantTree, scratch } from './trees.ts';

for (const compression of ['zstd', 'gzip', 'none'] as const) {
  test(`a tree published with ${compression} and unpacked is the same tree`, async (t) => {
    const folder = scratch(t);
    const [tree, repo, target] = [
      path.join(folder, 'tree'),
      path.join(folder, 'repo'),
      path.join(folder, 'target'),
    ];
    fs.mkdirSync(tree);
    await plantTree(tree);
    const entry = await published(
      'all',
      '--from',
      tree,
      '--kind',
      'image',
      '--repo',
      repo,
      '--compress',
      compression,
    );
    assert.equal(entry.compression, compression);
    assertWhole(repo, [entry]);
    const unpacked = await swarmboot(['unpack', path.join(repo, 'tarballs', entry.file), '--into', target]);
    assert.equal(unpacked.status, 0, unpacked.err);
    assert.deepEqual(await compareTrees(tree, target), []);
    const stat = fs.statSync(path.join(target, 'sparse'));
    assert(stat.blocks * 512 < stat.size / 2, 'the holes are holes again');
    assert(!fs.existsSync(path.join(target, 'socket')));
  });
}

test('the torrent and the entry fit the tarball', async (t) => {
  const folder = scratch(t);
  fs.mkdirSync(path.join(folder, 'tree'));
  fs.writeFileSync(
    path.join(folder, 'tree/a'),
    createHash('shake256', { outputLength: 400_000 }).update('a').digest(),
  );
  fs.writeFileSync(path.join(folder, 'tree/b'), 'b');
  const urls = ['udp://tracker.test:6969/announce', 'http://[fd00::1]:6969/announce'];
  const repo = path.join(folder, 'repo');
  const announce = urls.flatMap((url) => ['--announce', url]);
  const entry = await published(
    'x',
    '--from',
    path.join(folder, 'tree'),
    '--kind',
    'boel',
    '--repo',
    repo,
    ...announce,
  );
  const tarball = fs.readFileSync(path.join(repo, 'tarballs', entry.file));
  assert.deepEqual([entry.size, entry.unpackedSize, entry.entryCount], [tarball.length, 400_001, 2]);
  const [file] = fs.readdirSync(path.join(repo, 'torrents'));
  const torrent = parseTorrent(fs.readFileSync(path.join(repo, 'torrents', file!)), digests);
  assert.deepEqual([torrent.name, torrent.length, torrent.private], [entry.file, entry.size, true]);
  assert.deepEqual(torrent.announce, [[urls[0]], [urls[1]]]);
  assert.deepEqual([hex(torrent.infoHashV1!), hex(torrent.infoHashV2!)], [entry.infoHash, entry.infoHashV2]);
  const first = tarball.subarray(0, entry.pieceLength);
  assert.equal(hex(torrent.piecesV1!.subarray(0, 20)), hex(digests.sha1(first)));
});

test('the same tree gives the same bytes, whoever publishes it when', async (t) => {
  const folder = scratch(t);
  const tree = path.join(folder, 'tree');
  fs.mkdirSync(tree);
  await plantTree(tree);
  const copy = path.join(folder, 'elsewhere', 'copy');
  fs.mkdirSync(path.dirname(copy));
  execFileSync('/bin/cp', ['--archive', tree, copy]);
  const hashes = new Set<string>();
  for (const [index, env] of [
    {},
    { TZ: 'Asia/Tokyo', LC_ALL: 'C.UTF-8', TAR_OPTIONS: '--mtime=@0' },
  ].entries()) {
    for (const compression of ['zstd', 'gzip', 'zstd']) {
      const repo = path.join(folder, `repo-${index}-${compression}`);
      const args = [
        'publish',
        'x',
        '--from',
        index === 0 ? tree : copy,
        '--kind',
        'image',
        '--compress',
        compression,
        '--repo',
        repo,
        '--json',
      ];
      const script = `umask ${index === 0 ? '022' : '077'}; exec "$0" "$@"`;
      const out = execFileSync('/bin/sh', ['-c', script, process.execPath, PROGRAM, ...args], {
        env: { ...process.env, ...env },
        stdio: ['ignore', 'pipe', 'ignore'],
        encoding: 'utf8',
      });
      hashes.add(JSON.stringify({ ...JSON.parse(out), torrent: snapshot(path.join(repo, 'torrents')) }));
      fs.readFileSync(path.join(tree, 'etc/hosts'));
      execFileSync('/usr/bin/touch', ['-a', path.join(tree, 'etc/hosts'), path.join(tree, 'usr')]);
    }
  }
  assert.equal(hashes.size, 2);
});

test("an override leaves out the folder itself, whose mode is the server's", async (t) => {
  const folder = scratch(t);
  const [tree, repo, target] = [
    path.join(folder, 'tree'),
    path.join(folder, 'repo'),
    path.join(folder, 'target'),
  ];
  fs.mkdirSync(path.join(tree, 'etc'), { recursive: true });
  fs.writeFileSync(path.join(tree, '-dash'), '');
  fs.chmodSync(tree, 0o700);
  const entry = await published('site', '--from', tree, '--kind', 'override', '--repo', repo);
  assert.equal(entry.entryCount, 2);
  fs.mkdirSync(target);
  fs.chmodSync(target, 0o755);
  await swarmboot(['unpack', path.join(repo, 'tarballs', entry.file), '--into', target]);
  assert.equal(fs.statSync(target).mode & 0o777, 0o755);
  assert.deepEqual(fs.readdirSync(target).sort(), ['-dash', 'etc']);
});

test('a tarball is published as it is', async (t) => {
  const folder = scratch(t);
  const bytes = zstdCompressSync(archive(member({ name: 'a' }, 'hello')));
  fs.writeFileSync(path.join(folder, 'x.tar'), bytes);
  const repo = path.join(folder, 'repo');
  const entry = await published('x', '--from', path.join(folder, 'x.tar'), '--kind', 'image', '--repo', repo);
  assert.deepEqual([entry.compression, entry.entryCount, entry.unpackedSize], ['zstd', 1, 5]);
  assert.deepEqual(fs.readFileSync(path.join(repo, 'tarballs', entry.file)), bytes);
});

test('what a node would refuse is not published', async (t) => {
  const folder = scratch(t);
  const repo = path.join(folder, 'repo');
  const before = await published(
    'good',
    '--from',
    tarball('good.tar', archive(member({ name: 'a' }))),
    '--kind',
    'image',
    '--repo',
    repo,
  );
  function tarball(name: string, bytes: Uint8Array | string): string {
    fs.writeFileSync(path.join(folder, name), bytes);
    return path.join(folder, name);
  }
  const cases: readonly (readonly [string, Uint8Array | string, RegExp])[] = [
    ['climb.tar', archive(gnuLong('L', '../x'), member({ magic: 'ustar  \0' }, 'x')), /climbs with/],
    ['cut.tar', member({ name: 'a' }, 'x'), /ends too early/],
    ['x.tar.xz', '\xfd7zXZ\0 and so on', /no tarball that nodes know/],
    ['empty', '', /no tarball that nodes know/],
  ];
  for (const [name, bytes, words] of cases) {
    const from = tarball(name, bytes);
    const { status, err } = await swarmboot([
      'publish',
      'good',
      '--from',
      from,
      '--kind',
      'image',
      '--repo',
      repo,
    ]);
    assert.equal(status, 9, err);
    assert.match(err, words);
  }
  assertWhole(repo, [before]);
});

test('what is asked wrongly is a usage error', async (t) => {
  const folder = scratch(t);
  const repo = path.join(folder, 'tree/repo');
  const tree = path.join(folder, 'tree');
  fs.mkdirSync(tree);
  const good = ['x', '--from', tree, '--kind', 'image', '--repo', path.join(folder, 'repo')];
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['x', '--from', tree], /--kind must be one of: image, boel, override/],
    [['x', '--kind', 'image'], /--from DIR\|TARBALL is missing/],
    [['../x', ...good.slice(1)], /"\.\.\/x" is no name/],
    [[...good, '--compress', 'xz'], /--compress must be one of/],
    [[...good, '--announce', 'tracker.test'], /is no tracker URL/],
    [['x', '--from', tree, '--kind', 'image', '--repo', repo], /lies inside/],
  ];
  for (const [args, words] of cases) {
    const { status, err } = await swarmboot(['publish', ...args]);
    assert.equal(status, 2, err);
    assert.match(err, words);
  }
  const missing = await swarmboot([
    'publish',
    'x',
    '--from',
    `${tree}/none`,
    '--kind',
    'image',
    '--repo',
    repo,
  ]);
  assert.equal(missing.status, 13);
});

test('files that change while they are read, or cannot be read, stop the publication', async (t) => {
  const folder = scratch(t);
  const [tree, repo] = [path.join(folder, 'tree'), path.join(folder, 'repo')];
  const args = ['publish', 'x', '--from', tree, '--kind', 'image', '--repo', repo];
  fs.mkdirSync(tree);
  fs.writeFileSync(path.join(tree, 'log'), Buffer.alloc(30_000_000, 'line\n'));
  const writer = setInterval(() => fs.appendFileSync(path.join(tree, 'log'), 'line\n'), 1);
  const changed = await swarmboot(args);
  clearInterval(writer);
  assert.equal(changed.status, 9, changed.err);
  assert.match(changed.err, /log: file changed as we read it; stop what writes there and publish again/);

  fs.writeFileSync(path.join(tree, 'log'), 'secret', { mode: 0o600 });
  fs.chmodSync(path.join(tree, 'log'), 0o000);
  const root = process.getuid?.() === 0;
  if (root) fs.chownSync(folder, 65534, 65534);
  if (root) fs.chownSync(repo, 65534, 65534);
  for (const name of fs.readdirSync(repo)) if (root) fs.chownSync(path.join(repo, name), 65534, 65534);
  if (root) process.seteuid?.(65534);
  const unreadable = await swarmboot(args).finally(() => process.seteuid?.(process.getuid!()));
  assert.equal(unreadable.status, 9, unreadable.err);
  assert.match(
    unreadable.err,
    /log: Cannot open: Permission denied.*; publish as a user who can read all of it/,
  );
  assertWhole(repo, []);
});
