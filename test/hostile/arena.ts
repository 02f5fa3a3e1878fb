// A target folder among canaries, the extraction of an attack archive into it, and the count of what came of all of them.

import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { TestContext } from 'node:test';
import type { Compression } from '../../agent/core/catalog.ts';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { type ExpectedTarball, extract } from '../../agent/io/extract.ts';
import { streamWriter, tarWriter } from '../../agent/io/tree.ts';
import { scratch } from '../content.ts';
import { archive } from '../core/archives.ts';

export const isRoot = process.geteuid?.() === 0;

/** How an extraction is to end: refused with these words, done with the tree confined to the target, or one of both. */
export type End = RegExp | 'confined' | 'either';

export interface Attack {
  /** The bytes of the tarball; `far` is a folder elsewhere, for absolute names. */
  readonly bytes: (far: string) => Uint8Array;
  readonly end: End;
  /** How it ends as BOEL binaries, when it does so in another way. */
  readonly boelEnd?: End;
  /** Puts into the target what lies there before. */
  readonly plant?: (target: string, far: string) => void;
  /** What the target holds when all is done. */
  readonly leaves?: readonly string[];
  readonly compression?: Compression;
  readonly expected?: ExpectedTarball;
  /** How much of the tarball comes at once, one extraction for each; else small pieces and large ones. */
  readonly chunkSizes?: readonly number[];
}

type Members = readonly Uint8Array[] | ((far: string) => readonly Uint8Array[]);

function bytesOf(members: Members): (far: string) => Uint8Array {
  return (far) => archive(...(typeof members === 'function' ? members(far) : members));
}

/** An archive of these members that is refused with these words. */
export function refused(end: RegExp, members: Members, more: Partial<Attack> = {}): Attack {
  return { bytes: bytesOf(members), end, ...more };
}

/** An archive of these members that is unpacked, to these paths and no others. */
export function confined(leaves: readonly string[], members: Members, more: Partial<Attack> = {}): Attack {
  return { bytes: bytesOf(members), end: 'confined', leaves, ...more };
}

/** An archive of these members that may be refused or not, as the writer has it. */
export function either(members: Members, more: Partial<Attack> = {}): Attack {
  return { bytes: bytesOf(members), end: 'either', ...more };
}

/** A canary that the target may hold a hard link to: how many names it has is the target's business too. */
export const SHARED = 'shared';

/** What all attacks of a file came to. */
export class Tally {
  archives = 0;
  extractions = 0;
  refusals = 0;
  escapes = 0;

  toString(): string {
    return `${this.archives} attack archives, ${this.extractions} extractions, ${this.refusals} refused, ${this.escapes} escapes`;
  }
}

/** Unpacks the archive as an image and as BOEL binaries, each time into an arena of its own. */
export async function attacked(t: TestContext, attack: Attack, tally: Tally): Promise<void> {
  tally.archives++;
  const runs = [tarWriter, streamWriter].flatMap((writer) =>
    (attack.chunkSizes ?? [512, 65_536]).map((chunkBytes) =>
      attackedBy(t, attack, tally, writer, chunkBytes),
    ),
  );
  for (const run of await Promise.allSettled(runs)) if (run.status === 'rejected') throw run.reason;
}

async function attackedBy(
  t: TestContext,
  attack: Attack,
  tally: Tally,
  writer: typeof tarWriter,
  chunkBytes: number,
): Promise<void> {
  const { target, far, harm } = arena(t, attack.plant);
  const { compression = 'none', expected = null } = attack;
  const job = { source: chunks(attack.bytes(far), chunkBytes), compression, expected };
  const outcome = await extract(job, writer(target), new AbortController().signal).then(
    () => 'confined',
    (error: unknown) => error,
  );
  const escapes = harm();
  tally.extractions++;
  tally.escapes += escapes.length;
  if (outcome !== 'confined') tally.refusals++;
  assert.deepEqual(escapes, []);
  const end = writer === streamWriter ? (attack.boelEnd ?? attack.end) : attack.end;
  checkEnd(outcome, end);
  if (outcome === 'confined' && attack.leaves !== undefined) {
    assert.deepEqual(leavesOf(target), [...attack.leaves].sort());
  }
}

function checkEnd(outcome: unknown, end: End): void {
  if (outcome === 'confined') {
    assert(!(end instanceof RegExp), `unpacked, where ${end} was to be told`);
    return;
  }
  assert(outcome instanceof SwarmbootError, String(outcome));
  assert(outcome.code === 'archive' || outcome.code === 'extract', outcome.code);
  assert.match(outcome.message, /^[ -~]{20,2000}$/, 'one line without control characters');
  assert(end !== 'confined', outcome.message);
  if (end instanceof RegExp) assert.match(outcome.message, end);
}

interface Arena {
  readonly target: string;
  readonly far: string;
  /** What is different outside of the target, one line each. */
  harm(): string[];
}

/**
 * A target with canaries beside it, above it, under its own name with an ending, and in a folder elsewhere. What the
 * target holds before is planted first: even a link to a canary does not count as harm.
 */
export function arena(t: TestContext, plant?: Attack['plant']): Arena {
  const [top, far] = [scratch(t), scratch(t)];
  const outer = path.join(top, 'outer');
  const target = path.join(outer, 'target');
  fs.mkdirSync(target, { recursive: true });
  for (const folder of [path.join(top, 'canary'), path.join(outer, 'canary'), `${target}-evil`, far]) {
    fs.mkdirSync(path.join(folder, 'nest'), { recursive: true });
    fs.writeFileSync(path.join(folder, 'bird'), 'sings', { mode: 0o600 });
    fs.writeFileSync(path.join(folder, 'nest', 'egg'), 'whole');
    fs.writeFileSync(path.join(folder, SHARED), 'of two names');
    for (const name of ['nest', '.']) {
      fs.chmodSync(path.join(folder, name), 0o700);
      fs.utimesSync(path.join(folder, name), 1, 1_000_000_000);
    }
  }
  plant?.(target, far);
  const before = [...factsOf(top, target), ...factsOf(far, target)];
  return {
    target,
    far,
    harm: () => {
      const after = [...factsOf(top, target), ...factsOf(far, target)];
      return [
        ...before.filter((fact) => !after.includes(fact)).map((fact) => `gone: ${fact}`),
        ...after.filter((fact) => !before.includes(fact)).map((fact) => `new: ${fact}`),
      ];
    },
  };
}

/** One line for each thing below `folder`, itself included, but for what lies in `target`. */
function factsOf(folder: string, target: string): string[] {
  if (folder === target) return [];
  const stat = fs.lstatSync(folder, { bigint: true });
  const { mode, uid, gid, nlink, size, ino, mtimeNs, ctimeNs } = stat;
  const content = stat.isFile() ? fs.readFileSync(folder, 'latin1') : '';
  const names = path.basename(folder) === SHARED ? [] : [nlink, ctimeNs];
  const fact = [folder, mode, uid, gid, size, ino, mtimeNs, content, ...names].join(' ');
  if (!stat.isDirectory()) return [fact];
  return [fact, ...fs.readdirSync(folder).flatMap((name) => factsOf(path.join(folder, name), target))];
}

/** Every path below `folder`, with one character per byte. No link is followed. */
function leavesOf(folder: string): string[] {
  const visit = (name: string): string[] => {
    const place = Buffer.from(`${folder}/${name}`, 'latin1');
    const below = fs.lstatSync(place).isDirectory() ? fs.readdirSync(place, 'latin1') : [];
    return [name, ...below.flatMap((each) => visit(name === '' ? each : `${name}/${each}`))];
  };
  return visit('').slice(1).sort();
}

/** `bytes` in chunks of `size`. */
async function* chunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
}
