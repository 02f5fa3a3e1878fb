// nodes.conf: which machines there are, by MAC, and what each is to be installed with. Decides what a right file is and
// which lines speak of a node; reads no file.
//
// A line is `SELECTOR KEY=VALUE...`; SELECTOR is `*`, `@group`, `name`, `node[001-256]` or `node001-node256`. For one node
// the lines `*` count first, then those of its groups in their order, then those that fit its name; in each of the three as
// they stand in the file. A later image or layout wins, overrides and parameters add up.

import { ENTRY_NAME } from '../../agent/core/catalog.ts';
import { SwarmbootError } from '../../agent/core/errors.ts';
import { HOST_NAME } from '../../agent/core/lease.ts';
import { parseMac } from '../../agent/core/mac.ts';
import { SERVER_BOUNDS } from './bounds.ts';

export const NODES_MAX = SERVER_BOUNDS.nodes;
/** Longest kernel command line that a node's own words may make; the kernel reads 2047 characters. */
const WORDS_MAX = 1500;
const SERIAL = /^[\x21-\x7e]{1,128}$/;
const GROUP_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
/** No blank, quote, `$`, `;`, `|`, `&`, `{`, `\`, `#`: boot loaders would read more into them. */
const KERNEL_WORD = /^[A-Za-z][A-Za-z0-9._-]*(?:=[A-Za-z0-9._:/@%+,=~[\]-]*)?$/;
/** What other keys of nodes.conf, or the boot itself, say. */
const TAKEN = /^(?:IMAGENAME|HOSTNAME|GROUPNAMES|DISKS_LAYOUT|OVERRIDES|WAIT|BOOTIF|initrd)(?:=|$)/;

/** A machine that nodes.conf names. */
export interface Node {
  readonly name: string;
  /** `aa:bb:cc:dd:ee:ff`. */
  readonly mac: string;
  readonly groups: readonly string[];
  readonly image: string | null;
  readonly layout: string | null;
  /** The machine's serial number, without blanks: no other machine may enrol as this node. Null: the first one may. */
  readonly serial: string | null;
  readonly overrides: readonly string[];
  /** Words for its kernel command line. */
  readonly params: readonly string[];
}

type Selector =
  | { readonly kind: 'all' }
  | { readonly kind: 'group'; readonly group: string }
  | { readonly kind: 'name'; readonly name: string }
  | Range;

interface Range {
  readonly kind: 'range';
  readonly prefix: string;
  readonly from: number;
  readonly to: number;
  /** Digits, with zeros in front; 0: none in front. */
  readonly width: number;
}

interface Line {
  readonly number: number;
  readonly selector: Selector;
  readonly mac: string | null;
  readonly serial: string | null;
  readonly groups: readonly string[];
  readonly image: string | null;
  readonly layout: string | null;
  readonly overrides: readonly string[];
  readonly params: readonly string[];
}

/** The nodes of one nodes.conf. */
export class Nodes {
  /** In the order of the file. */
  readonly all: readonly Node[];
  /** Words for the kernel command line of every machine, unknown ones too: the `*` lines'. */
  readonly params: readonly string[];
  readonly #byMac: ReadonlyMap<string, Node>;
  readonly #byName: ReadonlyMap<string, Node>;

  constructor(all: readonly Node[], params: readonly string[]) {
    this.all = all;
    this.params = params;
    this.#byMac = new Map(all.map((node) => [node.mac, node]));
    this.#byName = new Map(all.map((node) => [node.name, node]));
  }

  byMac(mac: string): Node | null {
    return this.#byMac.get(mac) ?? null;
  }

  /** The nodes that `word` means: a name, a MAC, a range or an `@group`. Throws SwarmbootError('nodes') when none. */
  select(word: string): readonly Node[] {
    const found = this.#matching(word);
    if (found.length > 0) return found;
    throw new SwarmbootError(
      'nodes',
      `no node "${word}" in nodes.conf; add a line \`NAME mac=MAC image=IMAGE\`, or see swarmboot node list`,
    );
  }

  #matching(word: string): readonly Node[] {
    const named = this.#byName.get(word) ?? this.#byMac.get(parseMac(word) ?? '');
    if (named !== undefined) return [named];
    const selector = parseSelector(word);
    if (selector?.kind === 'range') return this.all.filter(({ name }) => inRange(selector, name));
    if (selector?.kind === 'group') return this.all.filter(({ groups }) => groups.includes(selector.group));
    return [];
  }
}

/** Reads nodes.conf. `where` names it in faults. Throws SwarmbootError('nodes') that lists every fault with its line. */
export function parseNodes(text: string, where: string): Nodes {
  const faults: string[] = [];
  const lines = text.split('\n').flatMap((content, index) => {
    const words = content.replace(/(^|\s)#.*$/, '').match(/\S+/g);
    return words === null ? [] : (parseLine(words, index + 1, faults) ?? []);
  });
  const macs = namedMacs(lines, faults);
  const book = new Book(lines);
  const nodes = [...macs].map(([name, { mac, number }]) => {
    const node = book.resolve(name, mac);
    if (wordsOf(node) > WORDS_MAX) {
      faults.push(`line ${number}: the parameters of ${name} make more than ${WORDS_MAX} characters`);
    }
    return node;
  });
  if (nodes.length > NODES_MAX) faults.push(`there are more than ${NODES_MAX} nodes`);
  if (faults.length > 0) {
    const list = faults.map((fault) => `\n  ${fault}`).join('');
    throw new SwarmbootError('nodes', `${where} is wrong:${list}\n  Correct it; docs/pxe.md tells its form.`);
  }
  return new Nodes(nodes, book.everywhere());
}

/** The lines, by whom they speak of. */
class Book {
  readonly #all: readonly Line[];
  readonly #ranges: readonly Line[];
  readonly #byGroup = new Map<string, Line[]>();
  readonly #byName = new Map<string, Line[]>();

  constructor(lines: readonly Line[]) {
    this.#all = lines.filter(({ selector }) => selector.kind === 'all');
    this.#ranges = lines.filter(({ selector }) => selector.kind === 'range');
    for (const line of lines) {
      if (line.selector.kind === 'group') push(this.#byGroup, line.selector.group, line);
      if (line.selector.kind === 'name') push(this.#byName, line.selector.name, line);
    }
  }

  everywhere(): readonly string[] {
    return this.#all.flatMap(({ params }) => params);
  }

  resolve(name: string, mac: string): Node {
    const own = [
      ...this.#ranges.filter(({ selector }) => selector.kind === 'range' && inRange(selector, name)),
      ...(this.#byName.get(name) ?? []),
    ].sort((a, b) => a.number - b.number);
    const groups = [...new Set([...this.#all, ...own].flatMap((line) => line.groups))];
    const lines = [...this.#all, ...groups.flatMap((group) => this.#byGroup.get(group) ?? []), ...own];
    return {
      name,
      mac,
      groups,
      image: lines.findLast(({ image }) => image !== null)?.image ?? null,
      layout: lines.findLast(({ layout }) => layout !== null)?.layout ?? null,
      serial: own.findLast(({ serial }) => serial !== null)?.serial ?? null,
      overrides: lines.flatMap(({ overrides }) => overrides),
      params: lines.flatMap(({ params }) => params),
    };
  }
}

/** Undefined when the line is wrong; what is wrong is in `faults`. */
function parseLine(words: readonly string[], number: number, faults: string[]): Line | undefined {
  const [first = '', ...pairs] = words;
  const before = faults.length;
  const wrong = (what: string) => void faults.push(`line ${number}: ${what}`);
  const selector = parseSelector(first);
  if (selector === null) wrong(`"${first}" is no host name, range, @group or *`);
  if (pairs.length === 0) wrong(`nothing is said of "${first}": KEY=VALUE is missing`);
  const given = new Map<string, string[]>();
  for (const pair of pairs) {
    const [, key = '', value = ''] =
      /^(mac|serial|groups|image|layout|overrides|param)=(.+)$/.exec(pair) ?? [];
    if (key === '') {
      wrong(`"${pair}" is none of mac=, serial=, groups=, image=, layout=, overrides=, param= with a value`);
    } else if (given.has(key) && key !== 'param') wrong(`${key}= is given twice`);
    else push(given, key, value);
  }
  const one = (key: string, form: RegExp, what: string) => {
    const value = given.get(key)?.[0];
    if (value === undefined || form.test(value)) return value ?? null;
    wrong(`${key}=${value} is no ${what}`);
    return null;
  };
  const list = (key: string, form: RegExp) => {
    const items = given.get(key)?.[0]?.split(',') ?? [];
    for (const item of items) if (!form.test(item)) wrong(`${key}= has "${item}", which is no name`);
    return items;
  };
  const macText = given.get('mac')?.[0];
  const mac = macText === undefined ? null : parseMac(macText);
  if (macText !== undefined && mac === null) wrong(`mac=${macText} is no MAC like 52:54:00:09:00:01`);
  if (macText !== undefined && selector?.kind !== 'name') wrong('mac= belongs to a single name');
  const serial = one('serial', SERIAL, 'serial number without blanks');
  if (serial !== null && selector?.kind !== 'name') wrong('serial= belongs to a single name');
  if (given.has('groups') && selector?.kind === 'group') wrong('a group has no groups=');
  const image = one('image', ENTRY_NAME, 'name of an image');
  const layout = one('layout', ENTRY_NAME, 'name of a layout');
  const groups = list('groups', GROUP_NAME);
  const overrides = list('overrides', ENTRY_NAME);
  const params = given.get('param') ?? [];
  for (const param of params) {
    if (!KERNEL_WORD.test(param)) wrong(`param=${param} is no KEY=VALUE without blanks, quotes or signs`);
    else if (TAKEN.test(param)) wrong(`param=${param} is not to be given: other keys and the boot say it`);
  }
  if (selector === null || faults.length > before) return undefined;
  return { number, selector, mac, serial, groups, image, layout, overrides, params };
}

/** The MAC of each single name, with its line. */
function namedMacs(lines: readonly Line[], faults: string[]) {
  const macs = new Map<string, { mac: string; number: number }>();
  const owners = new Map<string, string>();
  for (const { selector, mac, number } of lines) {
    if (selector.kind !== 'name' || mac === null) continue;
    const owner = owners.get(mac);
    if (owner !== undefined) faults.push(`line ${number}: ${mac} is ${owner}'s already`);
    else if (macs.has(selector.name)) faults.push(`line ${number}: ${selector.name} has a mac= already`);
    owners.set(mac, selector.name);
    macs.set(selector.name, { mac, number });
  }
  // A wrong line is not among `lines`, and a name may have its MAC there.
  const complete = faults.length === 0;
  for (const { selector, number } of lines) {
    if (complete && selector.kind === 'name' && !macs.has(selector.name)) {
      faults.push(`line ${number}: ${selector.name} has no mac= on any line`);
    }
  }
  return macs;
}

/** Null when it is none. `a1-a2` is a range, not the name that it could also be. */
function parseSelector(word: string): Selector | null {
  if (word === '*') return { kind: 'all' };
  if (word.startsWith('@')) {
    return GROUP_NAME.test(word.slice(1)) ? { kind: 'group', group: word.slice(1) } : null;
  }
  const [, prefix = '', from = '', to = ''] =
    /^([A-Za-z0-9-]*?)\[(\d{1,9})-(\d{1,9})\]$/.exec(word) ??
    /^([A-Za-z0-9-]*?)(\d{1,9})-\1(\d{1,9})$/.exec(word) ??
    [];
  if (from !== '') {
    const width = from.length === to.length ? from.length : 0;
    const padded = width === 0 && from.startsWith('0');
    const good = Number(from) <= Number(to) && !padded && HOST_NAME.test(prefix + to);
    return good ? { kind: 'range', prefix, from: Number(from), to: Number(to), width } : null;
  }
  return HOST_NAME.test(word) ? { kind: 'name', name: word } : null;
}

function inRange({ prefix, from, to, width }: Range, name: string): boolean {
  const digits = name.slice(prefix.length);
  if (!name.startsWith(prefix) || !/^\d{1,9}$/.test(digits)) return false;
  const number = Number(digits);
  return number >= from && number <= to && digits === String(number).padStart(width, '0');
}

function wordsOf({ params, overrides, groups }: Node): number {
  return [...params, ...overrides, ...groups].join(' ').length;
}

function push<T>(lists: Map<string, T[]>, key: string, value: T): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}
