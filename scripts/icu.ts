// Blanks what an executable of Node holds of ICU's data beyond English: languages, converters of old character sets,
// transliteration, names of units and regions. It compresses to nothing then, as if Node had been built with less of ICU.

/** ICU's package of data: a header with this format name, then its table of contents (icu4c, ucmndata.h). */
const FORMAT_NAME = Buffer.from('CmnD');
const FORMAT_NAME_OFFSET = 12;
const MAGIC_OFFSET = 2;
const MAGIC = 0xda27;
const ENTRY_BYTES = 8;

/** English and what all languages share: properties of characters, normal forms, numbers, calendars, time zones. */
const SHARED = /^(?!unames\.)(?:en|en_US|(?![a-z]{2,3}[_.])\w+)\.(?:res|icu|nrm)$/;
/** The same of sorting, currencies, time zones' names and words. Dates cannot be written without the currencies. */
const SHARED_BELOW =
  /^(?:brkitr|coll|curr|zone)\/(?:root|en|pool|res_index|ucadata|supplementalData|char|word|sent|line|title)\./;

/**
 * Blanks the data in place, and returns how many bytes of it stay. Throws when there is not one package of ICU's data in
 * the executable, in the form that ICU 78 has.
 */
export function keepEnglish(executable: Buffer): number {
  const contents = contentsOf(executable);
  const count = executable.readUInt32LE(contents);
  const entries = Array.from({ length: count }, (_, index) => {
    const at = contents + 4 + index * ENTRY_BYTES;
    const name = contents + executable.readUInt32LE(at);
    return {
      path: executable.toString('latin1', name, executable.indexOf(0, name)).replace(/^icudt\w+\//, ''),
      start: contents + executable.readUInt32LE(at + 4),
    };
  });
  let kept = 0;
  for (const [index, { path, start }] of entries.entries()) {
    // Of the last entry the end is not told: it stays.
    const end = entries[index + 1]?.start ?? start;
    if (SHARED.test(path) || SHARED_BELOW.test(path)) kept += end - start;
    else executable.fill(0, start, end);
  }
  return kept;
}

/** Where the table of contents begins. */
function contentsOf(executable: Buffer): number {
  const found: number[] = [];
  for (let at = executable.indexOf(FORMAT_NAME); at >= 0; at = executable.indexOf(FORMAT_NAME, at + 1)) {
    const header = at - FORMAT_NAME_OFFSET;
    if (executable.readUInt16BE(header + MAGIC_OFFSET) === MAGIC) {
      found.push(header + executable.readUInt16LE(header));
    }
  }
  if (found.length === 1) return found[0]!;
  throw new Error(`${found.length} packages of ICU's data in this Node, not one; look into scripts/icu.ts`);
}
