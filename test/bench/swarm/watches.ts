// What is read beside a swarm at work: the links' counters, and the books of CPU time.

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ms } from '../../../agent/core/units.ts';
import type { Program } from '../../foreign/process.ts';
import type { Lab } from '../../lab/lab.ts';
import { livingSec, reapedSec } from '../meter.ts';

const EVERY_MS = 250;

/** Bytes on the wire since the start, by time. */
export interface TrafficSample {
  readonly ms: Ms;
  /** What all the fetching nodes have received, and what the first seeder has sent. */
  readonly receivedBytes: number;
  readonly seederBytes: number;
}

/** Bytes on the wire, headers in. */
export interface Traffic {
  readonly seederBytes: number;
  /** By node. */
  readonly receivedBytes: readonly number[];
}

/** Reads the links' counters from its making on. */
export class TrafficWatch {
  readonly samples: TrafficSample[] = [];
  readonly #lab: Lab;
  readonly #before: Traffic;
  readonly #beganMs = performance.now();
  readonly #timer: NodeJS.Timeout;

  constructor(lab: Lab) {
    this.#lab = lab;
    this.#before = this.#now();
    this.#timer = setInterval(() => this.#look(), EVERY_MS);
    this.#look();
  }

  /** Since it was made. */
  get ms(): Ms {
    return performance.now() - this.#beganMs;
  }

  /** What the links have carried since then. */
  get traffic(): Traffic {
    const { seederBytes, receivedBytes } = this.#now();
    return {
      seederBytes: seederBytes - this.#before.seederBytes,
      receivedBytes: receivedBytes.map((bytes, index) => bytes - this.#before.receivedBytes[index]!),
    };
  }

  /** Waits until these nodes have received so many bytes each, on average. */
  async received(nodes: readonly number[], bytes: number): Promise<void> {
    for (;;) {
      const { receivedBytes } = this.traffic;
      const all = nodes.reduce((sum, node) => sum + receivedBytes[node]!, 0);
      if (all >= bytes * nodes.length) return;
      await sleep(EVERY_MS);
    }
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#look();
  }

  #look(): void {
    const { seederBytes, receivedBytes } = this.traffic;
    const leechers = receivedBytes.slice(1);
    const all = leechers.reduce((sum, bytes) => sum + bytes, 0);
    this.samples.push({ ms: Math.round(this.ms), receivedBytes: all, seederBytes });
  }

  #now(): Traffic {
    return { seederBytes: this.#lab.sentBytes(0), receivedBytes: this.#lab.receivedBytes() };
  }
}

/** CPU time since its making: of the programs that run in the lab, and of the whole machine. */
export class CpuWatch {
  /** Goes on being filled in. */
  readonly #programs: readonly Program[];
  readonly #beforeSec: number;
  readonly #beforeMachine: { busy: number; all: number };

  constructor(programs: readonly Program[]) {
    this.#programs = programs;
    this.#beforeSec = this.#usedSec();
    this.#beforeMachine = machineTicks();
  }

  /** CPU seconds of all programs, those that have ended among them. */
  get sec(): number {
    return this.#usedSec() - this.#beforeSec;
  }

  /** Part of the machine's CPU time that was not idle. */
  get busyShare(): number {
    const { busy, all } = machineTicks();
    return (busy - this.#beforeMachine.busy) / (all - this.#beforeMachine.all);
  }

  #usedSec(): number {
    const running = this.#programs.filter((program) => program.running);
    return running.reduce((sum, { pid }) => sum + livingSec(pid), reapedSec());
  }
}

function machineTicks(): { busy: number; all: number } {
  const ticks = /^cpu +(.*)$/m.exec(readFileSync('/proc/stat', 'utf8'))![1]!.split(' ').map(Number);
  // The last two, of guests, are in user time already.
  const all = ticks.slice(0, 8).reduce((sum, value) => sum + value, 0);
  // Fourth and fifth: idle, and idle while a disk worked.
  return { busy: all - ticks[3]! - ticks[4]!, all };
}
