// The parameters of an install: one table, and the reading of it. Decides which names are ours, what each value may be,
// and which source wins. Reads no file and no clock; docs/parameters.md and `--help` are printed from the same table.

import { SwarmbootError } from './errors.ts';
import { NOT_YET } from './systemimager.ts';
import { KIB } from './units.ts';
import {
  address,
  consoleStyle,
  DEFAULT_HTTP_PORT,
  flag,
  folder,
  hostName,
  type Kind,
  mac,
  name,
  names,
  postAction,
  servers,
  stages,
  torrent,
  unfit,
  whole,
} from './values.ts';

/** One `NAME=value` as found; `value` is null for a bare word such as `BITTORRENT_SEED_WAIT`. */
export interface Fact {
  readonly name: string;
  readonly value: string | null;
}

/** Facts from one place. Within a source the last fact of a name wins. */
export interface Source {
  /** How messages call it: `flags`, `kernel command line`, a file's path. */
  readonly origin: string;
  readonly facts: readonly Fact[];
}

/** One row of the table. */
interface Row<T> {
  /** SystemImager's spelling, or ours in the same style. */
  readonly name: string;
  /** The `si.*` spelling. */
  readonly alias: string;
  readonly kind: Kind<T>;
  /** Read by `kind` when no source has the name; null: the parameter is then absent. */
  readonly initial: string | null;
  /** The stage of the install that honours it. */
  readonly honouredBy: string;
  readonly help: string;
}

function row<T>(
  spelling: readonly [name: string, alias: string],
  kind: Kind<T>,
  initial: string,
  honouredBy: string,
  help: string,
): Row<T> & { readonly initial: string } {
  return { name: spelling[0], alias: spelling[1], kind, initial, honouredBy, help };
}

function optional<T>(
  spelling: readonly [name: string, alias: string],
  kind: Kind<T>,
  honouredBy: string,
  help: string,
): Row<T> & { readonly initial: null } {
  return { name: spelling[0], alias: spelling[1], kind, initial: null, honouredBy, help };
}

const MAX_SECONDS = 604_800; // a week
const MAX_KIB_PER_SEC = 1_000_000_000;

/**
 * Every parameter that this agent honours, by its field of `Params`.
 *
 * The cap on seed-wait is 15 minutes: 150 nodes were installed in 6 (Finley et al. 2007), so a swarm that is still busy
 * after it has newer seeders than this node, or a leecher that will never finish.
 */
const TABLE = {
  imageServers: optional(
    ['IMAGESERVER', 'si.image-server'],
    servers,
    'catalog',
    `The image server. Without a port: ${DEFAULT_HTTP_PORT} for a bare host. Of several, which all offer the same, the next is asked when one does not answer.`,
  ),
  firstBootServers: optional(
    ['FIRST_BOOT_SERVER', 'si.first-boot-server'],
    servers,
    'finish',
    'Where the new system, which speaks plain HTTP only, says that it has come up; absent: IMAGESERVER, unless that is https.',
  ),
  imageName: optional(['IMAGENAME', 'si.image-name'], name, 'catalog', 'The image to install.'),
  overrides: row(
    ['OVERRIDES', 'si.overrides'],
    names,
    '',
    'overrides',
    'Overrides to lay over the image, one by one in this order.',
  ),
  torrent: optional(
    ['TORRENT', 'si.torrent'],
    torrent,
    'catalog',
    'Installs this torrent with no catalog at all: no BOEL binaries, no overrides.',
  ),
  boelName: optional(
    ['BOELNAME', 'si.boel-name'],
    name,
    'BOEL binaries',
    "The BOEL binaries to fetch; absent: the catalog's only ones, if it has any.",
  ),
  boelFolder: row(['BOEL_DIR', 'si.boel-dir'], folder, '/', 'BOEL binaries', 'Where they are extracted.'),
  target: row(['TARGET', 'si.target'], folder, '/a', 'extract', 'Where the image is extracted.'),
  hostName: optional(
    ['HOSTNAME', 'si.host-name'],
    hostName,
    'finish',
    'Name of this node; absent: the one that DHCP gave.',
  ),
  bootMac: optional(
    ['BOOTIF', 'si.boot-mac'],
    mac,
    'every stage',
    'The network interface that this node boots from, by which the image server knows it; absent: nothing is reported.',
  ),
  groups: row(
    ['GROUPNAMES', 'si.groups'],
    names,
    '',
    'catalog',
    'Groups of this node: their scripts and layouts apply to it.',
  ),
  disksLayout: row(
    ['DISKS_LAYOUT', 'si.disks-layout'],
    name,
    'none',
    'disks',
    'The disk layout. `search`, the default in the RAM disk: the first there is, named like the host, a group, the host without its number, the image, or `default`. `none`: no disk is touched, the image goes into the folder TARGET.',
  ),
  dryRun: row(
    ['DRY_RUN', 'si.dry-run'],
    flag,
    'n',
    'catalog',
    'Prints what would be done to the disks, and ends before anything is written.',
  ),
  check: row(
    ['CHECK', 'si.check'],
    unfit,
    'park',
    'check',
    'What follows when link, server, peers, memory or disks are found unfit before anything is written: `park` ends the install there, `warn` goes on.',
  ),
  breakStages: row(
    ['BREAK', 'si.break'],
    stages,
    '',
    'every stage',
    'A shell on the console before each of these stages.',
  ),
  postAction: row(
    ['POST_ACTION', 'si.post-action'],
    postAction,
    'reboot',
    'post-action',
    'What follows an install on disks; after one into a folder, nothing does.',
  ),
  shellOnFail: row(
    ['SHELL_ON_FAIL', 'si.shell-on-fail'],
    flag,
    'n',
    '/init',
    'A shell on the console of the RAM disk when the install has failed.',
  ),
  wait: row(
    ['WAIT', 'si.wait'],
    flag,
    'n',
    'parameters',
    'Installs nothing: shows what this machine is, tells the image server, and starts anew once that has armed it.',
  ),
  stagingPool: optional(
    ['BITTORRENT_STAGING', 'si.bittorrent-staging'],
    folder,
    'staging',
    'Forces the staging pool; absent: tmpfs, else /tmp on disk, else any mounted file system with room.',
  ),
  pollingMs: row(
    ['BITTORRENT_POLLING_TIME', 'si.bittorrent-polling-time'],
    whole('seconds', 1, 3600, 1000),
    '5',
    'every stage',
    'Time between two progress lines on the console, and between two looks at the upload rate.',
  ),
  seedWait: row(
    ['BITTORRENT_SEED_WAIT', 'si.bittorrent-seed-wait'],
    flag,
    'y',
    'seed-wait',
    'After the install, goes on seeding while it is of use.',
  ),
  uploadMinBytesPerSec: row(
    ['BITTORRENT_UPLOAD_MIN', 'si.bittorrent-upload-min'],
    whole('KiB/s', 0, MAX_KIB_PER_SEC, KIB),
    '500',
    'seed-wait',
    'Seeding ends when the upload of all torrents stays below this.',
  ),
  seedMaxMs: row(
    ['BITTORRENT_SEED_MAX', 'si.bittorrent-seed-max'],
    whole('seconds', 0, MAX_SECONDS, 1000),
    '900',
    'seed-wait',
    'Seeding ends after this long, whatever the rate; 0: no cap.',
  ),
  uploadMaxBytesPerSec: row(
    ['BITTORRENT_UPLOAD_MAX', 'si.bittorrent-upload-max'],
    whole('KiB/s', 0, MAX_KIB_PER_SEC, KIB),
    '0',
    'every stage',
    'Cap on the upload of all torrents together; 0: no cap.',
  ),
  port: row(
    ['BITTORRENT_PORT', 'si.bittorrent-port'],
    whole('', 0, 65535),
    '6881',
    'every stage',
    'TCP port on which peers reach this node; 0: any free port.',
  ),
  bind: row(
    ['BIND', 'si.bind'],
    address,
    '::',
    'every stage',
    'Own address to listen on for peers; `::`: every one, IPv4 and IPv6.',
  ),
  console: row(
    ['CONSOLE', 'si.console'],
    consoleStyle,
    'text',
    'every stage',
    'What the console shows: lines for people, or one JSON object a line.',
  ),
} as const;

type Table = typeof TABLE;
type Value<R> = R extends Row<infer T> ? (R extends { readonly initial: string } ? T : T | null) : never;

/** The parameters of one install, checked and frozen. Rates are bytes per second, times milliseconds. */
export type Params = { readonly [K in keyof Table]: Value<Table[K]> };

/** The table, row by row. */
export const ROWS: readonly (Row<unknown> & { readonly field: string })[] = Object.entries(TABLE).map(
  ([field, entry]) => ({ ...entry, field }),
);

/** Names that nobody else would give; a kernel command line is full of others, `console=` among them. */
const OURS = /^(BITTORRENT_|BOEL|IMAGE|si\.)/i;

/** Every name and alias of the table. */
export const PARAMETER_NAMES: readonly string[] = ROWS.flatMap((entry) => [entry.name, entry.alias]);

/**
 * Reads the parameters from `sources`, the first source that has a name winning.
 * Throws SwarmbootError 'parameters' that lists every fault, when there is any.
 */
export function readParams(sources: readonly Source[]): { params: Params; warnings: readonly string[] } {
  const faults: string[] = [];
  const values: Record<string, unknown> = {};
  for (const entry of ROWS) values[entry.field] = readRow(entry, sources, faults);
  const params = Object.freeze(values) as Params;
  if (faults.length === 0) faults.push(...contradictions(params));
  if (faults.length > 0) {
    const list = faults.map((fault) => `\n  ${fault}`).join('');
    throw new SwarmbootError(
      'parameters',
      `the parameters are wrong:${list}\n  Correct them and start again; --help lists them.`,
    );
  }
  return { params, warnings: unknownNames(sources) };
}

function readRow(entry: Row<unknown>, sources: readonly Source[], faults: string[]): unknown {
  for (const { origin, facts } of sources) {
    const fact = facts.findLast(({ name }) => name === entry.name || name === entry.alias);
    if (fact === undefined) continue;
    const text = fact.value ?? (entry.kind === flag ? 'y' : '');
    const value = entry.kind.read(text);
    if (value === undefined) {
      faults.push(`${fact.name}=${JSON.stringify(text)} (${origin}): expected ${entry.kind.expects}`);
    }
    return value;
  }
  return entry.initial === null ? null : entry.kind.read(entry.initial);
}

function contradictions(params: Params): string[] {
  if (params.torrent === null) {
    const missing = [];
    if (params.imageServers === null)
      missing.push('IMAGESERVER is missing: name the image server, or give TORRENT');
    if (params.imageName === null && !params.wait)
      missing.push('IMAGENAME is missing: name the image, or give TORRENT');
    return missing;
  }
  const needless: [string, boolean][] = [
    ['IMAGENAME', params.imageName !== null],
    ['OVERRIDES', params.overrides.length > 0],
    ['BOELNAME', params.boelName !== null],
    ['WAIT', params.wait],
    ['DISKS_LAYOUT', !['none', 'search'].includes(params.disksLayout)],
  ];
  return needless
    .filter(([, given]) => given)
    .map(
      ([spelling]) => `${spelling} needs a catalog, and TORRENT installs without one: give one of the two`,
    );
}

function unknownNames(sources: readonly Source[]): string[] {
  const known = new Map(PARAMETER_NAMES.map((spelling) => [spelling.toLowerCase(), spelling]));
  const warnings: string[] = [];
  for (const { origin, facts } of sources) {
    for (const spelling of new Set(facts.map((fact) => fact.name))) {
      const nearest = known.get(spelling.toLowerCase());
      if (nearest === spelling) continue;
      if (NOT_YET.has(spelling)) {
        warnings.push(
          `${spelling} (${origin}) is SystemImager's, and this agent does not honour it yet: ignored`,
        );
      } else if (OURS.test(spelling)) {
        const hint = nearest === undefined ? '' : `; did you mean ${nearest}?`;
        warnings.push(`${spelling} (${origin}) is not a parameter: ignored${hint}`);
      }
    }
  }
  return warnings;
}

/** The words of a kernel command line: `name=value`, `name="two words"`, `"name=two words"`, bare words. */
export function parseKernelCommandLine(text: string): Fact[] {
  return parseWords(text, /(?:"[^"]*"?|[^\s"])+/g, /"/g);
}

/** A parameter file in the style of SystemImager's local.cfg: `NAME=value` lines, shell quotes, `#` comments. */
export function parseParameterFile(text: string): Fact[] {
  return parseWords(text.replace(/(^|\s)#.*$/gm, '$1'), /(?:"[^"]*"?|'[^']*'?|[^\s"'])+/g, /["']/g);
}

function parseWords(text: string, word: RegExp, quote: RegExp): Fact[] {
  return (text.match(word) ?? []).map((found) => {
    const bare = found.replace(quote, '');
    const equals = bare.indexOf('=');
    return equals < 0
      ? { name: bare, value: null }
      : { name: bare.slice(0, equals), value: bare.slice(equals + 1) };
  });
}

/** The manual of the parameters: docs/parameters.md, byte for byte. */
export function formatManual(): string {
  const rows = ROWS.map(
    (entry) =>
      `| \`${entry.name}\` | \`${entry.alias}\` | ${entry.kind.expects} | ${showInitial(entry, '`')} | ${entry.honouredBy} | ${entry.help} |`,
  );
  const notYet = [...NOT_YET].map((spelling) => `\`${spelling}\``).join(', ');
  return `# Parameters of the agent

Given as flags (\`--NAME=value\`), on the kernel command line (\`NAME=value\`), or as lines of a parameter file
(\`--local-cfg FILE\`, else \`/local.cfg\` if it is there). Flags win over the kernel command line, which wins over the
file; within one of them the last one wins. A value that is not of its kind stops the install before anything is written,
and every fault is listed. A flag may stand alone: \`BITTORRENT_SEED_WAIT\` means \`BITTORRENT_SEED_WAIT=y\`; yes, true, 1 and
on mean y; no, false, 0 and off mean n.

| name | alias | value | default | honoured by | meaning |
| --- | --- | --- | --- | --- | --- |
${rows.join('\n')}

Names of SystemImager that the agent knows and does not honour yet; it says so and goes on: ${notYet}.
`;
}

/** The same table for a console of 80 columns. */
export function formatHelp(): string {
  return ROWS.map(
    (entry) =>
      `  ${entry.name} (${entry.alias})\n      ${entry.help.replaceAll('`', '')}\n      Value: ${entry.kind.expects.replaceAll('`', '')}. Default: ${showInitial(entry, '')}.\n`,
  ).join('');
}

function showInitial(entry: Row<unknown>, quote: string): string {
  if (entry.initial === null) return 'absent';
  return entry.initial === '' ? 'empty' : `${quote}${entry.initial}${quote}`;
}
