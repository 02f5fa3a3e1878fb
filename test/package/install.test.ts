import { deepEqual, equal, match } from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import packageJson from '../../package.json' with { type: 'json' };
import { scratch } from '../content.ts';
import { ENVIRONMENT } from './root.ts';

const TOP = join(import.meta.dirname, '../..');

test('make install puts a command below PREFIX that needs no source tree; make uninstall takes all away', (t) => {
  const prefix = join(scratch(t), 'usr');
  const make = (target: string) =>
    execFileSync('make', [target, `PREFIX=${prefix}`], { cwd: TOP, stdio: 'pipe' });
  make('install');
  const options = { encoding: 'utf8', env: ENVIRONMENT, cwd: '/' } as const;
  const command = join(prefix, 'bin/swarmboot');
  equal(execFileSync(command, ['--version'], options), `swarmboot ${packageJson.version}\n`);
  match(
    execFileSync('man', ['-M', join(prefix, 'share/man'), '8', 'swarmboot-agent'], options),
    /IMAGESERVER/,
  );
  const unit = readFileSync(join(prefix, 'lib/systemd/system/swarmboot.service'), 'utf8');
  match(unit, new RegExp(`^ExecStart=${command} serve$`, 'm'));
  make('uninstall');
  const left = readdirSync(prefix, { recursive: true, withFileTypes: true });
  deepEqual(
    left.filter((entry) => !entry.isDirectory()),
    [],
  );
});
