// The manual pages, printed from the tables that the programs themselves read: swarmboot(1) from the options of the
// subcommands, swarmboot.json(5) from the same, swarmboot-agent(8) from the parameters of an install.

import { type ErrorCode, EXIT_MEANING, EXIT_STATUS } from '../agent/core/errors.ts';
import { ROWS } from '../agent/core/params.ts';
import { type Command, type Option, optionForm } from './command.ts';
import { CONFIG_FILE, commonOptions } from './config.ts';
import { COMMON_OPTIONS } from './program.ts';
import { bold, example, heading, item, paragraph, plain, section, subsection } from './roff.ts';

/** What stands on every page. */
export interface Imprint {
  readonly version: string;
  /** `2026-01-31`. */
  readonly date: string;
}

type Commands = readonly Command[];

/** Command lines of swarmboot(1), and what they do. */
export const EXAMPLES: readonly (readonly [line: string, meaning: string])[] = [
  [
    'swarmboot publish web --kind image --from /srv/golden/web',
    'Offers the tree of a golden client as the image web.',
  ],
  ['swarmboot boel build', 'Publishes the tools that every install needs.'],
  ['swarmboot initrd build', 'Builds the kernel and the RAM disk that nodes boot.'],
  [
    'swarmboot pxe config --mode dhcp --interface eno1 --range 10.9.0.100,10.9.0.199',
    'Writes a configuration for dnsmasq, on a network that has no DHCP server yet.',
  ],
  ["swarmboot node arm 'node[001-150]'", 'The next network boot of these installs them.'],
  ['swarmboot node list', 'Where they stand.'],
];

/** A configuration as swarmboot.json(5) shows it. */
export const CONFIG_EXAMPLE = `{
  "repo": "/srv/swarmboot",
  "http-port": 8081,
  "serve": { "upload-max": 100000 },
  "initrd build": { "param": ["console=ttyS0"], "with": "rsync" }
}
`;

/** swarmboot(1). */
export function commandPage(commands: Commands, { version, date }: Imprint): string {
  return [
    heading('swarmboot', 1, date, version),
    section('NAME', 'swarmboot \\- install an operating system on a whole cluster by BitTorrent\n'),
    section(
      'SYNOPSIS',
      `.B swarmboot\n.I COMMAND\n[options]\n.br\n.B swarmboot \\-\\-help\n|\n.B \\-\\-version\n`,
    ),
    section(
      'DESCRIPTION',
      paragraph(
        'The command of an image server. `publish` makes trees available as images, `serve` offers them with a tracker, a catalog and a first seeder, and every node that boots its RAM disk over the network fetches the image from the server and from the other nodes, and installs itself. Only nodes that are armed are installed.',
      ),
      paragraph(
        'Options may stand before or behind other words; `--` ends them. Each can be set in a configuration file as well, swarmboot.json(5); what the command line says wins, and `--no-NAME` takes back a flag that the file sets.',
      ),
    ),
    section('COMMANDS', ...commands.map(commandSection)),
    section('COMMON OPTIONS', ...COMMON_OPTIONS.map(optionItem)),
    exitSection(),
    section(
      'FILES',
      item(bold(CONFIG_FILE), 'The configuration file, swarmboot.json(5).'),
      item(
        bold('/var/lib/swarmboot'),
        'The repository, if no other is named: `catalog`, `tarballs`, `torrents` (what is published), `boot` (what nodes boot), `layouts`, `scripts`, `nodes.conf` (yours), `armed`, `reports`, `logs`, `runs` (what is known of each node and each install of many).',
      ),
    ),
    section('EXAMPLES', ...EXAMPLES.map(([line, meaning]) => item(bold(line), meaning))),
    seeAlso('swarmboot.json(5), swarmboot-agent(8), dnsmasq(8)'),
  ].join('');
}

/** swarmboot.json(5). */
export function configPage(commands: Commands, { version, date }: Imprint): string {
  const common = commonOptions(commands).map((option) => {
    const users = commands.filter(({ options }) => options.some(({ name }) => name === option.name));
    const names = users.map(({ name }) => name).join(', ');
    return item(`${bold(option.name)} (${option.kind})`, `Of ${names}.`);
  });
  return [
    heading('swarmboot.json', 5, date, version),
    section('NAME', 'swarmboot.json \\- configuration of swarmboot\n'),
    section('SYNOPSIS', `.B ${plain(CONFIG_FILE)}\n`),
    section(
      'DESCRIPTION',
      paragraph(
        'A JSON object that sets options of swarmboot(1). A key is the name of a command, and its value an object of options, without their dashes, for that command; or it is an option that several commands have, for all of them. The former wins over the latter. What the command line says wins over both. swarmboot(1) tells what each option means. The file need not be there; one that `--config` names must be.',
      ),
      paragraph(
        'A key that nothing knows, or a value of another kind, is an error that names it: nothing is done then. `$schema` may name the schema for editors, which is installed in `share/swarmboot`.',
      ),
    ),
    section(
      'KINDS',
      item(bold('text'), 'A string. Paths are best absolute: others are from where the command is run.'),
      item(bold('number'), 'A number, 0 or more.'),
      item(bold('flag'), '`true` or `false`.'),
      item(bold('list'), 'An array of strings, for options that may be given several times.'),
    ),
    section('KEYS FOR SEVERAL COMMANDS', ...common),
    section(
      'KEYS FOR ONE COMMAND',
      ...commands.map(({ name, options }) => {
        const keys = options.map((option) => `\`${option.name}\` (${option.kind})`);
        return item(bold(name), `${keys.join(', ')}.`);
      }),
    ),
    section('EXAMPLES', example(CONFIG_EXAMPLE)),
    section('FILES', item(bold(CONFIG_FILE), 'Read by every command if it is there.')),
    seeAlso('swarmboot(1)'),
  ].join('');
}

/** swarmboot-agent(8). */
export function agentPage({ version, date }: Imprint): string {
  const parameters = ROWS.map(({ name, alias, kind, initial, help }) => {
    const fallback = initial === null ? 'absent' : initial === '' ? 'empty' : `\`${initial}\``;
    return item(`${bold(name)}, ${bold(alias)}`, `${help} Value: ${kind.expects}. Default: ${fallback}.`);
  });
  return [
    heading('swarmboot-agent', 8, date, version),
    section('NAME', 'swarmboot-agent \\- install this machine from a swarm\n'),
    section(
      'SYNOPSIS',
      '.B swarmboot\\-agent\n[\\fB\\-\\-local\\-cfg\\fR \\fIFILE\\fR] [\\fB\\-\\-\\fINAME\\fR=\\fIvalue\\fR]...\n.br\n.B swarmboot\\-agent \\-\\-help\n|\n.B \\-\\-version\n',
    ),
    section(
      'DESCRIPTION',
      paragraph(
        'Runs in the RAM disk of a node: fetches the image by BitTorrent, partitions the disks, extracts, makes the tree start by itself, and gives to other nodes while that is of use. `swarmboot initrd build` puts it into the RAM disk; it lies in `lib/swarmboot`, not among the commands, for nobody should start it by accident.',
      ),
      paragraph(
        'Parameters are flags (`--NAME=value`), words of the kernel command line (`NAME=value`), or lines of a parameter file. Flags win over the kernel command line, which wins over the file; within one of them the last one wins. A value that is not of its kind stops the install before anything is written. Words of `param=` in nodes.conf get to the kernel command line of that node.',
      ),
    ),
    section('PARAMETERS', ...parameters),
    exitSection(),
    section(
      'FILES',
      item(bold('/local.cfg'), 'The parameter file, if no `--local-cfg` names another.'),
      item(bold('/proc/cmdline'), 'The kernel command line.'),
    ),
    seeAlso('swarmboot(1)'),
  ].join('');
}

/** The rows of the table of exit statuses: `[status, code, meaning]`. */
export function exitRows(): readonly (readonly [number, ErrorCode, string])[] {
  return (Object.keys(EXIT_STATUS) as ErrorCode[]).map((code) => [
    EXIT_STATUS[code],
    code,
    EXIT_MEANING[code],
  ]);
}

function commandSection(command: Command): string {
  const title = `swarmboot ${command.name} ${command.synopsis}`;
  return subsection(title, paragraph(command.summary), ...command.options.map(optionItem));
}

function optionItem(option: Option): string {
  const [name, ...value] = optionForm(option).split(' ');
  const form = [bold(name!), ...value.map((word) => `\\fI${plain(word)}\\fR`)].join(' ');
  const fallback = option.default === undefined ? '' : ` (default ${option.default})`;
  return item(form, `${option.help}${fallback}`);
}

function exitSection(): string {
  const rows = exitRows().map(([status, , meaning]) => item(bold(String(status)), meaning));
  return section('EXIT STATUS', item(bold('0'), 'all is done'), ...rows);
}

function seeAlso(pages: string): string {
  const references = pages.replace(/([\w.-]+)(\(\d\))/g, (_, name, part) => `${bold(name)}${part}`);
  return section(
    'SEE ALSO',
    `${references}\n`,
    paragraph('docs/admin.md of Swarmboot, for those who run an image server.'),
  );
}
