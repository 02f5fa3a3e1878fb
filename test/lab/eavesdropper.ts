// Somebody who hears all that goes over the lab's hub, and what he can find in it: tcpdump writes it down, and what must not
// be there is looked for in every way in which bytes are written.

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Program } from '../foreign/process.ts';
import { type Recording, readRecording, type Stream } from './pcap.ts';

const READY_MS = 10_000;
/** Until the last frame is written down. */
const SETTLE_MS = 500;
/** Frames that tcpdump has not written down yet. */
const BUFFER_KIB = 65_536;
/** The fewest bytes that a frame or a stream cannot have by chance. */
const NEEDLE_BYTES_MIN = 12;

export class Eavesdropper {
  readonly #program: Program;
  readonly #path: string;

  private constructor(program: Program, path: string) {
    this.#program = program;
    this.#path = path;
  }

  /** Hears from now on, and writes into `folder`. */
  static async start(folder: string): Promise<Eavesdropper> {
    const path = join(folder, 'heard.pcap');
    // Whole frames, each once: the hub shows all that it passes on to whoever listens at itself.
    // Taken from the kernel one by one: a block of them that is not full yet would be lost at the end.
    const words = [
      '--immediate-mode',
      '-i',
      'hub',
      '-n',
      '-s',
      '0',
      '-B',
      `${BUFFER_KIB}`,
      '-Z',
      'root',
      '-w',
      path,
    ];
    const program = new Program('/usr/bin/tcpdump', words);
    await program.until('listening', () => /listening on hub/.test(program.output), READY_MS);
    return new Eavesdropper(program, path);
  }

  /** What was heard. Throws Error when the kernel has dropped a frame, or tcpdump has not written down what came. */
  async stop(): Promise<Recording> {
    await sleep(SETTLE_MS);
    await this.#program.stop();
    const said = /(\d+) packets? captured\s+(\d+) packets? received by filter\s+0 packets dropped by kernel/;
    const [, captured, received] = said.exec(this.#program.output) ?? [];
    const recording = readRecording(this.#path);
    if (captured === undefined || captured !== received || recording.frames !== Number(captured))
      throw this.#program.error(`has not heard all, and has written ${recording.frames} frames`);
    return recording;
  }
}

/** What must not be heard, by what it is called. */
export type Needles = Readonly<Record<string, Uint8Array>>;

/** Each of `needles` that is in a frame or a stream, with where it is and how it is written; in order. */
export function findNeedles({ bytes, streams }: Recording, needles: Needles): string[] {
  const places: [string, Buffer][] = [
    ['a frame', bytes],
    ...streams.map((stream): [string, Buffer] => [describe(stream), stream.content]),
  ];
  return Object.entries(needles).flatMap(([name, needle]) =>
    formsOf(needle).flatMap(([form, written]) =>
      places.filter(([, place]) => place.includes(written)).map(([where]) => `${name}, ${form}, in ${where}`),
    ),
  );
}

export function describe({ from, fromPort, to, toPort }: Stream): string {
  return `${from}:${fromPort} to ${to}:${toPort}`;
}

/** Every way in which bytes are written, by what it is called. In base64 they may begin at each of three places. */
export function formsOf(bytes: Uint8Array): [string, Buffer][] {
  if (bytes.length < NEEDLE_BYTES_MIN) throw new Error('so few bytes are anywhere by chance');
  const hex = Buffer.from(bytes).toString('hex');
  const forms: [string, Buffer][] = [
    ['as it is', Buffer.from(bytes)],
    ['in hex', Buffer.from(hex)],
    ['in HEX', Buffer.from(hex.toUpperCase())],
  ];
  for (const [before, lettersBefore] of [0, 2, 3].entries()) {
    const padded = Buffer.concat([Buffer.alloc(before), bytes]);
    for (const name of ['base64', 'base64url'] as const) {
      // The letters that hold nothing but its bits.
      const letters = padded.toString(name).slice(lettersBefore, Math.floor((padded.length * 8) / 6));
      forms.push([`in ${name} after ${before}`, Buffer.from(letters)]);
    }
  }
  return forms;
}
