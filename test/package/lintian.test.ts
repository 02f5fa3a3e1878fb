import { equal } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { builtPackages } from './root.ts';

test('lintian finds nothing to complain of', { timeout: 180_000 }, () => {
  const [file] = builtPackages();
  const words = ['--fail-on=error,warning', '--tag-display-limit=0', '--allow-root', file];
  const { status, stdout, stderr } = spawnSync('/usr/bin/lintian', words, { encoding: 'utf8' });
  equal(stdout + stderr, '');
  equal(status, 0);
});
