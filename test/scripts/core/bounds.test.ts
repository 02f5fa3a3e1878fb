import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { BOUNDS } from '../../../agent/core/bounds.ts';
import { KIB, MIB } from '../../../agent/core/units.ts';
import { formatLimits, SERVER_BOUNDS } from '../../../scripts/core/bounds.ts';
import { files, text } from '../../tidy/sources.ts';

test('docs/limits.md is the printed tables', () => {
  const page = readFileSync(new URL('../../../docs/limits.md', import.meta.url), 'utf8');
  assert.equal(page, formatLimits(), 'print it again with `make manual`');
});

test('nothing is looser than was promised', () => {
  const promised: Partial<Record<keyof typeof BOUNDS, number>> = {
    torrentBytes: 10_000_000,
    bencodeDepth: 32,
    bencodeValues: 100_000,
    torrentPieces: 2 ** 21,
    pieceBytes: 64 * MIB,
    blockBytes: 16 * KIB,
    messageBytes: MIB,
    otherMessageBytes: MIB,
    pathBytes: 4096,
    pathDepth: 256,
    headersBytes: MIB,
    callsPerAddress: 4,
    swarmPeers: 80,
  };
  for (const [name, most] of Object.entries(promised))
    assert.ok(BOUNDS[name as keyof typeof BOUNDS] <= most, `${name} is more than ${most}`);
  assert.ok(SERVER_BOUNDS.nodes <= 10_000);
});

test('a node with all its connections and files stays below the 1,024 descriptors that a kernel gives', () => {
  const { links, calls } = BOUNDS;
  // Its swarms (image, BOEL binaries, overrides) call at the same time, and each holds the file that it fills.
  const swarms = 30;
  assert.ok(links + swarms * (calls + 1) <= 1024 - 64);
});

test('each number of the tables is one that some room goes by', () => {
  // These are the swarm's: it goes by LIMITS.
  const policy = new Set<string>([
    'requestsWaiting',
    'greetingMs',
    'silentMs',
    'swarmPeers',
    'calls',
    'activeBytes',
    'socketBytes',
  ]);
  const sources = files('.ts', 'agent', 'scripts').map(text).join('');
  for (const name of Object.keys(BOUNDS))
    assert.ok(policy.has(name) || sources.includes(` BOUNDS.${name}`), `nobody reads BOUNDS.${name}`);
  for (const name of Object.keys(SERVER_BOUNDS))
    assert.ok(sources.includes(` SERVER_BOUNDS.${name}`), `nobody reads SERVER_BOUNDS.${name}`);
});
