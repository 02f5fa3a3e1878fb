// All rows of the lab, by number: one entry each. How one is written is told in docs/faults.md.

import type { Row } from '../row.ts';
import * as crowds from './crowds.ts';
import * as deaths from './deaths.ts';
import * as limits from './limits.ts';
import * as network from './network.ts';
import * as rogues from './rogues.ts';

export const ROWS: readonly Row[] = [crowds, deaths, limits, network, rogues]
  .flatMap((file): Row[] => Object.values(file))
  .sort((left, right) => left.number - right.number);
