// `make bench-crypt`: how fast a tarball is sealed and opened, by one core and with the flags of the agent's own Node. Nothing
// else is measured: neither disk nor network, nor what the bytes go through next.

import { execFileSync } from 'node:child_process';
import { readAgeHeader } from '../../agent/core/age.ts';
import { GIB, MIB } from '../../agent/core/units.ts';
import { decrypted } from '../../agent/io/decrypt.ts';
import { encrypted, Identity } from '../../scripts/agefile.ts';
import { NODE_FLAGS } from '../../scripts/build.ts';
import { noise } from '../content.ts';
import { machine } from './report.ts';

const ROUNDS = 5;
const GOAL_MIB_PER_SEC = 800;
/** Pieces of a torrent; what is not a multiple of a chunk leaves every chunk in two parts. */
const PART_BYTES = 1_000_000;

async function* parts(bytes: Uint8Array, total: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < total; at += PART_BYTES) yield bytes.subarray(0, Math.min(PART_BYTES, total - at));
}

async function* stored(all: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* all;
}

/** The chunks as the store of an agent gives them. */
function evenly(all: readonly Uint8Array[]): Uint8Array[] {
  const bytes = Buffer.concat(all);
  const count = Math.ceil(bytes.length / PART_BYTES);
  return Array.from({ length: count }, (_, index) =>
    bytes.subarray(index * PART_BYTES, (index + 1) * PART_BYTES),
  );
}

/** Bytes in MiB per second of processor time, on all threads together. */
async function speedOf(bytes: number, work: () => Promise<void>): Promise<number> {
  const began = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(began);
  return bytes / MIB / ((user + system) / 1e6);
}

async function measure(): Promise<void> {
  const plain = noise(PART_BYTES, 1);
  const identity = Identity.make();
  const rounds: { seal: number; open: number }[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const sealed: Uint8Array[] = [];
    const seal = await speedOf(GIB, async () => {
      for await (const part of encrypted(parts(plain, GIB), identity.begin())) sealed.push(part);
    });
    const file = evenly(sealed);
    const key = identity.open(readAgeHeader(file[0]!)!)!;
    let length = 0;
    const open = await speedOf(GIB, async () => {
      for await (const part of decrypted(stored(file), key)) length += part.length;
    });
    if (length !== GIB) throw new Error(`${length} bytes came out of ${GIB}`);
    rounds.push({ seal, open });
  }
  const median = (pick: (round: { seal: number; open: number }) => number) =>
    rounds.map(pick).sort((left, right) => left - right)[ROUNDS >> 1]!;
  const line = (what: string, speed: number) => `${what.padEnd(8)} ${speed.toFixed(0).padStart(6)} MiB/s\n`;
  const open = median((round) => round.open);
  process.stdout.write(
    line(
      'sealed',
      median((round) => round.seal),
    ) + line('opened', open),
  );
  process.stdout.write(
    `1 GiB, ${ROUNDS} rounds, medians, by processor time. ${machine()}, Node ${process.version}.\n`,
  );
  const met = open >= GOAL_MIB_PER_SEC ? 'met' : 'MISSED';
  process.stdout.write(`Goal: opened at ${GOAL_MIB_PER_SEC} MiB/s at least by one core; ${met}.\n`);
}

if (process.argv[2] === 'measure') await measure();
else execFileSync(process.execPath, [...NODE_FLAGS, import.meta.filename, 'measure'], { stdio: 'inherit' });
