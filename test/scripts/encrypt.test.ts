// Encrypted publications, and Debian's age beside them: each opens what the other makes.

import { deepEqual, doesNotMatch, equal, match, notDeepEqual, ok } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { type TestContext, test } from 'node:test';
import { zstdDecompressSync } from 'node:zlib';
import { type CatalogEntry, parseCatalogEntry } from '../../agent/core/catalog.ts';
import { compareTrees } from '../../scripts/trees.ts';
import { noise, scratch } from '../content.ts';
import { archive, member } from '../core/archives.ts';
import { assertWhole, PROGRAM, published, snapshot, swarmboot } from './commands.ts';
import { plantTree } from './trees.ts';

const AGE = '/usr/bin/age';
const AGE_KEYGEN = '/usr/bin/age-keygen';
const CANARY = 'a canary that must not be heard';

function bench(context: TestContext) {
  const folder = scratch(context);
  const at = (name: string) => path.join(folder, name);
  const repo = at('repo');
  const publish = (name: string, from: string, ...more: readonly string[]) =>
    published(name, '--from', from, '--kind', 'image', '--repo', repo, ...more);
  return { at, repo, publish };
}

/** Where publish has put them. */
function placesOf(repo: string, { kind, name, file, sha256 }: CatalogEntry) {
  const key = path.join(repo, 'keys', `${kind}-${name}-${sha256.slice(0, 12)}.agekey`);
  return { key, tarball: path.join(repo, 'tarballs', file) };
}

async function refused(args: readonly string[], status: number, message: RegExp): Promise<void> {
  const outcome = await swarmboot(args);
  equal(outcome.status, status, outcome.out + outcome.err);
  match(outcome.err, message);
}

/** Every byte of every file below `folder`. */
function bytesBelow(folder: string): string {
  const files = fs.readdirSync(folder, { recursive: true, withFileTypes: true });
  return files
    .filter((file) => file.isFile())
    .map((file) => fs.readFileSync(path.join(file.parentPath, file.name), 'latin1'))
    .join('\n');
}

for (const compression of ['zstd', 'gzip', 'none']) {
  test(`a tree published encrypted, with ${compression}: age opens it, and so do we`, async (t) => {
    const { at, repo, publish } = bench(t);
    fs.mkdirSync(at('tree'));
    await plantTree(at('tree'));
    fs.writeFileSync(at('tree/large'), noise(300_000, 1));
    const entry = await publish('secret', at('tree'), '--encrypt', '--compress', compression);
    equal(entry.encryption, 'age');
    match(entry.file, /^image-secret-[0-9a-f]{12}\.tar(\.zst|\.gz)?\.age$/);
    assertWhole(repo, [entry]);
    const { key, tarball } = placesOf(repo, entry);
    const theirs = execFileSync(AGE, ['-d', '-i', key, tarball], { maxBuffer: 2 ** 28 });
    const suffix = entry.file.replace(/^.*\.tar/, '.tar').replace('.age', '');
    fs.writeFileSync(at(`theirs${suffix}`), theirs);
    for (const args of [[tarball, '--identity', key], [at(`theirs${suffix}`)]]) {
      const target = at(`target-${args.length}`);
      const { status, err } = await swarmboot(['unpack', ...args, '--into', target]);
      equal(status, 0, err);
      deepEqual(await compareTrees(at('tree'), target), []);
    }
  });
}

test('what age has encrypted for a key of ours or of its own is unpacked', async (t) => {
  const { at, repo, publish } = bench(t);
  fs.writeFileSync(
    at('plain.tar'),
    archive(member({ name: 'a' }, 'hello'), member({ name: 'b' }, 'x'.repeat(200_000))),
  );
  const entry = await publish('secret', at('plain.tar'), '--encrypt');
  const { key } = placesOf(repo, entry);
  execFileSync(AGE_KEYGEN, ['-o', at('theirs.key')], { stdio: 'ignore' });
  const recipient = (file: string) => execFileSync(AGE_KEYGEN, ['-y', file], { encoding: 'utf8' }).trim();
  match(fs.readFileSync(key, 'utf8'), new RegExp(`^# public key: ${recipient(key)}\nAGE-SECRET-KEY-1`));
  const recipients = [recipient(at('theirs.key')), recipient(key)].flatMap((one) => ['-r', one]);
  execFileSync(AGE, [...recipients, '-o', at('both.age'), at('plain.tar')]);
  for (const identity of [key, at('theirs.key')]) {
    const target = at(`from-${path.basename(identity)}`);
    const { status, err } = await swarmboot([
      'unpack',
      at('both.age'),
      '--identity',
      identity,
      '--into',
      target,
    ]);
    equal(status, 0, err);
    equal(fs.readFileSync(path.join(target, 'a'), 'utf8'), 'hello');
  }
});

test('nothing of the plain tree is in the repository, while it is made or later', async (t) => {
  const { at, repo, publish } = bench(t);
  fs.mkdirSync(at('tree'));
  fs.writeFileSync(at('tree/canary'), CANARY.repeat(10_000));
  const seen: string[] = [];
  const looking = setInterval(() => fs.existsSync(repo) && seen.push(bytesBelow(repo)), 5);
  const sealed = await publish('sealed', at('tree'), '--encrypt', '--compress', 'none').finally(() =>
    clearInterval(looking),
  );
  ok(
    seen.some((bytes) => bytes.includes('age-encryption.org/v1')),
    'the repository was looked at in time',
  );
  for (const bytes of [...seen, bytesBelow(repo)]) doesNotMatch(bytes, new RegExp(CANARY));
  equal(sealed.unpackedSize, CANARY.length * 10_000);
  // The same look finds what is not encrypted.
  await publish('plain', at('tree'), '--compress', 'none');
  match(bytesBelow(repo), new RegExp(CANARY));
});

test('each publication has a key of its own, for the eyes of its owner; remove takes it along', async (t) => {
  const { at, repo, publish } = bench(t);
  fs.writeFileSync(at('x.tar'), archive(member({ name: 'a' }, 'hello')));
  const first = await publish('one', at('x.tar'), '--encrypt');
  const other = await publish('two', at('x.tar'), '--encrypt');
  const [one, two] = [placesOf(repo, first), placesOf(repo, other)];
  notDeepEqual(fs.readFileSync(one.key), fs.readFileSync(two.key));
  equal(fs.statSync(one.key).mode & 0o7, 0);
  equal(fs.statSync(path.dirname(one.key)).mode & 0o7, 0);
  const wrong = await swarmboot(['unpack', one.tarball, '--identity', two.key, '--into', at('t')]);
  deepEqual([wrong.status, /encrypted for somebody else/.test(wrong.err)], [9, true]);
  ok(!fs.existsSync(at('t/a')));
  const again = await publish('one', at('x.tar'), '--encrypt');
  ok(!fs.existsSync(one.key), 'the key of the version before went with it');
  assertWhole(repo, [again, other]);
  match((await swarmboot(['list', '--repo', repo])).out, /ENCRYPTED\n[\s\S]*^one .* age$/m);
  await publish('two', at('x.tar'));
  await swarmboot(['remove', 'one', '--repo', repo]);
  deepEqual(Object.keys(snapshot(path.join(repo, 'keys'))), []);
  doesNotMatch((await swarmboot(['list', '--repo', repo])).out, /ENCRYPTED/);
});

test('an encrypted tarball that was changed or cut off is refused, and leaves no whole tree', async (t) => {
  const { at, repo, publish } = bench(t);
  const members = Array.from({ length: 30 }, (_, index) => member({ name: `f${index}` }, 'y'.repeat(10_000)));
  fs.writeFileSync(at('x.tar'), archive(...members));
  const { key, tarball } = placesOf(repo, await publish('x', at('x.tar'), '--encrypt'));
  const bytes = fs.readFileSync(tarball);
  const begin = bytes.indexOf('\n--- ') + 49 + 16;
  const files: Record<string, Buffer> = {
    flipped: Buffer.from(bytes).fill(bytes[200_000]! ^ 1, 200_000, 200_001),
    header: Buffer.from(bytes).fill('B', bytes.indexOf('\n--- ') + 6, bytes.indexOf('\n--- ') + 8),
    'cut at an edge': bytes.subarray(0, begin + 2 * 65_552),
    'cut elsewhere': bytes.subarray(0, begin + 100_000),
    'cut by a byte': bytes.subarray(0, -1),
    longer: Buffer.concat([bytes, Buffer.from('x')]),
  };
  for (const [name, content] of Object.entries(files)) {
    fs.writeFileSync(at('changed.age'), content);
    const target = at(`of ${name}`);
    await refused(
      ['unpack', at('changed.age'), '--identity', key, '--into', target],
      9,
      /publish the archive again/,
    );
    ok(!fs.existsSync(path.join(target, 'f29')), name);
  }
});

test('identities that are none, or are missing, are told', async (t) => {
  const { at, repo, publish } = bench(t);
  fs.writeFileSync(at('x.tar'), archive(member({ name: 'a' }, 'hello')));
  const { key, tarball } = placesOf(repo, await publish('x', at('x.tar'), '--encrypt'));
  const text = fs.readFileSync(key, 'utf8');
  fs.writeFileSync(at('wrong'), text.replace(/.$/m, 'x'));
  fs.writeFileSync(at('small'), text.toLowerCase());
  fs.writeFileSync(
    at('changed'),
    text.replace(/(AGE-SECRET-KEY-1.{20})./, '$1Q').replace(/(1.{20})Q/, '$1P'),
  );
  fs.writeFileSync(at('empty'), '# nothing\n');
  const into = ['--into', at('t')];
  await refused(['unpack', tarball, ...into], 2, /is encrypted: --identity FILE is missing/);
  await refused(
    ['unpack', at('x.tar'), '--identity', key, ...into],
    2,
    /is not encrypted; leave out --identity/,
  );
  for (const file of ['small', 'changed', 'empty'])
    await refused(
      ['unpack', tarball, '--identity', at(file), ...into],
      13,
      /holds other things than lines like/,
    );
  await refused(['unpack', tarball, '--identity', at('none'), ...into], 13, /cannot read .*none/);
  await refused(
    ['publish', 'y', '--from', tarball, '--kind', 'image', '--repo', repo],
    9,
    /no tarball that nodes know/,
  );
});

test('the tarball in an encrypted file is the one that was published', async (t) => {
  const { at, repo, publish } = bench(t);
  fs.mkdirSync(at('tree'));
  fs.writeFileSync(at('tree/a'), noise(500_000, 3));
  const plain = await publish('plain', at('tree'));
  const sealed = await publish('sealed', at('tree'), '--encrypt');
  const { key, tarball } = placesOf(repo, sealed);
  const inside = execFileSync(AGE, ['-d', '-i', key, tarball], { maxBuffer: 2 ** 28 });
  deepEqual(inside, fs.readFileSync(placesOf(repo, plain).tarball));
  ok(zstdDecompressSync(inside).length > 500_000);
  deepEqual([sealed.entryCount, sealed.unpackedSize], [plain.entryCount, plain.unpackedSize]);
  equal(sealed.size, fs.statSync(tarball).size);
});

test('where there is a service its group reads the key, and nobody else does', {
  skip: process.getuid!() !== 0 && 'to give a file to a group needs root',
}, async (t) => {
  const { at, repo } = bench(t);
  fs.writeFileSync(at('group'), 'root:x:0:\nswarmboot:x:4321:\n');
  fs.writeFileSync(at('x.tar'), archive(member({ name: 'a' }, 'hello')));
  const script = 'mount --bind "$1" /etc/group && shift && exec "$@"';
  const words = [
    'publish',
    'x',
    '--from',
    at('x.tar'),
    '--kind',
    'image',
    '--repo',
    repo,
    '--encrypt',
    '--json',
  ];
  const program = ['/bin/sh', '-c', script, 'sh', at('group'), process.execPath, PROGRAM, ...words];
  const out = execFileSync('/usr/bin/unshare', ['--mount', '--propagation', 'private', ...program], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const { key } = placesOf(repo, parseCatalogEntry(JSON.parse(out)));
  const facts = (place: string) => [fs.statSync(place).gid, fs.statSync(place).mode & 0o777];
  deepEqual(
    [facts(key), facts(path.dirname(key))],
    [
      [4321, 0o640],
      [4321, 0o750],
    ],
  );
});
