import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { collectBoel, TOOLS } from '../../initrd-builder/boel.ts';
import { readEntry } from '../../scripts/repository.ts';
import { compareTrees } from '../../scripts/trees.ts';
import { scratch } from '../content.ts';
import { assertWhole, snapshot, swarmboot } from './commands.ts';

test('the tools of this machine are published as they are, and again as the same bytes', async (t) => {
  const folder = scratch(t);
  const [one, two] = [join(folder, 'one'), join(folder, 'two')];
  for (const repo of [one, two]) {
    const { status, out, err } = await swarmboot(['boel', 'build', '--repo', repo]);
    equal(status, 0, err);
    match(out, /^published boel boel: \d+ members, /);
  }
  deepEqual(snapshot(one), snapshot(two));
  const entry = await readEntry(one, 'boel');
  ok(entry?.kind === 'boel');
  assertWhole(one, [entry]);

  const [unpacked, collected] = [join(folder, 'unpacked'), join(folder, 'collected')];
  const unpacking = await swarmboot(['unpack', join(one, 'tarballs', entry.file), '--into', unpacked]);
  equal(unpacking.status, 0, unpacking.err);
  collectBoel(TOOLS, collected);
  const differences = await compareTrees(collected, unpacked);
  deepEqual(
    differences.filter((line) => !line.startsWith('"": ')),
    [],
  );
});

test('a name that is published as another kind is refused', async (t) => {
  const [repo, override] = [scratch(t), scratch(t)];
  equal(
    (await swarmboot(['publish', 'site', '--kind', 'override', '--from', override, '--repo', repo])).status,
    0,
  );
  const refused = await swarmboot(['boel', 'build', '--name', 'site', '--repo', repo]);
  equal(refused.status, 2);
  match(refused.err, /"site" is published as override; remove it first/);
});

test('an unknown extra tool is refused, with what there is', async (t) => {
  const { status, err } = await swarmboot(['boel', 'build', '--with', 'emacs', '--repo', scratch(t)]);
  equal(status, 21);
  match(err, /there is no extra tool "emacs"; choose from: rsync, ssh/);
});
