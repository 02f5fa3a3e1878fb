// The nodes as a table: sorted by any column, filtered by state and by words, a page of them at a time.

import { NODE_STATES, type NodeState } from '../core/board.ts';
import type { ClusterNode } from '../core/cluster.ts';
import { el, fill, setText } from './dom.ts';
import { colourOf, formatAgo, formatDuration, formatRate } from './words.ts';

const ROWS = 50;

interface Column {
  readonly name: string;
  readonly text: (node: ClusterNode, now: string) => string;
  /** What it is sorted by. */
  readonly key: (node: ClusterNode) => string | number;
  readonly number?: boolean;
}

const COLUMNS: readonly Column[] = [
  { name: 'Node', text: ({ name }) => name, key: ({ name }) => name },
  { name: 'State', text: ({ phrase }) => phrase, key: ({ state }) => NODE_STATES.indexOf(state) },
  { name: 'Stage', text: ({ stage }) => stage, key: ({ stage }) => stage },
  {
    name: 'Done',
    text: ({ percent }) => `${Math.floor(percent)} %`,
    key: ({ percent }) => percent,
    number: true,
  },
  {
    name: 'Down',
    text: ({ downBytesPerSec }) => formatRate(downBytesPerSec),
    key: ({ downBytesPerSec }) => downBytesPerSec,
    number: true,
  },
  {
    name: 'Up',
    text: ({ upBytesPerSec }) => formatRate(upBytesPerSec),
    key: ({ upBytesPerSec }) => upBytesPerSec,
    number: true,
  },
  { name: 'Peers', text: ({ peers }) => `${peers}`, key: ({ peers }) => peers, number: true },
  {
    name: 'Left',
    text: ({ leftMs }) => (leftMs === null ? '-' : formatDuration(leftMs)),
    key: ({ leftMs }) => leftMs ?? -1,
    number: true,
  },
  { name: 'Image', text: ({ image }) => image ?? '-', key: ({ image }) => image ?? '' },
  { name: 'Heard', text: ({ heard }, now) => formatAgo(heard, now), key: ({ heard }) => heard ?? '' },
];

/** What of the nodes is wanted. */
export interface Wish {
  readonly words: string;
  readonly state: NodeState | '';
}

/** The nodes that the wish fits: each of its words is in the name, MAC, address, group, image, state or stage. */
export function chosen(nodes: Iterable<ClusterNode>, { words, state }: Wish): ClusterNode[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  return [...nodes].filter((node) => {
    if (state !== '' && node.state !== state) return false;
    const text = [
      node.name,
      node.mac,
      node.address,
      ...node.groups,
      node.image ?? '',
      node.phrase,
      node.stage,
    ];
    const all = text.join(' ').toLowerCase();
    return wanted.every((word) => all.includes(word));
  });
}

export class NodeTable {
  readonly element: HTMLElement;
  readonly #heads: readonly HTMLElement[];
  readonly #body = el('tbody');
  readonly #where = el('p', { class: 'where', 'aria-live': 'polite' });
  readonly #changed: () => void;
  #column = 0;
  #down = false;
  #page = 0;

  /** `changed` is called when the reader wants another order or another page. */
  constructor(changed: () => void) {
    this.#changed = changed;
    this.#heads = COLUMNS.map(({ name, number }, index) =>
      el(
        'th',
        { scope: 'col', class: number ? 'number' : null },
        el('button', { type: 'button', onclick: () => this.#sortBy(index) }, name),
      ),
    );
    const step = (label: string, by: number) =>
      el('button', { type: 'button', onclick: () => this.#turn(by) }, label);
    this.element = el(
      'section',
      { 'aria-label': 'Nodes as a table' },
      el(
        'div',
        { class: 'scroll' },
        el(
          'table',
          { class: 'nodes' },
          el('caption', { class: 'unseen' }, 'Nodes; a heading sorts by its column'),
          el('thead', {}, el('tr', {}, ...this.#heads)),
          this.#body,
        ),
      ),
      el('div', { class: 'pager' }, step('Previous', -1), this.#where, step('Next', 1)),
    );
  }

  show(nodes: readonly ClusterNode[], now: string): void {
    const { key } = COLUMNS[this.#column]!;
    const sign = this.#down ? -1 : 1;
    const sorted = nodes.toSorted((a, b) => {
      const [left, right] = [key(a), key(b)];
      if (left !== right) return left < right ? -sign : sign;
      return a.name < b.name ? -1 : 1;
    });
    this.#page = Math.max(0, Math.min(this.#page, Math.ceil(sorted.length / ROWS) - 1));
    const first = this.#page * ROWS;
    const shown = sorted.slice(first, first + ROWS);
    for (const [index, head] of this.#heads.entries()) {
      const sort = index !== this.#column ? 'none' : this.#down ? 'descending' : 'ascending';
      if (head.getAttribute('aria-sort') !== sort) head.setAttribute('aria-sort', sort);
    }
    setText(
      this.#where,
      sorted.length === 0 ? 'no node fits' : `${first + 1} to ${first + shown.length} of ${sorted.length}`,
    );
    this.#fit(shown.length);
    for (const [index, node] of shown.entries()) paint(this.#body.rows[index]!, node, now);
  }

  #fit(count: number): void {
    while (this.#body.rows.length > count) this.#body.lastElementChild!.remove();
    while (this.#body.rows.length < count) {
      const cells = COLUMNS.map(({ number }, index) =>
        el('td', { class: number ? 'number' : null }, index === 0 ? el('a') : null),
      );
      this.#body.append(el('tr', {}, ...cells));
    }
  }

  #sortBy(index: number): void {
    this.#down = index === this.#column ? !this.#down : (COLUMNS[index]!.number ?? false);
    this.#column = index;
    this.#changed();
  }

  #turn(by: number): void {
    this.#page += by;
    this.#changed();
  }
}

/** Rows are used again, so that a reader's place and choice of text stay where they are. */
function paint(row: HTMLTableRowElement, node: ClusterNode, now: string): void {
  const colour = `row ${colourOf(node)}`;
  if (row.className !== colour) row.className = colour;
  for (const [index, { text }] of COLUMNS.entries()) {
    const cell = row.cells[index]!;
    const place = index === 0 ? (cell.firstElementChild as HTMLAnchorElement) : cell;
    setText(place, text(node, now));
    if (index === 0 && place.getAttribute('href') !== `#/node/${node.mac}`)
      place.setAttribute('href', `#/node/${node.mac}`);
  }
}

/** The search field and the choice of a state. */
export function filters(changed: (wish: Wish) => void): { element: HTMLElement; set(wish: Wish): void } {
  const words = el('input', { type: 'search', id: 'search', placeholder: 'name, MAC, group, image ...' });
  const state = el(
    'select',
    { id: 'state' },
    el('option', { value: '' }, 'all'),
    ...NODE_STATES.map((name) => el('option', { value: name }, name)),
  );
  const tell = () => changed({ words: words.value, state: state.value as NodeState | '' });
  words.addEventListener('input', tell);
  state.addEventListener('change', tell);
  const element = el('form', {
    class: 'filters',
    role: 'search',
    onsubmit: (event) => event.preventDefault(),
  });
  fill(
    element,
    el('label', { for: 'search' }, 'Search'),
    words,
    el('label', { for: 'state' }, 'State'),
    state,
  );
  return {
    element,
    set: (wish) => {
      words.value = wish.words;
      state.value = wish.state;
      tell();
    },
  };
}
