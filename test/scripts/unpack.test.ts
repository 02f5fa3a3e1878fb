import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as path from 'node:path';
import test from 'node:test';
import { archive, member } from '../core/archives.ts';
import { swarmboot } from './commands.ts';
import { scratch } from './trees.ts';

test('a tarball is unpacked into a folder that is made for it', async (t) => {
  const folder = scratch(t);
  fs.writeFileSync(path.join(folder, 'x.tar'), archive(member({ name: 'a' }, 'hello')));
  const target = path.join(folder, 'new/target');
  const { status, out, err } = await swarmboot(['unpack', path.join(folder, 'x.tar'), '--into', target]);
  assert.equal(status, 0, err);
  assert.match(out, /^unpacked 1 members, 5 B, into /);
  assert.match(err, /unpacking 100%/);
  assert.equal(fs.readFileSync(path.join(target, 'a'), 'utf8'), 'hello');
});

test('what cannot be unpacked is told, with the exit status of its kind', async (t) => {
  const folder = scratch(t);
  const at = (name: string) => path.join(folder, name);
  fs.writeFileSync(at('evil.tar'), archive(member({ name: '../evil' }, 'x')));
  fs.writeFileSync(at('text'), 'no tarball at all');
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [[at('evil.tar'), '--into', at('t')], 9, /member "\.\.\/evil": .* climbs with "\.\."/],
    [[at('text'), '--into', at('t')], 9, /no tarball that nodes know/],
    [[at('none'), '--into', at('t')], 13, /cannot read .*none/],
    [[at('evil.tar'), '--into', at('text')], 10, /cannot make .*text .*; choose another --into/],
    [[at('evil.tar')], 2, /--into DIR is missing/],
    [['--into', at('t')], 2, /TARBALL is missing/],
  ];
  for (const [args, code, words] of cases) {
    const { status, err } = await swarmboot(['unpack', ...args]);
    assert.equal(status, code, err);
    assert.match(err, words);
  }
  assert(!fs.existsSync(at('evil')));
});
