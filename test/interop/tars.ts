// Trees to be archived by tar programs of other makers, and the unpacking of what they made: by us, and by GNU tar alone.

import { deepEqual, equal } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { TestContext } from 'node:test';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { type ExtractResult, extract } from '../../agent/io/extract.ts';
import { streamWriter, tarWriter } from '../../agent/io/tree.ts';
import { compareTrees } from '../../scripts/trees.ts';
import { scratch } from '../content.ts';
import { plantTree } from '../scripts/trees.ts';

const isRoot = process.geteuid?.() === 0;

/** What an archive is made of, from what every format holds to what only pax does. */
export type Kind = 'small' | 'short' | 'plain' | 'full';

/** A tree of that kind in a folder of its own. */
export async function tree(t: TestContext, kind: Kind): Promise<string> {
  const folder = path.join(scratch(t), 'tree');
  fs.mkdirSync(folder);
  if (kind === 'full') {
    await plantTree(folder);
    // Not every program passes over it without a fuss.
    fs.rmSync(path.join(folder, 'socket'));
    fs.utimesSync(folder, 1, 1_400_000_000.5);
    return folder;
  }
  const at = (name: string) => path.join(folder, name);
  fs.mkdirSync(at('etc/empty'), { recursive: true });
  fs.writeFileSync(at('etc/hosts'), '127.0.0.1 localhost\n', { mode: 0o640 });
  fs.writeFileSync(at('nothing'), '');
  fs.writeFileSync(at('su'), Buffer.alloc(100_000, 'su'));
  fs.chmodSync(at('su'), 0o4755);
  fs.linkSync(at('su'), at('sudo'));
  fs.linkSync(at('su'), at('a hard link that sorts first'));
  fs.symlinkSync('etc/hosts', at('relative'));
  fs.symlinkSync('/etc/hosts', at('absolute'));
  fs.symlinkSync('../../../nowhere', at('dangling'));
  fs.writeFileSync(Buffer.concat([Buffer.from(at('caf')), Buffer.from([0xe9, 0x0a, 0xff])]), 'latin');
  fs.writeFileSync(at('schön'), 'utf-8');
  if (kind !== 'small') plantLong(at, kind);
  settle(folder);
  if (kind === 'plain') fs.utimesSync(at('nothing'), '1', '-5');
  return folder;
}

/** Names of more than 100 bytes, which the prefix of ustar still holds; for plain trees of more than 255, too. */
function plantLong(at: (name: string) => string, kind: Kind): void {
  const folder = at(`${'d'.repeat(60)}/${'e'.repeat(60)}`);
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'f'.repeat(90)), 'long');
  if (kind !== 'plain') return;
  fs.mkdirSync(at(`${'g'.repeat(250)}/${'h'.repeat(250)}`), { recursive: true });
  fs.writeFileSync(at(`${'g'.repeat(250)}/${'h'.repeat(250)}/${'i'.repeat(100)}`), 'longer');
  fs.linkSync(at(`${'g'.repeat(250)}/${'h'.repeat(250)}/${'i'.repeat(100)}`), at('to a long name'));
  fs.symlinkSync('x'.repeat(300), at('to nothing of a long name'));
}

/** Gives all that lies in `folder` times that a number with a fraction holds exactly. */
function settle(folder: string | Buffer): void {
  for (const name of fs.readdirSync(folder, 'buffer')) {
    const place = Buffer.concat([Buffer.from(folder), Buffer.from('/'), name]);
    if (fs.lstatSync(place).isDirectory()) settle(place);
    fs.lutimesSync(place, 1, 1_600_000_000.25);
  }
  fs.utimesSync(folder, 1, 1_500_000_000.5);
}

/** Runs a program that archives; its output is the archive when it names no file. Gives the path of the archive. */
export function archived(t: TestContext, command: (file: string) => readonly string[], cwd?: string): string {
  const file = path.join(scratch(t), 'archive.tar');
  const [program, ...args] = command(file);
  const options = { env: { LC_ALL: 'C', TZ: 'UTC', HOME: path.dirname(file) }, maxBuffer: 64 * 1024 * 1024 };
  const output = execFileSync(program ?? '', args, { ...options, stdio: 'pipe', ...(cwd && { cwd }) });
  if (!fs.existsSync(file)) fs.writeFileSync(file, output);
  return file;
}

interface Unpacked {
  readonly folder: string;
  readonly result: ExtractResult;
}

async function unpacked(t: TestContext, file: string, writer: typeof tarWriter): Promise<Unpacked> {
  const folder = path.join(scratch(t), 'ours');
  fs.mkdirSync(folder);
  const job = { source: fs.createReadStream(file), compression: 'none', expected: null } as const;
  return { folder, result: await extract(job, writer(folder), new AbortController().signal) };
}

/** Unpacks `file` by GNU tar and by us: the trees must be alike. As BOEL binaries too when `streamed`. */
export async function assertAlike(t: TestContext, file: string, streamed: boolean): Promise<Unpacked> {
  const theirs = path.join(scratch(t), 'theirs');
  fs.mkdirSync(theirs);
  const rights = isRoot
    ? ['--same-owner', '--xattrs-include=*']
    : ['--no-same-owner', '--xattrs-include=user.*', '--xattrs-include=system.posix_acl_*'];
  const options = ['--extract', `--file=${file}`, `--directory=${theirs}`, '--preserve-permissions'];
  // Some programs put what a folder holds in front of other members, which then change its time.
  options.push('--delay-directory-restore');
  execFileSync('/usr/bin/tar', [...options, '--numeric-owner', '--xattrs', ...rights], { stdio: 'pipe' });
  const writers = streamed ? [streamWriter, tarWriter] : [tarWriter];
  // An archive that does not hold its root says nothing of the time of it.
  const rootless = Date.now() - fs.statSync(theirs).mtimeMs < 3_600_000;
  if (rootless) fs.utimesSync(theirs, 1, 1);
  const all: Unpacked[] = [];
  for (const writer of writers) {
    const ours = await unpacked(t, file, writer);
    if (rootless) fs.utimesSync(ours.folder, 1, 1);
    deepEqual(await compareTrees(theirs, ours.folder), []);
    equal(isHoley(ours.folder), isHoley(theirs), 'holes are holes again');
    all.push(ours);
  }
  return all.at(-1)!;
}

/** True when the sparse file of a full tree takes less than half of its size. */
export function isHoley(folder: string): boolean {
  const stat = fs.statSync(path.join(folder, 'sparse'), { throwIfNoEntry: false });
  return stat !== undefined && stat.blocks * 512 < stat.size / 2;
}

/** The message with which `file` is refused, as an image and as BOEL binaries alike. */
export async function refusal(t: TestContext, file: string): Promise<string> {
  const messages = [];
  for (const writer of [tarWriter, streamWriter]) {
    const outcome = await unpacked(t, file, writer).catch((error: unknown) => error);
    messages.push(outcome instanceof SwarmbootError ? outcome.message : `no refusal: ${String(outcome)}`);
  }
  equal(messages[0], messages[1]);
  return messages[0] ?? '';
}
