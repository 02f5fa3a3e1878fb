// Runs the commands of the image server for tests, and looks at what they leave in a repository.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { type CatalogEntry, parseCatalogEntry } from '../../agent/core/catalog.ts';
import { boelBuild } from '../../scripts/boel.ts';
import { initrdBuild } from '../../scripts/initrd.ts';
import { list } from '../../scripts/list.ts';
import { logs, nodeArm, nodeDisarm, nodeList, nodeRevoke } from '../../scripts/node.ts';
import { runCommand } from '../../scripts/program.ts';
import { publish } from '../../scripts/publish.ts';
import { pxeConfig } from '../../scripts/pxe.ts';
import { remove } from '../../scripts/remove.ts';
import { report } from '../../scripts/report.ts';
import { serve } from '../../scripts/serve.ts';
import { keygen, manifest, sign, verify } from '../../scripts/sign.ts';
import { status } from '../../scripts/status.ts';
import { init } from '../../scripts/tls.ts';
import { unpack } from '../../scripts/unpack.ts';
import { noise, scratch } from '../content.ts';

/** The program, for tests that need a process of its own. */
export const PROGRAM = fileURLToPath(new URL('../../scripts/swarmboot.ts', import.meta.url));

export interface Outcome {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

export async function swarmboot(args: readonly string[]): Promise<Outcome> {
  const said = { out: '', err: '' };
  const pen = (page: 'out' | 'err') =>
    new Writable({
      write: (chunk, _, done) => {
        said[page] += chunk;
        done();
      },
    });
  const terminal = { out: pen('out'), err: pen('err'), signal: new AbortController().signal };
  const commands = [
    publish,
    list,
    remove,
    unpack,
    boelBuild,
    initrdBuild,
    nodeArm,
    nodeDisarm,
    nodeRevoke,
    nodeList,
    status,
    report,
    logs,
    pxeConfig,
    init,
    keygen,
    manifest,
    sign,
    verify,
    serve,
  ];
  const exitStatus = await runCommand(commands, '0', args, terminal);
  return { status: exitStatus, ...said };
}

export async function published(...args: readonly string[]): Promise<CatalogEntry> {
  const { status, out, err } = await swarmboot(['publish', ...args, '--json']);
  assert.equal(status, 0, err);
  return parseCatalogEntry(JSON.parse(out));
}

/** A new repository with one image, `bytes` of noise as a tarball that is not compressed. */
export async function noiseRepository(
  t: { after(done: () => void): void },
  bytes: number,
): Promise<{ repo: string; entry: CatalogEntry; tarball: string }> {
  const folder = scratch(t);
  const [repo, tree] = [path.join(folder, 'repo'), path.join(folder, 'tree')];
  fs.mkdirSync(tree);
  fs.writeFileSync(path.join(tree, 'noise'), noise(bytes, 7));
  const entry = await published(
    'one',
    '--kind',
    'image',
    '--from',
    tree,
    '--repo',
    repo,
    '--compress',
    'none',
  );
  return { repo, entry, tarball: path.join(repo, 'tarballs', entry.file) };
}

/** Every file below `folder`, with what it holds. */
export function snapshot(folder: string): Record<string, string> {
  const files = fs.readdirSync(folder, { recursive: true, encoding: 'utf8', withFileTypes: true });
  const places = files.filter((file) => file.isFile()).map((file) => path.join(file.parentPath, file.name));
  return Object.fromEntries(
    places
      .sort()
      .map((place) => [
        path.relative(folder, place),
        createHash('sha256').update(fs.readFileSync(place)).digest('hex'),
      ]),
  );
}

/** Asserts that the files of these entries are there, whole, and no others. */
export function assertWhole(repo: string, entries: readonly CatalogEntry[]): void {
  const names = entries.flatMap((entry) => [
    `catalog/${entry.name}.json`,
    `tarballs/${entry.file}`,
    `torrents/${entry.kind}-${entry.name}-${entry.sha256.slice(0, 12)}.torrent`,
    ...(entry.encryption === null
      ? []
      : [`keys/${entry.kind}-${entry.name}-${entry.sha256.slice(0, 12)}.agekey`]),
  ]);
  const files = snapshot(repo);
  assert.deepEqual(Object.keys(files), names.sort());
  for (const entry of entries) assert.equal(files[`tarballs/${entry.file}`], entry.sha256);
}
