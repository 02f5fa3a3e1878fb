// Prints the manual of the agent's parameters: `node scripts/manual.ts > docs/parameters.md`.

import { formatManual } from '../agent/core/params.ts';

process.stdout.write(formatManual());
