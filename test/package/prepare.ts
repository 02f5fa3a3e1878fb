// Makes the small Debian of the package test, before the test shuts itself off from every network: `make deb-test` runs it first.

import { prepareRoot } from './root.ts';

console.log(`a small Debian: ${await prepareRoot()}`);
