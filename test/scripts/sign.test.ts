// Keys and signatures of ours beside minisign's: each reads what the other makes.

import { equal, match, notEqual } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { EXIT_STATUS } from '../../agent/core/errors.ts';
import { scratch } from '../content.ts';
import { swarmboot } from './commands.ts';

const MINISIGN = '/usr/bin/minisign';

function bench(context: TestContext) {
  const folder = scratch(context);
  const place = (name: string) => join(folder, name);
  fs.writeFileSync(place('data'), '{"format":1}\n');
  fs.writeFileSync(place('password'), 'correct horse\nbattery\n');
  fs.writeFileSync(place('other'), 'staple\n');
  const minisign = (...args: readonly string[]) =>
    execFileSync(MINISIGN, [...args], {
      cwd: folder,
      input: 'correct horse\ncorrect horse\n',
      encoding: 'utf8',
    });
  return { place, minisign };
}

/** Runs one that must succeed; gives what it said. */
async function ours(...args: readonly string[]): Promise<string> {
  const { status, out, err } = await swarmboot(args);
  equal(status, 0, err);
  return out;
}

async function refused(args: readonly string[], status: number, message: RegExp): Promise<void> {
  const outcome = await swarmboot(args);
  equal(outcome.status, status, outcome.out);
  match(outcome.err, message);
}

test('minisign verifies what we sign with a key of ours', async (context) => {
  const { place, minisign } = bench(context);
  match(await ours('keygen', place('release'), '--unencrypted'), /^key [0-9A-F]{16}: keep /);
  equal(fs.statSync(place('release.key')).mode & 0o777, 0o600);
  await ours('sign', place('data'), '--key', place('release.key'), '--comment', 'serial 7');
  match(
    minisign('-V', '-m', 'data', '-p', 'release.pub'),
    /Signature and comment signature verified[\s\S]*serial 7/,
  );
  match(
    await ours('verify', place('data'), '--public', place('release.pub')),
    /trusted comment: serial 7\n$/,
  );
});

test('minisign signs with a key of ours that has a password, and we verify it', async (context) => {
  const { place, minisign } = bench(context);
  await ours('keygen', place('release'), '--password-file', place('password'));
  minisign('-S', '-m', 'data', '-s', 'release.key', '-t', 'by minisign');
  match(await ours('verify', place('data'), '--public', place('release.pub')), /by minisign/);
});

test('we sign with a key of minisign that has a password, and minisign verifies it', async (context) => {
  const { place, minisign } = bench(context);
  minisign('-G', '-p', 'theirs.pub', '-s', 'theirs.key');
  const signing = ['sign', place('data'), '--key', place('theirs.key')];
  await refused(signing, EXIT_STATUS.signature, /wants a password; give it by --password-file/);
  await refused([...signing, '--password-file', place('other')], EXIT_STATUS.signature, /does not open/);
  await ours(...signing, '--password-file', place('password'));
  match(minisign('-V', '-m', 'data', '-p', 'theirs.pub'), /verified/);
});

test('a file that was changed, or was signed by another key, is refused', async (context) => {
  const { place } = bench(context);
  await ours('keygen', place('release'), '--unencrypted');
  await ours('keygen', place('backup'), '--unencrypted');
  await ours('sign', place('data'), '--key', place('backup.key'));
  const verifying = ['verify', place('data'), '--public', place('release.pub')];
  await refused(verifying, EXIT_STATUS.signature, /is signed by key [0-9A-F]{16}, and only/);
  await ours(...verifying, '--public', place('backup.pub'));
  fs.appendFileSync(place('data'), ' ');
  await refused(
    [...verifying, '--public', place('backup.pub')],
    EXIT_STATUS.signature,
    /has signed; publish/,
  );
});

test('a key is never overwritten, and none is left half made', async (context) => {
  const { place } = bench(context);
  await ours('keygen', place('release'), '--unencrypted');
  const before = fs.readFileSync(place('release.key'), 'utf8');
  await refused(['keygen', place('release'), '--unencrypted'], EXIT_STATUS.signature, /take another name/);
  equal(fs.readFileSync(place('release.key'), 'utf8'), before);
  fs.writeFileSync(place('half.pub'), '');
  await refused(['keygen', place('half'), '--unencrypted'], EXIT_STATUS.signature, /half\.pub/);
  equal(fs.existsSync(place('half.key')), false);
});

test('a key without a password has to be asked for', async (context) => {
  const { place } = bench(context);
  await refused(['keygen', place('release')], EXIT_STATUS.usage, /--password-file FILE, or --unencrypted/);
  const both = ['keygen', place('release'), '--unencrypted', '--password-file', place('password')];
  await refused(both, EXIT_STATUS.usage, /--unencrypted/);
  fs.writeFileSync(place('empty'), '\n');
  await refused(
    ['keygen', place('release'), '--password-file', place('empty')],
    EXIT_STATUS.usage,
    /first line/,
  );
});

test('two keys differ, and a damaged key is told', async (context) => {
  const { place } = bench(context);
  await ours('keygen', place('one'), '--unencrypted');
  await ours('keygen', place('two'), '--unencrypted');
  const [one, two] = ['one', 'two'].map((name) => fs.readFileSync(place(`${name}.key`), 'utf8'));
  notEqual(one, two);
  const lines = one!.split('\n');
  const bytes = Buffer.from(lines[1]!, 'base64');
  bytes[100]! ^= 1;
  fs.writeFileSync(place('one.key'), `${lines[0]}\n${bytes.toString('base64')}\n`);
  await refused(['sign', place('data'), '--key', place('one.key')], EXIT_STATUS.signature, /is damaged/);
});
