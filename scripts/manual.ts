// Prints one of the texts that are made from tables; its name is the argument. `make manual` puts some into docs, `make man`
// those of the machine that Swarmboot is installed on into build.

import { formatLayoutSchema } from '../agent/core/layoutschema.ts';
import { formatManual } from '../agent/core/params.ts';
import packageJson from '../package.json' with { type: 'json' };
import { COMMANDS } from './commands.ts';
import { bashCompletion } from './completion.ts';
import { formatConfigSchema } from './config.ts';
import { formatLimits } from './core/bounds.ts';
import { agentPage, commandPage, configPage } from './manpages.ts';

const { SOURCE_DATE_EPOCH } = process.env;
const now = SOURCE_DATE_EPOCH === undefined ? new Date() : new Date(Number(SOURCE_DATE_EPOCH) * 1000);
const imprint = { version: packageJson.version, date: now.toISOString().slice(0, 10) };

const TEXTS: Readonly<Record<string, () => string>> = {
  'parameters.md': formatManual,
  'limits.md': formatLimits,
  'layout.schema.json': formatLayoutSchema,
  'swarmboot.schema.json': () => formatConfigSchema(COMMANDS),
  'swarmboot.1': () => commandPage(COMMANDS, imprint),
  'swarmboot.json.5': () => configPage(COMMANDS, imprint),
  'swarmboot-agent.8': () => agentPage(imprint),
  'completion.bash': () => bashCompletion(COMMANDS),
};

const text = TEXTS[process.argv[2] ?? ''];
if (text === undefined) throw new Error(`give one of: ${Object.keys(TEXTS).join(', ')}`);
process.stdout.write(text());
