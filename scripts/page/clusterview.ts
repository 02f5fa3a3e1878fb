// The cluster at a glance: how many nodes stand where, what all do together, a cell and a row for each.

import type { NodeState } from '../core/board.ts';
import type { ClusterRun } from '../core/cluster.ts';
import { RUN_CURVES, type RunHead } from '../core/run.ts';
import { Chart } from './chart.ts';
import { el, facts, fill, setText } from './dom.ts';
import { Grid } from './grid.ts';
import type { Live } from './live.ts';
import { chosen, filters, NodeTable, type Wish } from './nodetable.ts';
import { COLOURS, formatDuration, formatRate, formatShare } from './words.ts';

const MIB = 2 ** 20;
/** How often the numbers and the table follow the cluster: a thousand nodes change all the time. */
const DRAW_MS = 1000;
/** Cells that are painted between two frames, so that a click need not wait for them all. */
const CELLS_PER_FRAME = 60;

/** What a view is to the page: an element, and what ends its work. */
export interface View {
  readonly element: HTMLElement;
  readonly title: string;
  /** The colours have changed. */
  recolour?(): void;
  end(): void;
}

export class ClusterView implements View {
  readonly title = 'Cluster';
  readonly element: HTMLElement;
  readonly #live: Live;
  readonly #tiles = el('ul', { class: 'tiles', 'aria-label': 'Nodes by state' });
  readonly #totals = el('div', { class: 'totals', 'aria-live': 'off' });
  readonly #runs = el('div', { class: 'runs' });
  readonly #grid = new Grid();
  readonly #table: NodeTable;
  readonly #filters: ReturnType<typeof filters>;
  readonly #unlisten: () => void;
  #wish: Wish = { words: '', state: '' };
  #chart: { id: string; chart: Chart } | null = null;
  /** Cells that are not as their nodes are. */
  readonly #unpainted = new Set<string>();
  #frame = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(live: Live) {
    this.#live = live;
    this.#table = new NodeTable(() => this.#draw());
    this.#filters = filters((wish) => {
      this.#wish = wish;
      this.#draw();
    });
    this.element = el(
      'div',
      {},
      el('h1', { class: 'unseen' }, 'The cluster'),
      this.#tiles,
      this.#totals,
      this.#runs,
      this.#filters.element,
      this.#grid.element,
      legend(),
      this.#table.element,
    );
    this.#unlisten = live.listen(() => this.#follow());
    this.#draw();
  }

  recolour(): void {
    this.#chart?.chart.recolour();
  }

  end(): void {
    this.#unlisten();
    if (this.#timer !== null) clearTimeout(this.#timer);
    cancelAnimationFrame(this.#frame);
    this.#chart?.chart.destroy();
  }

  #follow(): void {
    const { changed, nodes } = this.#live;
    for (const mac of changed ?? nodes.keys()) this.#unpainted.add(mac);
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#paint());
    this.#timer ??= setTimeout(() => this.#draw(), DRAW_MS);
  }

  #paint(): void {
    let count = 0;
    for (const mac of this.#unpainted) {
      this.#unpainted.delete(mac);
      const node = this.#live.nodes.get(mac);
      if (node !== undefined) this.#grid.paint(node);
      if (++count === CELLS_PER_FRAME) break;
    }
    this.#frame = this.#unpainted.size === 0 ? 0 : requestAnimationFrame(() => this.#paint());
  }

  #draw(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const { picture, nodes } = this.#live;
    if (picture === null) return;
    this.#showTiles(picture.counts);
    fill(
      this.#totals,
      facts([
        ['nodes', `${nodes.size}`],
        ['received', formatRate(picture.downBytesPerSec)],
        ['given', formatRate(picture.upBytesPerSec)],
      ]),
    );
    this.#showRuns(picture.runs);
    const shown = chosen(nodes.values(), this.#wish);
    this.#grid.show(nodes, shown);
    this.#table.show(shown, picture.at);
  }

  #showTiles(counts: Readonly<Record<NodeState, number>>): void {
    const states = Object.keys(counts) as NodeState[];
    if (this.#tiles.children.length === 0) {
      fill(
        this.#tiles,
        ...states.map((state) =>
          el(
            'li',
            {},
            el(
              'button',
              {
                type: 'button',
                class: `tile ${state}`,
                'data-state': state,
                onclick: () => this.#choose(state),
              },
              el('b'),
              el('span', {}, state),
            ),
          ),
        ),
      );
    }
    for (const [index, state] of states.entries()) {
      const button = this.#tiles.children[index]!.firstElementChild!;
      setText(button.firstElementChild!, `${counts[state]}`);
      button.setAttribute('aria-pressed', `${this.#wish.state === state}`);
      button.classList.toggle('none', counts[state] === 0);
    }
  }

  #choose(state: NodeState): void {
    this.#filters.set({ ...this.#wish, state: this.#wish.state === state ? '' : state });
  }

  /** The newest run that goes on has a plot; the others a line each. */
  #showRuns(runs: readonly ClusterRun[]): void {
    const [newest] = runs;
    if (newest === undefined) {
      if (this.#chart === null) fill(this.#runs, el('p', { class: 'quiet' }, 'No install is going on.'));
      return;
    }
    const { id } = newest.report;
    if (this.#chart?.id !== id) {
      this.#chart?.chart.destroy();
      this.#chart = { id, chart: bandwidthChart() };
      fill(this.#runs, el('div', { class: 'run-facts' }), this.#chart.chart.element);
      void this.#load(id);
    }
    const { atMs, downBytesPerSec, upBytesPerSec, seederBytesPerSec } = newest.rates;
    this.#chart.chart.add(atMs / 1000, [downBytesPerSec, upBytesPerSec, seederBytesPerSec]);
    fill(this.#runs.firstElementChild!, ...runs.map(runFacts));
  }

  async #load(id: string): Promise<void> {
    const response = await fetch(`/runs/${id}.json`).catch(() => null);
    if (!response?.ok || this.#chart?.id !== id) return;
    const { run } = (await response.json()) as { run: RunHead };
    showBandwidth(this.#chart.chart, run);
  }
}

/** A plot of what all nodes of a run do together. */
export function bandwidthChart(): Chart {
  return new Chart({
    title: 'All nodes together',
    unit: 'MiB/s',
    scale: MIB,
    lines: [
      { label: 'received', colour: '--line-1' },
      { label: 'given', colour: '--line-2', dash: [8, 4] },
      { label: 'first seeder', colour: '--line-3', dash: [2, 3] },
    ],
  });
}

/** Shows the curves that a run has so far. */
export function showBandwidth(chart: Chart, { curves }: Pick<RunHead, 'curves'>): void {
  const column = (name: (typeof RUN_CURVES)[number]) => curves.columns[RUN_CURVES.indexOf(name)] ?? [];
  const lines = [column('downBytesPerSec'), column('upBytesPerSec'), column('seederBytesPerSec')];
  chart.set(
    lines[0]!.map((_, index) => (index * curves.stepMs) / 1000),
    lines,
  );
}

function runFacts({ report }: ClusterRun): HTMLElement {
  const { counts, leftMs, linkShare, seederCopies, elapsedMs } = report;
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const done = counts.imaged + counts.installed;
  return el(
    'section',
    { 'aria-label': `Run of ${report.image}` },
    el('h2', {}, el('a', { href: `#/run/${report.id}` }, report.image)),
    facts([
      ['on disk', `${done} of ${total}`],
      ['time left', leftMs === null ? '-' : formatDuration(leftMs)],
      ['so far', formatDuration(elapsedMs)],
      ['efficiency so far', formatShare(linkShare)],
      ['first seeder sent', `${seederCopies.toFixed(2)} images`],
    ]),
  );
}

function legend(): HTMLElement {
  return el(
    'ul',
    { class: 'legend', 'aria-label': 'What the colours mean' },
    ...COLOURS.map(([colour, meaning]) => el('li', {}, el('i', { class: colour }), meaning)),
  );
}
