// Makes and publishes what `make bench-install` installs: a Debian root of about 400 MB, made as the demo makes its own.
// It needs a Debian archive, so it runs before the bench shuts itself off from every network. What is there stays.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { makeImage } from '../../../scripts/demo/image.ts';
import { FOLDER, IMAGE_NAME, REPOSITORY } from './published.ts';

const SWARMBOOT = join(import.meta.dirname, '..', '..', '..', 'scripts', 'swarmboot.ts');

if (!existsSync(REPOSITORY)) {
  mkdirSync(FOLDER, { recursive: true });
  const wish = { image: null, extraBytes: 0, variant: 'standard' } as const;
  const image = await makeImage(wish, FOLDER, console.log, new AbortController().signal);
  const words = ['publish', IMAGE_NAME, '--kind', 'image', '--from', image, '--repo', REPOSITORY];
  execFileSync(process.execPath, [SWARMBOOT, ...words], { stdio: 'inherit' });
}
