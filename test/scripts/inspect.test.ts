import { deepEqual, equal, match } from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, test } from 'node:test';
import { hex } from '../../agent/core/units.ts';
import { inspect } from '../../scripts/inspect.ts';
import { runCommand } from '../../scripts/program.ts';
import { makeTorrent, noise, scratch } from '../content.ts';

/** Runs `swarmboot inspect` with these words. */
async function run(...words: string[]): Promise<{ status: number; out: string; err: string }> {
  const [out, err] = [new PassThrough(), new PassThrough()];
  const terminal = { out, err, signal: new AbortController().signal };
  const status = await runCommand([inspect], '0', ['inspect', ...words], terminal);
  return { status, out: String(out.read() ?? ''), err: String(err.read() ?? '') };
}

const parts = [
  { path: ['one'], bytes: noise(40_000, 1) },
  { path: ['sub', 'two'], bytes: noise(100, 2) },
];
const made = makeTorrent('tree', parts, 32_768, 'hybrid', [
  'http://192.0.2.1/announce',
  'udp://192.0.2.1:6969',
]);
const { infoHashV1, infoHashV2 } = made.torrent;

describe('a good torrent', () => {
  test('is told in words', async (context) => {
    const path = join(scratch(context), 'x.torrent');
    writeFileSync(path, made.file);
    const { status, out, err } = await run(path);
    equal(err, '');
    equal(status, 0);
    match(out, /^name {14}tree\n/);
    for (const fact of [
      hex(infoHashV1!),
      hex(infoHashV2!),
      '3 of 32.0 KiB',
      '40100 bytes',
      'sub/two (100 bytes)',
    ]) {
      equal(out.includes(fact), true, fact);
    }
    equal(out.includes('.pad'), false);
  });

  test('is told as JSON, and its magnet link is one to inspect', async (context) => {
    const path = join(scratch(context), 'x.torrent');
    writeFileSync(path, made.file);
    const facts = JSON.parse((await run(path, '--json')).out);
    const named = {
      name: 'tree',
      infoHash: hex(infoHashV1!),
      infoHashV2: hex(infoHashV2!),
      trackers: [['http://192.0.2.1/announce'], ['udp://192.0.2.1:6969']],
    };
    const { magnet, ...rest } = facts;
    deepEqual(rest, {
      ...named,
      version: 'hybrid',
      private: true,
      length: 40_100,
      pieceLength: 32_768,
      pieceCount: 3,
      files: [
        { path: 'one', length: 40_000 },
        { path: 'sub/two', length: 100 },
      ],
    });
    deepEqual(JSON.parse((await run(`${magnet}&x.pe=[::1]:6881`, '--json')).out), {
      ...named,
      peers: ['[::1]:6881'],
    });
    match((await run(magnet)).out, /^name {14}tree\n/);
  });
});

describe('exit status', () => {
  test('1 for a bad torrent, with the reason and the byte', async (context) => {
    const path = join(scratch(context), 'x.torrent');
    writeFileSync(path, made.file.subarray(0, 100));
    const { status, out, err } = await run(path);
    deepEqual([status, out], [1, '']);
    match(err, /^swarmboot inspect: bad torrent: .* at byte \d+; get it again, or make it anew\n$/);
  });

  test('1 for a bad magnet link', async () => {
    const { status, err } = await run('magnet:?dn=x');
    equal(status, 1);
    match(err, /bad magnet link/);
  });

  test('2 for no words or too many', async () => {
    equal((await run()).status, 2);
    equal((await run('a', 'b')).status, 2);
  });

  test('13 for a file that is not there', async () => {
    equal((await run('/nowhere/x.torrent')).status, 13);
  });
});
