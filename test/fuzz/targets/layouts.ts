// Disk layouts: what is accepted has one root and can be asked how it starts.

import { parseLayout, readLayout } from '../../../agent/core/disklayout.ts';
import { bootFault, fileSystemsOf } from '../../../agent/core/diskrules.ts';
import { KIB } from '../../../agent/core/units.ts';
import { GUIDE_LAYOUTS } from '../../disks.ts';
import { oddJson } from '../generate.ts';
import { bytesOf, must, refusedWith, type Target, textOf, type Verdict } from '../target.ts';

function judge(bytes: Uint8Array): Verdict {
  const text = textOf(bytes);
  try {
    const layout = parseLayout(text, 'the input');
    must(fileSystemsOf(layout).filter(({ fs }) => fs.mount === '/').length === 1, 'there is one root');
    bootFault(layout, 'bios');
    bootFault(layout, 'efi');
    return 'accepted';
  } catch (error) {
    must('faults' in readLayout(text), 'a refusal has its faults');
    return refusedWith(error, 'layout');
  }
}

export const layouts = (): Target => {
  const values: unknown[] = GUIDE_LAYOUTS.map((text) => JSON.parse(text));
  return {
    seeds: GUIDE_LAYOUTS.map(bytesOf),
    words: [
      '{',
      '}',
      '[',
      ']',
      ',',
      '"',
      '"size":"rest"',
      '"fs":{"type":"ext4","mount":"/"}',
      '"keep":true',
      '"raid":[',
      '"lvm":[',
      'gpt',
      'dos',
      '100%',
      'null',
    ],
    build: (rng) => oddJson(values[rng.below(values.length)], rng),
    bytesMax: 64 * KIB,
    growthMiB: 8,
    judge,
  };
};
