// The image server's tracker as a program of its own: `tracker.cjs HOST PORT SEEDER-PORT INFO-HASH...`. It prints "ready"
// when it answers, and "seeded" when a seeder has announced itself.

import { setTimeout as sleep } from 'node:timers/promises';
import { TrackerServer } from '../../../scripts/tracker.ts';
import { seedersAt } from '../../foreign/scrape.ts';

const LOOK_EVERY_MS = 50;

async function main(): Promise<void> {
  const [host, port, seederPort, ...hashes] = process.argv.slice(2) as [string, string, string, ...string[]];
  const clock = () => performance.now();
  const options = { host, port: Number(port), random: Math.random, clock, log: () => {} };
  const tracker = await TrackerServer.start(options);
  const swarms = hashes.map((hash) => Buffer.from(hash, 'hex'));
  // Everybody is told of the first seeder, as `swarmboot serve` does it.
  for (const hash of swarms) tracker.allow(hash, Number(seederPort));
  process.stdout.write('ready\n');
  for (;;) {
    const counts = await Promise.all(swarms.map((hash) => seedersAt(`${host}:${port}`, hash)));
    // One is the tracker's own.
    if (counts.some((count) => count > 1)) break;
    await sleep(LOOK_EVERY_MS);
  }
  process.stdout.write('seeded\n');
}

void main();
