// Prints what `make manual` puts into docs: the manual of the agent's parameters, and with the word `layout` the JSON schema
// of disk layouts.

import { formatLayoutSchema } from '../agent/core/layoutschema.ts';
import { formatManual } from '../agent/core/params.ts';

process.stdout.write(process.argv[2] === 'layout' ? formatLayoutSchema() : formatManual());
