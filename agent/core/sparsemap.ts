// The map of a sparse file in a pax archive: which stretches of the file the archive holds. GNU tar goes by the map, and
// not by the size of the member: a map that asks for more than is stored, or for less, makes it take headers for content
// or content for headers. So only a map that describes exactly what is stored is let through. Forms: GNU's 0.0, 0.1, 1.0.

/** Makes the error for what is wrong with a map: it knows whose map it is. */
export type Refuse = (what: string) => Error;

export interface Sparse {
  /** Bytes of the file on disk, holes counted as data. */
  readonly fileBytes: number;
  /** Offset and length of each stretch, one after the other; null when the map stands before the content (form 1.0). */
  readonly map: readonly number[] | null;
}

const PREFIX = 'GNU.sparse.';
/** Where the pairs of form 0.0 are gathered, in the form of 0.1. */
const PAIRS = `${PREFIX}pairs`;
const KEYS = new Set([
  'major',
  'map',
  'minor',
  'name',
  'numblocks',
  'numbytes',
  'offset',
  'realsize',
  'size',
]);
const RECORD_BYTES = 512;
const DIGITS_MAX = 16;

/** A number of at most 16 digits, as pax headers hold them; null for anything else. */
export function decimal(text: string): number | null {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(value) ? value : null;
}

/**
 * The sparse records of one pax header, which are taken in their order, as GNU tar takes them: the number of stretches
 * comes first, then offsets and lengths by turns.
 */
export class SparseRecords {
  readonly #refuse: Refuse;
  readonly #pairs: string[] = [];
  #numbered = false;

  constructor(refuse: Refuse) {
    this.#refuse = refuse;
  }

  /** True when the record is one of the many of form 0.0, and kept here; false when it stands for itself. */
  take(key: string, value: string): boolean {
    const name = key.startsWith(PREFIX) ? key.slice(PREFIX.length) : null;
    if (name === null) return false;
    if (!KEYS.has(name)) throw this.#refuse(`a pax header holds ${key.replace(/[^ -~]/g, '?')}`);
    if (name === 'numblocks') this.#numbered = true;
    if (name !== 'offset' && name !== 'numbytes' && name !== 'map') return false;
    if (!this.#numbered) throw this.#refuse('a sparse map stands before the number of its stretches');
    if (name === 'map') return false;
    if ((name === 'offset') !== (this.#pairs.length % 2 === 0))
      throw this.#refuse('offsets and lengths of a sparse map do not take turns');
    this.#pairs.push(value);
    return true;
  }

  /** Adds what was kept to the other records of the header. */
  finish(records: Map<string, string>): void {
    if (this.#pairs.length > 0) records.set(PAIRS, this.#pairs.join(','));
  }
}

/** What the records of a pax header say of a sparse file; null when they speak of none. */
export function readSparse(pax: ReadonlyMap<string, string>, refuse: Refuse): Sparse | null {
  const names = [...pax.keys()]
    .filter((key) => key.startsWith(PREFIX))
    .map((key) => key.slice(PREFIX.length));
  if (names.length === 0) return null;
  const value = (name: string) => pax.get(PREFIX + name) ?? '';
  const form = names
    .filter((name) => name !== 'name')
    .sort()
    .join(' ');
  const fileBytes = decimal(value(form === 'major minor realsize' ? 'realsize' : 'size'));
  if (fileBytes === null) throw refuse('a sparse file whose size is no number');
  if (form === 'major minor realsize' && value('major') === '1' && value('minor') === '0') {
    return { fileBytes, map: null };
  }
  if (form !== 'numblocks pairs size' && form !== 'map numblocks size')
    throw refuse('a sparse header of no known form');
  const numbers = value(form.startsWith('map') ? 'map' : 'pairs')
    .split(',')
    .map(decimal);
  const map = numbers.filter((number) => number !== null);
  if (map.length !== numbers.length || map.length !== 2 * (decimal(value('numblocks')) ?? 0))
    throw refuse('a sparse map that does not hold what it says');
  return { fileBytes, map };
}

/**
 * Throws unless the stretches follow one another, end where the file does, and take up exactly `storedBytes`: each is
 * read record by record, so that only the last of them may end within a record.
 */
export function checkMap(
  map: readonly number[],
  storedBytes: number,
  fileBytes: number,
  refuse: Refuse,
): void {
  let [end, taken] = [0, 0];
  for (let at = 0; at < map.length; at += 2) {
    const [offset, length] = [map[at] ?? 0, map[at + 1] ?? 0];
    if (offset < end) throw refuse('a sparse map whose stretches are not in order');
    if (length > 0 && taken % RECORD_BYTES !== 0)
      throw refuse('a sparse map with a stretch that starts within a record');
    end = offset + length;
    taken += length;
  }
  if (end !== fileBytes) throw refuse(`a sparse map that ends at ${end} in a file of ${fileBytes} bytes`);
  if (taken !== storedBytes) throw refuse(`a sparse map of ${taken} bytes where ${storedBytes} are stored`);
}

/** Reads a map that stands before the content (form 1.0): decimal numbers, one a line, and first how many pairs. */
export class StoredMap {
  readonly #storedBytes: number;
  readonly #fileBytes: number;
  readonly #bytesMax: number;
  readonly #refuse: Refuse;
  readonly #numbers: number[] = [];
  #digits = '';
  #bytes = 0;
  #whole = false;

  /** A map of more than `bytesMax` is refused. */
  constructor(storedBytes: number, fileBytes: number, bytesMax: number, refuse: Refuse) {
    this.#storedBytes = storedBytes;
    this.#fileBytes = fileBytes;
    this.#bytesMax = bytesMax;
    this.#refuse = refuse;
  }

  /** Takes the bytes of the member in their order; throws at the first that shows the map to be wrong. */
  take(bytes: Uint8Array): void {
    for (const byte of bytes) {
      if (this.#whole) return;
      this.#bytes++;
      if (byte === 10) this.#line();
      else if (byte >= 48 && byte <= 57 && this.#digits.length < DIGITS_MAX)
        this.#digits += String.fromCharCode(byte);
      else throw this.#refuse('a sparse map that holds no number where one should be');
      if (this.#bytes > this.#bytesMax)
        throw this.#refuse(`a sparse map of more than ${this.#bytesMax} bytes`);
    }
  }

  /** Throws when the map is not whole. */
  end(): void {
    if (!this.#whole) throw this.#refuse('a sparse map that is longer than its member');
  }

  #line(): void {
    const number = decimal(this.#digits);
    if (number === null) throw this.#refuse('a sparse map that holds no number where one should be');
    this.#digits = '';
    this.#numbers.push(number);
    // The first says how many pairs follow, of four bytes at least: GNU tar makes room for all of them at once.
    if (this.#numbers.length === 1 && number > this.#bytesMax / 4)
      throw this.#refuse(`a sparse map of more than ${this.#bytesMax} bytes`);
    if (this.#numbers.length <= 2 * (this.#numbers[0] ?? 0)) return;
    this.#whole = true;
    const contentBytes = this.#storedBytes - Math.ceil(this.#bytes / RECORD_BYTES) * RECORD_BYTES;
    checkMap(this.#numbers.slice(1), contentBytes, this.#fileBytes, this.#refuse);
  }
}
