// Bech32 (BIP 173), in which age writes its keys: a name, the digit 1, 32 letters for five bits each, and a checksum.

const LETTERS = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
const GENERATORS = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
const CHECKSUM_LETTERS = 6;

/** `bytes` under the name `prefix`, in small letters. */
export function toBech32(prefix: string, bytes: Uint8Array): string {
  const values = regrouped([...bytes], 8, 5)!;
  const whole = checksum(prefix, [...values, ...Array.from({ length: CHECKSUM_LETTERS }, () => 0)]) ^ 1;
  const tail = Array.from({ length: CHECKSUM_LETTERS }, (_, index) => (whole >> (5 * (5 - index))) & 31);
  return `${prefix}1${[...values, ...tail].map((value) => LETTERS[value]).join('')}`;
}

/** The bytes under the name `prefix`; null when the text is none of these. Small letters only: age's secret keys are turned first. */
export function fromBech32(prefix: string, text: string): Uint8Array | null {
  if (!text.startsWith(`${prefix}1`)) return null;
  const values = [...text.slice(prefix.length + 1)].map((letter) => LETTERS.indexOf(letter));
  if (values.length < CHECKSUM_LETTERS || values.includes(-1) || checksum(prefix, values) !== 1) return null;
  const bytes = regrouped(values.slice(0, -CHECKSUM_LETTERS), 5, 8);
  return bytes === null ? null : Uint8Array.from(bytes);
}

/** The same bits in groups of another size; null when those that are left over are too many, or not zero. */
function regrouped(values: readonly number[], from: number, to: number): number[] | null {
  const groups: number[] = [];
  let [bits, count] = [0, 0];
  for (const value of values) {
    bits = ((bits << from) | value) & 0xfff;
    for (count += from; count >= to; count -= to) groups.push((bits >> (count - to)) & (2 ** to - 1));
  }
  const rest = bits & (2 ** count - 1);
  if (from < to) return count < from && rest === 0 ? groups : null;
  return count === 0 ? groups : [...groups, (rest << (to - count)) & (2 ** to - 1)];
}

function checksum(prefix: string, values: readonly number[]): number {
  const codes = [...prefix].map((letter) => letter.charCodeAt(0));
  const all = [...codes.map((code) => code >> 5), 0, ...codes.map((code) => code & 31), ...values];
  let sum = 1;
  for (const value of all) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ value;
    for (const [bit, generator] of GENERATORS.entries()) if ((top >> bit) & 1) sum ^= generator;
  }
  return sum;
}
