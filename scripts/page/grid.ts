// All nodes at a glance: a cell each, coloured by where it stands, filled by how far it is. One stop for the tab key, inside
// which the arrow keys move.

import type { ClusterNode } from '../core/cluster.ts';
import { el, fill, setText } from './dom.ts';
import { colourOf } from './words.ts';

/** With more nodes than these the cells are small, and have the end of the name. */
const MANY = 300;
const SHORT = 4;

export class Grid {
  readonly element = el('div', { class: 'grid', role: 'group', 'aria-label': 'All nodes' });
  /** In the order in which they stand. */
  #cells = new Map<string, HTMLAnchorElement>();
  #many = false;

  constructor() {
    this.element.addEventListener('keydown', (event) => this.#move(event));
  }

  /** The node is not as it was. */
  paint(node: ClusterNode): void {
    const cell = this.#cells.get(node.mac);
    if (cell !== undefined) paint(cell, node, this.#many);
  }

  /** Has a cell for each of `nodes`, and shows those of `shown`, which is in the same order. */
  show(nodes: ReadonlyMap<string, ClusterNode>, shown: readonly ClusterNode[]): void {
    const many = shown.length > MANY;
    this.#fit(nodes, many);
    let next = 0;
    for (const [mac, cell] of this.#cells) {
      const hidden = shown[next]?.mac !== mac;
      if (!hidden) next++;
      if (cell.hidden !== hidden) cell.hidden = hidden;
    }
    const stop = this.element.querySelector('[tabindex="0"]:not([hidden])');
    if (stop === null) this.element.querySelector('a:not([hidden])')?.setAttribute('tabindex', '0');
  }

  /** Makes the cells those of these nodes. Most of the time they are, and nothing is touched. */
  #fit(nodes: ReadonlyMap<string, ClusterNode>, many: boolean): void {
    if (many !== this.#many) {
      this.#many = many;
      this.element.classList.toggle('many', many);
      for (const node of nodes.values()) this.paint(node);
    }
    const [have, want] = [[...this.#cells.keys()], [...nodes.keys()]];
    if (have.length === want.length && want.every((mac, index) => have[index] === mac)) return;
    const cells = new Map<string, HTMLAnchorElement>();
    for (const [mac, node] of nodes) {
      const known = this.#cells.get(mac);
      const cell = known ?? el('a', { href: `#/node/${mac}`, tabindex: -1 });
      if (known === undefined) paint(cell, node, many);
      cells.set(mac, cell);
    }
    this.#cells = cells;
    fill(this.element, ...cells.values());
  }

  #move(event: KeyboardEvent): void {
    const cells = [...this.element.querySelectorAll<HTMLElement>('a:not([hidden])')];
    const from = cells.indexOf(document.activeElement as HTMLElement);
    if (from < 0) return;
    const row = cells.filter((cell) => cell.offsetTop === cells[0]!.offsetTop).length;
    const steps: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row };
    const ends: Record<string, number> = { Home: 0, End: cells.length - 1 };
    const step = steps[event.key];
    const to = step === undefined ? ends[event.key] : Math.min(cells.length - 1, Math.max(0, from + step));
    if (to === undefined) return;
    event.preventDefault();
    cells[from]!.setAttribute('tabindex', '-1');
    cells[to]!.setAttribute('tabindex', '0');
    cells[to]!.focus();
  }
}

/** Touches only what is not as it was: a thousand cells change all the time. */
function paint(cell: HTMLAnchorElement, node: ClusterNode, short: boolean): void {
  const label = `${node.name}: ${node.phrase}${node.stage === '' ? '' : `, ${node.stage}`}`;
  if (cell.title !== label) {
    cell.title = label;
    cell.setAttribute('aria-label', label);
  }
  const colour = `cell ${colourOf(node)}`;
  if (cell.className !== colour) cell.className = colour;
  // One element without parts of its own: each that is clipped, turned or seen through costs a browser a layer.
  const share = `${node.state === 'installing' ? node.percent : 100}%`;
  if (cell.style.getPropertyValue('--share') !== share) cell.style.setProperty('--share', share);
  setText(cell, short ? node.name.slice(-SHORT) : node.name);
}
