// What a recording of tcpdump holds: its frames, and the TCP streams in them, each direction put together from whatever
// segments came in whatever order. Nothing is passed over in silence: what cannot be read is an error, what was
// acknowledged and never heard is counted, and a segment that comes again with other bytes is an error too.

import { readFileSync } from 'node:fs';

/** Of a file with the byte order of this machine and times in microseconds. */
const MAGIC = 0xa1b2c3d4;
const FILE_HEADER_BYTES = 24;
const FRAME_HEADER_BYTES = 16;
const LINK_ETHERNET = 1;
const ETHERNET_BYTES = 14;
const TYPE_IPV4 = 0x0800;
const TYPE_IPV6 = 0x86dd;
const IP_TCP = 6;
/** How an IPv6 packet goes on with which a machine looks around on its link: options of each hop, or ICMPv6. */
const IPV6_LOOKING = [0, 58];
const FLAG = { fin: 1, syn: 2, ack: 16 };
/** More fragments, or a place that is not the first. */
const FRAGMENT = 0x3fff;

export interface Recording {
  /** The whole file: every byte of every frame is in it, in one piece. */
  readonly bytes: Buffer;
  readonly frames: number;
  readonly streams: readonly Stream[];
}

/** One direction of one TCP connection. */
export interface Stream {
  readonly from: string;
  readonly fromPort: number;
  readonly to: string;
  readonly toPort: number;
  /** From the first on; zeros where nothing was heard. */
  readonly content: Buffer;
  /** Bytes that the receiver has acknowledged, and that were not heard. */
  readonly unheard: number;
  /** Bytes that were heard more than once. */
  readonly repeated: number;
}

/** Reads a recording. Throws Error when a frame was cut, or could hold TCP of another form than whole packets of IPv4. */
export function readRecording(path: string): Recording {
  const bytes = readFileSync(path);
  if (bytes.readUInt32LE(0) !== MAGIC || bytes.readUInt32LE(20) !== LINK_ETHERNET)
    throw new Error(`${path} is no recording of Ethernet frames`);
  const flows = new Flows();
  let frames = 0;
  for (let at = FILE_HEADER_BYTES; at < bytes.length; frames++) {
    const [kept, length] = [bytes.readUInt32LE(at + 8), bytes.readUInt32LE(at + 12)];
    at += FRAME_HEADER_BYTES;
    if (kept !== length || at + kept > bytes.length) throw new Error(`frame ${frames} was cut`);
    takeFrame(bytes.subarray(at, at + kept), flows);
    at += kept;
  }
  return { bytes, frames, streams: flows.all.map((flow) => flow.stream()) };
}

function takeFrame(frame: Buffer, flows: Flows): void {
  const type = frame.readUInt16BE(12);
  if (type === TYPE_IPV6 && IPV6_LOOKING.includes(frame[ETHERNET_BYTES + 6]!)) return;
  if (type !== TYPE_IPV4) throw new Error(`a frame is of the type ${type.toString(16)}, not IPv4`);
  // What follows is padding of the frame.
  const packet = frame.subarray(ETHERNET_BYTES, ETHERNET_BYTES + frame.readUInt16BE(ETHERNET_BYTES + 2));
  if (packet[9] !== IP_TCP) return;
  if ((packet.readUInt16BE(6) & FRAGMENT) !== 0) throw new Error('a TCP segment is in fragments');
  const segment = packet.subarray((packet[0]! & 15) * 4);
  const [from, to] = [12, 16].map((at) => packet.subarray(at, at + 4).join('.')) as [string, string];
  flows.take({
    from,
    fromPort: segment.readUInt16BE(0),
    to,
    toPort: segment.readUInt16BE(2),
    sequence: segment.readUInt32BE(4),
    acknowledged: segment.readUInt32BE(8),
    flags: segment[13]!,
    content: segment.subarray((segment[12]! >> 4) * 4),
  });
}

export interface Segment extends Pick<Stream, 'from' | 'fromPort' | 'to' | 'toPort'> {
  readonly sequence: number;
  readonly acknowledged: number;
  readonly flags: number;
  readonly content: Buffer;
}

/** The streams that segments belong to; a number of ports that is used again begins another one. */
export class Flows {
  readonly all: Flow[] = [];
  readonly #present = new Map<string, Flow>();

  /** Throws Error for content of a connection whose beginning was not heard. */
  take(segment: Segment): void {
    const { from, fromPort, to, toPort, sequence, acknowledged, flags, content } = segment;
    const name = `${from}:${fromPort}>${to}:${toPort}`;
    let flow = this.#present.get(name);
    if ((flags & FLAG.syn) !== 0 && flow?.first !== (sequence + 1) >>> 0) {
      flow = new Flow(segment);
      this.#present.set(name, flow);
      this.all.push(flow);
    }
    if (content.length > 0) {
      if (flow === undefined) throw new Error(`the beginning of ${name} was not heard`);
      flow.take(sequence, content);
    }
    if ((flags & FLAG.ack) !== 0)
      this.#present.get(`${to}:${toPort}>${from}:${fromPort}`)?.acknowledge(acknowledged);
  }
}

class Flow {
  /** The sequence number of its first byte. */
  readonly first: number;
  readonly #ends: Pick<Stream, 'from' | 'fromPort' | 'to' | 'toPort'>;
  readonly #parts: { readonly at: number; readonly content: Buffer }[] = [];
  #acknowledged = 0;

  constructor({ from, fromPort, to, toPort, sequence }: Segment) {
    this.#ends = { from, fromPort, to, toPort };
    this.first = (sequence + 1) >>> 0;
  }

  take(sequence: number, content: Buffer): void {
    this.#parts.push({ at: this.#placeOf(sequence), content });
  }

  acknowledge(sequence: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, this.#placeOf(sequence));
  }

  /** Throws Error when a byte came again as another one. */
  stream(): Stream {
    const parts = this.#parts.toSorted((a, b) => a.at - b.at);
    const end = parts.reduce((most, { at, content }) => Math.max(most, at + content.length), 0);
    const whole = Buffer.alloc(end);
    let [next, unheard, repeated] = [0, 0, 0];
    // An end of the stream is acknowledged as if it were a byte.
    const owed = (from: number, to: number) => Math.max(0, Math.min(to, this.#acknowledged) - from);
    for (const { at, content } of parts) {
      const known = Math.min(Math.max(0, next - at), content.length);
      if (content.compare(whole, at, at + known, 0, known) !== 0)
        throw new Error(`a segment from ${this.#ends.from} came again with other bytes`);
      repeated += known;
      unheard += owed(next, at);
      content.copy(whole, at);
      next = Math.max(next, at + content.length);
    }
    // The last of what was acknowledged may be the end, which is no byte.
    unheard += Math.max(0, this.#acknowledged - 1 - next);
    return { ...this.#ends, content: whole, unheard, repeated };
  }

  /** Of a sequence number: they go round, and a stream is shorter than half of that. */
  #placeOf(sequence: number): number {
    return (sequence - this.first) | 0;
  }
}
