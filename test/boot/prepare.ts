// Fetches what the boot test needs of a Debian archive, before the test shuts itself off from every network: `make boot-test`
// runs it first. What is there already stays.

import { goldenTree } from './image.ts';
import { kernelRoot } from './kernel.ts';

console.log(`kernel: ${kernelRoot()}`);
console.log(`golden client: ${await goldenTree(console.log)}`);
