// Which pieces somebody has: BEP 3's bitfield, most significant bit first, with a running count.

export class Bitfield {
  readonly length: number;
  readonly bytes: Uint8Array;
  #count = 0;

  /** All `length` bits clear. */
  constructor(length: number) {
    this.length = length;
    this.bytes = new Uint8Array(byteLength(length));
  }

  /** All `length` bits set. */
  static full(length: number): Bitfield {
    const field = new Bitfield(length);
    field.bytes.fill(0xff);
    const spare = length & 7;
    if (spare !== 0) field.bytes[field.bytes.length - 1] = (0xff << (8 - spare)) & 0xff;
    field.#count = length;
    return field;
  }

  /**
   * Reads the payload of a `bitfield` message. Null when it has the wrong number of bytes or a spare bit is set: both
   * are faults of the sender (BEP 3).
   */
  static parse(bytes: Uint8Array, length: number): Bitfield | null {
    if (bytes.length !== byteLength(length)) return null;
    const field = new Bitfield(length);
    field.bytes.set(bytes);
    for (const byte of bytes) field.#count += POPULATION[byte]!;
    const spare = length & 7;
    if (spare !== 0 && (bytes[bytes.length - 1]! & (0xff >> spare)) !== 0) return null;
    return field;
  }

  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count === this.length;
  }

  has(index: number): boolean {
    return (this.bytes[index >> 3]! & (0x80 >> (index & 7))) !== 0;
  }

  /** True when the bit was clear before. */
  set(index: number): boolean {
    const mask = 0x80 >> (index & 7);
    if ((this.bytes[index >> 3]! & mask) !== 0) return false;
    this.bytes[index >> 3]! |= mask;
    this.#count++;
    return true;
  }

  /** True when `other` has a piece that this one lacks. Both have the same length. */
  lacksSomeOf(other: Bitfield): boolean {
    for (let index = 0; index < this.bytes.length; index++) {
      if ((other.bytes[index]! & ~this.bytes[index]!) !== 0) return true;
    }
    return false;
  }
}

function byteLength(bits: number): number {
  return (bits + 7) >> 3;
}

const POPULATION = Uint8Array.from({ length: 256 }, (_, byte) => {
  let bits = 0;
  for (let rest = byte; rest > 0; rest >>= 1) bits += rest & 1;
  return bits;
});
