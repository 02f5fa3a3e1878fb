// One direction of a connection: what a node has handed to its socket and the other end has not got yet, in order.
// Chunks of content travel link by link; a message goes with the chunk before it, or at once when there is none.

/** What an entry is. A chunk is content; the others are messages. */
export const CHUNK = 0;

/** One entry of a pipe or an inbox: what it is, and the stretch that it is about. */
export interface Entry {
  kind: number;
  piece: number;
  begin: number;
  length: number;
}

const ENTRY_WORDS = 4;

export class Pipe {
  readonly id: number;
  /** The two nodes, by number, and how each calls the connection. */
  readonly from: number;
  readonly to: number;
  readonly fromSlot: number;
  readonly toSlot: number;
  /** Nothing more comes out of it. */
  closed = false;
  /** A partition lies between the two: everything waits. */
  cut = false;
  /** It waits for its turn at the sender's uplink. */
  inLine = false;
  /** Chunks that have not arrived, and those of them that have not been sent. */
  chunks = 0;
  unsentChunks = 0;
  /** The sender's turn in which the last message that followed no chunk was sent. */
  messageTurn = -1;
  /** Bytes sent and not arrived. */
  flightBytes = 0;
  #queuedBytes = 0;
  #arrivedBytes = 0;
  /** The ends, in bytes since the beginning, of the orders to serve that the kernel has not taken. */
  readonly #ends: number[] = [];
  #acceptedBytes = 0;
  #words = new Int32Array(2 * ENTRY_WORDS);
  #head = 0;
  #size = 0;
  /** Entries from the head on that have been sent. */
  #sent = 0;

  constructor(id: number, from: number, fromSlot: number, to: number, toSlot: number) {
    this.id = id;
    this.from = from;
    this.fromSlot = fromSlot;
    this.to = to;
    this.toSlot = toSlot;
  }

  get isEmpty(): boolean {
    return this.#size === 0;
  }

  /** True when the next entry is a message: it need not wait any more, unless the pipe is cut. */
  get hasMessageFirst(): boolean {
    return this.#size > 0 && this.#words[this.#head * ENTRY_WORDS] !== CHUNK;
  }

  push(kind: number, piece: number, begin: number, length: number): void {
    const capacity = this.#words.length / ENTRY_WORDS;
    if (this.#size === capacity) this.#grow();
    const at = this.#at(this.#size++);
    this.#words[at] = kind;
    this.#words[at + 1] = piece;
    this.#words[at + 2] = begin;
    this.#words[at + 3] = length;
    if (kind !== CHUNK) return;
    this.chunks++;
    this.unsentChunks++;
    this.#queuedBytes += length;
  }

  /** The chunks pushed since the last call are one order to serve. */
  endOrder(): void {
    this.#ends.push(this.#queuedBytes);
  }

  /** Bytes of whole orders that the kernel has taken since the last call; it holds `bufferBytes` at most. */
  takeAccepted(bufferBytes: number): number {
    let accepted = 0;
    while (this.#ends.length > 0 && this.#ends[0]! <= this.#arrivedBytes + bufferBytes) {
      const end = this.#ends.shift()!;
      accepted += end - this.#acceptedBytes;
      this.#acceptedBytes = end;
    }
    return accepted;
  }

  /** Puts the next chunk under way. Returns its bytes. */
  sendNext(): number {
    while (this.#words[this.#at(this.#sent)] !== CHUNK) this.#sent++;
    const length = this.#words[this.#at(this.#sent++) + 3]!;
    this.unsentChunks--;
    this.flightBytes += length;
    return length;
  }

  /** Takes the first entry out, into `entry`. */
  shift(entry: Entry): void {
    const at = this.#at(0);
    entry.kind = this.#words[at]!;
    entry.piece = this.#words[at + 1]!;
    entry.begin = this.#words[at + 2]!;
    entry.length = this.#words[at + 3]!;
    this.#head = (this.#head + 1) % (this.#words.length / ENTRY_WORDS);
    this.#size--;
    if (this.#sent > 0) this.#sent--;
    if (entry.kind !== CHUNK) return;
    this.chunks--;
    this.flightBytes -= entry.length;
    this.#arrivedBytes += entry.length;
  }

  #at(index: number): number {
    const capacity = this.#words.length / ENTRY_WORDS;
    return ((this.#head + index) % capacity) * ENTRY_WORDS;
  }

  #grow(): void {
    const words = new Int32Array(2 * this.#words.length);
    const headWords = this.#head * ENTRY_WORDS;
    words.set(this.#words.subarray(headWords));
    words.set(this.#words.subarray(0, headWords), this.#words.length - headWords);
    this.#words = words;
    this.#head = 0;
  }
}
