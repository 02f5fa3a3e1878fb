// All rows of the lab, by number: one entry each. How one is written is told in docs/faults.md.

import type { Row } from '../row.ts';
import * as deaths from './deaths.ts';
import * as rogues from './rogues.ts';

export const ROWS: readonly Row[] = [...Object.values(deaths), ...Object.values(rogues)].sort(
  (left, right) => left.number - right.number,
);
