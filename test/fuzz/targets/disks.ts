// What lies at the beginning of disks: partition tables and superblocks of whoever had them before.

import { contentOf, labelOf, namesOf, SIGNATURE_BYTES } from '../../../agent/core/signature.ts';
import { must, type Target, type Verdict } from '../target.ts';

/** `[offset, text]` pieces on an empty disk. */
function disk(...pieces: readonly (readonly [number, string])[]): Uint8Array {
  const bytes = Buffer.alloc(4096);
  for (const [offset, text] of pieces) bytes.write(text, offset, 'latin1');
  return bytes;
}

const GPT = disk(
  [510, '\x55\xaa'],
  [512, 'EFI PART'],
  [512 + 72, '\x02'],
  [512 + 80, '\x80'],
  [512 + 84, '\x80'],
  [1024 + 56, 'r\0o\0o\0t\0'],
);

const whole = new Uint8Array(SIGNATURE_BYTES);

function judge(bytes: Uint8Array): Verdict {
  whole.fill(0);
  whole.set(bytes.subarray(0, SIGNATURE_BYTES));
  const content = contentOf(whole);
  must(content === null || /^[0-9A-Fa-f-]*$/.test(content.uuid ?? ''), 'a UUID is hex');
  for (const sector of [512, 4096]) {
    labelOf(whole, sector);
    must([...namesOf(whole, sector)].length <= SIGNATURE_BYTES / 128, 'a table has its bounds');
  }
  return content === null && labelOf(whole, 512) === null ? 'refused' : 'accepted';
}

export const disks = (): Target => ({
  seeds: [
    GPT,
    disk([510, '\x55\xaa']),
    disk([54, 'FAT16   '], [510, '\x55\xaa']),
    disk([1080, '\x53\xef'], [1120, '\xc0\x02']),
    disk([0, 'XFSB']),
    disk([4086, 'SWAPSPACE2']),
    disk([512, 'LABELONE']),
  ],
  words: [
    'EFI PART',
    '\x55\xaa',
    '\x53\xef',
    'XFSB',
    'FAT32   ',
    'LABELONE',
    'SWAPSPACE2',
    '\xff\xff\xff\xff\xff\xff\xff\xff',
    '\0\0\0\0',
  ],
  build: null,
  bytesMax: SIGNATURE_BYTES,
  growthMiB: 8,
  judge,
});
