import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import test from 'node:test';
import { compareTrees } from '../../scripts/trees.ts';
import { plantTree, scratch } from './trees.ts';

test('a tree and its faithful copy are alike; every change is told', async (t) => {
  const folder = scratch(t);
  const [left, right] = [path.join(folder, 'left'), path.join(folder, 'right')];
  fs.mkdirSync(left);
  await plantTree(left);
  execFileSync('/usr/bin/cp', ['-a', left, right]);
  fs.rmSync(path.join(right, 'socket'));
  // cp touched nothing but the folder that the socket was in.
  fs.utimesSync(right, 1, 1_400_000_000.5);
  assert.deepEqual(await compareTrees(left, right), []);

  const at = (name: string) => path.join(right, name);
  const changes: readonly (readonly [() => void, RegExp])[] = [
    [() => fs.chmodSync(at('etc/empty'), 0o777), /^"etc\/empty": mode is 777, not 1777$/],
    [
      () => fs.utimesSync(at('etc/empty'), 1, 5),
      /^"etc\/empty": time of modification is 5000000000, not 7000000000$/,
    ],
    [() => fs.appendFileSync(at('sparse'), 'x'), /^"sparse": holds 9000001 bytes, not 9000000$/],
    [() => fs.writeFileSync(at('sch\u00f6n'), 'utf-9'), /^"sch\\xc3\\xb6n": other content$/],
    [() => fs.writeFileSync(at('new'), ''), /^"new" is only in /],
    [() => fs.rmSync(at('fifo')), /^"fifo" is missing in /],
    [
      () => replace(at('dangling'), () => fs.symlinkSync('else', at('dangling'))),
      /^"dangling": points at "else"/,
    ],
    [() => replace(at('bin'), () => fs.mkdirSync(at('bin'))), /^"bin": type is directory, not symlink$/],
    [
      () => replace(at('usr/bin/chfn'), () => fs.copyFileSync(at('usr/bin/passwd'), at('usr/bin/chfn'))),
      /hard-link group/,
    ],
    [() => execFileSync('/usr/bin/setfattr', ['-x', 'user.binary', at('etc/hosts')]), /extended attributes/],
  ];
  for (const [change, words] of changes) {
    change();
    const differences = await compareTrees(left, right);
    assert(
      differences.some((difference) => words.test(difference)),
      `${words}\n${differences.join('\n')}`,
    );
  }
});

function replace(place: string, make: () => void): void {
  fs.rmSync(place, { recursive: true });
  make();
}

test('a folder that is not there is told with its name', async (t) => {
  const folder = scratch(t);
  await assert.rejects(compareTrees(folder, path.join(folder, 'missing')), /cannot read .*missing/);
});
