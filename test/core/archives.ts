// Tar archives made record by record, good and bad ones, for the tests of everything that reads them.

const RECORD_BYTES = 512;

export interface HeaderFields {
  readonly name?: string;
  /** The type flag. */
  readonly flag?: string;
  readonly size?: number;
  /** The size field itself, when it is to be odd. */
  readonly sizeField?: string;
  readonly linkName?: string;
  readonly prefix?: string;
  readonly mode?: number;
  /** `ustar\0` + `00`, or GNU's. */
  readonly magic?: string;
  /** Major and minor number of a device. */
  readonly device?: readonly [number, number];
  /** What stands at other places of the record, put there last; the checksum counts it. */
  readonly fields?: readonly (readonly [offset: number, text: string])[];
  /** The checksum field, when it is to be odd. */
  readonly sumField?: (sum: number) => string;
}

/** One header record with a right checksum. Text is one byte per character. */
export function header(fields: HeaderFields): Uint8Array {
  const record = new Uint8Array(RECORD_BYTES);
  put(record, 0, fields.name ?? 'file');
  put(record, 100, octal(fields.mode ?? 0o644, 7));
  put(record, 108, octal(0, 7));
  put(record, 116, octal(0, 7));
  put(record, 124, fields.sizeField ?? octal(fields.size ?? 0, 11));
  put(record, 136, octal(1_700_000_000, 11));
  put(record, 156, fields.flag ?? '0');
  put(record, 157, fields.linkName ?? '');
  put(record, 257, fields.magic ?? 'ustar\x0000');
  put(record, 345, fields.prefix ?? '');
  for (const [index, number] of (fields.device ?? []).entries())
    put(record, 329 + 8 * index, octal(number, 7));
  for (const [offset, text] of fields.fields ?? []) put(record, offset, text);
  put(record, 148, '        ');
  const sum = record.reduce((total, byte) => total + byte, 0);
  put(record, 148, fields.sumField?.(sum) ?? `${octal(sum, 6)}\0 `);
  return record;
}

/** A member: its header and its content, padded. */
export function member(fields: HeaderFields, content = ''): Uint8Array {
  return joined(header({ size: content.length, ...fields }), padded(bytesOf(content)));
}

/** An extended header with these records, in this order. */
export function pax(records: readonly (readonly [string, string])[], flag = 'x'): Uint8Array {
  return member(
    { name: 'PaxHeaders/x', flag },
    records.map(([key, value]) => paxRecord(key, value)).join(''),
  );
}

export function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (`${length}${rest}`.length !== length) length++;
  return `${length}${rest}`;
}

/** A GNU long name or long link record. */
export function gnuLong(flag: 'L' | 'K', text: string): Uint8Array {
  return member({ name: '././@LongLink', flag, magic: 'ustar  \0' }, `${text}\0`);
}

/** The pax header of a sparse file of `bytes` bytes, with its map of offsets and lengths, in GNU's form 0.0. */
export function sparse(bytes: number, map: readonly (readonly [number, number])[]): Uint8Array {
  return pax([
    ['GNU.sparse.size', String(bytes)],
    ['GNU.sparse.numblocks', String(map.length)],
    ...map.flatMap(([offset, length]): [string, string][] => [
      ['GNU.sparse.offset', String(offset)],
      ['GNU.sparse.numbytes', String(length)],
    ]),
  ]);
}

/** The pax header of a sparse file in form 1.0, whose content starts with the map. */
export function sparseStored(bytes: number, name = 'sparse'): Uint8Array {
  return pax([
    ['GNU.sparse.major', '1'],
    ['GNU.sparse.minor', '0'],
    ['GNU.sparse.name', name],
    ['GNU.sparse.realsize', String(bytes)],
  ]);
}

/** The map that the content of such a file starts with. */
export function storedMap(map: readonly (readonly [number, number])[]): string {
  const text = [map.length, ...map.flat()].map((number) => `${number}\n`).join('');
  return text.padEnd(Math.ceil(text.length / RECORD_BYTES) * RECORD_BYTES, '\0');
}

/** Members and the two zero records. */
export function archive(...members: readonly Uint8Array[]): Uint8Array {
  return joined(...members, new Uint8Array(2 * RECORD_BYTES));
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function padded(bytes: Uint8Array): Uint8Array {
  return joined(bytes, new Uint8Array((RECORD_BYTES - (bytes.length % RECORD_BYTES)) % RECORD_BYTES));
}

export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

export function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0');
}

function put(record: Uint8Array, offset: number, text: string): void {
  record.set(bytesOf(text), offset);
}
