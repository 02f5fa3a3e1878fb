// Which bytes of a file a request wants (RFC 9110, section 14). Several ranges at once are not given: the whole file is, as the
// RFC allows.

/** Bytes of a file; `end` is behind the last. */
export interface ByteRange {
  readonly begin: number;
  readonly end: number;
}

const ONE_RANGE = /^bytes=(\d{0,15})-(\d{0,15})$/;

/**
 * What the header `Range` asks for of a file of `sizeBytes`; null: the whole file, for there is no header or none that is
 * understood; 'unsatisfiable': what is not in the file.
 */
export function parseRange(
  header: string | undefined,
  sizeBytes: number,
): ByteRange | 'unsatisfiable' | null {
  const [, first = '', last = ''] = ONE_RANGE.exec(header ?? '') ?? [];
  if (first === '' && last === '') return null;
  if (first === '') {
    // The last so many bytes.
    const length = Math.min(Number(last), sizeBytes);
    return length === 0 ? 'unsatisfiable' : { begin: sizeBytes - length, end: sizeBytes };
  }
  const begin = Number(first);
  if (last !== '' && Number(last) < begin) return null;
  if (begin >= sizeBytes) return 'unsatisfiable';
  return { begin, end: last === '' ? sizeBytes : Math.min(Number(last) + 1, sizeBytes) };
}
