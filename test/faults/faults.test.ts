// Three rows of the fault matrix in a small lab, and that the checker sees what is wrong. Run by `make faults-test`, in a room
// of its own; all rows are run by `make faults`.

import { deepEqual, equal, ok } from 'node:assert/strict';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { MIB } from '../../agent/core/units.ts';
import { enterRoom } from '../lab/room.ts';
import { prepareLab, runRow } from './lab.ts';
import { ROWS } from './rows/index.ts';
import type { Setting } from './scene.ts';
import { runLine } from './table.ts';

const SIZE = { nodes: 4, bitsPerSec: 50e6, sizeBytes: 32 * MIB };
/** Seeds choose the kind: the tracker dies at 50 %, the first seeder after 0.9 and 1.0 copies, blocks are poisoned. */
const RUNS = [
  [2, 1],
  [4, 1],
  [4, 2],
  [9, 1],
] as const;

let setting: Setting;

before(async () => {
  enterRoom('make faults-test');
  setting = await prepareLab({ ...SIZE, logs: mkdtempSync(join(tmpdir(), 'swarmboot-faults-')) });
});

after(() => setting.close());

for (const [number, seed] of RUNS) {
  const row = ROWS.find((candidate) => candidate.number === number)!;
  const variant = row.variants[seed % row.variants.length];
  test(`row ${number}, ${row.fault} (${variant}): all invariants hold, and everybody is installed`, async (t) => {
    const result = await runRow(setting, row, seed);
    t.diagnostic(runLine(result, null));
    deepEqual(result.broken, []);
    equal(result.installed, result.of);
  });
}

test('a wrong byte in a tree, a crash and a file left in a pool are found by the checker', async () => {
  const { broken } = await runRow(
    setting,
    {
      number: 0,
      fault: 'what an agent must not do',
      variants: ['all of it'],
      run: async (scene) => {
        await scene.begin();
        await scene.progress(0.3);
        const [wrong, crashed, untidy] = scene.machines;
        process.kill(crashed!.life.child.pid, 'SIGSEGV');
        writeFileSync(join(untidy!.staging, 'left'), '');
        await scene.installed();
        const path = join(wrong!.target, 'large/noise3');
        const bytes = readFileSync(path);
        bytes[100]! ^= 1;
        writeFileSync(path, bytes);
        return {};
      },
    },
    1,
  );
  for (const [invariant, name] of [
    ['I1', 'node1'],
    ['I5', 'node2'],
    ['I3', 'node3'],
  ] as const)
    ok(
      broken.some((line) => line.startsWith(`${invariant} ${name}:`)),
      `${invariant} of ${name} in ${broken.join('\n')}`,
    );
});
