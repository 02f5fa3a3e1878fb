// Nodes on one segment find each other by local discovery alone: the torrent names no tracker, and nobody names a peer. Run by
// `make lab-test`, in a room of its own.

import { ok } from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { MIB } from '../../agent/core/units.ts';
import { makeTorrent, noise, scratch } from '../content.ts';
import { Program } from '../foreign/process.ts';
import { PROGRAM } from '../scripts/commands.ts';
import { Lab, type LabNode } from './lab.ts';
import { enterRoom } from './room.ts';

const NODES = 8;
const LINK_BITS = 50e6;
const PATIENCE_MS = 60_000;

before(() => enterRoom('make lab-test'));

test('eight nodes find each other by local discovery alone, and all of them complete', async (t) => {
  const { file, space } = makeTorrent('image', [{ bytes: noise(4 * MIB, 1) }], 65_536, 'v1', [], false);
  const folder = scratch(t);
  const torrent = join(folder, 'image.torrent');
  writeFileSync(torrent, file);
  const lab = Lab.raise({ bitsPerSec: Array.from({ length: NODES }, () => LINK_BITS), lossShare: 0 });
  const running: Program[] = [];
  t.after(async () => {
    await Promise.all(running.map((program) => program.stop()));
    lab.close();
  });
  const start = (node: LabNode, more: readonly string[] = []) => {
    const into = join(folder, node.name);
    mkdirSync(into, { recursive: true });
    const args = [PROGRAM, 'fetch', torrent, '--into', into, ...more];
    const program = new Program(process.execPath, args, node);
    running.push(program);
    return { program, path: join(into, 'image') };
  };
  const [first, ...others] = lab.nodes;
  mkdirSync(join(folder, first!.name));
  writeFileSync(join(folder, first!.name, 'image'), space);
  const seeder = start(first!, ['--seed']);
  await seeder.program.until('seed', () => seeder.program.output.includes('seeding'), PATIENCE_MS);
  const began = performance.now();
  const nodes = others.map((node) => start(node));
  for (const { program, path } of nodes) {
    await program.success(PATIENCE_MS);
    ok(readFileSync(path).equals(space), `${path} is what was shared`);
  }
  t.diagnostic(`${nodes.length} nodes complete after ${Math.round(performance.now() - began)} ms`);
});
