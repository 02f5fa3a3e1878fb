// Prints the manual of the agent's parameters: what `make manual` puts into docs/parameters.md.

import { formatManual } from '../agent/core/params.ts';

process.stdout.write(formatManual());
