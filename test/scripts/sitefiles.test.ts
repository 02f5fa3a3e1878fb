import { deepEqual, equal, match } from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { SiteFiles } from '../../scripts/sitefiles.ts';
import { scratch } from '../content.ts';

const SCRIPT = '#!/bin/sh\n';
const LAYOUT = JSON.stringify({ disks: [{ name: 'a', match: {}, label: 'gpt', partitions: [] }] });

function site(t: TestContext) {
  const repo = scratch(t);
  for (const folder of ['layouts', 'scripts/pre-install', 'scripts/post-install']) {
    mkdirSync(join(repo, folder), { recursive: true });
  }
  const told: string[] = [];
  const put = (path: string, content: string) => writeFileSync(join(repo, path), content);
  return { repo, told, put, files: new SiteFiles(repo, (text) => told.push(text)) };
}

test('a repository without layouts and scripts offers none', async (t) => {
  const files = new SiteFiles(scratch(t), (text) => t.assert.fail(text));
  await files.follow();
  deepEqual(files.files, []);
});

test('scripts are offered with size and hash, and read anew when they change', async (t) => {
  const { repo, told, put, files } = site(t);
  put('scripts/post-install/10all.motd', SCRIPT);
  put('scripts/pre-install/00web.prepare', `${SCRIPT}true\n`);
  await files.follow();
  const sha256 = (content: string) => createHash('sha256').update(content).digest('hex');
  const pre = { path: 'scripts/pre-install/00web.prepare', size: 15, sha256: sha256(`${SCRIPT}true\n`) };
  const post = { path: 'scripts/post-install/10all.motd', size: SCRIPT.length, sha256: sha256(SCRIPT) };
  deepEqual(files.files, [pre, post]);
  deepEqual(Buffer.from((await files.read(post.path))!).toString(), SCRIPT);
  put('scripts/post-install/10all.motd', '#!/bin/bash\n');
  rmSync(join(repo, pre.path));
  await files.follow();
  deepEqual(files.files, [{ path: post.path, size: 12, sha256: sha256('#!/bin/bash\n') }]);
  equal(await files.read(pre.path), null);
  deepEqual(told, []);
});

test('a file of another name, a folder, and what is too large are told once and not offered; leftovers are passed over', async (t) => {
  const { repo, told, put, files } = site(t);
  put('scripts/post-install/motd', SCRIPT);
  put('layouts/web.xml', '');
  mkdirSync(join(repo, 'layouts/web.json'));
  put('scripts/pre-install/00all.large', SCRIPT);
  truncateSync(join(repo, 'scripts/pre-install/00all.large'), 2 ** 20 + 1);
  put('scripts/pre-install/00all.old~', SCRIPT);
  put('scripts/pre-install/.00all.x.swp', SCRIPT);
  symlinkSync('nowhere', join(repo, 'scripts/pre-install/00all.gone'));
  await files.follow();
  await files.follow();
  deepEqual(files.files, []);
  deepEqual(
    told.map((line) => line.replace(`${repo}/`, '')),
    [
      'layouts/web.json is not offered: it is no file',
      'layouts/web.xml is not offered: its name is not NAME.json',
      'scripts/pre-install/00all.large is not offered: it is larger than 1.0 MiB',
      'scripts/post-install/motd is not offered: its name is not NNclass.description',
    ],
  );
  rmSync(join(repo, 'layouts/web.json'), { recursive: true });
  put('layouts/web.json', 'x');
  await files.follow();
  equal(files.files.length, 1);
});

test('a layout or script that no install could use is offered and told in one line', async (t) => {
  const { told, put, files } = site(t);
  put('layouts/web.json', '{');
  put('scripts/post-install/10all.motd', 'echo hello\n');
  await files.follow();
  await files.follow();
  equal(files.files.length, 2);
  equal(told.length, 2);
  match(told[0]!, /layouts\/web\.json/);
  match(told[1]!, /no first line that names an interpreter .*10all\.motd/);
  for (const line of told) equal(line.includes('\n'), false);
});

test('what is read is one of the files that are offered', async (t) => {
  const { put, files } = site(t);
  put('nodes.conf', '');
  put('layouts/web.json', LAYOUT);
  await files.follow();
  for (const path of ['nodes.conf', '../etc/passwd', 'layouts/../nodes.conf', 'layouts', '']) {
    equal(await files.read(path), null, path);
  }
});
