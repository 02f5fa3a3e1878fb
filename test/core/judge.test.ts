import assert from 'node:assert/strict';
import test from 'node:test';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { Judge } from '../../agent/core/judge.ts';
import type { Member, MemberType } from '../../agent/core/tarhead.ts';

const ANY = { entries: Number.POSITIVE_INFINITY, unpackedBytes: Number.POSITIVE_INFINITY };

function member(name: string, type: MemberType = 'file', linkName = '', fileBytes = 0): Member {
  const rest = {
    plainName: name,
    storedBytes: fileBytes,
    sparse: false,
    mapStored: false,
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtimeSec: 0,
  };
  return { name, type, linkName, fileBytes, xattrs: [], ...rest };
}

/** A judge over a target that holds these links, and these folders. */
function judge(
  links: Readonly<Record<string, string>> = {},
  limits = ANY,
  folders: readonly string[] = [],
): Judge {
  const target = {
    readlink: (path: string) => links[path] ?? null,
    isFolder: (path: string) => folders.includes(path),
  };
  return new Judge(target, limits);
}

function refused(court: Judge, ...members: readonly Member[]): string {
  for (const each of members.slice(0, -1)) court.admit(each);
  try {
    court.admit(members.at(-1)!);
  } catch (error) {
    assert(error instanceof SwarmbootError && error.code === 'archive', String(error));
    return error.message;
  }
  assert.fail('admitted');
}

test('an ordinary tree is admitted and counted', () => {
  const court = judge();
  const tree = [
    member('.', 'directory'),
    member('./bin', 'symlink', 'usr/bin'),
    member('./dev/null', 'character-device'),
    member('./dev/sda', 'block-device'),
    member('./etc', 'directory'),
    member('./etc/mtab', 'symlink', '../../../proc/mounts'),
    member('./run/pipe', 'fifo'),
    member('./usr/bin/a', 'file', '', 10),
    member('./usr/bin/b', 'hardlink', './usr/bin/a'),
    member('./name with .. dots...', 'file', '', 5),
  ];
  for (const each of tree) court.admit(each);
  assert.deepEqual([court.entries, court.unpackedBytes], [10, 15]);
});

test('names that leave the target, or are none, are refused', () => {
  assert.match(
    refused(judge(), member('/etc/passwd')),
    /"\/etc\/passwd" is an absolute path; make the archive/,
  );
  assert.match(refused(judge(), member('a/../../b')), /climbs with "\.\."/);
  assert.match(refused(judge(), member('..', 'directory')), /climbs/);
  assert.match(refused(judge(), member('')), /empty name/);
  assert.match(refused(judge(), member('./')), /empty name/);
  assert.match(refused(judge(), member('a\0b')), /NUL/);
  assert.match(refused(judge(), member('x'.repeat(4097))), /4096 bytes/);
  assert.match(refused(judge(), member(`${'d/'.repeat(256)}f`)), /deeper than 256/);
  assert.match(refused(judge(), member(`d/${'x'.repeat(256)}`)), /a part of its name of more than 255 bytes/);
  assert.match(refused(judge(), member('d/.')), /a file whose name ends with a dot/);
  judge().admit(member('d/.', 'directory'));
  judge().admit(member(`${'d/'.repeat(255)}f`));
});

test('hard links name an earlier file of the archive', () => {
  assert.match(refused(judge(), member('a', 'hardlink', 'etc/shadow')), /no earlier file/);
  assert.match(refused(judge(), member('a', 'hardlink', '/etc/shadow')), /absolute/);
  assert.match(refused(judge(), member('a', 'hardlink', '../shadow')), /climbs/);
  assert.match(refused(judge(), member('d', 'directory'), member('a', 'hardlink', 'd')), /no earlier file/);
});

test('nothing is written through a link of the archive that leaves the target', () => {
  const evil = (text: string) => [member('l', 'symlink', text), member('l/f')] as const;
  assert.match(refused(judge(), ...evil('/etc')), /through the link "l" to "\/etc"/);
  assert.match(refused(judge(), ...evil('..')), /leaves the target/);
  assert.match(refused(judge(), ...evil('a/../..')), /leaves the target/);
  assert.match(refused(judge(), ...evil('l')), /circle/);
  assert.match(refused(judge(), member('l', 'symlink', '/etc'), member('l', 'directory')), /to "\/etc"/);
});

test('links behind links are followed', () => {
  const chain = [
    member('a', 'symlink', 'b'),
    member('b', 'symlink', 'c/d'),
    member('c/d', 'symlink', '../..'),
  ];
  assert.match(refused(judge(), ...chain, member('a/f')), /leaves the target/);
  const twin = [member('l', 'symlink', '/etc'), member('h', 'hardlink', 'l')];
  assert.match(refused(judge(), ...twin, member('h/f')), /through the link "h"/);
  const source = [member('d/f'), member('l', 'symlink', '/etc'), member('x', 'hardlink', 'l/f')];
  assert.match(refused(judge(), ...source), /through the link "l"/);
});

test('a link that was replaced later still counts, and names with other bytes are other names', () => {
  const replaced = [member('l', 'symlink', '/etc'), member('l', 'file'), member('l/f')];
  assert.match(refused(judge(), ...replaced), /through the link/);
  const court = judge();
  for (const each of [member('\xfe', 'symlink', '/etc'), member('\xff', 'directory'), member('\xff/f')]) {
    court.admit(each);
  }
});

test('links of the target are followed when they stay inside', () => {
  const merged = { lib: 'usr/lib', 'usr/lib/out': '/srv', 'opt/up': '../..' };
  judge(merged).admit(member('lib/x'));
  judge(merged).admit(member('lib', 'directory'));
  assert.match(refused(judge(merged), member('lib/out/x')), /through the link "usr\/lib\/out" to "\/srv"/);
  assert.match(refused(judge(merged), member('opt/up/x')), /leaves the target/);
  assert.match(refused(judge({ tmp: '/var/tmp' }), member('tmp', 'directory')), /through the link "tmp"/);
  judge({ tmp: '/var/tmp' }).admit(member('tmp', 'file'));
});

test('a link of the target that a file of the archive may not have replaced still counts', () => {
  const evil = { 'dev/null': '/etc' };
  const left = [member('dev/null', 'character-device'), member('h', 'hardlink', 'dev/null')];
  assert.match(refused(judge(evil), ...left, member('h/f')), /through the link "h" to "\/etc"/);
});

test('nothing is written through a link that a folder of the target may be in the way of', () => {
  const target = () => judge({ 'd/out': '/etc' }, ANY, ['d']);
  const link = member('d', 'symlink', 'e');
  const words = /through the link "d" in the place of a folder/;
  assert.match(refused(target(), link, member('d/out/f')), words);
  assert.match(refused(target(), link, member('d', 'directory')), words);
  const twin = [member('l', 'symlink', 'e'), member('d', 'hardlink', 'l')];
  assert.match(refused(target(), ...twin, member('d/out/f')), words);
  target().admit(link);
});

test('a hard link reaches its file by any name of its folder', () => {
  const court = judge({ lib: 'usr/lib' });
  court.admit(member('lib/a'));
  court.admit(member('b', 'hardlink', 'usr/lib/a'));
});

test('more than the catalog said is refused at once, less at the end', () => {
  const limits = { entries: 2, unpackedBytes: 10 };
  assert.match(refused(judge({}, limits), member('a', 'file', '', 11)), /more than the catalog's 10 bytes/);
  assert.match(refused(judge({}, limits), member('a'), member('b'), member('c')), /more than the 2 members/);
  const court = judge({}, limits);
  court.admit(member('a', 'file', '', 10));
  assert.throws(() => court.finish(), /holds 1 members of 10 bytes where the catalog says 2 of 10/);
  court.admit(member('b'));
  court.finish();
});

test('a hundred thousand members stay linkable', () => {
  const court = judge();
  for (let index = 0; index < 100_000; index++) court.admit(member(`d/f${index}`));
  for (let index = 0; index < 100_000; index += 997)
    court.admit(member(`d/l${index}`, 'hardlink', `d/f${index}`));
  assert.match(refused(court, member('x', 'hardlink', 'd/f100000')), /no earlier file/);
});

test('a way through links that goes down and up for ever is refused', () => {
  const there = `${'d/'.repeat(600)}${'../'.repeat(600)}`;
  const links = { a: `${there}b`, b: `${there}c` };
  assert.match(refused(judge(links), member('a/x')), /its way through links is too long/);
  judge({ a: `${'d/'.repeat(100)}${'../'.repeat(100)}b` }).admit(member('a/x'));
});
