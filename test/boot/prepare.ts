// Fetches what the boot test needs of a Debian archive, before the test shuts itself off from every network: `make boot-test`
// runs it first. What is there already stays. With the word `kernel` it fetches no more than that.

import { goldenTree } from './image.ts';
import { kernelRoot } from './kernel.ts';

console.log(`kernel: ${kernelRoot()}`);
if (process.argv[2] !== 'kernel') console.log(`golden client: ${await goldenTree(console.log)}`);
