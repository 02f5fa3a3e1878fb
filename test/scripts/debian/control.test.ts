import { deepEqual } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { TOOLS } from '../../../initrd-builder/boel.ts';

const TOP = join(import.meta.dirname, '../../..');
/** What every Debian has, and what only those need who build the agent. */
const NOT_NAMED = ['coreutils', 'tar', 'util-linux', 'binutils'];

test('the package asks for every Debian package that its commands need', () => {
  const control = readFileSync(join(TOP, 'scripts/debian/control'), 'utf8');
  const named = [...control.matchAll(/^ ([a-z][a-z0-9.+-]+)(?:,| \||$)/gm)].map(([, name]) => name);
  const makefile = readFileSync(join(TOP, 'Makefile'), 'utf8').replaceAll('\\\n', '');
  const product = /^PRODUCT_PACKAGES := (.*)$/m.exec(makefile)![1]!.trim().split(/\s+/);
  const wanted = new Set([...product, ...TOOLS.map((tool) => tool.package)]);
  // Found by dpkg-shlibdeps in the programs.
  wanted.delete('libatomic1');
  deepEqual(
    [...wanted].filter((name) => !named.includes(name) && !NOT_NAMED.includes(name)),
    [],
  );
});
