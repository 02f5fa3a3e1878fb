// What becomes of one node whose calls fail, that is killed, or that loses its power: installs of real agents, each of which
// must end installed with the right tree, or failed with a reason and installed at the next attempt.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KIB, MIB } from '../../agent/core/units.ts';
import { agent, makeTree, same, startSite } from '../agentsite.ts';
import { noise } from '../content.ts';

interface Test {
  after(done: () => void | Promise<void>): void;
}

/** The errors of the nth-call test: a full disk, a broken one, too many open files, a lost connection. */
export const CODES = ['ENOSPC', 'EIO', 'EMFILE', 'ECONNRESET'] as const;
/** An install of this size that has not ended by then hangs. */
const RUN_MAX_MS = 90_000;

export interface Site {
  readonly folder: string;
  readonly flags: Readonly<Record<string, string>>;
}

/** A site that nodes of their own folders install from. `bytes`: of the image. */
export async function crashSite(test: Test, bytes: number, uploadBytesPerSec = 0): Promise<Site> {
  const options = uploadBytesPerSec === 0 ? {} : { uploadBytesPerSec };
  const { folder, flags } = await startSite(test, options, {}, (at) => plant(at, bytes));
  return { folder, flags: { ...flags, IMAGENAME: 'the-image', OVERRIDES: 'the-override', CONSOLE: 'json' } };
}

const EXPECTED = 'expected';
/** BOEL binaries are written by the agent itself, with six calls for each file; GNU tar writes the others. */
const SMALL_FILES = { image: 100, boel: 5, override: 20 };

/** The trees of a site, and what a node has of them in the end: parts of the image are replaced by the override. */
function plant(folder: string, bytes: number): void {
  for (const [seed, kind] of (['image', 'boel', 'override'] as const).entries()) {
    const tree = join(folder, kind);
    makeTree(tree, seed, 50 * KIB);
    mkdirSync(join(tree, kind));
    for (let index = 0; index < SMALL_FILES[kind]; index++)
      writeFileSync(join(tree, kind, `small${index}`), `${kind} ${index}\n`.repeat(index));
    writeFileSync(join(tree, kind, 'noise'), noise(kind === 'image' ? bytes : 100 * KIB, seed));
  }
  for (const kind of ['image', 'override']) {
    execFileSync('/usr/bin/cp', ['-a', '-T', join(folder, kind), join(folder, EXPECTED)]);
  }
}

/** A place for one node; `at`: below which folder, which may lie on another file system. */
export function nodeAt(site: Site, name: string, at = site.folder) {
  const [target, staging, boel] = ['a', 'pool', 'boel'].map((kind) => join(at, `${name}-${kind}`)) as [
    string,
    string,
    string,
  ];
  for (const path of [target, staging, boel]) mkdirSync(path, { recursive: true });
  const flags = { ...site.flags, TARGET: target, BITTORRENT_STAGING: staging, BOEL_DIR: boel };
  const remove = () => {
    for (const path of [target, staging, boel]) rmSync(path, { recursive: true, force: true });
  };
  return { target, staging, boel, flags, remove };
}

export type CrashNode = ReturnType<typeof nodeAt>;

/** Runs an install to its end. */
export async function run(node: CrashNode, before: readonly string[] = [], env: Record<string, string> = {}) {
  const { child, ended } = agent(node.flags, before, env);
  const late = setTimeout(() => child.kill('SIGKILL'), RUN_MAX_MS);
  const { status, out, err } = await ended;
  clearTimeout(late);
  return { status, out, err };
}

/** Throws unless the node has all it is to have, and has left nothing else. */
export function assertInstalled(site: Site, node: CrashNode): void {
  assertTrees(site, node);
  // A folder that was left before anybody held it stays.
  const left = readdirSync(node.staging, { recursive: true, withFileTypes: true });
  assert.deepEqual(
    left.filter((entry) => !entry.isDirectory()).map(({ name }) => name),
    [],
  );
}

/** Throws unless the node has all it is to have. */
export function assertTrees(site: Site, node: CrashNode): void {
  same(join(site.folder, EXPECTED), node.target);
  same(join(site.folder, 'boel'), node.boel);
}

/** How many pieces an install found good that another had left. */
export function piecesSaved(out: string): number {
  const found = out.matchAll(/cut off: (\d+) of its/g);
  return [...found].reduce((sum, [, count]) => sum + Number(count), 0);
}

const PRELOAD = join(import.meta.dirname, 'nthcall.ts');

export interface NthResult {
  /** Calls that were made. */
  readonly count: number;
  /** The one that failed; empty: the install made fewer. */
  readonly failed: string;
  readonly outcome: 'installed' | 'failed, then installed';
  readonly reason: string;
}

/** One install in which call `nth` fails with `code`. Throws when it ends in a third way. */
export async function nthCall(site: Site, nth: number, code: string): Promise<NthResult> {
  const node = nodeAt(site, `nth${nth}${code}`);
  const report = join(site.folder, `nth${nth}${code}.json`);
  const env = { NTH_CALL: `${nth} ${code}`, NTH_REPORT: report };
  const first = await run(node, ['--import', PRELOAD], env);
  const place = `call ${nth} with ${code}: ${existsSync(report) ? readFileSync(report, 'utf8') : 'no report'}`;
  const told = `${place}, status ${first.status}\n${first.out.slice(-3000)}\n${first.err}`;
  assert.ok(existsSync(report), told);
  const { count, failed } = JSON.parse(readFileSync(report, 'utf8')) as { count: number; failed: string };
  try {
    if (first.status === 0) {
      assertInstalled(site, node);
      node.remove();
      return { count, failed, outcome: 'installed', reason: '' };
    }
    // A reason, not the trace of a program that fell over.
    assert.match(first.err, /^swarmboot-agent: (?!.*\n +at )/);
    const second = await run(node);
    assert.equal(second.status, 0, second.err);
    assertInstalled(site, node);
    node.remove();
    return { count, failed, outcome: 'failed, then installed', reason: first.err.split('\n')[0]! };
  } catch (error) {
    throw new Error(told, { cause: error });
  }
}

export const STAGES = [
  'parameters',
  'catalog',
  'BOEL binaries',
  'staging',
  'image',
  'extract',
  'overrides',
  'seed-wait',
  'leave',
] as const;

/**
 * Kills an install when the stage begins, or after so many milliseconds, and has the machine try again. Returns how many
 * pieces the second attempt still had. Throws when it does not end installed.
 */
export async function killAndRetry(
  site: Site,
  name: string,
  when: (typeof STAGES)[number] | number,
): Promise<number> {
  const node = nodeAt(site, name);
  const { child, ended, said } = agent(node.flags);
  if (typeof when === 'number') await Promise.race([sleep(when), ended]);
  else await said(new RegExp(`"stageBegan".*"${when}"`));
  child.kill('SIGKILL');
  await ended;
  const second = await run(node);
  assert.equal(second.status, 0, `killed at ${when}: ${second.out.slice(-2000)}${second.err}`);
  assertInstalled(site, node);
  node.remove();
  return piecesSaved(second.out);
}

/** A size and a rate at which an install takes about three seconds. */
export const SLOW = { bytes: 6 * MIB, uploadBytesPerSec: 2500 * KIB };
