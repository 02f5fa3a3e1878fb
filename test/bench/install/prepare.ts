// Makes and publishes what `make bench-install` installs: a Debian root of about 400 MB, made as the demo makes its own; with
// the word `sealed` also what `make bench-trust` does, the same root encrypted. It needs a Debian archive, so it runs before
// the bench shuts itself off from every network. What is there stays.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { makeImage } from '../../../scripts/demo/image.ts';
import { FOLDER, IMAGE, IMAGE_NAME, REPOSITORY, SEALED_REPOSITORY, SWARMBOOT } from './published.ts';

function publish(repository: string, ...more: string[]): void {
  const words = ['publish', IMAGE_NAME, '--kind', 'image', '--from', IMAGE, '--repo', repository, ...more];
  execFileSync(process.execPath, [SWARMBOOT, ...words], { stdio: 'inherit' });
}

if (!existsSync(REPOSITORY)) {
  mkdirSync(FOLDER, { recursive: true });
  const wish = { image: null, extraBytes: 0, variant: 'standard' } as const;
  await makeImage(wish, FOLDER, console.log, new AbortController().signal);
  publish(REPOSITORY);
}
if (process.argv[2] === 'sealed' && !existsSync(SEALED_REPOSITORY)) publish(SEALED_REPOSITORY, '--encrypt');
