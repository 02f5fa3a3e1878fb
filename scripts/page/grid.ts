// All nodes at a glance: a cell each, coloured by where it stands, filled by how far it is. One stop for the tab key, inside
// which the arrow keys move.

import type { ClusterNode } from '../core/cluster.ts';
import { el, fill, setText } from './dom.ts';
import { colourOf } from './words.ts';

export class Grid {
  readonly element = el('div', { class: 'grid', role: 'group', 'aria-label': 'All nodes' });
  readonly #cells = new Map<string, HTMLAnchorElement>();
  #order = '';

  constructor() {
    this.element.addEventListener('keydown', (event) => this.#move(event));
  }

  /** Shows these nodes in this order; `changed` names those that are not as they were, null all. */
  show(nodes: readonly ClusterNode[], changed: ReadonlySet<string> | null): void {
    const order = nodes.map(({ mac }) => mac).join();
    const same = order === this.#order;
    if (!same) {
      this.#order = order;
      const wanted = new Set(nodes.map(({ mac }) => mac));
      for (const mac of [...this.#cells.keys()]) if (!wanted.has(mac)) this.#cells.delete(mac);
    }
    for (const node of nodes) {
      const known = this.#cells.has(node.mac);
      if (known && changed !== null && !changed.has(node.mac)) continue;
      this.#paint(node);
    }
    if (same) return;
    this.element.classList.toggle('many', nodes.length > 300);
    fill(this.element, ...nodes.map(({ mac }) => this.#cells.get(mac)!));
    const cells = [...this.element.children];
    if (!cells.some((cell) => cell.getAttribute('tabindex') === '0')) cells[0]?.setAttribute('tabindex', '0');
  }

  #paint(node: ClusterNode): void {
    let cell = this.#cells.get(node.mac);
    if (cell === undefined) {
      cell = el('a', { href: `#/node/${node.mac}`, tabindex: -1 }, el('i'), el('span'));
      this.#cells.set(node.mac, cell);
    }
    const label = `${node.name}: ${node.phrase}${node.stage === '' ? '' : `, ${node.stage}`}`;
    if (cell.title !== label) {
      cell.title = label;
      cell.setAttribute('aria-label', label);
    }
    const colour = `cell ${colourOf(node)}`;
    if (cell.className !== colour) cell.className = colour;
    const [bar, text] = [cell.firstElementChild as HTMLElement, cell.lastElementChild as HTMLElement];
    const height = `${node.state === 'installing' ? node.percent : 100}%`;
    if (bar.style.height !== height) bar.style.height = height;
    setText(text, node.name);
  }

  #move(event: KeyboardEvent): void {
    const cells = [...this.element.children] as HTMLElement[];
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
