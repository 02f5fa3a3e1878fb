import { match } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

test('the shell reads the standard input of the agent, and its end is no fault', () => {
  const file = join(import.meta.dirname, '../../agent/io/shell.ts');
  const code = `const { openShell } = await import(${JSON.stringify(file)}); await openShell(); console.log('back');`;
  const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '--eval', code], {
    input: 'echo "home $HOME"; exit 3\n',
    encoding: 'utf8',
  });
  match(stdout, /home \/root\n(.*\n)*back\n$/);
  if (status !== 0) throw new Error(`ended with ${status}`);
});
